//! Errors inside answers that claim success.

use std::{fmt, sync::LazyLock};

use http::{HeaderMap, StatusCode};
use memchr::memmem::{self, Finder};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{
    ApiError,
    members::{Members, OF_ANSWER, OF_ERROR, first, parse, says_something},
    shape::Shape,
};

impl ApiError {
    /// The error that an answer of status 200 turns out to be: `json` is its body, or the data of one of its events.
    ///
    /// Recognised are an `error` at the top or in a choice (OpenRouter, Groq, SGLang, Azure, TGI, LM Studio, Ollama),
    /// `"type":"error"` (Anthropic, OpenAI's Responses), `response.failed`, flat bodies of `"object":"error"` and
    /// Cloudflare's `errors`. An `error` that is `null` or empty is none, and neither is that of a failed tool call, or of a batch or
    /// job that was asked after.
    ///
    /// The error's status is the one the body states (`"code":502`), or the one that its type, code or message implies; otherwise 502.
    /// An answer without these words costs a search for them.
    pub fn in_answer(json: &[u8]) -> Option<Self> {
        memmem::find(json, b"error").or_else(|| memmem::find(json, b"response.failed"))?;
        let mut found = None;
        let mut json = serde_json::Deserializer::from_slice(json);
        // Text that is not JSON, or not to its end, is for others to complain about.
        let _ = InAnswer(&mut found).deserialize(&mut json);
        found
    }

    /// Whether [`in_answer`](Self::in_answer) is worth asking of an event's data, which it nearly never is.
    pub(crate) fn may_be_in(data: &[u8]) -> bool {
        static WORDS: LazyLock<[Finder<'static>; 2]> =
            LazyLock::new(|| ["\"error", ".failed\""].map(Finder::new));
        WORDS.iter().any(|word| word.find(data).is_some())
    }
}

/// Looks at an object, or at each object of an array: Gemini streams one unless asked for events.
struct InAnswer<'a>(&'a mut Option<ApiError>);

impl<'de> DeserializeSeed<'de> for InAnswer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InAnswer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        *self.0 = Members::visit(map)?.error();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        *self.0 = first(seq, |members| members.error())?;
        Ok(())
    }
}

impl Members<'_> {
    fn error(&self) -> Option<ApiError> {
        let mut members: Map<_, _> = Map::new();
        if self.is("type", "response.failed") {
            let response = self.get("response").and_then(Members::of);
            let error = response
                .and_then(|response| response.get("error"))
                .and_then(parse);
            members.insert(
                "error".to_owned(),
                error.unwrap_or_else(|| "the response failed".into()),
            );
        } else if self.is_error() {
            let stated = OF_ERROR
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), parse(self.get(name)?)?)));
            members.extend(stated);
        } else {
            members.insert("error".to_owned(), in_choices(self.get("choices")?)?);
        }
        let text = members.values().map(Value::to_string).collect::<String>();
        let shape = Shape::read(&Value::Object(members));
        Some(ApiError::of_shape(
            StatusCode::OK,
            &HeaderMap::new(),
            shape,
            &text,
        ))
    }

    fn is_error(&self) -> bool {
        let is_answer = || OF_ANSWER.iter().any(|name| self.says(name));
        self.is("type", "error")
            || self.is("object", "error")
            || (self.says("error") && !self.is_record())
            || (self.says("error_message") && !is_answer())
            || (self.says("errors")
                && !is_answer()
                && !self.is("success", "true")
                && self.get("object").is_none())
    }

    /// Whether this describes something that an upstream keeps, such as a batch, whose failure is not this answer's.
    fn is_record(&self) -> bool {
        self.get("object")
            .map(|object| object.trim_matches('"'))
            .is_some_and(|object| {
                let is_answer = object.starts_with("chat.completion")
                    || matches!(
                        object,
                        "" | "response" | "text_completion" | "list" | "embedding"
                    );
                !is_answer
            })
    }
}

/// The first error within the choices of an answer.
fn in_choices(choices: &str) -> Option<Value> {
    struct Choices;

    impl<'de> Visitor<'de> for Choices {
        type Value = Option<Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("choices")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            first(seq, |choice| {
                let error = choice.get("error")?;
                says_something(error).then(|| parse(error))?
            })
        }
    }

    memmem::find(choices.as_bytes(), b"error")?;
    serde_json::Deserializer::from_str(choices)
        .deserialize_seq(Choices)
        .ok()?
}
