//! What a configuration may say, as a JSON Schema.

mod docs;
mod special;
mod trace;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::trace::{Node, Shape, Traced};
use super::Config;

impl Config {
    /// The JSON Schema (draft 7) of a configuration, for editors: fields, types and the words that they take, each with what
    /// `examples/gateway.toml` says of it.
    ///
    /// It is made from the types that read a configuration, so that it knows what they do. It is no stricter than they are: what only
    /// [`build`](Self::build) finds out passes.
    pub fn schema() -> Value {
        let mut schema = traced::<Self>();
        for (path, text) in docs::texts() {
            describe(&mut schema, &path, &text);
        }
        if let Value::Object(root) = &mut schema {
            root.insert(
                "$schema".to_owned(),
                json!("http://json-schema.org/draft-07/schema#"),
            );
            root.insert("title".to_owned(), json!("A tower-relay gateway"));
        }
        schema
    }
}

/// What `T` reads.
fn traced<'de, T: Deserialize<'de>>() -> Value {
    of(&trace::trace::<T>(), "")
}

fn of(traced: &Traced, path: &str) -> Value {
    let Some(node) = traced.node(path) else {
        return json!({});
    };
    if node.shape == Shape::Any
        && let Some(special) = special::of(path, &node.expected)
    {
        return special;
    }
    if path == "catalog/own/models/*/prices" {
        return special::prices();
    }
    let child = |name: &str| of(traced, &trace::join(path, name));
    match &node.shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Natural => json!({ "type": "integer", "minimum": 0 }),
        Shape::Integer => json!({ "type": "integer" }),
        Shape::Number => json!({ "type": "number" }),
        Shape::Text | Shape::Any => text(node),
        Shape::List => json!({ "type": "array", "items": child(trace::EACH) }),
        Shape::Map => json!({ "type": "object", "additionalProperties": child(trace::EACH) }),
        Shape::Table(fields) => {
            let properties: Map<_, _> = fields
                .iter()
                .map(|field| ((*field).to_owned(), child(field)))
                .collect();
            json!({ "type": "object", "additionalProperties": false, "properties": properties })
        }
        Shape::OneOf(variants) => {
            let is_word = |name: &&&str| {
                let node = traced.node(&trace::join(path, name));
                node.is_some_and(|node| matches!(node.shape, Shape::Word))
            };
            let words: Vec<_> = variants.iter().filter(is_word).collect();
            let tables = variants.iter().filter(|name| !is_word(name)).map(|name| {
                json!({
                    "type": "object",
                    "additionalProperties": false,
                    "required": [name],
                    "properties": { (*name): child(name) },
                })
            });
            let words = (!words.is_empty()).then(|| json!({ "enum": words }));
            let mut all: Vec<_> = words.into_iter().chain(tables).collect();
            match (all.len(), all.pop()) {
                (1, Some(only)) => only,
                (_, last) => {
                    all.extend(last);
                    json!({ "anyOf": all })
                }
            }
        }
        Shape::Word => json!({}),
    }
}

/// What is read from text, or from whatever the type looks at: by what it says that it expects.
fn text(node: &Node) -> Value {
    let expected = node.expected.as_str();
    if expected.contains("span of time") {
        json!({ "type": "string", "pattern": r"^\s*(0|([0-9]+(\.[0-9]+)?\s*[a-zµ]+\s*)+)$" })
    } else if expected.contains("number of bytes") {
        let pattern = r"^\s*[0-9]+\s*(B|kB|MB|GB|KiB|MiB|GiB)?\s*$";
        json!({ "type": ["integer", "string"], "minimum": 0, "pattern": pattern })
    } else if matches!(node.shape, Shape::Text) {
        json!({ "type": "string" })
    } else {
        json!({})
    }
}

