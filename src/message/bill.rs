//! What a request costs with all its attempts.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Extensions;
use serde::{Deserialize, Serialize};

use super::{catalog::Cost, usage::Usage};

/// Attempts of one request that a bill lists; the sums go on beyond.
const MAX_LINES: usize = 64;

/// The sum of what the attempts of one request cost, failed ones included. Stands in the request's extensions, where a layer that
/// wants to know put it ([`Bill::of`]), and in those of its answer. Clones share it.
///
/// Attempts are written into it by the meters of the upstreams' stacks, each once it has ended; so the bill of a request is
/// [settled](Self::when_settled) when its answer has ended and the last of its attempts too: one that lost a race may be later.
#[derive(Clone, Default)]
pub struct Bill(Arc<Mutex<State>>);

type Settle = Box<dyn FnOnce(&Bill) + Send>;

#[derive(Default)]
struct State {
    asked: Option<Arc<str>>,
    lines: Vec<BillLine>,
    cost: Cost,
    usage: Usage,
    attempts: u32,
    unpriced: u32,
    open: u32,
    numbered: u32,
    waiting: Vec<Settle>,
}

/// One attempt of a request.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLine {
    /// The upstream that was asked.
    pub upstream: Arc<str>,
    /// The model that it was asked for.
    pub model: Option<Arc<str>>,
    /// What it used.
    pub usage: Usage,
    /// How that is known.
    pub source: CostSource,
    /// What it cost; `None` where no price is known, which is not the same as free.
    pub cost: Option<Cost>,
}

/// How it is known what an attempt used.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostSource {
    /// The answer is whole and said so.
    Reported,
    /// The answer is whole and said nothing: by the weight of its text and the prompt's.
    Estimated,
    /// The answer broke off or was left: what it said or what was seen, whichever is more.
    Partial,
    /// Nothing was used: the upstream refused, or was not reached.
    #[default]
    Unbilled,
}

impl CostSource {
    /// As a label: lower case, with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Partial => "partial",
            Self::Unbilled => "unbilled",
        }
    }
}

impl BillLine {
    /// What `upstream` used.
    pub fn new(upstream: Arc<str>, usage: Usage, source: CostSource, cost: Option<Cost>) -> Self {
        Self {
            upstream,
            model: None,
            usage,
            source,
            cost,
        }
    }

    /// For this model.
    pub fn model(mut self, model: Option<Arc<str>>) -> Self {
        self.model = model;
        self
    }
}

impl Bill {
    /// The bill among a request's extensions, put there if there is none.
    pub fn of(extensions: &mut Extensions) -> Self {
        extensions.get_or_insert_default::<Self>().clone()
    }

    /// The bill among the extensions of a request or an answer.
    pub fn find(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned()
    }

    /// Notes the model that the caller asked for, before a layer puts another in its place. The first note stands.
    pub fn note_asked(&self, model: &str) {
        self.state().asked.get_or_insert_with(|| model.into());
    }

    /// The model that the caller asked for, where a layer has put another in its place.
    pub fn asked(&self) -> Option<Arc<str>> {
        self.state().asked.clone()
    }

    /// Begins an attempt, whose line is still to come.
    pub fn open(&self) -> OpenLine {
        self.state().open += 1;
        OpenLine {
            bill: self.clone(),
            line: None,
        }
    }

    /// What the attempts that have ended cost together, those without a known price left out.
    pub fn cost(&self) -> Cost {
        self.state().cost
    }

    /// What the attempts that have ended used together.
    pub fn usage(&self) -> Usage {
        self.state().usage
    }

    /// How many attempts have ended.
    pub fn attempts(&self) -> u32 {
        self.state().attempts
    }

    /// How many of those used something whose price is not known.
    pub fn unpriced(&self) -> u32 {
        self.state().unpriced
    }

    /// Attempts that have begun and not ended.
    pub fn open_attempts(&self) -> u32 {
        self.state().open
    }

    /// The attempts that have ended, in that order: the first 64.
    pub fn lines(&self) -> Vec<BillLine> {
        self.state().lines.clone()
    }

