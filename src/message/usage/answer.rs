use std::borrow::Cow;

use super::{
    lenient::{count, name},
    object::UsageObject,
    place::{Key, Place},
    stated::Stated,
};
use crate::wire::json::Cursor;

/// What one answer, or one event of a streamed answer, states about itself.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) stated: Stated,
    pub(super) finish_reason: Option<Cow<'a, str>>,
    /// Why a response of the Responses API is incomplete, or else its final status.
    pub(super) incomplete: Option<Cow<'a, str>>,
    pub(super) status: Option<Cow<'a, str>>,
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) tier: Option<Cow<'a, str>>,
    /// A member that states a cost was passed.
    pub(super) has_cost: bool,
}

impl<'a> Facts<'a> {
    /// Reads one value that stands at `place`; `None` where it is not JSON or breaks off.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'a>, place: Place) -> Option<()> {
        match cursor.peek()? {
            b'{' => self.object(cursor, place),
            b'[' if place == Place::Top => {
                cursor.items(|cursor| self.read(cursor, Place::Wrapped(0)))
            }
            _ => cursor.skip(),
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'a>, place: Place) -> Option<()> {
        let mut members = 0_usize;
        let mut metadata = None;
        let mut result_tokens = None;
        cursor.members(|cursor, member| {
            members += 1;
            let key = Key::of(member);
            match key {
                Key::Usage if place.is_answer() || place == Place::Choice => self.usage(cursor),
                Key::Wrapper | Key::Incomplete => match place.inside(key) {
                    Some(place) => self.read(cursor, place),
                    None => cursor.skip(),
                },
                Key::Metadata if place == Place::Top && members == 1 => {
                    let metadata = metadata.insert(Facts::default());
                    metadata.read(cursor, Place::Wrapped(1))
                }
                Key::Choices if place.is_answer() => self.elements(cursor, Place::Choice),
                Key::Results if place.is_answer() => self.elements(cursor, Place::Result),
                Key::FinishReason => name(cursor, &mut self.finish_reason),
                // In a choice vLLM names the stop string that matched here.
                Key::StopReason if place != Place::Choice => name(cursor, &mut self.finish_reason),
                Key::Reason if place == Place::Incomplete => name(cursor, &mut self.incomplete),
                Key::Status if place.is_answer() => name(cursor, &mut self.status),
                Key::Model if place.is_answer() => name(cursor, &mut self.model),
                Key::Tier if place.is_answer() => name(cursor, &mut self.tier),
                Key::Input if place.is_answer() => latest(cursor, &mut self.stated.input),
                Key::Output if place.is_answer() => latest(cursor, &mut self.stated.output),
                Key::TokenCount if place == Place::Result => count(cursor, &mut result_tokens),
                Key::Cost if place.is_answer() => {
                    self.has_cost = true;
                    cursor.skip()
                }
                _ => cursor.skip(),
            }
        })?;
        if let Some(count) = result_tokens {
            let before = self.stated.output.unwrap_or(0);
            self.stated.output = Some(before.saturating_add(count));
        }
        // Callers have their own `metadata` echoed beside an answer; as the whole event it is Bedrock's.
        if let Some(metadata) = metadata
            && members == 1
        {
            self.update(metadata);
        }
        Some(())
    }

    /// Reads a list of choices.
    fn elements(&mut self, cursor: &mut Cursor<'a>, place: Place) -> Option<()> {
        if cursor.peek()? != b'[' {
            return cursor.skip();
        }
        cursor.items(|cursor| self.read(cursor, place))
    }

    /// Reads one usage object over what was stated before.
    fn usage(&mut self, cursor: &mut Cursor<'a>) -> Option<()> {
        if cursor.peek()? != b'{' {
            return cursor.skip();
        }
        let object = UsageObject::read(cursor)?;
        self.stated.update(&object.stated);
        self.has_cost |= object.has_cost;
        if object.tier.is_some() {
            self.tier = object.tier;
        }
        Some(())
    }

    fn update(&mut self, later: Self) {
        self.stated.update(&later.stated);
        self.finish_reason = later.finish_reason.or(self.finish_reason.take());
        self.incomplete = later.incomplete.or(self.incomplete.take());
        self.status = later.status.or(self.status.take());
        self.model = later.model.or(self.model.take());
        self.tier = later.tier.or(self.tier.take());
        self.has_cost |= later.has_cost;
    }
}

/// Reads a count over an earlier one.
fn latest(cursor: &mut Cursor<'_>, earlier: &mut Option<u64>) -> Option<()> {
    let mut stated = None;
    count(cursor, &mut stated)?;
    *earlier = stated.or(*earlier);
    Some(())
}
