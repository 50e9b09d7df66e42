use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};

use crate::reserve::RedisBuilder;

/// What replicas of a gateway share.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Where limits are kept: the URL of a Redis or Valkey server, or a table with all that [`RedisBuilder`] can be told. In this
    /// process, unless it is said.
    #[serde(deserialize_with = "redis")]
    pub redis: Option<RedisBuilder>,
}

fn redis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RedisBuilder>, D::Error> {
    struct Visitor;

    impl<'de> de::Visitor<'de> for Visitor {
        type Value = RedisBuilder;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the URL of a server, or a table with a `url`")
        }

        fn visit_str<E: de::Error>(self, url: &str) -> Result<RedisBuilder, E> {
            Ok(RedisBuilder::new(url))
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<RedisBuilder, A::Error> {
            RedisBuilder::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Visitor).map(Some)
}
