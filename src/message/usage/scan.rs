use std::{borrow::Cow, sync::LazyLock};

use memchr::memmem::Finder;

use super::{Usage, answer::Facts, cost::stated_cost, place::Place, stated::Stated};
use crate::{message::catalog::Cost, wire::json::Cursor};

/// Reads usage, finish reason, served model and service tier as an answer passes by.
///
/// Feed it every event of a stream, or the whole body. It keeps counts and three short names, so its memory does not grow
/// with the answer, and it allocates only when it has something to keep. What is not JSON, or breaks off in the middle,
/// states nothing.
#[derive(Debug, Default)]
pub struct UsageScan {
    stated: Option<Box<Stated>>,
    finish_reason: Option<Box<str>>,
    model: Option<Box<str>>,
    tier: Option<Box<str>>,
    cost: Option<Box<Cost>>,
}

impl UsageScan {
    /// Looks at one event of a stream: the data of a server-sent event, a line of NDJSON, or the payload of a frame.
    ///
    /// An event without counts or a finish reason, which is nearly every event, is searched but not parsed.
    pub fn event(&mut self, data: &[u8]) {
        if FILTER.admits(data) {
            let has_cost = self.value(&mut Cursor::of_bytes(data));
            if has_cost == Some(true)
                && let Some(cost) = stated_cost(data)
            {
                self.cost = Some(Box::new(cost));
            }
        }
    }

    /// Reads one whole answer that was not streamed.
    ///
    /// Several JSON values in a row (NDJSON, or whitespace kept alive before the answer) are read as if streamed.
    pub fn body(&mut self, json: &[u8]) {
        let mut cursor = Cursor::of_bytes(json);
        let mut has_cost = false;
        while let Some(states) = self.value(&mut cursor) {
            has_cost |= states;
            if cursor.is_at_end() {
                break;
            }
        }
        self.cost = has_cost.then(|| stated_cost(json)).flatten().map(Box::new);
    }

    /// The usage stated so far. `None` when none was: a stated zero is `Some`.
    pub fn usage(&self) -> Option<Usage> {
        self.stated.as_ref()?.disjoint()
    }

    /// Why the answer ended, in the provider's own word; of several choices, the last one's. For the Responses API it is
    /// the reason why the response is incomplete, or else its final status. An empty reason (some providers send one on
    /// every event) is none.
    pub fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }

    /// The model that answered, as the provider names it, if an event that was parsed names one.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The service tier that was served, as the provider names it, if an event that was parsed names one.
    pub fn service_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    /// What the answer cost, where its provider says so.
    pub fn cost(&self) -> Option<Cost> {
        self.cost.as_deref().copied()
    }

    /// Reads one JSON value, all of it or nothing: a number that breaks off reads as a smaller number. Whether it states a cost.
    fn value(&mut self, cursor: &mut Cursor<'_>) -> Option<bool> {
        let mut facts = Facts::default();
        facts.read(cursor, Place::Top)?;
        let has_cost = facts.has_cost;
        self.keep(facts);
        Some(has_cost)
    }

    fn keep(&mut self, facts: Facts<'_>) {
        if !facts.stated.states_nothing() {
            self.stated.get_or_insert_default().update(&facts.stated);
        }
        let status = facts.status.filter(|status| is_final(status));
        keep(
            &mut self.finish_reason,
            facts.finish_reason.or(facts.incomplete).or(status),
        );
        keep(&mut self.model, facts.model);
        keep(&mut self.tier, facts.tier);
    }
}

fn keep(kept: &mut Option<Box<str>>, name: Option<Cow<'_, str>>) {
    if let Some(name) = name
        && kept.as_deref() != Some(&*name)
    {
        *kept = Some(name.into());
    }
}

/// The statuses of the Responses API that end a response.
fn is_final(status: &str) -> bool {
    matches!(status, "completed" | "incomplete" | "failed" | "cancelled")
}

/// Decides by substring whether an event can state counts or a finish reason. It may admit an event that states neither,
/// never the reverse. (A count with another kind of name, such as `input_length`, only ever comes with one that is known.)
struct Filter {
    token: Finder<'static>,
    reason: Finder<'static>,
    eval_count: Finder<'static>,
}

static FILTER: LazyLock<Filter> = LazyLock::new(|| Filter {
    token: Finder::new(b"oken"),
    reason: Finder::new(b"eason\""),
    eval_count: Finder::new(b"eval_count\""),
});

impl Filter {
    fn admits(&self, data: &[u8]) -> bool {
        any_before(&self.token, data, ends_count)
            || any_before(&self.reason, data, states_value)
            // Ollama's own counts are the only ones that do not count tokens by name, and its events have neither of these.
            || !(data.starts_with(br#"{"id""#) || data.starts_with(br#"{"type""#))
                && self.eval_count.find(data).is_some()
    }
}

/// Whether what follows `needle` is as wanted, anywhere in `data`.
fn any_before(needle: &Finder<'_>, mut data: &[u8], wanted: impl Fn(&[u8]) -> bool) -> bool {
    while let Some(at) = needle.find(data) {
        data = data.get(at + needle.needle().len()..).unwrap_or_default();
        if wanted(data) {
            return true;
        }
    }
    false
}

/// Whether the name of a count ends here: `prompt_tokens`, `promptTokenCount`, `prompt_token_count`. The names of usage
/// objects would do as well, but in many streams every event has `"usage":null`.
fn ends_count(rest: &[u8]) -> bool {
    [&b"s\""[..], b"Count\"", b"_count\""]
        .iter()
        .any(|end| rest.starts_with(end))
}

/// Whether a member whose name ended right before `rest` has a value other than `null` and the empty string.
fn states_value(rest: &[u8]) -> bool {
    let Some((b':', value)) = rest.trim_ascii_start().split_first() else {
        return false;
    };
    match value.trim_ascii_start() {
        [b'n', ..] | [b'"', b'"', ..] => false,
        value => !value.is_empty(),
    }
}
