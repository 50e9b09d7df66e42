use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use crate::cache::CacheBuilder;

/// What a route has in place of the gateway's own cache: `cache = false`, or a table that is whole by itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there are as many as routes")]
pub enum RouteCache {
    /// None of its answers are given again.
    Off,
    /// Answers of its own.
    Own(CacheBuilder),
}

impl<'de> Deserialize<'de> for RouteCache {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OffOrOwn;

        impl<'de> Visitor<'de> for OffOrOwn {
            type Value = RouteCache;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("false, or a table such as [cache] is")
            }

            fn visit_bool<E: Error>(self, on: bool) -> Result<RouteCache, E> {
                if on {
                    return Err(E::invalid_value(Unexpected::Bool(on), &self));
                }
                Ok(RouteCache::Off)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RouteCache, A::Error> {
                CacheBuilder::deserialize(MapAccessDeserializer::new(map)).map(RouteCache::Own)
            }
        }

        deserializer.deserialize_any(OffOrOwn)
    }
}
