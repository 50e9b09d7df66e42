use std::path::PathBuf;

use super::*;

/// A definition of the schema in `RELAY_SCHEMA`, by default a directory beside the crate's own.
fn schema(definition: &str) -> Option<jsonschema::Validator> {
    let directory = std::env::var_os("RELAY_SCHEMA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/openai-schema"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(directory.join("published.schema.json"))
        .or_else(|_| std::fs::read_to_string(directory.join("observed.schema.json")))
        .ok()?;
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    schema["$ref"] = json!(format!("#/$defs/{definition}"));
    Some(jsonschema::validator_for(&schema).unwrap())
}

#[tokio::test]
async fn every_answer_of_the_exact_upstream_fits_openais_schema() {
    let demo = Demo::exact();
    let check = |definition: &str, values: Vec<Value>| {
        let Some(schema) = schema(definition) else {
            println!("no OpenAI schema found: not checked");
            return;
        };
        assert!(!values.is_empty());
        for value in values {
            let errors: Vec<_> = schema
                .iter_errors(&value)
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{definition}: {errors:?} in {value}");
        }
    };
    for extra in [json!({}), json!({"n": 2, "max_tokens": 2}), call_weather()] {
        let got = complete(&demo, "demo-small", extra.clone()).await.json();
        check("CreateChatCompletionResponse", vec![got]);
        let streamed = merge(
            extra,
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        );
        let got = complete(&demo, "demo-small", streamed).await.chunks();
        check("CreateChatCompletionStreamResponse", got);
    }
    check(
        "ErrorResponse",
        vec![complete(&demo, "nope", json!({})).await.json()],
    );
    check(
        "ErrorResponse",
        vec![complete(&demo, "demo-small", json!({"n": 9})).await.json()],
    );
    check(
        "ListModelsResponse",
        vec![send(&demo, request("GET", "/v1/models", "")).await.json()],
    );
    let body = json!({"model": "demo-embed", "input": "a"});
    check(
        "CreateEmbeddingResponse",
        vec![post(&demo, "/v1/embeddings", &body).await.json()],
    );
    let body = json!({"model": "demo-small", "prompt": "a"});
    check(
        "CreateCompletionResponse",
        vec![post(&demo, "/v1/completions", &body).await.json()],
    );
}
