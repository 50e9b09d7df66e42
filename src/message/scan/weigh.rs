//! How much an answer said, for when it does not say what that was in tokens.

use std::{borrow::Cow, sync::LazyLock};

use memchr::{memchr2, memmem, memmem::Finder};

use crate::message::estimate::Weight;

/// Weighs the text of an answer as it passes: what a model wrote, thought, or put into the arguments of a call.
#[derive(Default)]
pub(crate) struct OutputWeight {
    weight: Weight,
    /// The name under which this answer's last text stood; the next stands there too, nearly always.
    last: usize,
    around: Around,
}

/// What stood around the one text of an event. Most events of a stream differ in nothing but their text, and to see that costs less
/// than to search them.
#[derive(Default)]
struct Around {
    /// Up to the quote that begins the text; empty where nothing is known.
    before: Vec<u8>,
    /// From the quote that ends it.
    after: Vec<u8>,
}

/// The longest event whose surroundings are remembered, in bytes.
const MAX_AROUND: usize = 1024;

impl Around {
    /// The text of an event that is like the last one.
    fn text<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        let rest = data.strip_prefix(self.before.as_slice())?;
        let text = rest.strip_suffix(self.after.as_slice())?;
        (!self.before.is_empty() && !text.is_empty() && memchr2(b'"', b'\\', text).is_none())
            .then_some(text)
    }

    fn remember(&mut self, before: &[u8], after: &[u8]) {
        self.before.clear();
        self.after.clear();
        if before.len() + after.len() <= MAX_AROUND {
            self.before.extend_from_slice(before);
            self.after.extend_from_slice(after);
        }
    }
}

/// The members that hold text in any dialect: OpenAI's chat, completions and Responses, Anthropic, Gemini, Cohere, Ollama.
///
/// Searches made once: every event is searched, and to make one costs more than to search so little text.
static NAMES: LazyLock<[Finder<'static>; 9]> = LazyLock::new(|| {
    [
        "\"content\"",
        "\"text\"",
        "\"delta\"",
        "\"reasoning_content\"",
        "\"reasoning\"",
        "\"arguments\"",
        "\"partial_json\"",
        "\"thinking\"",
        "\"response\"",
    ]
    .map(Finder::new)
});

impl OutputWeight {
    /// Weighs an event of a stream. It holds text under one name, in all but rare cases.
    pub(crate) fn event(&mut self, data: &[u8]) {
        if let Some(text) = self.around.text(data) {
            self.weight.add(text);
            return;
        }
        let names = &*NAMES;
        let last = self.last;
        if names.get(last).is_some_and(|name| self.add(name, data)) {
            return;
        }
        for (at, name) in names.iter().enumerate() {
            if at != last && self.add(name, data) {
                self.last = at;
                return;
            }
        }
    }

    /// Weighs a whole answer, which may hold text under several names.
    pub(super) fn body(&mut self, data: &[u8]) {
        for name in &*NAMES {
            self.add(name, data);
        }
    }

    /// In tokens; it never falls as more is weighed.
    pub(crate) fn tokens(&self) -> u64 {
        self.weight.tokens()
    }

    /// Whether `data` holds text under this name.
    fn add(&mut self, name: &Finder<'_>, data: &[u8]) -> bool {
        let mut rest = data;
        let mut found = 0;
        let mut around = None;
        while let Some(at) = name.find(rest) {
            rest = rest.get(at + name.needle().len()..).unwrap_or_default();
            if let Some((text, after)) = string_after_colon(rest) {
                self.weight.add(unescaped(text));
                if !text.is_empty() {
                    found += 1;
                    let before = data.len() - after.len() - text.len();
                    around = data.get(..before).zip(Some(after));
                }
                rest = after;
            }
        }
        if let (1, Some((before, after))) = (found, around) {
            self.around.remember(before, after);
        }
        found > 0
    }
}

/// The inside of the string that is the value of the member whose name ended right before `rest`, and what follows the string.
fn string_after_colon(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let value = rest.trim_ascii_start().strip_prefix(b":")?;
    let text = value.trim_ascii_start().strip_prefix(b"\"")?;
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', text.get(end..)?)?;
        if text.get(end) == Some(&b'"') {
            return text.split_at_checked(end);
        }
        // The escape and what it escapes.
        end += 2;
    }
}

/// Escapes of whole characters weigh far more than the characters.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    // A search for two bytes of a few would cost more than they weigh.
    let escapes = || memmem::find(text, b"\\u").is_some();
    if text.contains(&b'\\') && escapes() {
        let quoted = [b"\"", text, b"\""].concat();
        if let Ok(plain) = serde_json::from_slice::<String>(&quoted) {
            return plain.into_bytes().into();
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weigh(events: &[&str]) -> u64 {
        let mut weight = OutputWeight::default();
        for event in events {
            weight.event(event.as_bytes());
        }
        weight.tokens()
    }

    #[test]
    fn text_is_found_in_every_dialect_and_nothing_else_is() {
        let said = "the quick brown fox jumps";
        for event in [
            r#"{"choices":[{"delta":{"content":"TEXT"}}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":"","reasoning_content":"TEXT"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"TEXT"}}]}}]}"#,
            r#"{"choices":[{"text":"TEXT"}]}"#,
            r#"{"type":"response.output_text.delta","delta":"TEXT"}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"TEXT"}}"#,
            r#"{"delta": {"partial_json": "TEXT"}}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"TEXT"}]}}]}"#,
            r#"{"model":"m","response":"TEXT","done":false}"#,
        ] {
            assert_eq!(weigh(&[&event.replace("TEXT", said)]), 5, "{event}");
        }
        for event in [
            r#"{"choices":[{"delta":{"role":"assistant"}}]}"#,
            r#"{"choices":[{"delta":{"content":null}}]}"#,
            r#"{"content":"broken off"#,
            "[DONE]",
        ] {
            assert_eq!(weigh(&[event]), 0, "{event}");
        }
    }

    #[test]
    fn escapes_weigh_what_they_stand_for() {
        let plain = weigh(&[r#"{"content":"人人生而自由"}"#]);
        let escaped = weigh(&[r#"{"content":"\u4eba\u4eba\u751f\u800c\u81ea\u7531"}"#]);
        assert_eq!(plain, escaped);
        assert!(weigh(&[r#"{"content":"say \"hello\" to them all"}"#]) >= 5);
    }

    #[test]
    fn a_whole_answer_is_weighed_under_all_its_names() {
        let mut weight = OutputWeight::default();
        weight.body(
            br#"{"choices":[{"message":{"reasoning_content":"one two three","content":"four five six"}}]}"#,
        );
        assert_eq!(weight.tokens(), 6);
    }
}
