//! An answer as an OpenAI `chat.completion`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;

use super::{
    Names,
    sink::{Call, Sink, Stop, call_id},
    usage::OpenAiUsage,
};
use crate::{
    message::{ApiError, usage::Usage},
    normalize::{
        finish::{self, Finish},
        repairs::Repairs,
    },
};

/// Gathers what an answer says.
pub(super) struct Whole {
    names: Names,
    choices: BTreeMap<u64, Choice>,
    error: Option<ApiError>,
    /// The answer's own last word was said.
    done: bool,
    /// Bytes that are held, about.
    held: usize,
}

#[derive(Default)]
struct Choice {
    content: Option<String>,
    reasoning: String,
    calls: Vec<ToolCall>,
    /// Where among the calls the open ones are.
    open: BTreeMap<u64, usize>,
    /// The provider's word, once it was said, and what it adds.
    stop: Option<(Option<String>, Option<String>)>,
}

#[derive(Default, Serialize)]
struct ToolCall {
    id: String,
    r#type: &'static str,
    function: Function,
    #[serde(skip)]
    input: Option<String>,
}

#[derive(Default, Serialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<WholeChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<OpenAiUsage>,
}

#[derive(Serialize)]
struct WholeChoice<'a> {
    index: u64,
    message: Message<'a>,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    refusal: (),
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tool_calls: &'a [ToolCall],
}

impl Whole {
    pub(super) fn new(names: Names) -> Self {
        Self {
            names,
            choices: BTreeMap::new(),
            error: None,
            done: false,
            held: 0,
        }
    }

    /// Bytes that are held, about.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether the answer has said its last word, or that it failed.
    pub(super) fn is_over(&self) -> bool {
        self.done || self.error.is_some()
    }

    /// The `chat.completion`, or the error that the answer is.
    pub(super) fn finish(
        mut self,
        usage: Option<&Usage>,
        repairs: &mut Repairs,
    ) -> Result<Bytes, ApiError> {
        let mut reasons = Vec::with_capacity(self.choices.len());
        for choice in self.choices.values_mut() {
            for key in choice.open.keys().copied().collect::<Vec<_>>() {
                choice.close(key);
            }
            let (word, message) = choice.stop.take().unwrap_or_default();
            let stop = Stop {
                word: word.as_deref(),
                message: message.as_deref(),
            };
            match finish::reason(stop.word, !choice.calls.is_empty(), false, repairs) {
                Finish::Reason(reason) => reasons.push(reason),
                Finish::Failed(_) => self.error = self.error.or_else(|| Some(stop.error())),
            }
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        let choices = self.choices.iter().zip(reasons);
        let completion = Completion {
            id: &self.names.id,
            object: "chat.completion",
            created: self.names.created,
            model: &self.names.model,
            choices: choices
                .map(|((index, choice), reason)| choice.whole(*index, reason))
                .collect(),
            usage: usage.map(OpenAiUsage::from),
        };
        // Text and numbers always serialize.
        Ok(serde_json::to_vec(&completion).unwrap_or_default().into())
    }

    fn choice(&mut self, number: u64) -> &mut Choice {
        self.choices.entry(number).or_insert_with(|| {
            self.held = self.held.saturating_add(size_of::<Choice>());
            Choice::default()
        })
    }
}

impl Choice {
    fn whole(&self, index: u64, finish_reason: &'static str) -> WholeChoice<'_> {
        WholeChoice {
            index,
            message: Message {
                role: "assistant",
                content: self.content.as_deref(),
                reasoning_content: &self.reasoning,
                refusal: (),
                tool_calls: &self.calls,
            },
            logprobs: (),
            finish_reason,
        }
    }

    fn close(&mut self, key: u64) {
        let at = self.open.remove(&key);
        if let Some(call) = at.and_then(|at| self.calls.get_mut(at))
            && call.function.arguments.is_empty()
        {
            // A call without arguments has none of them, not no text.
            call.function.arguments = call.input.take().unwrap_or_else(|| "{}".to_owned());
        }
    }
}

impl Sink for Whole {
    fn names(&mut self, id: Option<&str>, model: Option<&str>) {
        if self.choices.is_empty() {
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
        self.held = self.held.saturating_add(text.len());
        if !text.is_empty() {
            let content = &mut self.choice(choice).content;
            content.get_or_insert_default().push_str(text);
        }
    }

    fn reasoning(&mut self, choice: u64, text: &str) {
        self.held = self.held.saturating_add(text.len());
        if !text.is_empty() {
            self.choice(choice).reasoning.push_str(text);
        }
    }

    fn call(&mut self, call: Call<'_>) {
        let input = call.input.map(str::to_owned);
        let said = call.name.len() + input.as_ref().map_or(0, String::len);
        self.held = self.held.saturating_add(said + size_of::<ToolCall>());
        let answer = std::mem::take(&mut self.names.id);
        let choice = self.choice(call.choice);
        choice.close(call.key);
        let at = choice.calls.len();
        choice.open.insert(call.key, at);
        choice.calls.push(ToolCall {
            id: call
                .id
                .map_or_else(|| call_id(&answer, call.choice, at as u64), str::to_owned),
            r#type: "function",
            function: Function {
                name: call.name.to_owned(),
                arguments: String::new(),
            },
            input,
        });
        self.names.id = answer;
    }

    fn arguments(&mut self, choice: u64, key: u64, json: &str) {
        self.held = self.held.saturating_add(json.len());
        let choice = self.choice(choice);
        let at = choice.open.get(&key).copied();
        if let Some(call) = at.and_then(|at| choice.calls.get_mut(at)) {
            call.function.arguments.push_str(json);
        }
    }

    fn call_end(&mut self, choice: u64, key: u64) {
        self.choice(choice).close(key);
    }

    fn stop(&mut self, choice: u64, stop: Stop<'_>) {
        let stopped = (
            stop.word.map(str::to_owned),
            stop.message.map(str::to_owned),
        );
        self.choice(choice).stop = Some(stopped);
    }

    fn done(&mut self) {
        self.done = true;
    }

    fn fail(&mut self, error: &ApiError) {
        self.error.get_or_insert_with(|| error.clone());
    }
}
