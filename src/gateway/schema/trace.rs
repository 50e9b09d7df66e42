//! What a type reads, found out by letting it read.
//!
//! A deserializer that has no input notes what it is asked for and makes something up. Where a type does not take that, the
//! next attempt makes up something else, until all is seen. What is asked for in no particular form (`deserialize_any`) is noted as that, with
//! what the type says that it expects.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
        VariantAccess, Visitor,
        value::{Error, StrDeserializer},
    },
    forward_to_deserialize_any,
};

/// The name of each item of a list and each value of a map.
pub(super) const EACH: &str = "*";

/// The name of each key of a map, at which nobody looks for a shape.
const KEY: &str = "*key";

/// More attempts than any type takes.
const MAX_ATTEMPTS: usize = 50_000;

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

/// What a type asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Any,
    Bool,
    Natural,
    Integer,
    Number,
    Text,
    List,
    Map,
    Table(&'static [&'static str]),
    OneOf(&'static [&'static str]),
    /// A variant that is its name alone.
    Word,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// What the type says that it expects there.
    pub(super) expected: String,
}

/// What was seen, by path.
#[derive(Debug)]
pub(super) struct Traced(BTreeMap<String, Node>);

impl Traced {
    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}/{name}")
    }
}

/// What `T` reads.
pub(super) fn trace<'de, T: Deserialize<'de>>() -> Traced {
    let tracer = Tracer::default();
    for _ in 0..MAX_ATTEMPTS {
        tracer.begin();
        let goes_on = match T::deserialize(Probe::new(&tracer, String::new())) {
            Ok(_) => tracer.next_variants(),
            Err(error) => tracer.avoid(&error.to_string()),
        };
        if !goes_on {
            break;
        }
    }
    Traced(tracer.0.into_inner().nodes)
}

#[derive(Default)]
struct Tracer(RefCell<State>);

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    /// Which of the things that can be made up is made up, by path.
    choices: HashMap<String, usize>,
    /// Which variant is tried, by path.
    variants: HashMap<String, (usize, usize)>,
    /// What no value was found for.
    skipped: HashSet<String>,
    /// The value that was made up last, and of how many.
    last: (String, usize),
    /// The field that was named last.
    field: String,
    /// The innermost table that was not taken.
    table: Option<String>,
}

impl Tracer {
    fn begin(&self) {
        let mut state = self.0.borrow_mut();
        state.table = None;
        state.last = (String::new(), 0);
    }

    fn note(&self, path: &str, shape: Shape, expected: String) {
        let mut state = self.0.borrow_mut();
        let node = Node { shape, expected };
        state.nodes.entry(path.to_owned()).or_insert(node);
    }

    /// Which of `count` things to make up at `path`.
    fn choose(&self, path: &str, count: usize) -> usize {
        let mut state = self.0.borrow_mut();
        state.last = (path.to_owned(), count);
        state.choices.get(path).copied().unwrap_or(0)
    }

    fn is_skipped(&self, path: &str) -> bool {
        self.0.borrow().skipped.contains(path)
    }

    /// The next variant everywhere; whether there is any.
    fn next_variants(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let mut any = false;
        for (at, count) in state.variants.values_mut() {
            if *at + 1 < *count {
                *at += 1;
                any = true;
            }
        }
        any
    }

    /// Makes up something else where it was not taken; whether there is any hope.
    fn avoid(&self, error: &str) -> bool {
        let mut state = self.0.borrow_mut();
        let skip = if error.starts_with("missing field") {
            state.table.clone()
        } else if error.starts_with("duplicate field") {
            // Another name of a field that was read already.
            let field = state.field.clone();
            state.nodes.remove(&field);
            Some(field)
        } else {
            let (path, count) = state.last.clone();
            let choice = state.choices.entry(path.clone()).or_default();
            *choice += 1;
            (*choice >= count).then_some(path)
        };
        let Some(mut path) = skip else { return true };
        // What cannot be left out itself is left out with what it is in.
        while !path.is_empty() {
            let (outer, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let variants = state.variants.get_mut(outer);
            if let Some((at, count)) = variants.filter(|(_, count)| *count > 1 && name != EACH) {
                if *at + 1 < *count {
                    *at += 1;
                } else {
                    // The others were seen; the first stands for them from here on.
                    (*at, *count) = (0, 1);
                }
                return true;
            }
            let outer = outer.to_owned();
            if state.skipped.insert(path) {
                return true;
            }
            path = outer;
        }
        false
    }
}

/// Reads nothing, and notes what was to be read.
struct Probe<'t> {
    tracer: &'t Tracer,
    path: String,
}

impl<'t> Probe<'t> {
    fn new(tracer: &'t Tracer, path: String) -> Self {
        Self { tracer, path }
    }

    fn child(&self, name: &str) -> Self {
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

    fn table<'de, V: Visitor<'de>>(
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
            let mut state = self.tracer.0.borrow_mut();
            state.table.get_or_insert_with(|| self.path.clone());
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
        match TEXTS.get(choice) {
            Some(text) => visitor.visit_str(text),
            None => match choice - TEXTS.len() {
                0 => visitor.visit_u64(1),
                1 => visitor.visit_bool(true),
                2 => visitor.visit_map(de::value::MapDeserializer::new(std::iter::empty::<(
                    &str,
                    &str,
                )>())),
                _ => visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<&str>())),
            },
        }
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

/// All fields of a table that something was found for.
struct Fields<'a, 't> {
    probe: &'a Probe<'t>,
    rest: std::slice::Iter<'static, &'static str>,
    field: &'static str,
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
struct Once<'a, 't> {
    probe: &'a Probe<'t>,
    is_over: bool,
}

impl<'a, 't> Once<'a, 't> {
    fn of(probe: &'a Probe<'t>) -> Self {
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

struct Variant<'t> {
    probe: Probe<'t>,
    variant: &'static str,
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
