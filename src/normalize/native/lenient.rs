//! Members that may be there in another form than documented, or not at all.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{
        IgnoredAny, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

/// Passes over the kinds of value that say nothing in a place.
macro_rules! says_nothing {
    ($($kind:ident)*) => { $(says_nothing!(@ $kind);)* };
    (@ unit) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ bool) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ number) => {
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ str) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
    (@ seq) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
    (@ map) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Self::Value::default())
        }
    };
}

/// A string, borrowed where it has no escapes; a whole number by its digits, for an enumeration that was written by its value.
#[derive(Debug, Default, Clone)]
pub(in crate::normalize) struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    /// What is there, be it empty.
    pub(in crate::normalize) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What is there and not empty.
    pub(in crate::normalize) fn some(&self) -> Option<&str> {
        self.get().filter(|text| !text.is_empty())
    }

    /// What is there, or nothing.
    pub(in crate::normalize) fn or_empty(&self) -> &str {
        self.get().unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;

        impl<'de> Visitor<'de> for Reads {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            says_nothing!(unit bool seq map);

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(number.to_string()))))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(Reads)
    }
}

/// The items of a list; anything else has none.
#[derive(Debug)]
pub(in crate::normalize) struct List<T>(pub(in crate::normalize) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            says_nothing!(unit bool number str map);

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<List<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(List)
            }
        }

        deserializer.deserialize_any(Reads(PhantomData))
    }
}

/// An object; anything else is none.
#[derive(Debug)]
pub(in crate::normalize) struct Object<T>(pub(in crate::normalize) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            says_nothing!(unit bool number str seq);

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|object| Object(Some(object)))
            }
        }

        deserializer.deserialize_any(Reads(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow, default)]
        text: Text<'a>,
        #[serde(borrow, default)]
        list: List<Text<'a>>,
        #[serde(borrow, default)]
        object: Object<Inner<'a>>,
    }

    #[derive(Deserialize, Debug)]
    struct Inner<'a> {
        #[serde(borrow, default)]
        raw: Option<&'a serde_json::value::RawValue>,
    }

    #[test]
    fn what_is_of_another_kind_says_nothing() {
        let json = r#"{"text":"a\n","list":["b",{},7],"object":{"raw":[ 1 ]}}"#;
        let members: Members<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(members.text.get(), Some("a\n"));
        let list: Vec<_> = members.list.0.iter().map(Text::get).collect();
        assert_eq!(list, [Some("b"), None, Some("7")]);
        assert_eq!(members.object.0.unwrap().raw.unwrap().get(), "[ 1 ]");
        for odd in ["null", "true", "-1", "1.5", "[[1],{}]", "{\"x\":{}}"] {
            let json = format!(r#"{{"text":{odd}}}"#);
            assert_eq!(
                serde_json::from_str::<Members<'_>>(&json)
                    .unwrap()
                    .text
                    .get(),
                None,
                "{odd}"
            );
        }
        for odd in ["null", "true", "-1", "1.5", "1", "\"x\"", "{\"x\":{}}"] {
            let json = format!(r#"{{"list":{odd}}}"#);
            assert!(
                serde_json::from_str::<Members<'_>>(&json)
                    .unwrap()
                    .list
                    .0
                    .is_empty(),
                "{odd}"
            );
        }
        for odd in ["null", "true", "-1", "1.5", "1", "\"x\"", "[{}]"] {
            let json = format!(r#"{{"object":{odd}}}"#);
            assert!(
                serde_json::from_str::<Members<'_>>(&json)
                    .unwrap()
                    .object
                    .0
                    .is_none(),
                "{odd}"
            );
        }
    }
}
