//! Which API an answer is in, told by its members alone.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::lenient::Text;

/// An API whose answers are not in OpenAI's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::normalize) enum Api {
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent` and `streamGenerateContent`.
    Gemini,
    /// Cohere's chat of version 2.
    Cohere,
    /// Cohere's chat of version 1.
    CohereV1,
    /// Ollama's `/api/chat` and `/api/generate`.
    Ollama,
    /// Bedrock's Converse, its events as an adapter decoded them.
    Bedrock,
}

impl Api {
    /// The API of a whole body.
    pub(in crate::normalize) fn of_body(json: &[u8]) -> Option<Self> {
        let seen = Seen::read(json)?;
        if seen.kind == "message" && seen.content {
            return Some(Self::Anthropic);
        }
        if seen.output && seen.stop_reason {
            return Some(Self::Bedrock);
        }
        if seen.message && seen.finish_reason && !seen.done {
            return Some(Self::Cohere);
        }
        if seen.generation_id && seen.text {
            return Some(Self::CohereV1);
        }
        seen.either()
    }

    /// The API of an event of a stream. Once it is known of one, it is that of all.
    pub(in crate::normalize) fn of_event(name: Option<&[u8]>, json: &[u8]) -> Option<Self> {
        if name.is_some_and(is_bedrock) {
            return Some(Self::Bedrock);
        }
        let seen = Seen::read(json)?;
        match &*seen.kind {
            "message_start"
            | "content_block_start"
            | "content_block_delta"
            | "content_block_stop"
            | "message_delta"
            | "message_stop"
            | "ping" => Some(Self::Anthropic),
            "message-start" | "content-start" | "content-delta" | "content-end"
            | "tool-plan-delta" | "tool-call-start" | "tool-call-delta" | "tool-call-end"
            | "citation-start" | "citation-end" | "message-end" => Some(Self::Cohere),
            _ if seen.bedrock => Some(Self::Bedrock),
            _ if seen.event_type && seen.is_finished => Some(Self::CohereV1),
            _ => seen.either(),
        }
    }
}

fn is_bedrock(name: &[u8]) -> bool {
    matches!(
        name,
        b"messageStart"
            | b"contentBlockStart"
            | b"contentBlockDelta"
            | b"contentBlockStop"
            | b"messageStop"
    )
}

/// The telling members that are there.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of its own")]
struct Seen {
    kind: String,
    content: bool,
    gemini: bool,
    message: bool,
    finish_reason: bool,
    generation_id: bool,
    text: bool,
    done: bool,
    response: bool,
    output: bool,
    stop_reason: bool,
    event_type: bool,
    is_finished: bool,
    bedrock: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Key {
    #[serde(rename = "choices", alias = "object", alias = "error")]
    NotNative,
    #[serde(rename = "type")]
    Kind,
    #[serde(rename = "content")]
    Content,
    #[serde(
        rename = "candidates",
        alias = "promptFeedback",
        alias = "usageMetadata"
    )]
    Gemini,
    #[serde(rename = "message")]
    Message,
    #[serde(rename = "finish_reason")]
    FinishReason,
    #[serde(rename = "generation_id")]
    GenerationId,
    #[serde(rename = "text")]
    Text,
    #[serde(rename = "done")]
    Done,
    #[serde(rename = "response")]
    Response,
    #[serde(rename = "output")]
    Output,
    #[serde(rename = "stopReason")]
    StopReason,
    #[serde(rename = "event_type")]
    EventType,
    #[serde(rename = "is_finished")]
    IsFinished,
    #[serde(
        rename = "messageStart",
        alias = "contentBlockStart",
        alias = "contentBlockDelta",
        alias = "contentBlockStop",
        alias = "messageStop"
    )]
    Bedrock,
    #[serde(other)]
    Other,
}

impl Seen {
    fn read(json: &[u8]) -> Option<Self> {
        let mut seen = Self::default();
        let mut json = serde_json::Deserializer::from_slice(json);
        Reads(&mut seen).deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(seen)
    }

    /// What bodies and events tell by the same members.
    fn either(&self) -> Option<Api> {
        if self.gemini {
            Some(Api::Gemini)
        } else if self.done && (self.message || self.response) {
            Some(Api::Ollama)
        } else {
            None
        }
    }
}

struct Reads<'a>(&'a mut Seen);

impl<'de> DeserializeSeed<'de> for Reads<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reads<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let seen = self.0;
        while let Some(key) = map.next_key()? {
            let flag = match key {
                // Most answers are OpenAI's, and say so early: they are read no further.
                Key::NotNative => return Err(A::Error::custom("not of another API")),
                Key::Kind => {
                    map.next_value::<Text<'_>>()?
                        .or_empty()
                        .clone_into(&mut seen.kind);
                    continue;
                }
                Key::Content => &mut seen.content,
                Key::Gemini => &mut seen.gemini,
                Key::Message => &mut seen.message,
                Key::FinishReason => &mut seen.finish_reason,
                Key::GenerationId => &mut seen.generation_id,
                Key::Text => &mut seen.text,
                Key::Done => &mut seen.done,
                Key::Response => &mut seen.response,
                Key::Output => &mut seen.output,
                Key::StopReason => &mut seen.stop_reason,
                Key::EventType => &mut seen.event_type,
                Key::IsFinished => &mut seen.is_finished,
                Key::Bedrock => &mut seen.bedrock,
                Key::Other => &mut false,
            };
            *flag = true;
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    /// Gemini streams a list unless asked for events.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        struct Item<'a>(&'a mut Seen);

        impl<'de> DeserializeSeed<'de> for Item<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
                json.deserialize_map(Reads(self.0))
            }
        }

        let mut seen = Seen::default();
        while seq.next_element_seed(Item(&mut seen))?.is_some() {}
        self.0.gemini = seen.gemini;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_its_api() {
        for (json, api) in [
            (
                r#"{"type":"message","role":"assistant","content":[]}"#,
                Some(Api::Anthropic),
            ),
            (
                r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
                Some(Api::Gemini),
            ),
            (
                r#"[{"candidates":[]},{"candidates":[]}]"#,
                Some(Api::Gemini),
            ),
            (
                r#"{"id":"1","message":{},"finish_reason":"COMPLETE"}"#,
                Some(Api::Cohere),
            ),
            (
                r#"{"text":"a","generation_id":"1","finish_reason":"COMPLETE"}"#,
                Some(Api::CohereV1),
            ),
            (
                r#"{"model":"m","message":{},"done":true}"#,
                Some(Api::Ollama),
            ),
            (
                r#"{"output":{"message":{}},"stopReason":"end_turn"}"#,
                Some(Api::Bedrock),
            ),
            (r#"{"choices":[],"candidates":[]}"#, None),
            (r#"{"object":"chat.completion""#, None),
            (r#"{"type":"error","error":{"message":"x"}}"#, None),
            (r#"{"message":"Too many tokens"}"#, None),
            (r#"{"candidates":[]} x"#, None),
            ("[[[]]]", None),
            ("7", None),
        ] {
            assert_eq!(Api::of_body(json.as_bytes()), api, "{json}");
        }
    }

    #[test]
    fn an_event_tells_its_api_by_its_name_or_its_members() {
        for (name, json, api) in [
            (None, r#"{"type":"ping"}"#, Some(Api::Anthropic)),
            (None, r#"{"type":"message-start"}"#, Some(Api::Cohere)),
            (
                None,
                r#"{"is_finished":false,"event_type":"stream-start"}"#,
                Some(Api::CohereV1),
            ),
            (None, r#"{"response":"a","done":false}"#, Some(Api::Ollama)),
            (
                Some("messageStart"),
                r#"{"role":"assistant"}"#,
                Some(Api::Bedrock),
            ),
            (None, r#"{"contentBlockDelta":{}}"#, Some(Api::Bedrock)),
            (None, r#"{"usageMetadata":{}}"#, Some(Api::Gemini)),
            (None, r#"{"type":"response.created"}"#, None),
            (None, "[DONE]", None),
        ] {
            let got = Api::of_event(name.map(str::as_bytes), json.as_bytes());
            assert_eq!(got, api, "{json}");
        }
    }
}
