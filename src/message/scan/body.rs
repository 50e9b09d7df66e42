//! Reading a JSON answer that is not a stream.

use bytes::Bytes;
use memchr::memmem;

use super::Facts;
use crate::message::{ApiError, Gather};

/// The longest body that is read whole, in bytes.
const MAX_WHOLE: usize = 1 << 20;

/// What is kept of the end of a longer one, in bytes: providers state usage after the answer.
const TAIL: usize = 16 << 10;

/// Keeps the bytes of a body until it ends; of a long one only the last.
#[derive(Default)]
pub(super) struct BodyScan {
    text: Gather,
    /// The beginning is gone.
    cut: bool,
}

impl BodyScan {
    pub(super) fn push(&mut self, data: &Bytes) {
        self.text.push(data.clone(), 0);
        if self.text.len() > MAX_WHOLE {
            self.cut = true;
            let text = self.text.take();
            let tail = text
                .get(text.len().saturating_sub(TAIL)..)
                .unwrap_or_default();
            // A copy, so that the rest is not kept with it.
            self.text.push(Bytes::copy_from_slice(tail), 0);
        }
    }

    pub(super) fn finish(&mut self, facts: &mut Facts) {
        let text = self.text.take();
        facts.output |= !text.is_empty();
        if self.cut {
            if let Some(usage) = last_usage(&text) {
                facts.usage.body(&usage);
            }
            return;
        }
        facts.usage.body(&text);
        if let Some(weight) = &mut facts.weight
            && facts.usage.usage().is_none()
        {
            weight.body(&text);
        }
        if ApiError::may_be_in(&text) {
            facts.error = ApiError::in_answer(&text).map(Box::new);
        }
    }
}

/// The last `usage` object of a text whose beginning is missing, as an object of its own. Within a string its quotes would be
/// escaped, so what is found is a member.
fn last_usage(tail: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"\"usage\"";
    let at = memmem::rfind(tail, NAME)?;
    let before = at.checked_sub(1).and_then(|before| tail.get(before));
    if before == Some(&b'\\') {
        return None;
    }
    let value = tail
        .get(at + NAME.len()..)?
        .trim_ascii_start()
        .strip_prefix(b":")?;
    let object: &serde_json::value::RawValue =
        serde::Deserialize::deserialize(&mut serde_json::Deserializer::from_slice(value)).ok()?;
    Some([b"{\"usage\":", object.get().as_bytes(), b"}"].concat())
}
