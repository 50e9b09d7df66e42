//! The deserializer that has no input.

use std::{fmt, iter};

use serde::{
    Deserializer,
    de::{
        Expected, Visitor,
        value::{Error, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    Blamed, Shape, Tracer,
    access::{Fields, Once, Variant},
    join,
};

/// Text that somebody takes.
const TEXTS: [&str; 12] = [
    "a",
    "1s",
    "1",
    "none",
    "127.0.0.1:1",
    "http://a.test",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "2030-01-01T00:00:00Z",
    "chat_completions",
    "x-a",
    "1MiB",
    "a/b",
];

/// Reads nothing, and notes what was to be read.
pub(super) struct Probe<'t> {
    pub(super) tracer: &'t Tracer,
    pub(super) path: String,
}

impl<'t> Probe<'t> {
    pub(super) fn new(tracer: &'t Tracer, path: String) -> Self {
        Self { tracer, path }
    }

    pub(super) fn child(&self, name: &str) -> Self {
        Self::new(self.tracer, join(&self.path, name))
    }

    fn note(&self, shape: Shape, expected: &dyn Expected) {
        let expected = Shown(expected).to_string();
        self.tracer.note(&self.path, shape, expected);
    }

    fn natural<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        const NUMBERS: [u64; 4] = [1, 0, 2, 100];
        self.note(Shape::Natural, &visitor);
        let choice = self.tracer.choose(&self.path, NUMBERS.len());
        visitor.visit_u64(NUMBERS.get(choice).copied().unwrap_or(1))
    }

    fn integer<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::Integer, &visitor);
        self.tracer.choose(&self.path, 1);
        visitor.visit_i64(1)
    }

    fn number<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::Number, &visitor);
        self.tracer.choose(&self.path, 1);
        visitor.visit_f64(0.5)
    }

    fn text<'de, V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::Text, &visitor);
        let choice = self.tracer.choose(&self.path, TEXTS.len());
        visitor.visit_str(TEXTS.get(choice).copied().unwrap_or("a"))
    }

    pub(super) fn table<'de, V: Visitor<'de>>(
        &self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let expected = Shown(&visitor).to_string();
        self.tracer.note(&self.path, Shape::Table(fields), expected);
        let result = visitor.visit_map(Fields {
            probe: self,
            rest: fields.iter(),
            field: "",
        });
        if result.is_err() {
            self.tracer.blame(Blamed::Table(self.path.clone()));
        }
        result
    }
}

struct Shown<'a>(&'a dyn Expected);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Expected::fmt(self.0, f)
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::Any, &visitor);
        let choice = self.tracer.choose(&self.path, TEXTS.len() + 4);
        let result = match TEXTS.get(choice) {
            Some(text) => visitor.visit_str(text),
            None => match choice - TEXTS.len() {
                0 => visitor.visit_u64(1),
                1 => visitor.visit_bool(true),
                2 => visitor.visit_map(MapDeserializer::new(iter::empty::<(&str, &str)>())),
                _ => visitor.visit_seq(SeqDeserializer::new(iter::empty::<&str>())),
            },
        };
        if result.is_err() {
            self.tracer.blame(Blamed::Value);
        }
        result
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::Bool, &visitor);
        let choice = self.tracer.choose(&self.path, 2);
        visitor.visit_bool(choice == 1)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.natural(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.natural(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.natural(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.natural(visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.number(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.number(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::List, &visitor);
        visitor.visit_seq(Once::of(&self))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note(Shape::Map, &visitor);
        visitor.visit_map(Once::of(&self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.table(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note(Shape::OneOf(variants), &visitor);
        let mut state = self.tracer.0.borrow_mut();
        let at = state.variants.entry(self.path.clone());
        let (at, _) = *at.or_insert((0, variants.len()));
        drop(state);
        let variant = variants.get(at).copied().unwrap_or_default();
        visitor.visit_enum(Variant {
            probe: self.child(variant),
            variant,
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}
