//! What is in tables, lists, maps and variants that are made up.

use std::slice;

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
        Visitor,
        value::{Error, StrDeserializer},
    },
};

use super::{EACH, Shape, join, probe::Probe};

/// The name of each key of a map, at which nobody looks for a shape.
const KEY: &str = "*key";

/// All fields of a table that something was found for.
pub(super) struct Fields<'a, 't> {
    pub(super) probe: &'a Probe<'t>,
    pub(super) rest: slice::Iter<'static, &'static str>,
    pub(super) field: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let tracer = self.probe.tracer;
        let is_there = |field: &&&str| !tracer.is_skipped(&join(&self.probe.path, field));
        let Some(field) = self.rest.find(is_there) else {
            return Ok(None);
        };
        self.field = field;
        tracer.0.borrow_mut().field = join(&self.probe.path, field);
        seed.deserialize(name(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.probe.child(self.field))
    }
}

/// One item of a list, or one entry of a map.
pub(super) struct Once<'a, 't> {
    probe: &'a Probe<'t>,
    is_over: bool,
}

impl<'a, 't> Once<'a, 't> {
    pub(super) fn of(probe: &'a Probe<'t>) -> Self {
        let is_skipped = |name: &str| probe.tracer.is_skipped(&join(&probe.path, name));
        Self {
            probe,
            is_over: is_skipped(EACH) || is_skipped(KEY),
        }
    }
}

impl<'de> SeqAccess<'de> for Once<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        seed.deserialize(self.probe.child(EACH)).map(Some)
    }
}

impl<'de> MapAccess<'de> for Once<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        seed.deserialize(self.probe.child(KEY)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.probe.child(EACH))
    }
}

pub(super) struct Variant<'t> {
    pub(super) probe: Probe<'t>,
    pub(super) variant: &'static str,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed.deserialize(name(self.variant))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        let tracer = self.probe.tracer;
        tracer.note(&self.probe.path, Shape::Word, String::new());
        tracer.choose(&self.probe.path, 1);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.probe)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.probe.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.probe.table(fields, visitor)
    }
}

fn name(text: &'static str) -> StrDeserializer<'static, Error> {
    text.into_deserializer()
}
