//! What callers and logs are told.

use std::{fmt::Write, sync::Arc, time::SystemTime};

use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::{
    ask::Refused,
    layer::Shared,
    state::{Exceeded, Level, Party, Warning},
};
use crate::{
    message::{ApiError, Dialect, Reason, Rejection, ResponseBody, catalog::Cost},
    wire::rfc3339,
};

/// Says that a key has come to the soft limit of a budget: `team; spent=81.2; limit=100`, in USD; of several, with commas between.
pub const X_RELAY_BUDGET_WARNING: HeaderName = HeaderName::from_static("x-relay-budget-warning");
/// Names the model that was asked instead, because a budget had no room for the caller's.
pub const X_RELAY_BUDGET_MODEL: HeaderName = HeaderName::from_static("x-relay-budget-model");

/// What an answer has to say.
#[derive(Debug)]
pub(super) struct Notice {
    /// The budgets whose soft limit is reached, as the header has them.
    pub(super) warned: Option<Box<str>>,
    pub(super) model: Option<Arc<str>>,
}

impl Notice {
    pub(super) fn write<B>(&self, response: &mut Response<B>) {
        let told = [
            (X_RELAY_BUDGET_WARNING, self.warned.as_deref()),
            (X_RELAY_BUDGET_MODEL, self.model.as_deref()),
        ];
        for (name, text) in told {
            if let Some(Ok(value)) = text.map(HeaderValue::from_str) {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

impl Shared {
    /// The budgets whose soft limit these have come to.
    pub(super) fn warned(&self, parties: &[Party], now: SystemTime) -> Option<Box<str>> {
        let mut text = String::new();
        let mut books = self.books();
        for party in parties {
            let Some(level) = books.warned(now, party) else {
                continue;
            };
            let gap = if text.is_empty() { "" } else { ", " };
            let name = self.name(party);
            let (spent, hard) = (level.spent, level.limits.hard);
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}{name}; spent={spent}; limit={hard}");
        }
        drop(books);
        if text.is_empty() {
            return None;
        }
        tracing::Span::current().record("relay.budget_warning", &*text);
        Some(text.into())
    }

    pub(super) fn warn(&self, warnings: &[Warning]) {
        for Warning { party, level } in warnings {
            tracing::warn!(
                budget = self.name(party),
                key = &*party.1,
                spent_usd = %level.spent,
                limit_usd = %level.limits.hard,
                "a budget has come to its soft limit"
            );
        }
    }

    pub(super) fn refusal(&self, refused: &Refused, dialect: Dialect) -> Response<ResponseBody> {
        match refused {
            Refused::Invalid(error) => {
                let reason = match error.status() {
                    StatusCode::UNAUTHORIZED => Reason::Unauthenticated,
                    _ => Reason::InvalidRequest,
                };
                Rejection::new("budget", reason).into_response(error, dialect)
            }
            Refused::Unavailable { wait } => {
                let message = "Budgets cannot be checked at the moment. Please try again.";
                let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
                    .with_code("budgets_unavailable")
                    .with_retry_after(*wait);
                Rejection::new("budget", Reason::LimitsUnavailable).into_response(&error, dialect)
            }
            Refused::Exceeded { exceeded, asked } => {
                let error = ApiError::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "insufficient_quota",
                    self.explain(exceeded, *asked),
                );
                let error = error.with_code("budget_exceeded");
                let rejection = Rejection::new("budget", Reason::BudgetExceeded);
                let mut response = rejection.into_response(&error, dialect);
                let never = HeaderValue::from_static("false");
                response.headers_mut().insert("x-should-retry", never);
                response
            }
        }
    }

    fn explain(&self, exceeded: &[Exceeded], asked: Option<Cost>) -> String {
        let mut text = String::from("Budget exceeded");
        let Some(Exceeded { party, level }) = exceeded.first() else {
            return text;
        };
        let Level {
            spent,
            reserved,
            limits,
            until,
            ..
        } = level;
        let name = self.name(party);
        let per = self.budgets.get(party.0).map(|budget| budget.per);
        if let Some(per) = per {
            // Writing to a string cannot fail, here and below.
            let _ = write!(text, " ({name}, {per})");
        }
        let hard = limits.hard;
        let _ = write!(
            text,
            ": Limit {hard} USD, Spent {spent} USD, Reserved {reserved} USD"
        );
        if let Some(asked) = asked {
            let _ = write!(text, ", Requested {asked} USD");
        }
        text.push('.');
        if let Some(until) = until {
            let _ = write!(text, " It is renewed at {}.", rfc3339::format(*until));
        }
        text
    }

    fn name(&self, party: &Party) -> &str {
        self.budgets.get(party.0).map_or("", |budget| &*budget.name)
    }
}
