//! Gemini's `generateContent` and `streamGenerateContent`, also of Vertex AI
//! (<https://ai.google.dev/api/generate-content>, read 2026-11).
//!
//! Code that Gemini runs itself, images, grounding and thought signatures have no place in OpenAI's form.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    arguments::{Arguments, PartialArg},
    lenient::{List, Object, Text},
    reader::Read,
    sink::{Call, Sink, Stop},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow, default)]
    response_id: Text<'a>,
    #[serde(borrow, default)]
    model_version: Text<'a>,
    #[serde(borrow, default)]
    candidates: List<Candidate<'a>>,
    #[serde(borrow, default)]
    prompt_feedback: Object<PromptFeedback<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    content: Object<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    #[serde(borrow, default)]
    finish_message: Text<'a>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: List<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    /// Whether the text is what the model thinks.
    #[serde(default)]
    thought: Option<bool>,
    #[serde(borrow, default)]
    function_call: Object<FunctionCall<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionCall<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_args: List<PartialArg<'a>>,
    #[serde(default)]
    will_continue: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback<'a> {
    #[serde(borrow, default)]
    block_reason: Text<'a>,
}

/// A body, or a stream, whose events are bodies too.
#[derive(Default)]
pub(in crate::normalize) struct Gemini {
    calls: u64,
    /// The call whose arguments are still to come, of a choice.
    open: Option<(u64, u64, Arguments)>,
    /// Why each choice stopped: some models say so in every event, so only the last one counts.
    stops: BTreeMap<u64, (String, Option<String>)>,
}

/// Candidates beyond this are not OpenAI's to tell: it has at most 128 (`n`).
const MAX_CHOICES: usize = 128;

impl Gemini {
    /// Reads a body: an answer, or the list of answers that a stream is without `alt=sse`.
    pub(super) fn body(&mut self, json: &[u8], sink: &mut dyn Sink) -> Read {
        if json.trim_ascii_start().starts_with(b"[") {
            let answers: Vec<&RawValue> = serde_json::from_slice(json)?;
            for answer in answers {
                self.event(answer.get().as_bytes(), sink)?;
            }
        } else {
            self.event(json, sink)?;
        }
        self.end(sink);
        Ok(())
    }

    pub(super) fn event(&mut self, json: &[u8], sink: &mut dyn Sink) -> Read {
        let answer: Answer<'_> = serde_json::from_slice(json)?;
        sink.names(answer.response_id.some(), answer.model_version.some());
        for (at, candidate) in (0..).zip(&answer.candidates.0) {
            self.candidate(candidate.index.unwrap_or(at), candidate, sink);
        }
        let blocked = answer.prompt_feedback.0.as_ref();
        if blocked.is_some_and(|feedback| feedback.block_reason.some().is_some())
            && answer.candidates.0.is_empty()
        {
            sink.begin(0);
            self.stops
                .insert(0, ("PROHIBITED_CONTENT".to_owned(), None));
        }
        Ok(())
    }

    fn candidate(&mut self, choice: u64, candidate: &Candidate<'_>, sink: &mut dyn Sink) {
        sink.begin(choice);
        for part in candidate
            .content
            .0
            .iter()
            .flat_map(|content| &content.parts.0)
        {
            if part.thought == Some(true) {
                sink.reasoning(choice, part.text.or_empty());
            } else {
                sink.text(choice, part.text.or_empty());
            }
            if let Some(call) = &part.function_call.0 {
                self.call(choice, call, sink);
            }
        }
        if let Some(word) = candidate.finish_reason.some()
            && (self.stops.len() < MAX_CHOICES || self.stops.contains_key(&choice))
        {
            let message = candidate.finish_message.some().map(str::to_owned);
            self.stops
                .insert(choice, (in_words(word).to_owned(), message));
        }
    }

    /// A whole call, or a piece of one: named first, then its arguments by their paths, the last piece without `willContinue`.
    fn call(&mut self, choice: u64, call: &FunctionCall<'_>, sink: &mut dyn Sink) {
        let goes_on = call.will_continue == Some(true);
        if let Some(name) = call.name.some() {
            self.close(sink);
            let key = self.calls;
            self.calls += 1;
            sink.call(Call {
                choice,
                key,
                id: call.id.some(),
                name,
                input: call.args.map(RawValue::get),
            });
            self.open = Some((choice, key, Arguments::default()));
        }
        if let Some((choice, key, arguments)) = &mut self.open {
            for arg in &call.partial_args.0 {
                sink.arguments(*choice, *key, &arguments.push(arg));
            }
        }
        if !goes_on {
            self.close(sink);
        }
    }

    fn close(&mut self, sink: &mut dyn Sink) {
        if let Some((choice, key, arguments)) = self.open.take() {
            sink.arguments(choice, key, &arguments.finish());
            sink.call_end(choice, key);
        }
    }

    /// The answer has ended: the reasons that were given last hold.
    pub(super) fn end(&mut self, sink: &mut dyn Sink) {
        let stops = std::mem::take(&mut self.stops);
        if !stops.is_empty() {
            self.close(sink);
        }
        for (choice, (word, message)) in &stops {
            let stop = Stop {
                word: Some(word),
                message: message.as_deref(),
            };
            sink.stop(*choice, stop);
        }
    }
}

/// The words of an enumeration that was written by its values. Google AI's and Vertex AI's numbers differ from 6 on: those up to
/// 8 are filters in both, and of the others none is a stop.
fn in_words(word: &str) -> &str {
    match word {
        "0" => "FINISH_REASON_UNSPECIFIED",
        "1" => "STOP",
        "2" => "MAX_TOKENS",
        "3" => "SAFETY",
        "4" => "RECITATION",
        "5" => "OTHER",
        "6" | "7" | "8" => "PROHIBITED_CONTENT",
        _ if word.bytes().all(|digit| digit.is_ascii_digit()) => "ERROR",
        _ => word,
    }
}
