//! The events of a stream, each as OpenAI would have sent it.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use serde_json::{json, value::RawValue};

use super::{
    Reasoning,
    api::Api,
    choice::Place,
    choices::Choices,
    conform::{self, Rules},
    errors, finish,
    head::{self, Answer},
    repairs::{Repair, Repairs},
    usage,
};
use crate::{
    message::{ApiError, Dialect, Edited},
    wire::{
        json::{Index, Kind, Value},
        sse::event,
    },
};

/// What a stream has said so far.
pub(super) struct Events {
    answer: Answer,
    /// The answer's own id and model are known.
    named: bool,
    choices: Choices,
    /// What `choices` become should the next event conform.
    next: Choices,
    wants_usage: bool,
    /// What was stated in another place than the last chunk's.
    usage: Option<Box<RawValue>>,
    usage_sent: bool,
}

/// What becomes of an event.
pub(super) struct Step {
    /// Of its data.
    pub(super) own: Edited,
    /// The stream has failed: what says so after the event, if the event itself does not.
    pub(super) failure: Option<Bytes>,
}

impl Events {
    pub(super) fn new(answer: Answer, wants_usage: bool) -> Self {
        Self {
            answer,
            named: false,
            choices: Choices::default(),
            next: Choices::default(),
            wants_usage,
            usage: None,
            usage_sent: false,
        }
    }

    /// Whether `data` is a chunk that passes as it is. If not, nothing was learnt from it.
    pub(super) fn conforms(&mut self, data: &[u8]) -> bool {
        if self.answer.api != Api::Chat || self.answer.reasoning != Reasoning::Keep {
            return false;
        }
        let rules = Rules {
            openai: self.answer.openai,
            usage: self.wants_usage && !self.usage_sent,
        };
        self.next.copy(&self.choices);
        let Some(chunk) = conform::chunk(data, rules, &mut self.next) else {
            return false;
        };
        std::mem::swap(&mut self.choices, &mut self.next);
        self.usage_sent |= chunk.states_usage;
        if let Some(wrapper) = chunk.wrapper {
            self.wrapped_usage(wrapper);
        }
        if !self.named {
            self.name(Some(chunk.id), Some(chunk.model), chunk.created);
        }
        true
    }

    /// What becomes of an event that may not conform. `is_error` if it says so outside of its data.
    pub(super) fn step(&mut self, data: &[u8], is_error: bool) -> (Step, Repairs) {
        let mut repairs = Repairs::default();
        let error = ApiError::in_answer(data)
            .or_else(|| is_error.then(|| ApiError::read(StatusCode::OK, &HeaderMap::new(), data)));
        if let Some(error) = error {
            let event = errors::event(data, &error, self.answer.openai, &mut repairs);
            let own = if event.is_some() {
                Edited::Drop
            } else {
                Edited::Keep
            };
            let failure = Some(event.unwrap_or_default());
            return (Step { own, failure }, repairs);
        }
        let before = self.choices.are_finished().then(|| self.choices.count());
        let mut place = Place::Chunk(&mut self.choices);
        let repaired = head::repaired(data, &self.answer, &mut place, &mut repairs);
        if let Some(usage) = self.choices.usage.take().filter(|_| self.wants_usage) {
            self.usage = Some(usage);
        }
        let mut placed = self.place_usage(repaired.as_deref().unwrap_or(data), &mut repairs);
        // OpenRouter says again why the choice ended, beside the usage.
        if let Edited::Replace(rest) = &placed
            && before == Some(self.choices.count())
            && says_nothing(rest)
        {
            placed = Edited::Drop;
        }
        let own = match (placed, repaired) {
            (Edited::Keep, Some(repaired)) => Edited::Replace(repaired),
            (placed, _) => placed,
        };
        let failure = repairs
            .failed()
            .map(|word| errors::of_failure(word).to_event(Dialect::OpenAi));
        (Step { own, failure }, repairs)
    }

    /// Takes from the first event that has them what all others must have.
    pub(super) fn learn(&mut self, data: &[u8]) {
        if self.named {
            return;
        }
        let Ok(index) = Index::parse(data) else {
            return;
        };
        let members = index.members(data);
        let created = members.get("created").and_then(Value::as_u64);
        self.name(
            members.get("id"),
            members.get("model"),
            created.unwrap_or(0),
        );
    }

