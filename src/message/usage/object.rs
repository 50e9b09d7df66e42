use std::borrow::Cow;

use serde::de::MapAccess;

use super::{
    details::{About, Details},
    key::Key,
    lenient::{Count, Name, skip_value},
    stated::Stated,
};

/// What one usage object states.
#[derive(Default)]
pub(super) struct UsageObject<'de> {
    pub(super) stated: Stated,
    pub(super) tier: Option<Cow<'de, str>>,
    billed: Option<Stated>,
}

impl<'de> UsageObject<'de> {
    pub(super) fn read<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut object = Self::default();
        while let Some(key) = map.next_key()? {
            object.member(key, &mut map)?;
        }
        if let Some(billed) = object.billed {
            object.stated.input = billed.input;
            object.stated.output = billed.output;
            object.stated.more_input = billed.more_input;
            // The cache holds part of the real input, not of the billed one.
            object.stated.cache_read = None;
        }
        Ok(object)
    }

    fn member<A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<(), A::Error> {
        let stated = &mut self.stated;
        let marks = &mut stated.marks;
        let count = match key {
            Key::InputWithCache => {
                marks.cache_inside = true;
                &mut stated.input
            }
            Key::Input => &mut stated.input,
            Key::Output => &mut stated.output,
            Key::Total => &mut stated.total,
            Key::CacheRead => &mut stated.cache_read,
            Key::CacheReadBeside => {
                marks.cache_beside = true;
                &mut stated.cache_read
            }
            Key::CacheWrite => &mut stated.cache_write,
            Key::CacheWriteBeside => {
                marks.cache_beside = true;
                &mut stated.cache_write
            }
            Key::Reasoning => &mut stated.reasoning,
            Key::ReasoningBeside => {
                marks.reasoning_beside = true;
                &mut stated.reasoning
            }
            Key::AudioIn => &mut stated.audio_in,
            Key::AudioSeconds => &mut stated.audio_seconds,
            Key::ToolInput => &mut stated.more_input,
            Key::Citations => {
                marks.reasoning_beside = true;
                &mut stated.more_input
            }
            Key::InputDetails => return self.details(About::Input, map),
            Key::OutputDetails => return self.details(About::Output, map),
            Key::CachedDetails => return self.details(About::Cached, map),
            Key::CacheCreation => return self.details(About::CacheWrites, map),
            Key::CacheDetails => return self.details(About::CacheWriteList, map),
            Key::Tokens => return self.details(About::Tokens, map),
            Key::Billed => return self.billed(map),
            Key::Tier => return map.next_value_seed(Name(&mut self.tier)),
            _ => return skip_value(map),
        };
        map.next_value_seed(Count(count))
    }

    fn details<A: MapAccess<'de>>(&mut self, about: About, map: &mut A) -> Result<(), A::Error> {
        map.next_value_seed(Details {
            about,
            stated: &mut self.stated,
        })
    }

    fn billed<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let mut billed = Stated::default();
        map.next_value_seed(Details {
            about: About::Tokens,
            stated: &mut billed,
        })?;
        // Reranking is billed by the search instead.
        if billed
            .input
            .or(billed.output)
            .or(billed.more_input)
            .is_some()
        {
            self.billed = Some(billed);
        }
        Ok(())
    }
}
