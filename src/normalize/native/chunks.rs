//! An answer as the chunks of an OpenAI stream.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use http::StatusCode;
use serde::Serialize;

use super::{
    Names,
    delta::{ChoiceChunk, Delta, Function, ToolCall},
    sink::{Call, Sink, Stop, call_id},
    usage::OpenAiUsage,
};
use crate::{
    message::{ApiError, Dialect, usage::Usage},
    normalize::{
        finish::{self, Finish},
        repairs::Repairs,
    },
    wire::sse::DONE,
};

/// The most choices, and the most calls of one choice that are open at once.
const MAX_OPEN: usize = 1024;

/// Writes chunks into a buffer, from which whoever reads the answer takes them.
pub(super) struct Chunks {
    names: Names,
    /// Everything of a chunk up to its choices; written once the first is due.
    head: Vec<u8>,
    wants_usage: bool,
    choices: BTreeMap<u64, Choice>,
    out: BytesMut,
    repairs: Repairs,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The answer's own last word was said.
    Done,
    /// An error was written, after which nothing may follow.
    Failed,
}

#[derive(Default)]
struct Choice {
    /// Calls that have begun.
    calls: u64,
    open: BTreeMap<u64, OpenCall>,
    finished: bool,
}

struct OpenCall {
    index: u64,
    /// What the arguments are if no fragment says.
    input: Option<Box<str>>,
    said: bool,
}

impl Chunks {
    pub(super) fn new(names: Names, wants_usage: bool) -> Self {
        Self {
            names,
            head: Vec::new(),
            wants_usage,
            choices: BTreeMap::new(),
            out: BytesMut::new(),
            repairs: Repairs::default(),
            state: State::Open,
        }
    }

    /// What was written since this was last asked.
    pub(super) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// What was out of the ordinary since this was last asked.
    pub(super) fn take_repairs(&mut self) -> Repairs {
        std::mem::take(&mut self.repairs)
    }

    /// Whether nothing more is to be written: after the answer's own last word, or an error.
    pub(super) fn is_over(&self) -> bool {
        self.state != State::Open
    }

    /// Ends the stream, if the answer is whole: its last word was said, or every choice has said why it stopped.
    pub(super) fn end(&mut self, usage: Option<&Usage>) {
        let is_whole = !self.choices.is_empty() && self.choices.values().all(|it| it.finished);
        if self.state == State::Failed || !is_whole {
            return;
        }
        if let Some(usage) = usage.filter(|_| self.wants_usage) {
            self.write_head();
            self.out.put_slice(b"],\"usage\":");
            self.put_json(&OpenAiUsage::from(usage));
            self.out.put_slice(b"}\n\n");
        }
        self.out.put_slice(DONE);
        self.state = State::Done;
    }

    /// The choice, begun with its role; `None` where nothing may be said of it any more.
    fn choice(&mut self, number: u64) -> Option<&mut Choice> {
        if self.state != State::Open {
            return None;
        }
        if !self.choices.contains_key(&number) {
            if self.choices.len() == MAX_OPEN {
                self.fail(&beyond_bounds());
                return None;
            }
            self.choices.insert(number, Choice::default());
            let opening = Delta {
                role: Some("assistant"),
                content: Some(""),
                ..Delta::default()
            };
            self.write(number, opening, None);
        }
        self.choices
            .get_mut(&number)
            .filter(|choice| !choice.finished)
    }

    fn write(&mut self, index: u64, delta: Delta<'_>, finish_reason: Option<&'static str>) {
        self.write_head();
        self.put_json(&ChoiceChunk {
            index,
            delta,
            finish_reason,
        });
        let tail: &[u8] = if self.wants_usage {
            b"],\"usage\":null}\n\n"
        } else {
            b"]}\n\n"
        };
        self.out.put_slice(tail);
    }

    fn write_head(&mut self) {
        if self.head.is_empty() {
            let Names { id, created, model } = &self.names;
            let text = |text: &str| serde_json::Value::from(text).to_string();
            self.head = format!(
                r#"data: {{"id":{},"object":"chat.completion.chunk","created":{created},"model":{},"choices":["#,
                text(id),
                text(model)
            )
            .into_bytes();
        }
        self.out.put_slice(&self.head);
    }

    fn put_json(&mut self, json: &impl Serialize) {
        // Neither a buffer nor text and numbers ever refuse.
        let _ = serde_json::to_writer((&mut self.out).writer(), json);
    }

