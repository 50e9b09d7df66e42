//! Reading no more of an answer than its summary holds.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{ChatSummary, not_read};
use crate::{
    message::{ApiError, usage::UsageScan},
    normalize::{
        finish::{self, Finish},
        native::{
            Api, Reader,
            lenient::{List, Object, Text},
            sink::{Call, Sink, Stop},
        },
        repairs::Repairs,
    },
};

/// Takes from an answer what its summary holds.
#[derive(Default)]
pub(super) struct Gist {
    summary: ChatSummary,
    usage: UsageScan,
    reader: Option<Reader>,
    /// Some part of a chat answer was seen.
    is_chat: bool,
    /// The first choice calls tools.
    calls: bool,
    /// The provider's word for why the first choice ended, empty where it has none.
    stop: Option<Box<str>>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow, default)]
    created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<List<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    #[serde(borrow, default)]
    delta: Object<Message<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    /// Text, or a list of parts.
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: List<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
}

impl Gist {
    pub(super) fn body(&mut self, json: &[u8]) -> Result<(), ApiError> {
        if let Some(error) = ApiError::in_answer(json) {
            return Err(error);
        }
        self.usage.body(json);
        match Api::of_body(json) {
            Some(api) => {
                self.is_chat = true;
                Reader::new(api).body(json, self).map_err(|_| not_read())
            }
            None => self.openai(json),
        }
    }

    pub(super) fn event(&mut self, name: Option<&[u8]>, json: &[u8]) -> Result<(), ApiError> {
        if json.is_empty() || json.starts_with(b"[DONE]") {
            return Ok(());
        }
        if let Some(error) = ApiError::in_answer(json) {
            return Err(error);
        }
        self.usage.event(json);
        if self.reader.is_none() && !self.is_chat {
            self.reader = Api::of_event(name, json).map(Reader::new);
        }
        let Some(mut reader) = self.reader.take() else {
            return self.openai(json);
        };
        self.is_chat = true;
        let read = reader.event(name, json, self);
        self.reader = Some(reader);
        read.map_err(|_| not_read())
    }

    /// The last event, which nothing ended: one that broke off says nothing.
    pub(super) fn last_event(&mut self, name: Option<&[u8]>, json: &[u8]) -> Result<(), ApiError> {
        if self.is_chat && serde_json::from_slice::<IgnoredAny>(json).is_err() {
            return Ok(());
        }
        self.event(name, json)
    }

    fn openai(&mut self, json: &[u8]) -> Result<(), ApiError> {
        let answer: Answer<'_> = serde_json::from_slice(json).map_err(|_| not_read())?;
        let choices = answer.choices.ok_or_else(not_read)?;
        self.is_chat = true;
        self.names(answer.id.some(), answer.model.some());
        let created = answer
            .created
            .and_then(|created| created.get().parse().ok());
        self.summary.created = self
            .summary
            .created
            .or(created.filter(|created| *created > 0));
        for (at, choice) in (0..).zip(&choices.0) {
            let number = choice.index.unwrap_or(at);
            let said = choice.delta.0.as_ref().or(choice.message.0.as_ref());
            for part in said
                .and_then(|said| said.content)
                .into_iter()
                .flat_map(parts)
            {
                self.text(number, part.or_empty());
            }
            self.calls |= number == 0 && said.is_some_and(|said| !said.tool_calls.0.is_empty());
            let word = choice.finish_reason.some();
            let is_body = choice.message.0.is_some() && choice.delta.0.is_none();
            if word.is_some() || is_body && choice.finish_reason.get().is_some() {
                self.stop(
                    number,
                    Stop {
                        word,
                        message: None,
                    },
                );
            }
        }
        Ok(())
    }

    pub(super) fn summary(mut self) -> Result<ChatSummary, ApiError> {
        if let Some(mut reader) = self.reader.take() {
            reader.end(&mut self);
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.is_chat {
            return Err(not_read());
        }
        let mut summary = self.summary;
        summary.usage = self.usage.usage();
        summary.finish_reason = self.stop.map(|word| {
            let mut repairs = Repairs::default();
            match finish::reason(Some(&word), self.calls, false, &mut repairs) {
                Finish::Reason(reason) => reason.into(),
                Finish::Failed(_) => word,
            }
        });
        Ok(summary)
    }
}

/// The texts of a message's content.
fn parts(content: &RawValue) -> Vec<Text<'_>> {
    if content.get().starts_with('[') {
        let parts: List<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
        parts.0.into_iter().map(|part| part.text).collect()
    } else {
        serde_json::from_str(content.get()).into_iter().collect()
    }
}

impl Sink for Gist {
    fn names(&mut self, id: Option<&str>, model: Option<&str>) {
        let names = [(&mut self.summary.id, id), (&mut self.summary.model, model)];
        for (name, stated) in names {
            if let Some(stated) = stated.filter(|_| name.is_empty()) {
                stated.clone_into(name);
            }
        }
    }

    fn begin(&mut self, _: u64) {}

    fn text(&mut self, choice: u64, text: &str) {
        if choice == 0 {
            self.summary.content.push_str(text);
        }
    }

    fn reasoning(&mut self, _: u64, _: &str) {}

    fn call(&mut self, call: Call<'_>) {
        self.calls |= call.choice == 0;
    }

    fn arguments(&mut self, _: u64, _: u64, _: &str) {}

    fn call_end(&mut self, _: u64, _: u64) {}

    fn stop(&mut self, choice: u64, stop: Stop<'_>) {
        if choice == 0 {
            self.stop = Some(stop.word.unwrap_or_default().into());
        }
    }

    fn done(&mut self) {
        self.stop.get_or_insert_default();
    }

    fn fail(&mut self, error: &ApiError) {
        self.error.get_or_insert_with(|| error.clone());
    }
}
