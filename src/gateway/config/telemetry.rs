//! `[telemetry]`, or `telemetry = false`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::telemetry::TelemetryBuilder;

/// A table of settings, or whether there is telemetry at all.
pub(super) fn on_or_off<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<TelemetryBuilder>, D::Error> {
    struct OnOrOff;

    impl<'de> Visitor<'de> for OnOrOff {
        type Value = Option<TelemetryBuilder>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of settings, or false")
        }

        fn visit_bool<E: Error>(self, on: bool) -> Result<Self::Value, E> {
            Ok(on.then(TelemetryBuilder::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            TelemetryBuilder::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(OnOrOff)
}
