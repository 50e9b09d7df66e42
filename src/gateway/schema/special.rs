//! What types read that look at a value before they read it, which no trace shows.

use serde_json::{Value, json};

use super::traced;
use crate::{cache::CacheBuilder, reserve::RedisBuilder, telemetry::TelemetryBuilder};

/// The schema at `path`, where a type says that it expects this and decides by what it finds.
pub(super) fn of(path: &str, expected: &str) -> Option<Value> {
    let text = json!({ "type": "string" });
    Some(match path {
        "telemetry" => any_of([json!({ "type": "boolean" }), traced::<TelemetryBuilder>()]),
        "store/redis" => any_of([text, traced::<RedisBuilder>()]),
        "routes/*/cache" => any_of([json!({ "enum": [false] }), traced::<CacheBuilder>()]),
        "server/headers" => any_of([
            json!({ "enum": ["relay", "guide", "none"] }),
            json!({ "type": "object", "additionalProperties": text }),
        ]),
        "upstreams/*/style" => any_of([
            json!({ "enum": ["bearer", "x-api-key", "api-key"] }),
            table("header", &json!({ "header": text, "prefix": text })),
        ]),
        "alerts/rules/error_rate" | "alerts/rules/budget" => any_of([
            json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            json!({ "enum": ["off"] }),
        ]),
        _ if expected.starts_with("{ env = ") => any_of([
            json!({ "enum": ["none"] }),
            table("env", &json!({ "env": text })),
            table("file", &json!({ "file": text })),
            table("caller", &json!({ "caller": { "enum": [true] } })),
        ]),
        _ => return None,
    })
}

fn any_of<const N: usize>(all: [Value; N]) -> Value {
    json!({ "anyOf": Vec::from(all) })
}

fn table(required: &str, properties: &Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": [required],
        "properties": properties,
    })
}
