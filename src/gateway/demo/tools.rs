use serde_json::{Map, Value, json};

use super::{failure::Failure, fields::Fields};

/// The most bytes, roughly, that one schema makes; a schema that refers to itself would
/// otherwise never end.
const MAX_SIZE: usize = 64 * 1024;
/// What a value costs besides its name.
const VALUE_SIZE: usize = 32;
/// The longest string that is taken from a schema, in bytes.
const MAX_GIVEN: usize = 256;
/// Below this depth what may be null is null.
const ENOUGH_DEPTH: u32 = 3;
/// The deepest value that a schema makes.
const MAX_DEPTH: u32 = 16;
/// The most items made for `minItems`.
const MAX_ITEMS: u64 = 8;

/// A function that the model may call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tool<'a> {
    pub(super) name: &'a str,
    parameters: Option<&'a Value>,
}

impl Tool<'_> {
    pub(super) fn arguments(&self) -> Value {
        self.parameters.map_or_else(|| json!({}), example)
    }
}

/// The tool that is called: the one that `tool_choice` names, else the first, if a user has the last
/// word.
pub(super) fn chosen<'a>(fields: Fields<'a>, last: &Value) -> Result<Option<Tool<'a>>, Failure> {
    let tools = fields.list("tools")?.unwrap_or_default();
    let mut functions = tools.iter().filter_map(|tool| {
        let function = tool.get("function")?;
        Some(Tool {
            name: function.get("name")?.as_str()?,
            parameters: function.get("parameters"),
        })
    });
    let choice = fields.get("tool_choice");
    let named = choice.and_then(|choice| choice.pointer("/function/name")?.as_str());
    if let Some(name) = named {
        let missing = || {
            Failure::invalid(
                "tool_choice",
                "Tool choice must name one of the given functions.",
            )
        };
        return functions
            .find(|tool| tool.name == name)
            .ok_or_else(missing)
            .map(Some);
    }
    let asked = last.get("role").is_some_and(|role| role == "user");
    let barred = choice.is_some_and(|choice| choice == "none");
    Ok(functions.next().filter(|_| asked && !barred))
}

/// The JSON that a text must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Format<'a> {
    AnyObject,
    Schema(&'a Value),
}

impl Format<'_> {
    pub(super) fn json(self, said: &str) -> Value {
        match self {
            Self::AnyObject => json!({"reply": said}),
            Self::Schema(schema) => example(schema),
        }
    }
}

pub(super) fn response_format(fields: Fields<'_>) -> Option<Format<'_>> {
    let format = fields.get("response_format")?;
    match format.get("type")?.as_str()? {
        "json_object" => Some(Format::AnyObject),
        "json_schema" => Some(
            format
                .pointer("/json_schema/schema")
                .map_or(Format::AnyObject, Format::Schema),
        ),
        _ => None,
    }
}

/// A value that fits a JSON schema. Patterns and most bounds are not looked at.
fn example(schema: &Value) -> Value {
    Generator {
        root: schema,
        left: MAX_SIZE,
    }
    .value("value", schema, 0)
}

struct Generator<'a> {
    root: &'a Value,
    left: usize,
}

impl Generator<'_> {
    fn value(&mut self, name: &str, schema: &Value, depth: u32) -> Value {
        let size = VALUE_SIZE.saturating_add(name.len());
        let Some(left) = self.left.checked_sub(size) else {
            return Value::Null;
        };
        self.left = left;
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        let deeper = depth.saturating_add(1);
        if let Some(given) = given(schema) {
            return given.clone();
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.value(name, target, deeper));
        }
        let variants = ["anyOf", "oneOf", "allOf"]
            .iter()
            .find_map(|key| schema.get(key)?.as_array());
        if let Some(variants) = variants {
            // An optional value that holds another of its kind ends here.
            if depth > ENOUGH_DEPTH && variants.iter().any(|variant| kind(variant) == "null") {
                return Value::Null;
            }
            let variant = variants.first().unwrap_or(&Value::Null);
            return self.value(name, variant, deeper);
        }
        match kind(schema) {
            "object" => self.object(schema, deeper),
            "array" => {
                let count = schema
                    .get("minItems")
                    .and_then(Value::as_u64)
                    .unwrap_or(1)
                    .clamp(1, MAX_ITEMS);
                let items = schema.get("items").unwrap_or(&Value::Null);
                (0..count)
                    .map(|_| self.value(name, items, deeper))
                    .collect()
            }
            "integer" | "number" => schema
                .get("minimum")
                .filter(|least| least.is_number())
                .cloned()
                .unwrap_or_else(|| 1.into()),
            "boolean" => true.into(),
            "null" => Value::Null,
            _ => string(name, schema).into(),
        }
    }

    /// The required properties, or all if none is, as most models do.
    fn object(&mut self, schema: &Value, depth: u32) -> Value {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return json!({});
        };
        let required: Vec<_> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect();
        let wanted = properties.iter().filter(|(name, _)| {
            required.is_empty() || required.iter().any(|wanted| *wanted == name.as_str())
        });
        let mut object = Map::new();
        for (name, property) in wanted {
            if name.len().saturating_add(VALUE_SIZE) > self.left {
                break;
            }
            object.insert(name.clone(), self.value(name, property, depth));
        }
        object.into()
    }
}

/// A value that the schema itself spells out, if it is a small one.
fn given(schema: &Value) -> Option<&Value> {
    let given = schema
        .get("const")
        .or_else(|| schema.get("default"))
        .or_else(|| schema.get("examples")?.get(0))
        .or_else(|| schema.get("enum")?.get(0))?;
    let small = match given {
        Value::String(text) => text.len() <= MAX_GIVEN,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => true,
    };
    small.then_some(given)
}

fn kind(schema: &Value) -> &str {
    let named = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        named => named.and_then(Value::as_str),
    };
    named.unwrap_or(if schema.get("properties").is_some() {
        "object"
    } else {
        "string"
    })
}

fn string(name: &str, schema: &Value) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-01".to_owned(),
        Some("time") => "12:00:00Z".to_owned(),
        Some("date-time") => "2026-01-01T12:00:00Z".to_owned(),
        Some("email") => "demo@example.com".to_owned(),
        Some("uri") => "https://example.com/".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
        _ => format!("example {}", name.replace('_', " ")),
    }
}