/// Puts `text` where `path` leads.
fn describe(schema: &mut Value, path: &[String], text: &str) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(items) = object.get_mut("items") {
        // An array of tables and its tables are documented as one.
        if path.is_empty() {
            object.insert("description".to_owned(), json!(text));
        } else {
            describe(items, path, text);
        }
        return;
    }
    if let Some(Value::Array(all)) = object.get_mut("anyOf")
        && !path.is_empty()
    {
        for one in all {
            describe(one, path, text);
        }
        return;
    }
    let Some((first, rest)) = path.split_first() else {
        object.insert("description".to_owned(), json!(text));
        return;
    };
    if let Some(field) = object
        .get_mut("properties")
        .and_then(|all| all.get_mut(first))
    {
        describe(field, rest, text);
    } else if let Some(each) = object.get_mut("additionalProperties")
        && each.is_object()
    {
        if rest.is_empty() {
            return;
        }
        describe(each, rest, text);
    }
}

/// The tables that have a field of this name, as a file names them.
pub(super) fn homes(field: &str) -> Vec<String> {
    let traced = trace::trace::<Config>();
    let has = |node: &Node| matches!(&node.shape, Shape::Table(fields) if fields.contains(&field));
    let name = |path: &str| {
        let is_list = path.ends_with(trace::EACH);
        let path = path
            .replace(&format!("/{}", trace::EACH), "")
            .replace('/', ".");
        match (path.is_empty(), is_list) {
            (true, _) => "the top of the file".to_owned(),
            (_, true) => format!("[[{path}]]"),
            _ => format!("[{path}]"),
        }
    };
    traced
        .nodes()
        .filter(|(_, node)| has(node))
        .map(|(path, _)| name(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator() -> jsonschema::Validator {
        jsonschema::validator_for(&Config::schema()).unwrap()
    }

    fn read(text: &str) -> Value {
        serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
    }

    #[test]
    fn it_knows_what_the_types_know() {
        let schema = Config::schema();
        let at = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path}"));
        let server = at("/properties/server/properties");
        assert_eq!(server["http2"]["type"], "boolean");
        assert_eq!(server["max_connections"]["type"], "integer");
        assert!(server["idle_timeout"]["pattern"].is_string());
        assert!(server["idle_timeout"]["description"].is_string());
        assert_eq!(
            at("/properties/edge/properties/max_body/type"),
            &json!(["integer", "string"])
        );
        let upstream = at("/properties/upstreams/items/properties");
        assert_eq!(
            upstream["client"]["properties"]["http"]["enum"],
            json!(["auto", "http1", "http2"])
        );
        assert!(upstream["circuit_breaker"]["properties"]["open_for"]["pattern"].is_string());
        for (table, option) in [
            ("/properties/admin", "listen"),
            ("/properties/alerts", "webhook"),
            ("/properties/telemetry/anyOf/1", "providers"),
            ("/properties/store/properties/redis/anyOf/1", "url"),
            ("/properties/cache", "max_answer"),
            ("/properties/feedback", "file"),
            ("/properties/routes/items/properties/balance", "targets"),
            ("/properties/routes/items/properties/hedge", "delay"),
            ("/properties/routes/items/properties/cache/anyOf/1", "ttl"),
        ] {
            assert!(
                at(table)["properties"][option].is_object(),
                "{table} {option}"
            );
        }
        assert_eq!(homes("idle_timeout"), ["[server]"]);
        assert!(homes("circuit_breaker").contains(&"[[upstreams]]".to_owned()));
    }

    #[test]
    fn the_documented_file_all_its_options_and_the_demos_are_valid() {
        let validator = validator();
        let example = include_str!("../../../examples/gateway.toml");
        let all = crate::gateway::config::all_options(example);
        let demo = include_str!("../cli/demo.toml").replace("{deviant_models}", "\"a\"");
        let every_layer = include_str!("../../../examples/every_layer.toml");
        for text in [example, &all, &demo, every_layer] {
            let errors: Vec<_> = validator
                .iter_errors(&read(text))
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{errors:#?}");
        }
    }

    #[test]
    fn every_place_says_what_may_stand_there() {
        fn anything_goes(schema: &Value, path: &str, found: &mut Vec<String>) {
            let Some(object) = schema.as_object() else {
                return;
            };
            let says = ["type", "enum", "anyOf"];
            if !says.iter().any(|word| object.contains_key(*word)) {
                found.push(path.to_owned());
            }
            for (name, inner) in object
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                anything_goes(inner, &format!("{path}/{name}"), found);
            }
            for inner in ["items", "additionalProperties"] {
                let inner = object.get(inner).filter(|inner| inner.is_object());
                if let Some(inner) = inner {
                    anything_goes(inner, &format!("{path}/*"), found);
                }
            }
            for inner in object
                .get("anyOf")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                anything_goes(inner, path, found);
            }
        }
        let mut found = Vec::new();
        anything_goes(&Config::schema(), "", &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn what_the_types_take_in_more_than_one_form_is_valid() {
        let validator = validator();
        for text in [
            "[[tenants]]\nname = \"a\"\npriority = \"High\"",
            "[[tenants]]\nname = \"a\"\npriority = 7",
            "[catalog.own.models.m.prices]\ninput = 0.1\noutput = \"1.5e-1\"\ncache_read = 0\n\
             above = [{ tokens = 1000, input = \".5\" }]\nservice = { flex = { input = 1 } }\n\
             off_peak = { windows = [{ hours = \"16:30-00:30\", weekdays = [1] }], input = 1 }",
            "[[upstreams]]\nname = \"a\"\ncost = { multiplier = 0.85 }",
            "[[upstreams]]\nname = \"a\"\ncost = { multiplier = \"0.85\" }",
            "[[upstreams]]\nname = \"a\"\nrules = [{ models = [\"*\"], set = { store = false, n = 1, stop = [\"a\"] } }]",
            "[store.redis]\nurl = { env = \"REDIS_URL\" }",
        ] {
            assert!(Config::from_toml(text, "t").is_ok(), "{text}");
            let read = read(text);
            let errors: Vec<_> = validator
                .iter_errors(&read)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{text}: {errors:?}");
        }
    }

    #[test]
    fn what_the_types_refuse_for_its_form_is_not_valid() {
        let validator = validator();
        for text in [
            "port = 1",
            "[server]\nidle_timeout = 30",
            "[server]\nhttp2 = \"yes\"",
            "[edge]\nmax_body = \"16 megabytes\"",
            "[[upstreams]]\nnames = \"a\"",
            "[upstreams]\nname = \"a\"",
            "[[upstreams]]\nclient = { http = \"http3\" }",
            "[models.checks]\nwindow = \"on\"",
            "[telemetry]\nprovider = {}",
            "[store.redis]\nuri = \"redis://a\"",
            "[cache]\nsize = 1",
            "[[routes]]\nname = \"a\"\ncache = true",
            "[[routes]]\nname = \"a\"\ncache = { size = 1 }",
            "[feedback]\nfiles = \"a\"",
            "[admin]\nport = 1",
            "[alerts]\nhook = 1",
            "[[routes]]\nname = \"a\"\nbalance = { target = [] }",
            "[[routes]]\nname = \"a\"\nhedge = { target = [] }",
            "[[upstreams]]\nname = \"a\"\ncredential = { key = \"a\" }",
            "[[tenants]]\nname = \"a\"\npriority = \"highest\"",
            "[[tenants]]\nname = \"a\"\npriority = 256",
            "[[tenants]]\nname = \"a\"\nmodels = \"m\"",
            "[[tenants]]\nname = \"a\"\nstored_objects = \"yes\"",
            "[[tenants]]\nname = \"a\"\nkeys = [{ id = \"k\" }]",
            "[[tenants]]\nname = \"a\"\nkeys = [\"sk-1\"]",
            "[[tenants]]\nname = \"a\"\neach_key = { limit = [] }",
            "[catalog.own.models.m.prices]\ninput = \"cheap\"",
            "[catalog.own.models.m.prices]\ninput = -1",
            "[catalog.own.models.m.prices]\ninput = true",
            "[catalog.own.models.m.prices]\ninputs = 1",
            "[catalog.own.models.m.prices]\nabove = [{ token = 1 }]",
            "[catalog.own]\ncurrency = { label = \"CNY\", usd = true }\n[catalog.own.models]",
            "[[upstreams]]\nname = \"a\"\ncost = { multiplier = [1] }",
            "[[upstreams]]\nname = \"a\"\ncost = { multiplier = \"much\" }",
            "[store.redis]\nurl = 6379",
        ] {
            assert!(Config::from_toml(text, "t").is_err(), "{text}");
            assert!(!validator.is_valid(&read(text)), "{text}");
        }
    }
}
