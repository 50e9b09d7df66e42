//! What types read that look at a value before they read it, which no trace shows.

use serde_json::{Map, Value, json};

use super::traced;
use crate::{
    cache::CacheBuilder, message::catalog::Rates, reserve::RedisBuilder,
    telemetry::TelemetryBuilder,
};

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
        // Within `store/redis`.
        "url" => any_of([text.clone(), table("env", &json!({ "env": text }))]),
        "tenants/*/keys/*" => json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["id", "sha256"],
            "properties": {
                "id": text,
                "sha256": { "type": "string", "pattern": "^[0-9a-fA-F]{64}$" },
                "expires": text,
                "revoked": { "type": "boolean" },
            },
        }),
        "upstreams/*/cost/multiplier" => decimal(),
        "alerts/rules/error_rate" | "alerts/rules/budget" => any_of([
            json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            json!({ "enum": ["off"] }),
        ]),
        _ if path.ends_with("/rules/*/set/*") || path.ends_with("/rules/*/default/*") => {
            json!({ "type": ["string", "number", "boolean", "array", "object"] })
        }
        _ if expected.starts_with("a price") => decimal(),
        _ if expected.starts_with("a priority") => any_of([
            json!({ "enum": ["low", "normal", "high"] }),
            json!({ "type": "integer", "minimum": 0, "maximum": 255 }),
            json!({ "type": "string", "pattern": PRIORITY }),
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

/// What stands beside the rates of a table of prices, which is read after them.
pub(super) fn prices() -> Value {
    let rates = |more: Value| {
        let rates = Rates::NAMES.map(|name| (name.to_owned(), decimal()));
        let mut properties = Map::from_iter(rates);
        if let Value::Object(more) = more {
            properties.extend(more);
        }
        json!({ "type": "object", "additionalProperties": false, "properties": properties })
    };
    let above = rates(json!({
        "tokens": { "type": "integer", "minimum": 0 },
        "inclusive": { "type": "boolean" },
    }));
    let above = json!({ "type": "array", "items": above });
    let service = rates(json!({ "above": above }));
    let window = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["hours"],
        "properties": {
            "hours": { "type": "string" },
            "weekdays": { "type": "array", "items": { "type": "integer", "minimum": 1, "maximum": 7 } },
            "weekdays_east_minutes": { "type": "integer" },
        },
    });
    let off_peak = rates(json!({ "windows": { "type": "array", "items": window } }));
    rates(json!({
        "above": above,
        "service": { "type": "object", "additionalProperties": service },
        "off_peak": off_peak,
    }))
}

/// A decimal that is not negative, as a number or in text.
fn decimal() -> Value {
    let pattern = r"^([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$";
    json!({ "type": ["number", "string"], "minimum": 0, "pattern": pattern })
}

/// As [`Priority`](crate::admission::Priority) is read from text.
const PRIORITY: &str =
    r"^\s*([Ll][Oo][Ww]|[Nn][Oo][Rr][Mm][Aa][Ll]|[Hh][Ii][Gg][Hh]|[0-9]{1,3})\s*$";

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
