use std::borrow::Cow;

use super::{
    details::{About, Details},
    key::Key,
    lenient::{count, name},
    stated::Stated,
};
use crate::wire::json::Cursor;

/// What one usage object states.
#[derive(Default)]
pub(super) struct UsageObject<'a> {
    pub(super) stated: Stated,
    pub(super) tier: Option<Cow<'a, str>>,
    /// It has a member that states a cost.
    pub(super) has_cost: bool,
    billed: Option<Stated>,
}

impl<'a> UsageObject<'a> {
    /// Reads the object that comes next.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let mut object = Self::default();
        cursor.members(|cursor, name| object.member(Key::of(name), cursor))?;
        if let Some(billed) = object.billed {
            object.stated.input = billed.input;
            object.stated.output = billed.output;
            object.stated.more_input = billed.more_input;
            // The cache holds part of the real input, not of the billed one.
            object.stated.cache_read = None;
        }
        Some(object)
    }

    fn member(&mut self, key: Key, cursor: &mut Cursor<'a>) -> Option<()> {
        let stated = &mut self.stated;
        let marks = &mut stated.marks;
        let stated = match key {
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
            Key::InputDetails => return self.details(About::Input, cursor),
            Key::OutputDetails => return self.details(About::Output, cursor),
            Key::CachedDetails => return self.details(About::Cached, cursor),
            Key::CacheCreation => return self.details(About::CacheWrites, cursor),
            Key::CacheDetails => return self.details(About::CacheWriteList, cursor),
            Key::Tokens => return self.details(About::Tokens, cursor),
            Key::Billed => return self.billed(cursor),
            Key::Tier => return name(cursor, &mut self.tier),
            Key::Cost => {
                self.has_cost = true;
                return cursor.skip();
            }
            _ => return cursor.skip(),
        };
        count(cursor, stated)
    }

    fn details(&mut self, about: About, cursor: &mut Cursor<'_>) -> Option<()> {
        let stated = &mut self.stated;
        Details { about, stated }.read(cursor)
    }

    fn billed(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut billed = Stated::default();
        let (about, stated) = (About::Tokens, &mut billed);
        Details { about, stated }.read(cursor)?;
        // Reranking is billed by the search instead.
        if billed
            .input
            .or(billed.output)
            .or(billed.more_input)
            .is_some()
        {
            self.billed = Some(billed);
        }
        Some(())
    }
}