    /// Calls `settle` when no attempt is open: now, or when the last one ends. It must not block. For whoever calls it after the
    /// answer's end, no further attempt begins.
    pub fn when_settled(&self, settle: impl FnOnce(&Self) + Send + 'static) {
        let mut state = self.state();
        if state.open > 0 {
            state.waiting.push(Box::new(settle));
            return;
        }
        drop(state);
        settle(self);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, line: Option<BillLine>) {
        let mut state = self.state();
        if let Some(line) = line {
            state.attempts = state.attempts.saturating_add(1);
            state.usage += line.usage;
            match line.cost {
                Some(cost) => state.cost += cost,
                None => state.unpriced = state.unpriced.saturating_add(1),
            }
            if state.lines.len() < MAX_LINES {
                state.lines.push(line);
            }
        }
        state.open = state.open.saturating_sub(1);
        let waiting = match state.open {
            0 => mem::take(&mut state.waiting),
            _ => Vec::new(),
        };
        drop(state);
        for settle in waiting {
            settle(self);
        }
    }
}

impl fmt::Debug for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Bill")
            .field("cost", &state.cost)
            .field("lines", &state.lines)
            .field("open", &state.open)
            .finish_non_exhaustive()
    }
}

/// An attempt that has begun. Dropped without a line it is as if it had never been.
#[derive(Debug)]
#[must_use = "an attempt that is not closed has cost nothing"]
pub struct OpenLine {
    bill: Bill,
    line: Option<BillLine>,
}

impl OpenLine {
    /// The bill that it belongs to.
    pub fn bill(&self) -> &Bill {
        &self.bill
    }

    /// The number that this attempt goes by in a ledger: 1 for the first of its request that asks for one, as it ends.
    pub fn take_number(&self) -> u32 {
        let mut state = self.bill.state();
        state.numbered = state.numbered.saturating_add(1);
        state.numbered
    }

    /// Ends the attempt.
    pub fn close(mut self, line: BillLine) {
        self.line = Some(line);
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        self.bill.close(self.line.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn line(cost: Option<u128>) -> BillLine {
        let usage = Usage {
            input: 1,
            ..Usage::default()
        };
        let cost = cost.map(Cost::from_pico_usd);
        BillLine::new("a".into(), usage, CostSource::Reported, cost)
    }

    #[test]
    fn a_bill_is_the_sum_of_its_attempts() {
        let bill = Bill::default();
        bill.open().close(line(Some(3)));
        bill.open().close(line(Some(4)));
        bill.open().close(line(None));
        assert_eq!(bill.cost().pico_usd(), 7);
        assert_eq!((bill.attempts(), bill.unpriced()), (3, 1));
        assert_eq!(bill.usage().input, 3);
    }

    #[test]
    fn it_is_settled_when_the_last_attempt_has_ended() {
        let bill = Bill::default();
        let settled = Arc::new(AtomicU32::new(0));
        let settle = || {
            let settled = Arc::clone(&settled);
            move |_: &Bill| {
                settled.fetch_add(1, Ordering::SeqCst);
            }
        };
        bill.when_settled(settle());
        assert_eq!(settled.load(Ordering::SeqCst), 1);

        let (first, second) = (bill.open(), bill.open());
        bill.when_settled(settle());
        first.close(line(Some(1)));
        assert_eq!(settled.load(Ordering::SeqCst), 1);
        drop(second);
        assert_eq!(settled.load(Ordering::SeqCst), 2);
        assert_eq!((bill.attempts(), bill.open_attempts()), (1, 0));
    }

    #[test]
    fn a_bill_may_be_read_by_whoever_it_is_settled_for() {
        let bill = Bill::default();
        let open = bill.open();
        let seen = Arc::new(Mutex::new(Cost::ZERO));
        let noted = Arc::clone(&seen);
        bill.when_settled(move |bill| *noted.lock().unwrap() = bill.cost());
        open.close(line(Some(9)));
        assert_eq!(seen.lock().unwrap().pico_usd(), 9);
    }

    #[test]
    fn attempts_without_end_do_not_grow_a_bill_but_its_sums() {
        let bill = Bill::default();
        for _ in 0..1_000 {
            bill.open().close(line(Some(1)));
        }
        assert_eq!(
            (bill.lines().len(), bill.cost().pico_usd()),
            (MAX_LINES, 1_000)
        );
    }

    #[test]
    fn all_who_ask_a_request_for_its_bill_get_the_same_one() {
        let mut extensions = Extensions::new();
        assert!(Bill::find(&extensions).is_none());
        Bill::of(&mut extensions).open().close(line(Some(5)));
        assert_eq!(Bill::of(&mut extensions).cost().pico_usd(), 5);
    }
}
