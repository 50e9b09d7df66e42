//! Recorded completions, embeddings and models, normalised: what OpenAI's schema allows.

use std::fs;

use serde_json::{Value, json};
use tower_relay::normalize::Reasoning;

use super::{
    normal::Normal,
    normalized::SCHEMA,
    records,
    sent::{Cut, Sent},
    sse_data,
};

#[test]
fn answers_of_other_apis_are_what_openais_schema_allows() {
    let Some(records) = records() else { return };
    let Ok(schema) = fs::read_to_string(SCHEMA) else {
        println!("skipped: no schema at {SCHEMA}");
        return;
    };
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let (mut valid, mut other) = (0, Vec::new());
    for record in records.iter().filter(|record| record.is_success()) {
        let name = match &*record.api {
            "openai-completions" => "CreateCompletionResponse",
            "embeddings" => "CreateEmbeddingResponse",
            "models" => "ListModelsResponse",
            _ => continue,
        };
        let sent = Sent::of(record);
        let normal = Normal::of(record, &sent, Reasoning::Keep, Cut::Whole);
        let text = String::from_utf8(normal.body.to_vec()).unwrap();
        let texts = if record.stream {
            sse_data(&text)
        } else {
            vec![text]
        };
        let jsons: Vec<Value> = texts
            .iter()
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect();
        let mut schema = schema.clone();
        schema["$ref"] = match jsons.first() {
            // A single one, by its name.
            Some(json) if json["object"] == "model" => "#/$defs/Model".into(),
            _ => format!("#/$defs/{name}").into(),
        };
        let validator = jsonschema::validator_for(&schema).unwrap();
        for json in &jsons {
            let json = as_described(json.clone());
            let fault = validator.iter_errors(&json).next();
            let fault = fault.map(|fault| format!("{fault} at {}", fault.instance_path()));
            match fault {
                None => valid += 1,
                // A format of its own, which no path of OpenAI's answers in.
                Some(_) if normal.is_unchanged(&sent) => other.push(&*record.id),
                Some(fault) => panic!("{}: {fault}", record.id),
            }
        }
        let pieces = Normal::of(record, &sent, Reasoning::Keep, Cut::Every(7));
        let said = |normal: &Normal| normal.body.len();
        assert_eq!(said(&pieces), said(&normal), "{}", record.id);
    }
    other.dedup();
    println!("other APIs: {valid} valid; of formats of their own, which pass: {other:?}");
    assert!(valid > 40, "{valid}");
    assert_eq!(other, ["writer/11"]);
}

/// What the schema does not describe though OpenAI sends it: vectors in base64, and chunks of text that do not finish.
fn as_described(mut json: Value) -> Value {
    for list in ["data", "choices"] {
        for item in json[list].as_array_mut().into_iter().flatten() {
            if item["embedding"].is_string() {
                item["embedding"] = json!([]);
            }
            if item["object"].is_null() && item["finish_reason"].is_null() {
                item["finish_reason"] = "stop".into();
            }
        }
    }
    if json["usage"].is_null() {
        json.as_object_mut().unwrap().remove("usage");
    }
    json
}
