use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    key::Key,
    lenient::{Count, Name, pass_over, skip_value},
    stated::Stated,
};

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
            (About::Output | About::Tokens, Key::Reasoning) => &mut stated.reasoning,
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

impl<'de> DeserializeSeed<'de> for Details<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Details<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("details of usage")
    }

    pass_over!(bool unit number str);

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut writes_24h = None;
        while let Some(key) = map.next_key()? {
            match (self.about, key) {
                (About::CacheWrites, Key::Write24h) => map.next_value_seed(Count(&mut writes_24h)),
                (About::Input, Key::CachedDetails) => map.next_value_seed(Details {
                    about: About::Cached,
                    stated: self.stated,
                }),
                _ => match self.count(key) {
                    Some(count) => map.next_value_seed(Count(count)),
                    None => skip_value(&mut map),
                },
            }?;
        }
        if let Some(count) = writes_24h {
            let writes_1h = self.stated.cache_write_1h.unwrap_or(0);
            self.stated.cache_write_1h = Some(writes_1h.saturating_add(count));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(entry) = seq.next_element()? {
            self.add(&entry);
        }
        Ok(())
    }
}

/// One entry of a list by modality (Gemini) or by lifetime (Bedrock).
#[derive(Default)]
struct Entry<'de> {
    count: Option<u64>,
    modality: Option<Cow<'de, str>>,
    ttl: Option<Cow<'de, str>>,
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

impl<'de> Deserialize<'de> for Entry<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entry = Self::default();
        deserializer.deserialize_any(EntryVisitor(&mut entry))?;
        Ok(entry)
    }
}

struct EntryVisitor<'a, 'de>(&'a mut Entry<'de>);

impl<'de> Visitor<'de> for EntryVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of usage details")
    }

    pass_over!(bool unit number str seq);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            match key {
                Key::TokenCount | Key::Tokens | Key::Input => {
                    map.next_value_seed(Count(&mut self.0.count))
                }
                Key::Modality => map.next_value_seed(Name(&mut self.0.modality)),
                Key::Ttl => map.next_value_seed(Name(&mut self.0.ttl)),
                _ => skip_value(&mut map),
            }?;
        }
        Ok(())
    }
}
