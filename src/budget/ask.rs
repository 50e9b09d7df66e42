//! Who pays for a request, and whether they can.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Request;

use super::{
    OnExceeded,
    layer::Shared,
    notice,
    pass::{Hold, Pass},
    price::{Estimate, answers, has_price},
    state::{Exceeded, Party},
};
use crate::{
    message::{self, Accounts, ApiError, Bill, Endpoint, RequestBody, catalog::Cost},
    reserve::BudgetStore,
};

/// What a request asks of the budgets.
pub(super) struct Asked {
    pub(super) parties: Vec<Party>,
    pub(super) estimate: Estimate,
    /// The model that it is sent for instead of the caller's.
    model: Option<Arc<str>>,
    /// The budgets that may be gone beyond, because they have given this model.
    pub(super) beyond: Vec<usize>,
}

impl Asked {
    pub(super) fn cost(&self) -> Option<Cost> {
        self.estimate.cost
    }
}

impl Shared {
    /// Reserves for `request`, which may be changed to ask for a cheaper model. `None` where nobody's budget is concerned.
    pub(super) fn admit(
        self: &Arc<Self>,
        request: &mut Request<RequestBody>,
    ) -> Result<Option<Pass>, Refused> {
        let now = self.now();
        let Some(mut asked) = self.asked(request, now)? else {
            return Ok(None);
        };
        let reserve = |asked: &Asked| {
            let mut books = self.books();
            books.reserve(now, &asked.parties, asked.cost(), &asked.beyond)
        };
        let ticket = match reserve(&asked) {
            Ok(ticket) => ticket,
            Err(exceeded) => {
                asked = self.switch(request, asked, exceeded, now)?;
                reserve(&asked).map_err(|exceeded| asked.refused(exceeded))?
            }
        };
        Ok(Some(self.pass(request, asked, Hold::Books(ticket), now)))
    }

    /// The same with a store that replicas share.
    pub(super) async fn admit_at(
        self: Arc<Self>,
        store: Arc<dyn BudgetStore>,
        request: &mut Request<RequestBody>,
    ) -> Result<Option<Pass>, Refused> {
        let now = self.now();
        let Some(mut asked) = self.asked(request, now)? else {
            return Ok(None);
        };
        let hold = match self.reserve_at(&store, &asked, now).await? {
            Ok(hold) => hold,
            Err(exceeded) => {
                asked = self.switch(request, asked, exceeded, now)?;
                let reserved = self.reserve_at(&store, &asked, now).await?;
                reserved.map_err(|exceeded| asked.refused(exceeded))?
            }
        };
        Ok(Some(self.pass(request, asked, hold, now)))
    }

    /// What `request` asks for; `None` where nobody's budget is concerned.
    fn asked(
        &self,
        request: &Request<RequestBody>,
        now: SystemTime,
    ) -> Result<Option<Asked>, Refused> {
        let endpoint = Endpoint::of(request);
        if !has_price(endpoint) {
            return Ok(None);
        }
        let parties = self.parties(request)?;
        if parties.is_empty() {
            return Ok(None);
        }
        // What cannot be read cannot be priced, and a member that stands there twice might be read differently further on.
        if request.body().members().map_err(ApiError::from)?.is_none() {
            // It may be dear all the same, and as many at once as anybody likes.
            return Err(Refused::Invalid(ApiError::unread_body()));
        }
        let estimate = self.priced(endpoint, request.body(), &parties, now)?;
        Ok(Some(Asked {
            parties,
            estimate,
            model: None,
            beyond: Vec::new(),
        }))
    }

    fn pass(
        self: &Arc<Self>,
        request: &mut Request<RequestBody>,
        asked: Asked,
        hold: Hold,
        now: SystemTime,
    ) -> Pass {
        let warned = self.warned(&asked.parties, now);
        self.note_accounts(request, &asked.parties);
        let bill = Bill::of(request.extensions_mut());
        let notice = notice::Notice {
            warned,
            model: asked.model,
        };
        Pass::new(self, hold, asked.estimate, bill, notice)
    }

    /// The same request for the other model that the budgets without room ask for, if all of them do.
    fn switch(
        &self,
        request: &mut Request<RequestBody>,
        asked: Asked,
        exceeded: Vec<Exceeded>,
        now: SystemTime,
    ) -> Result<Asked, Refused> {
        let endpoint = Endpoint::of(request);
        let policy = |exceeded: &Exceeded| {
            let budget = self.budgets.get(exceeded.party.0);
            match budget.map(|budget| &budget.on_exceeded) {
                Some(OnExceeded::Model(model)) => Some(Arc::clone(model)),
                _ => None,
            }
        };
        let models: Option<Vec<_>> = exceeded.iter().map(policy).collect();
        // The innermost budget knows best.
        let models = models.filter(|_| answers(endpoint));
        let Some(model) = models.and_then(|models| models.last().cloned()) else {
            return Err(asked.refused(exceeded));
        };
        let named = request.body().model().map(String::from);
        if named.as_deref() != Some(&*model) {
            if let Some(named) = named {
                Bill::of(request.extensions_mut()).note_asked(&named);
            }
            message::edit(request, |edit| {
                edit.set("model", &*model);
            })
            .map_err(ApiError::from)?;
        }
        if request.body().model().as_deref() != Some(&*model) {
            // It cannot be read, so it cannot be changed.
            return Err(asked.refused(exceeded));
        }
        // Every budget that gives this way may be gone beyond; the others must have room.
        let beyond = (0..self.budgets.len()).filter(|index| {
            let budget = self.budgets.get(*index);
            budget.is_some_and(|budget| budget.on_exceeded != OnExceeded::Refuse)
        });
        Ok(Asked {
            estimate: self.priced(endpoint, request.body(), &asked.parties, now)?,
            beyond: beyond.collect(),
            parties: asked.parties,
            model: Some(model),
        })
    }

    /// Who pays: one key of each budget that counts the request.
    fn parties(&self, request: &Request<RequestBody>) -> Result<Vec<Party>, ApiError> {
        let mut parties = Vec::with_capacity(self.budgets.len());
        for (index, budget) in self.budgets.iter().enumerate() {
            if let Some(key) = budget.by.key_of(request)? {
                parties.push((index, key.to_string().into()));
            }
        }
        Ok(parties)
    }

    /// Says in the request who pays, beside what another layer of budgets has said.
    fn note_accounts(&self, request: &mut Request<RequestBody>, parties: &[Party]) {
        let Accounts(accounts) = request.extensions_mut().get_or_insert_default();
        for (index, key) in parties {
            if let Some(budget) = self.budgets.get(*index) {
                accounts.insert(&budget.name, key);
            }
        }
    }
}

impl Asked {
    fn refused(&self, exceeded: Vec<Exceeded>) -> Refused {
        let asked = self.cost();
        Refused::Exceeded { exceeded, asked }
    }
}

/// Why a request is not passed on.
pub(super) enum Refused {
    /// Budgets have no room for so much.
    Exceeded {
        exceeded: Vec<Exceeded>,
        asked: Option<Cost>,
    },
    /// The store of the budgets does not answer, and nothing is admitted without it.
    Unavailable { wait: Duration },
    /// It cannot be attributed, read or priced.
    Invalid(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Invalid(error)
    }
}