    fn write_arguments(&mut self, choice: u64, index: u64, arguments: &str) {
        let call = ToolCall {
            index,
            id: None,
            r#type: None,
            function: Function {
                name: None,
                arguments,
            },
        };
        let delta = Delta {
            tool_calls: Some([call]),
            ..Delta::default()
        };
        self.write(choice, delta, None);
    }
}

fn beyond_bounds() -> ApiError {
    let message = "the answer has more choices or open tool calls than are kept";
    ApiError::new(StatusCode::BAD_GATEWAY, "server_error", message)
}

impl Sink for Chunks {
    fn names(&mut self, id: Option<&str>, model: Option<&str>) {
        if self.head.is_empty() {
            if let Some(id) = id {
                id.clone_into(&mut self.names.id);
            }
            if let Some(model) = model {
                model.clone_into(&mut self.names.model);
            }
        }
    }

    fn begin(&mut self, choice: u64) {
        self.choice(choice);
    }

    fn text(&mut self, choice: u64, text: &str) {
        if !text.is_empty() && self.choice(choice).is_some() {
            let delta = Delta {
                content: Some(text),
                ..Delta::default()
            };
            self.write(choice, delta, None);
        }
    }

    fn reasoning(&mut self, choice: u64, text: &str) {
        if !text.is_empty() && self.choice(choice).is_some() {
            let delta = Delta {
                reasoning_content: Some(text),
                ..Delta::default()
            };
            self.write(choice, delta, None);
        }
    }

    fn call(&mut self, call: Call<'_>) {
        self.call_end(call.choice, call.key);
        let Some(choice) = self.choice(call.choice) else {
            return;
        };
        if choice.open.len() == MAX_OPEN {
            return self.fail(&beyond_bounds());
        }
        let index = choice.calls;
        choice.calls += 1;
        let open = OpenCall {
            index,
            input: call.input.map(Into::into),
            said: false,
        };
        choice.open.insert(call.key, open);
        let made = call_id(&self.names.id, call.choice, index);
        let begins = ToolCall {
            index,
            id: Some(call.id.unwrap_or(&made)),
            r#type: Some("function"),
            function: Function {
                name: Some(call.name),
                arguments: "",
            },
        };
        let delta = Delta {
            tool_calls: Some([begins]),
            ..Delta::default()
        };
        self.write(call.choice, delta, None);
    }

    fn arguments(&mut self, choice: u64, key: u64, json: &str) {
        if json.is_empty() {
            return;
        }
        let open = self.choices.get_mut(&choice);
        if let Some(call) = open.and_then(|choice| choice.open.get_mut(&key))
            && self.state == State::Open
        {
            call.said = true;
            let index = call.index;
            self.write_arguments(choice, index, json);
        }
    }

    fn call_end(&mut self, choice: u64, key: u64) {
        let open = self.choices.get_mut(&choice);
        if let Some(call) = open.and_then(|choice| choice.open.remove(&key))
            && self.state == State::Open
            && !call.said
        {
            // A call without arguments has none of them, not no text.
            let input = call.input.as_deref().unwrap_or("{}");
            self.write_arguments(choice, call.index, input);
        }
    }

    fn stop(&mut self, choice: u64, stop: Stop<'_>) {
        let Some(stopped) = self.choice(choice) else {
            return;
        };
        let open: Vec<u64> = stopped.open.keys().copied().collect();
        let calls = stopped.calls > 0;
        stopped.finished = true;
        for key in open {
            self.call_end(choice, key);
        }
        match finish::reason(stop.word, calls, false, &mut self.repairs) {
            Finish::Reason(reason) => self.write(choice, Delta::default(), Some(reason)),
            Finish::Failed(_) => self.fail(&stop.error()),
        }
    }

    fn done(&mut self) {
        let open: Vec<u64> = self
            .choices
            .iter()
            .filter_map(|(number, choice)| (!choice.finished).then_some(*number))
            .collect();
        for choice in open {
            self.stop(choice, Stop::default());
        }
        if self.state == State::Open {
            self.state = State::Done;
        }
    }

    fn fail(&mut self, error: &ApiError) {
        if self.state == State::Open {
            self.out.put_slice(&error.to_event(Dialect::OpenAi));
            self.state = State::Failed;
        }
    }
}