    fn name(&mut self, id: Option<Value<'_>>, model: Option<Value<'_>>, created: u64) {
        let set = |slot: &mut String, stated: Option<Value<'_>>| {
            let text = stated
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty());
            if let Some(text) = &text {
                slot.clear();
                slot.push_str(text);
            }
            text.is_some()
        };
        let has_id = set(&mut self.answer.id, id);
        let has_model = set(&mut self.answer.model, model);
        self.named = has_id && has_model;
        if created > 0 {
            self.answer.created = created;
        }
    }

    /// Remembers the usage in `x_groq`, of which Groq states copies elsewhere only to those who ask.
    fn wrapped_usage(&mut self, wrapper: Value<'_>) {
        if !self.wants_usage || self.usage_sent || self.usage.is_some() {
            return;
        }
        let Ok(index) = Index::parse(wrapper.raw()) else {
            return;
        };
        let stated = index.members(wrapper.raw()).get("usage");
        self.usage = stated
            .filter(|usage| usage.kind() == Kind::Object)
            .and_then(|usage| usage::repaired(usage).or_else(|| usage.deserialize().ok()));
    }

    /// Leaves usage only where OpenAI states it: in one chunk without choices, for a caller who asked.
    fn place_usage(&mut self, data: &[u8], repairs: &mut Repairs) -> Edited {
        let Ok(index) = Index::parse(data) else {
            return Edited::Keep;
        };
        let members = index.members(data);
        if let Some(wrapper) = members.get("x_groq") {
            self.wrapped_usage(wrapper);
        }
        let Some(usage) = members
            .get("usage")
            .filter(|usage| usage.kind() == Kind::Object)
        else {
            return Edited::Keep;
        };
        let Some(choices) = members
            .get("choices")
            .filter(|choices| choices.kind() == Kind::Array)
        else {
            return Edited::Keep;
        };
        let is_alone = choices
            .deserialize::<Vec<&RawValue>>()
            .is_ok_and(|choices| choices.is_empty());
        let is_in_place =
            is_alone && self.wants_usage && !self.usage_sent && self.choices.are_finished();
        if is_in_place || self.answer.openai {
            self.usage_sent = true;
            return Edited::Keep;
        }
        repairs.add(Repair::UsagePlace);
        if self.wants_usage {
            self.usage = usage.deserialize().ok();
        }
        if is_alone {
            return Edited::Drop;
        }
        let mut edit = members.edit();
        if self.wants_usage {
            edit.set("usage", serde_json::Value::Null);
        } else {
            edit.remove("usage");
        }
        Edited::Replace(edit.into_text())
    }

    /// Whether OpenAI itself answers.
    pub(super) fn are_openais(&self) -> bool {
        self.answer.openai
    }

    /// Whether the stream has said all that it has to, but for `[DONE]`.
    pub(super) fn is_finished(&self) -> bool {
        self.choices.are_finished()
    }

    /// The events that have to come before `[DONE]` and did not: why choices ended, and usage.
    pub(super) fn closing(&mut self, repairs: &mut Repairs) -> Bytes {
        let mut closing = BytesMut::new();
        if !self.answer.openai {
            for (index, choice) in self.choices.iter().filter(|(_, choice)| !choice.finished) {
                let reason = if choice.tools > 0 {
                    finish::TOOL_CALLS
                } else {
                    finish::STOP
                };
                let empty = match self.answer.api {
                    Api::Completions => r#""text":"","logprobs":null"#,
                    _ => r#""delta":{}"#,
                };
                let end = format!(
                    r#""choices":[{{"index":{index},{empty},"finish_reason":"{reason}"}}]"#
                );
                closing.extend_from_slice(&self.chunk(&end));
                repairs.add(Repair::FinishReason);
            }
            self.choices.finish();
        }
        if let Some(usage) = self.usage.take().filter(|_| !self.usage_sent) {
            self.usage_sent = true;
            repairs.add(Repair::UsagePlace);
            closing.extend_from_slice(&self.chunk(&format!("\"choices\":[],\"usage\":{usage}")));
        }
        closing.freeze()
    }

    /// A chunk of what was held back because it might have begun a tag.
    pub(super) fn held(&mut self) -> Bytes {
        let held = self.choices.held().map(|(index, delta)| {
            format!(r#"{{"index":{index},"delta":{delta},"finish_reason":null}}"#)
        });
        let held: Vec<_> = held.collect();
        if held.is_empty() {
            return Bytes::new();
        }
        self.chunk(&format!(r#""choices":[{}]"#, held.join(",")))
    }

    /// A chunk of this answer with these members.
    fn chunk(&self, members: &str) -> Bytes {
        let Answer {
            id,
            created,
            model,
            api,
            ..
        } = &self.answer;
        let object = api.object(true);
        let (id, model) = (json!(id), json!(model));
        let chunk = format!(
            r#"{{"id":{id},"object":"{object}","created":{created},"model":{model},{members}}}"#
        );
        event(None, chunk.as_bytes())
    }
}

/// Whether the choices of a chunk say nothing but why they ended.
fn says_nothing(chunk: &[u8]) -> bool {
    let Ok(index) = Index::parse(chunk) else {
        return false;
    };
    let choices = index.members(chunk).get("choices");
    let choices = choices.and_then(|choices| choices.deserialize::<Vec<&RawValue>>().ok());
    choices.is_some_and(|choices| {
        choices.iter().all(|choice| {
            let choice = choice.get().as_bytes();
            all_members(choice, |name, value| match name {
                "index" | "finish_reason" | "native_finish_reason" => true,
                "delta" => all_members(value.raw(), |name, value| name == "role" || is_void(value)),
                _ => is_void(value),
            })
        })
    })
}

fn all_members(object: &[u8], mut is: impl FnMut(&str, Value<'_>) -> bool) -> bool {
    Index::parse(object).is_ok_and(|index| {
        let mut members = index.members(object).iter();
        members.all(|(name, value)| is(&name, value))
    })
}

fn is_void(value: Value<'_>) -> bool {
    matches!(value.raw(), b"null" | b"\"\"" | b"[]" | b"{}")
}

/// Whether the first event says nothing, not even what answers.
pub(super) fn is_empty_and_unnamed(data: &[u8]) -> bool {
    let Ok(index) = Index::parse(data) else {
        return false;
    };
    let members = index.members(data);
    let is_empty = |name| members.get(name).is_none_or(is_void);
    members.contains("choices")
        && is_empty("id")
        && is_empty("choices")
        && ApiError::in_answer(data).is_none()
}
