//! Every deviation of the demo, through a relay that normalises.

use serde_json::{Value, json};
use tower_relay::gateway::demo::Demo;

use crate::harness::{Relay, chat, embedded, post, send};

async fn relay() -> (Relay, Vec<&'static str>) {
    let demo = Demo::deviant();
    let models = demo.models().iter().map(|model| model.id).collect();
    let (upstream, _) = embedded(demo).await;
    let relay = Relay::start(&format!(
        "[[upstreams]]\nname = \"deviant\"\nbase_url = \"http://{upstream}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n\
         rules = [{{ models = [\"deviant-mistral\"], drop = [\"stream_options\"] }}]\n\
         [upstreams.normalize]\nreasoning = \"unify\""
    ))
    .await;
    (relay, models)
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}])
}

#[tokio::test]
async fn every_body_says_what_openais_says_in_its_words() {
    let (relay, models) = relay().await;
    for model in models {
        for (more, reason) in [
            (json!({}), "stop"),
            (json!({"tools": tools()}), "tool_calls"),
        ] {
            let request = post(relay.uri("/v1/chat/completions"), &chat(model, &more));
            let answer = send(request).await.json();
            let choice = &answer["choices"][0];
            assert_eq!(answer["object"], "chat.completion", "{model}");
            assert!(answer["created"].as_u64() > Some(0), "{model}");
            assert_eq!(choice["finish_reason"], reason, "{model}");
            assert_eq!(choice["message"]["role"], "assistant", "{model}");
            let usage = &answer["usage"];
            let sum = [&usage["prompt_tokens"], &usage["completion_tokens"]];
            let sum: u64 = sum.iter().filter_map(|count| count.as_u64()).sum();
            assert_eq!(usage["total_tokens"], sum, "{model}");
            if reason == "stop" {
                let content = choice["message"]["content"].as_str();
                assert!(content.is_some_and(|text| text.contains("Hello there!")));
            } else {
                let call = &choice["message"]["tool_calls"][0];
                assert_eq!(call["type"], "function", "{model}");
                assert_eq!(call["function"]["name"], "weather", "{model}");
            }
        }
    }
}

#[tokio::test]
async fn every_stream_ends_as_openais_and_tells_its_usage_once() {
    let (relay, models) = relay().await;
    // It breaks off with an error.
    for model in models
        .into_iter()
        .filter(|model| *model != "deviant-groq-tool-error")
    {
        let more = json!({"stream": true, "stream_options": {"include_usage": true}});
        let request = post(relay.uri("/v1/chat/completions"), &chat(model, &more));
        let got = send(request).await.text.replace("\r\n", "\n");
        assert!(got.ends_with("data: [DONE]\n\n"), "{model}: {got}");
        let chunks: Vec<Value> = got
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect();
        let deltas = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
        let text: String = deltas.collect();
        assert!(text.contains("Hello there!"), "{model}: {text}");
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk["object"] == "chat.completion.chunk"),
            "{model}"
        );
        let reasons = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str());
        assert_eq!(reasons.collect::<Vec<_>>(), ["stop"], "{model}");
        let stated = chunks.iter().filter(|chunk| chunk["usage"].is_object());
        // Mistral's too, which refuses to be asked and states it all the same.
        assert_eq!(stated.count(), 1, "{model}");
    }
}
