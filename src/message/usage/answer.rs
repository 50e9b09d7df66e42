use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    lenient::{Count, Name, pass_over, skip_seq, skip_value},
    object::UsageObject,
    place::{Key, Place},
    stated::Stated,
};

/// What one answer, or one event of a streamed answer, states about itself.
#[derive(Debug, Default)]
pub(super) struct Facts<'de> {
    pub(super) stated: Stated,
    pub(super) finish_reason: Option<Cow<'de, str>>,
    /// Why a response of the Responses API is incomplete, or else its final status.
    pub(super) incomplete: Option<Cow<'de, str>>,
    pub(super) status: Option<Cow<'de, str>>,
    pub(super) model: Option<Cow<'de, str>>,
    pub(super) tier: Option<Cow<'de, str>>,
}

impl Facts<'_> {
    fn update(&mut self, later: Self) {
        self.stated.update(&later.stated);
        self.finish_reason = later.finish_reason.or(self.finish_reason.take());
        self.incomplete = later.incomplete.or(self.incomplete.take());
        self.status = later.status.or(self.status.take());
        self.model = later.model.or(self.model.take());
        self.tier = later.tier.or(self.tier.take());
    }
}

/// Reads the object at a place into facts.
pub(super) struct Answer<'a, 'de> {
    pub(super) facts: &'a mut Facts<'de>,
    pub(super) place: Place,
}

impl<'de> DeserializeSeed<'de> for Answer<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Answer<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    pass_over!(bool unit number str);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { facts, place } = self;
        let mut members = 0_usize;
        let mut metadata = None;
        let mut result_tokens = None;
        while let Some(key) = map.next_key()? {
            members += 1;
            match key {
                Key::Usage if place.is_answer() || place == Place::Choice => {
                    map.next_value_seed(Usage(facts))
                }
                Key::Wrapper | Key::Incomplete => match place.inside(key) {
                    Some(place) => map.next_value_seed(Answer { facts, place }),
                    None => skip_value(&mut map),
                },
                Key::Metadata if place == Place::Top && members == 1 => {
                    map.next_value_seed(Answer {
                        facts: metadata.insert(Facts::default()),
                        place: Place::Wrapped(1),
                    })
                }
                Key::Choices if place.is_answer() => map.next_value_seed(Elements {
                    facts,
                    place: Place::Choice,
                }),
                Key::Results if place.is_answer() => map.next_value_seed(Elements {
                    facts,
                    place: Place::Result,
                }),
                Key::FinishReason => map.next_value_seed(Name(&mut facts.finish_reason)),
                // In a choice vLLM names the stop string that matched here.
                Key::StopReason if place != Place::Choice => {
                    map.next_value_seed(Name(&mut facts.finish_reason))
                }
                Key::Reason if place == Place::Incomplete => {
                    map.next_value_seed(Name(&mut facts.incomplete))
                }
                Key::Status if place.is_answer() => map.next_value_seed(Name(&mut facts.status)),
                Key::Model if place.is_answer() => map.next_value_seed(Name(&mut facts.model)),
                Key::Tier if place.is_answer() => map.next_value_seed(Name(&mut facts.tier)),
                Key::Input if place.is_answer() => {
                    map.next_value_seed(Latest(&mut facts.stated.input))
                }
                Key::Output if place.is_answer() => {
                    map.next_value_seed(Latest(&mut facts.stated.output))
                }
                Key::TokenCount if place == Place::Result => {
                    map.next_value_seed(Count(&mut result_tokens))
                }
                _ => skip_value(&mut map),
            }?;
        }
        if let Some(count) = result_tokens {
            facts.stated.output = Some(facts.stated.output.unwrap_or(0).saturating_add(count));
        }
        // Callers have their own `metadata` echoed beside an answer; as the whole event it is Bedrock's.
        if let Some(metadata) = metadata
            && members == 1
        {
            facts.update(metadata);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.place != Place::Top {
            return skip_seq(seq);
        }
        while seq
            .next_element_seed(Answer {
                facts: self.facts,
                place: Place::Wrapped(0),
            })?
            .is_some()
        {}
        Ok(())
    }
}

/// Reads a count over an earlier one.
struct Latest<'a>(&'a mut Option<u64>);

impl<'de> DeserializeSeed<'de> for Latest<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut count = None;
        Count(&mut count).deserialize(deserializer)?;
        *self.0 = count.or(*self.0);
        Ok(())
    }
}

/// Reads a list of choices.
struct Elements<'a, 'de> {
    facts: &'a mut Facts<'de>,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    pass_over!(bool unit number str map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq
            .next_element_seed(Answer {
                facts: self.facts,
                place: self.place,
            })?
            .is_some()
        {}
        Ok(())
    }
}

/// Reads one usage object over what was stated before.
struct Usage<'a, 'de>(&'a mut Facts<'de>);

impl<'de> DeserializeSeed<'de> for Usage<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Usage<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a usage object")
    }

    pass_over!(bool unit number str seq);

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let object = UsageObject::read(map)?;
        self.0.stated.update(&object.stated);
        if object.tier.is_some() {
            self.0.tier = object.tier;
        }
        Ok(())
    }
}
