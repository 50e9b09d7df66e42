use std::borrow::Cow;

use super::{
    key::Key,
    lenient::{count, name},
    stated::Stated,
};
use crate::wire::json::Cursor;

/// What an object, or a list of objects, inside a usage object is about.
#[derive(Clone, Copy)]
pub(super) enum About {
    Input,
    Output,
    Cached,
    /// Anthropic's cache writes by lifetime.
    CacheWrites,
    /// Bedrock's list of the same.
    CacheWriteList,
    /// Cohere's `tokens` and `billed_units`.
    Tokens,
}

/// Reads such an object or list into the counts.
pub(super) struct Details<'a> {
    pub(super) about: About,
    pub(super) stated: &'a mut Stated,
}

impl Details<'_> {
    pub(super) fn read(mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        match cursor.peek()? {
            b'{' => self.object(cursor),
            b'[' => cursor.items(|cursor| {
                let entry = Entry::read(cursor)?;
                self.add(&entry);
                Some(())
            }),
            _ => cursor.skip(),
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut writes_24h = None;
        cursor.members(|cursor, name| match (self.about, Key::of(name)) {
            (About::CacheWrites, Key::Write24h) => count(cursor, &mut writes_24h),
            (About::Input, Key::CachedDetails) => {
                let (about, stated) = (About::Cached, &mut *self.stated);
                Details { about, stated }.read(cursor)
            }
            (_, key) => match self.count(key) {
                Some(stated) => count(cursor, stated),
                None => cursor.skip(),
            },
        })?;
        if let Some(count) = writes_24h {
            let writes_1h = self.stated.cache_write_1h.unwrap_or(0);
            self.stated.cache_write_1h = Some(writes_1h.saturating_add(count));
        }
        Some(())
    }

    /// The count that `key` names here.
    fn count(&mut self, key: Key) -> Option<&mut Option<u64>> {
        let stated = &mut *self.stated;
        Some(match (self.about, key) {
            (About::Input, Key::CacheRead) => {
                stated.marks.cache_inside = true;
                &mut stated.cache_read
            }
            (About::Input, Key::CacheWrite) => {
                stated.marks.cache_inside = true;
                &mut stated.cache_write
            }
            (About::Input, Key::Audio) => &mut stated.audio_in,
            (About::Output, Key::Audio) => &mut stated.audio_out,
            (About::Cached, Key::Audio) => &mut stated.audio_cached,
            (About::Output, Key::Reasoning) => {
                stated.marks.reasoning_inside = true;
                &mut stated.reasoning
            }
            (About::Tokens, Key::Reasoning) => &mut stated.reasoning,
            (About::CacheWrites, Key::Write5m) => &mut stated.cache_write_5m,
            (About::CacheWrites, Key::Write1h) => &mut stated.cache_write_1h,
            (About::Tokens, Key::Input | Key::InputWithCache) => &mut stated.input,
            (About::Tokens, Key::Output) => &mut stated.output,
            (About::Tokens, Key::Image) => &mut stated.more_input,
            _ => return None,
        })
    }

    /// Adds one entry of a list by modality or by lifetime.
    fn add(&mut self, entry: &Entry<'_>) {
        let Some(count) = entry.count else { return };
        let field = match self.about {
            About::Input if entry.is_audio() => &mut self.stated.audio_in,
            About::Output if entry.is_audio() => &mut self.stated.audio_out,
            About::Cached if entry.is_audio() => &mut self.stated.audio_cached,
            About::CacheWriteList if entry.ttl.as_deref() == Some("5m") => {
                &mut self.stated.cache_write_5m
            }
            About::CacheWriteList => &mut self.stated.cache_write_1h,
            _ => return,
        };
        *field = Some(field.unwrap_or(0).saturating_add(count));
    }
}

/// One entry of a list by modality (Gemini) or by lifetime (Bedrock).
#[derive(Default)]
struct Entry<'a> {
    count: Option<u64>,
    modality: Option<Cow<'a, str>>,
    ttl: Option<Cow<'a, str>>,
}

impl Entry<'_> {
    fn is_audio(&self) -> bool {
        /// `AUDIO` in the enumeration `Modality` of the Gemini API, as clients of its protocol buffers write it.
        const AUDIO: &str = "4";
        self.modality
            .as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case("audio") || name == AUDIO)
    }
}

impl<'a> Entry<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut entry = Self::default();
        if cursor.peek()? != b'{' {
            cursor.skip()?;
            return Some(entry);
        }
        cursor.members(|cursor, member| match Key::of(member) {
            Key::TokenCount | Key::Tokens | Key::Input => count(cursor, &mut entry.count),
            Key::Modality => name(cursor, &mut entry.modality),
            Key::Ttl => name(cursor, &mut entry.ttl),
            _ => cursor.skip(),
        })?;
        Some(entry)
    }
}
