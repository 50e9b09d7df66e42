//! The events of a stream, and how it ends.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    choice::{Choices, Place},
    head::{self, Answer},
    layer::Shared,
    repairs::{Repair, Repairs},
};
use crate::{
    message::{ApiError, BoxError, Edited, Output, Transform},
    wire::{
        json::{Index, Kind, Value},
        sse::{DONE, Frame, Framer, event},
    },
};

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Stream {
    framer: Framer,
    answer: Answer,
    /// The answer's own id and model are known.
    named: bool,
    choices: Choices,
    wants_usage: bool,
    /// What was stated in another place than the last chunk's.
    usage: Option<Box<RawValue>>,
    usage_sent: bool,
    done: bool,
    failed: bool,
    counted: Repairs,
    shared: Arc<Shared>,
}

impl Stream {
    pub(super) fn new(answer: Answer, wants_usage: bool, shared: Arc<Shared>) -> Self {
        Self {
            framer: Framer::default(),
            answer,
            named: false,
            choices: Choices::new(),
            wants_usage,
            usage: None,
            usage_sent: false,
            done: false,
            failed: false,
            counted: Repairs::default(),
            shared,
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, output: &mut Output<'_>) -> Result<(), BoxError> {
        let Some(data) = frame.data() else {
            return output.push(frame.to_bytes());
        };
        if data.starts_with(b"[DONE]") {
            self.done = true;
            self.push_held(output)?;
            self.push_usage(output)?;
            return output.push(frame.to_bytes());
        }
        let edited = self.chunk(&data);
        if self.failed {
            self.push_held(output)?;
        }
        match edited {
            Edited::Keep => output.push(frame.to_bytes()),
            Edited::Replace(data) => output.push(frame.with_data(&data)),
            Edited::Drop => Ok(()),
        }
    }

    fn chunk(&mut self, data: &[u8]) -> Edited {
        if ApiError::in_answer(data).is_some() {
            self.failed = true;
            return Edited::Keep;
        }
        self.learn(data);
        let mut repairs = Repairs::default();
        let mut place = Place::Chunk(&mut self.choices);
        let repaired = head::repaired(data, &self.answer, &mut place, &mut repairs);
        let placed = self.place_usage(repaired.as_deref().unwrap_or(data), &mut repairs);
        self.count(repairs);
        match (placed, repaired) {
            (Edited::Keep, Some(repaired)) => Edited::Replace(repaired),
            (placed, _) => placed,
        }
    }

    /// Takes from the first chunk that has them what all others must have.
    fn learn(&mut self, data: &[u8]) {
        if self.named {
            return;
        }
        let Ok(index) = Index::parse(data) else {
            return;
        };
        let members = index.members(data);
        let text = |name| {
            let text = members.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        let (id, model) = (text("id"), text("model"));
        if let Some(created) = members
            .get("created")
            .and_then(Value::as_u64)
            .filter(|created| *created > 0)
        {
            self.answer.created = created;
        }
        self.named = id.is_some() && model.is_some();
        self.answer.id = id.map_or_else(|| std::mem::take(&mut self.answer.id), Into::into);
        self.answer.model =
            model.map_or_else(|| std::mem::take(&mut self.answer.model), Into::into);
    }

    /// Leaves usage only where OpenAI states it: in one chunk without choices, for a caller who asked.
    fn place_usage(&mut self, data: &[u8], repairs: &mut Repairs) -> Edited {
        let Ok(index) = Index::parse(data) else {
            return Edited::Keep;
        };
        let members = index.members(data);
        let Some(usage) = members
            .get("usage")
            .filter(|usage| usage.kind() == Kind::Object)
        else {
            return Edited::Keep;
        };
        let is_alone = members.get("choices").is_some_and(|choices| {
            choices
                .deserialize::<Vec<&RawValue>>()
                .is_ok_and(|choices| choices.is_empty())
        });
        if is_alone && self.wants_usage && !self.usage_sent && self.is_finished() {
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
        Edited::Replace(edit.finish().0)
    }

    fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|choice| choice.finished)
    }

    fn push_usage(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let Some(usage) = self.usage.take().filter(|_| !self.usage_sent) else {
            return Ok(());
        };
        self.usage_sent = true;
        self.push_chunk(&format!(r#""choices":[],"usage":{usage}"#), output)
    }

    /// Hands on the beginnings of tags that never came.
    fn push_held(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let held = self.choices.iter_mut().filter_map(|(index, choice)| {
            let delta = choice.held()?;
            Some(format!(
                r#"{{"index":{index},"delta":{delta},"finish_reason":null}}"#
            ))
        });
        let held: Vec<_> = held.collect();
        if held.is_empty() {
            return Ok(());
        }
        self.push_chunk(&format!(r#""choices":[{}]"#, held.join(",")), output)
    }

    fn push_chunk(&self, members: &str, output: &mut Output<'_>) -> Result<(), BoxError> {
        let Answer {
            id,
            created,
            model,
            api,
            ..
        } = &self.answer;
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let chunk = format!(
            r#"{{"id":{},"object":"{}","created":{created},"model":{},{members}}}"#,
            text(id),
            api.object(true),
            text(model)
        );
        output.push(event(None, chunk.as_bytes()))
    }

    /// Counts what this stream has not counted yet.
    fn count(&mut self, repairs: Repairs) {
        self.shared.count(repairs.without(self.counted));
        self.counted.merge(repairs);
    }
}

impl Transform for Stream {
    fn data(&mut self, chunk: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let mut frames = framer.push(&chunk);
        let result = loop {
            match frames.next() {
                Ok(Some(frame)) => {
                    if let Err(error) = self.frame(&frame, output) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        drop(frames);
        self.framer = framer;
        result
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let mut framer = std::mem::take(&mut self.framer);
        let mut unended = false;
        if let Some(frame) = framer.finish()? {
            unended = !frame.is_blank();
            self.frame(&frame, output)?;
        }
        if !self.done
            && self
                .choices
                .values()
                .any(|choice| choice.think.is_holding())
        {
            if std::mem::take(&mut unended) {
                output.push(Bytes::from_static(b"\n\n"))?;
            }
            self.push_held(output)?;
        }
        if self.done || self.failed || !self.is_finished() {
            return Ok(());
        }
        if unended {
            output.push(Bytes::from_static(b"\n\n"))?;
        }
        let mut repairs = Repairs::default();
        repairs.add(Repair::Done);
        self.count(repairs);
        self.push_usage(output)?;
        output.push(Bytes::from_static(DONE))
    }

    /// What came of an unfinished event is the caller's all the same.
    fn fail(&mut self, error: BoxError, output: &mut Output<'_>) -> BoxError {
        let _ = self.push_held(output);
        if let Ok(Some(frame)) = self.framer.finish() {
            let _ = output.push(frame.to_bytes());
        }
        error
    }
}
