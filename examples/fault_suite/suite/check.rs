//! What a caller may see, and what is none of it.

use std::fmt;

use http::header;
use serde_json::Value;

use super::ask::{End, Seen};

/// What came to the caller, as one of the few things that it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole answer: all that the upstream had to say, once, with its end.
    Answer,
    /// One well-formed error, with this status and code.
    Error(u16, &'static str),
    /// A stream that began, and whose last event says with this code why it does not go on.
    ErrorEvent(&'static str),
    /// A long answer that began and broke, and has no room for an error.
    Broken,
}

/// What an answer has to hold.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// This text, said by a chat answer.
    Text(String),
    /// These bytes.
    Bytes(Vec<u8>),
    /// As many bytes, at least.
    Length(u64),
    /// Anything that is a chat answer.
    Any,
}

/// As [`Outcome`], of what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Answer,
    Error(u16, String),
    ErrorEvent(String),
    Broken,
    /// None of what a caller may see, and why.
    Wrong(String),
}

impl Shown {
    /// Why no caller may see it.
    pub(crate) fn wrong(&self) -> Option<String> {
        match self {
            Self::Wrong(why) => Some(why.clone()),
            _ => None,
        }
    }

    pub(crate) fn is(&self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Self::Answer, Outcome::Answer) | (Self::Broken, Outcome::Broken) => true,
            (Self::Error(status, code), Outcome::Error(expected, word)) => {
                *status == expected && code == word
            }
            (Self::ErrorEvent(code), Outcome::ErrorEvent(word)) => code == word,
            _ => false,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("answer"),
            Self::Error(status, code) if code == "null" => write!(f, "{status}"),
            Self::Error(status, code) => write!(f, "{status} {code}"),
            Self::ErrorEvent(code) => write!(f, "event {code}"),
            Self::Broken => f.write_str("broken"),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

/// What `seen` is, for a caller who expects `content`.
pub(crate) fn shown(seen: &Seen, content: &Content) -> Shown {
    let Some(status) = seen.status else {
        return Shown::Wrong(
            if seen.end == End::Never {
                "silence"
            } else {
                "hung up"
            }
            .to_owned(),
        );
    };
    if seen.end == End::Never {
        return Shown::Wrong("no end".to_owned());
    }
    if status >= 400 {
        return error(seen, status);
    }
    let content_type = seen.headers.get(header::CONTENT_TYPE);
    let is_stream =
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    let checked = match content {
        _ if status != 200 => Err(format!("{status}")),
        Content::Bytes(bytes) => whole(seen, seen.body == *bytes),
        // Of a stream that was too long its end tells enough.
        Content::Length(_) if is_stream && seen.end == End::Broken => return stream(seen, None),
        Content::Length(least) => whole(seen, seen.length >= *least),
        Content::Text(text) if is_stream => return stream(seen, Some(text)),
        Content::Any if is_stream => return stream(seen, None),
        Content::Text(text) => json(seen, Some(text)),
        Content::Any => json(seen, None),
    };
    match checked {
        Ok(()) => Shown::Answer,
        Err(_) if status == 200 && seen.end == End::Broken => Shown::Broken,
        Err(why) => Shown::Wrong(why),
    }
}

fn whole(seen: &Seen, is_equal: bool) -> Result<(), String> {
    if seen.end == End::Clean && is_equal {
        Ok(())
    } else {
        Err("other bytes".to_owned())
    }
}

fn error(seen: &Seen, status: u16) -> Shown {
    let read = || {
        let value: Value = serde_json::from_slice(&seen.body).ok()?;
        let is_json = seen
            .headers
            .get(header::CONTENT_TYPE)?
            .as_bytes()
            .starts_with(b"application/json");
        let error = value.get("error")?;
        let is_text = |name: &str| error.get(name).is_some_and(Value::is_string);
        let code = error.get("code").unwrap_or(&Value::Null);
        (is_json && is_text("message") && is_text("type") && (code.is_string() || code.is_null()))
            .then(|| code.as_str().unwrap_or("null").to_owned())
    };
    match read() {
        Some(code) if seen.end == End::Clean => Shown::Error(status, code),
        _ => Shown::Wrong(format!("{status} ill-formed")),
    }
}

fn json(seen: &Seen, text: Option<&str>) -> Result<(), String> {
    let value: Value = serde_json::from_slice(&seen.body).map_err(|_| "no JSON".to_owned())?;
    let said = value
        .pointer("/choices/0/message/content")
        .and_then(Value::as_str);
    match said {
        Some(_) if seen.end == End::Broken => Err("broken".to_owned()),
        Some(said) if text.is_none_or(|text| said == text) => Ok(()),
        Some(_) => Err("another text".to_owned()),
        None => Err("no text".to_owned()),
    }
}

/// Reads the events of a stream, which must add up to an answer, or end in an error.
fn stream(seen: &Seen, text: Option<&str>) -> Shown {
    let wrong = |why: &str| Shown::Wrong(why.to_owned());
    let mut said = String::new();
    let (mut done, mut finished, mut failed) = (false, false, None);
    let body = String::from_utf8_lossy(&seen.body);
    let mut events = body.split("\n\n").peekable();
    while let Some(event) = events.next() {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        let data: Vec<_> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        if data.is_empty() {
            continue;
        }
        if events.peek().is_none() {
            return wrong("cut inside an event");
        }
        if done || failed.is_some() {
            return wrong("goes on after its end");
        }
        let data = data.join("\n");
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let Ok(value) = serde_json::from_str::<Value>(&data) else {
            return wrong("an event that is no JSON");
        };
        if let Some(error) = value.get("error") {
            let code = error.get("code").and_then(Value::as_str);
            if !error.get("message").is_some_and(Value::is_string) {
                return wrong("an ill-formed error event");
            }
            failed = Some(code.unwrap_or("null").to_owned());
        }
        let piece = value
            .pointer("/choices/0/delta/content")
            .and_then(Value::as_str);
        said += piece.unwrap_or_default();
        finished |= value
            .pointer("/choices/0/finish_reason")
            .is_some_and(Value::is_string);
    }
    match failed {
        Some(_) if seen.end == End::Clean => wrong("an error, and a clean end"),
        Some(_) if text.is_some_and(|text| said.is_empty() || !text.starts_with(&said)) => {
            wrong("another text")
        }
        Some(code) => Shown::ErrorEvent(code),
        None if seen.end == End::Broken && (done || finished) => wrong("broken after its end"),
        None if seen.end == End::Broken => Shown::Broken,
        None if !done && !finished => wrong("an end that is none"),
        None if text.is_some_and(|text| said != text) => wrong("another text"),
        None => Shown::Answer,
    }
}
