//! What an error body says, wherever it says it.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::text::{MAX_DETAIL, MAX_MESSAGE, MAX_WORD, cut};

/// Values within values are followed so far and no further. Gemini's quotas in an array are 7 deep, and OpenRouter may pass them
/// on.
const MAX_DEPTH: u32 = 12;
const MAX_DETAILS: usize = 16;

/// The members of an error, from whichever of the shapes in use. Of several that say the same, the innermost counts.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) message: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    /// An HTTP status of 400 to 599 that the body states.
    pub(super) status: Option<u16>,
    pub(super) details: Vec<String>,
    /// Headers of the upstream's upstream (OpenRouter).
    pub(super) headers: HeaderMap,
}

impl Shape {
    pub(super) fn read(body: &Value) -> Self {
        let mut shape = Self::default();
        shape.value(body, 0);
        shape
    }

    fn value(&mut self, value: &Value, depth: u32) {
        match value {
            Value::String(text) => set(&mut self.message, text, MAX_MESSAGE),
            Value::Object(object) if depth < MAX_DEPTH => self.object(object, depth),
            // Gemini wraps its error in an array; Cloudflare lists several.
            Value::Array(values) if depth < MAX_DEPTH => {
                if let Some(first) = values.first() {
                    self.value(first, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, object: &Map<String, Value>, depth: u32) {
        for name in ["error", "errors"] {
            if let Some(inner) = object.get(name) {
                self.value(inner, depth + 1);
            }
        }
        for name in [
            "message",
            "detail",
            "error_message",
            "Message",
            "msg",
            "title",
        ] {
            match object.get(name) {
                Some(Value::Array(faults)) if self.message.is_none() => self.validation(faults),
                Some(inner) => self.value(inner, depth + 1),
                None => {}
            }
        }
        for name in ["type", "error_type", "__type"] {
            // These name the shape, not the error.
            let kind = object.get(name).and_then(Value::as_str);
            if let Some(kind) = kind.filter(|kind| !matches!(*kind, "error" | "about:blank")) {
                set(&mut self.kind, kind, MAX_WORD);
            }
        }
        if let Some(code) = object.get("code").and_then(word) {
            set(&mut self.code, &code, MAX_WORD);
        }
        if let Some(param) = object.get("param").and_then(Value::as_str) {
            set(&mut self.param, param, MAX_WORD);
        }
        for name in ["status_code", "raw_status_code", "status", "code"] {
            let status = object.get(name).and_then(Value::as_u64);
            let status = status.and_then(|status| u16::try_from(status).ok());
            self.status = self
                .status
                .or(status.filter(|status| (400..600).contains(status)));
        }
        // Google's `RESOURCE_EXHAUSTED`; elsewhere `status` is `failed`, or a number.
        let status = object.get("status").and_then(Value::as_str);
        let is_constant = |text: &&str| text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        if let Some(status) = status.filter(is_constant) {
            self.detail(status);
            set(&mut self.kind, status, MAX_WORD);
        }
        for name in ["details", "innererror", "metadata"] {
            if let Some(inner) = object.get(name) {
                self.details(inner, depth + 1);
            }
        }
    }

    /// FastAPI's and Mistral's list of what is wrong with a request.
    fn validation(&mut self, faults: &[Value]) {
        let mut messages = Vec::new();
        for fault in faults.iter().take(MAX_DETAILS) {
            let Some(message) = fault
                .get("msg")
                .or_else(|| fault.get("message"))
                .unwrap_or(fault)
                .as_str()
            else {
                continue;
            };
            let place = fault.get("loc").and_then(place);
            messages.push(match &place {
                Some(place) => format!("{place}: {message}"),
                None => message.to_owned(),
            });
            if let Some(place) = place {
                set(&mut self.param, &place, MAX_WORD);
            }
            if let Some(kind) = fault.get("type").and_then(Value::as_str) {
                set(&mut self.code, kind, MAX_WORD);
            }
        }
        set(&mut self.message, &messages.join("; "), MAX_MESSAGE);
    }

    /// Gathers what the nested parts of an error say of its reason.
    fn details(&mut self, value: &Value, depth: u32) {
        if depth >= MAX_DEPTH || self.details.len() >= MAX_DETAILS {
            return;
        }
        match value {
            Value::Array(values) => {
                for value in values.iter().take(MAX_DETAILS) {
                    self.details(value, depth + 1);
                }
            }
            Value::Object(object) => {
                for (name, value) in object {
                    match (name.as_str(), value) {
                        (
                            "reason" | "quotaId" | "error_code" | "error_type" | "code" | "type"
                            | "message" | "limit_source",
                            _,
                        ) => {
                            if let Some(word) = word(value) {
                                self.detail(&word);
                            }
                        }
                        // OpenRouter's moderation: the text is the caller's.
                        ("flagged_input", _) => self.detail("flagged_input"),
                        ("raw", _) => self.raw(value, depth + 1),
                        ("headers", Value::Object(headers)) => self.headers(headers),
                        (_, Value::Array(_) | Value::Object(_)) => self.details(value, depth + 1),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// The error of an upstream's upstream: JSON, JSON in a string, or text.
    fn raw(&mut self, value: &Value, depth: u32) {
        let parsed = match value {
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        };
        let mut inner = Self::default();
        inner.value(parsed.as_ref().unwrap_or(value), depth);
        let said = [inner.message, inner.kind, inner.code];
        for text in said.iter().flatten().chain(&inner.details) {
            self.detail(text);
        }
    }

    fn headers(&mut self, headers: &Map<String, Value>) {
        for (name, value) in headers.iter().take(MAX_DETAILS) {
            let name = name.parse::<HeaderName>();
            let value = word(value).and_then(|value| value.parse::<HeaderValue>().ok());
            if let (Ok(name), Some(value)) = (name, value) {
                self.headers.insert(name, value);
            }
        }
    }

    fn detail(&mut self, text: &str) {
        if self.details.len() < MAX_DETAILS {
            self.details.extend(cut(text, MAX_DETAIL));
        }
    }
}

fn set(slot: &mut Option<String>, text: &str, max: usize) {
    if slot.is_none() {
        *slot = cut(text, max);
    }
}

/// A string, or a whole number as one.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// Where in the request a fault is: `["body", "messages", 0, "role"]` is `messages.0.role`.
fn place(path: &Value) -> Option<String> {
    let path = path.as_array()?;
    let steps = path.iter().filter_map(word).filter(|step| step != "body");
    cut(
        &steps.take(MAX_DETAILS).collect::<Vec<_>>().join("."),
        MAX_WORD,
    )
}
