//! What the configuration does to requests, and says of models.

use std::{env, fs, process};

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_relay::gateway::Config;

use crate::harness::{Relay, caller, chat, demo, get, post, receive, scripted, send, soon};

const CATALOG: &str = r#"
[models."demo-small"]
context_window = 1000
max_output_tokens = 500
capabilities = { tools = false }

[models."demo/demo-small"]
context_window = 900
max_output_tokens = 50
prices = { input = "0.10", output = "0.40" }
"#;

/// A file of models for one test.
struct File(std::path::PathBuf);

impl File {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("relay-models-{test}-{}.toml", process::id()));
        fs::write(&path, CATALOG).unwrap();
        Self(path)
    }

    fn config(&self) -> String {
        format!("[catalog]\nfiles = ['{}']\n", self.0.display())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn rules_apply_outside_and_at_the_upstream_and_the_answer_says_so() {
    let (upstream, mut asked) = scripted().await;
    let file = File::new("rules");
    let config = file.config()
        + &format!(
            "[models]\nclamp_output = true\naliases = {{ fast = \"demo-small\" }}\n\
             [[models.rules]]\nmodels = [\"demo-*\"]\ndrop = [\"temperature\"]\nset = {{ seed = 7 }}\n\
             [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\nclamp_output = true\n\
             [[upstreams.rules]]\nmodels = [\"*\"]\nrename = {{ max_tokens = \"max_completion_tokens\" }}\n\
             drop = [\"stream_options\"]\n"
        );
    let relay = Relay::start(&config).await;
    let more = json!({"max_tokens": 5000, "temperature": 0.5, "stream_options": {}});
    let request = post(relay.uri("/v1/chat/completions"), &chat("fast", &more));
    let answer = tokio::spawn(async move { caller().request(request).await });

    let got = soon(asked.recv()).await.unwrap();
    let body = soon(got.body.collect()).await.unwrap().to_bytes();
    drop(got.answer);
    let expected = chat(
        "demo-small",
        &json!({"max_completion_tokens": 50, "seed": 7}),
    );
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);

    let answer = receive(soon(answer).await.unwrap().unwrap()).await;
    let said = |name| -> Vec<_> { answer.headers.get_all(name).iter().collect() };
    assert_eq!(
        said("x-relay-dropped-params"),
        ["stream_options", "temperature"]
    );
    assert_eq!(
        said("x-relay-clamped-params"),
        ["max_completion_tokens=50", "max_tokens=500"]
    );
}

#[tokio::test]
async fn what_the_catalog_knows_is_shown_and_checked() {
    let file = File::new("shown");
    let more = file.config() + "[models.checks]\ncapabilities = true\nwindow = \"prompt\"\n";
    let relay = Relay::with(demo().await.0, &more).await;
    let shown = get(relay.uri("/v1/models/gpt-4.1-mini")).await.json();
    assert_eq!(
        shown,
        json!({
            "id": "gpt-4.1-mini", "object": "model", "created": 0, "owned_by": "demo",
            "context_window": 900, "max_output_tokens": 50,
            "prices": {"input": "0.1", "output": "0.4"},
        })
    );
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(5000)}]});
    for (more, code) in [
        (
            json!({"tools": [{"type": "function"}]}),
            "unsupported_parameter",
        ),
        (long, "context_length_exceeded"),
    ] {
        let request = post(
            relay.uri("/v1/chat/completions"),
            &chat("gpt-4.1-mini", &more),
        );
        assert_eq!(send(request).await.failure(), (400, code.to_owned()));
    }
}

#[tokio::test]
async fn litellms_list_is_laid_under_ones_own_files_and_over_what_is_built_in() {
    let own = File::new("over");
    let litellm = File::new("litellm");
    let list = json!({
        "sample_spec": {"litellm_provider": "one of many", "max_tokens": "a number"},
        "gpt-4.1-mini": {
            "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 2000, "max_output_tokens": 700,
            "input_cost_per_token": 2.5e-07, "output_cost_per_token": 1e-06,
            "supports_function_calling": true, "supports_vision": false,
        },
        "demo-small": {"litellm_provider": "demo", "mode": "chat", "max_output_tokens": 9},
    });
    fs::write(&litellm.0, list.to_string()).unwrap();
    let config = format!(
        "[catalog]\nlitellm = ['{}']\nfiles = ['{}']\n\
         [[upstreams]]\nname = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         models = [\"gpt-4.1-mini\", \"demo-small\"]\n",
        litellm.0.display(),
        own.0.display()
    );
    let relay = Relay::start(&config).await;
    let shown = get(relay.uri("/v1/models/gpt-4.1-mini")).await.json();
    assert_eq!(shown["context_window"], 2000);
    assert_eq!(shown["max_output_tokens"], 700);
    assert_eq!(shown["capabilities"]["tools"], true);
    assert_eq!(shown["prices"]["input"], "0.25");
    assert_eq!(shown["prices"]["output"], "1");
    let shown = get(relay.uri("/v1/models/demo-small")).await.json();
    assert_eq!(shown["max_output_tokens"], 500);
}

#[test]
fn a_catalog_that_cannot_be_read_is_refused_by_its_file() {
    let file = File::new("broken");
    fs::write(&file.0, "[models.a]\nwindow = 1\n").unwrap();
    let text = file.config() + "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"";
    let error = Config::from_toml(&text, "relay.toml")
        .and_then(|config| config.build().map(drop))
        .unwrap_err();
    assert_eq!((error.line(), error.field()), (Some(2), "catalog.files"));
    let path = file.0.display().to_string();
    assert!(
        error.reason().starts_with(&path) && error.reason().contains("unknown field `window`"),
        "{error}"
    );
}
