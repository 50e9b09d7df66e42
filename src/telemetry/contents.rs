//! What was asked and answered, where that is to be recorded.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::message::{BoxError, Output, RequestBody, Transform};

/// The conversation of a request, as its JSON, up to `max` bytes.
pub(super) fn asked(body: &RequestBody, max: usize) -> Option<String> {
    let members = body.members().ok()??;
    let names = ["messages", "input", "prompt"];
    let value = names.into_iter().find_map(|name| members.get(name))?;
    Some(text(value.raw(), max))
}

/// Text of at most `max` bytes, cut between characters.
fn text(bytes: &[u8], max: usize) -> String {
    let cut = bytes.get(..max).unwrap_or(bytes);
    let whole = match str::from_utf8(cut) {
        Ok(text) => return text.to_owned(),
        // The cut may go through a character.
        Err(error) if error.error_len().is_none() => cut.get(..error.valid_up_to()),
        Err(_) => None,
    };
    String::from_utf8_lossy(whole.unwrap_or(cut)).into_owned()
}

/// The beginning of an answer, kept while it passes.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// What was kept.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text(&kept, kept.len())
    }

    /// What keeps up to `max` bytes.
    pub(super) fn tap(&self, max: usize) -> Tap {
        Tap {
            kept: self.clone(),
            left: max,
        }
    }
}

/// Keeps the beginning of what passes.
pub(super) struct Tap {
    kept: Kept,
    left: usize,
}

impl Transform for Tap {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        let part = data.get(..self.left).unwrap_or(&data);
        if !part.is_empty() {
            self.left -= part.len();
            let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(part);
        }
        output.push(data)
    }

    fn keeps_length(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(text("aé".as_bytes(), 2), "a");
        assert_eq!(text("aé".as_bytes(), 3), "aé");
        assert_eq!(text("aé".as_bytes(), 9), "aé");
        assert_eq!(text(b"a\xffb", 3), "a\u{fffd}b");
    }

    #[test]
    fn the_conversation_is_found_under_its_names() {
        let body = RequestBody::json(r#"{"model":"m","input":["a","b"],"n":1}"#);
        assert_eq!(asked(&body, 4).unwrap(), r#"["a""#);
        assert_eq!(asked(&RequestBody::json(r#"{"model":"m"}"#), 4), None);
        assert_eq!(asked(&RequestBody::bytes("{}"), 4), None);
    }
}
