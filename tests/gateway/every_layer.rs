//! `examples/every_layer.toml`: every layer at once, and a typed client through them. The other clients are in `tests/clients`.

use std::{env, net::SocketAddr, path::Path};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionRequestUserMessage, ChatCompletionTool, ChatCompletionTools,
        CreateChatCompletionRequest, CreateChatCompletionRequestArgs, FinishReason, FunctionObject,
    },
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower_relay::gateway::{Config, demo::Demo};

use crate::harness::{Relay, embedded, soon};

const EXAMPLE: &str = include_str!("../../examples/every_layer.toml");

/// The example before these upstreams, with its files in `directory`.
fn before(exact: SocketAddr, deviant: SocketAddr, directory: &Path) -> String {
    let directory = format!("\"{}/", directory.display());
    [
        ("127.0.0.1:9001", exact.to_string().as_str()),
        ("127.0.0.1:9002", &deviant.to_string()),
        ("127.0.0.1:9090", "127.0.0.1:0"),
        ("\"target/", &directory),
    ]
    .into_iter()
    .fold(EXAMPLE.to_owned(), |text, (there, here)| {
        assert!(text.contains(there), "{there}");
        text.replace(there, here)
    })
}

/// Whether `schema` is of a table, or of tables.
fn is_table(schema: &Value) -> bool {
    let of = |inner: Option<&Value>| inner.is_some_and(is_table);
    let any = schema["anyOf"].as_array();
    schema["type"] == "object"
        || of(schema.get("items"))
        || any.is_some_and(|any| any.iter().any(is_table))
}

#[test]
fn the_example_of_every_layer_has_every_table_that_a_gateway_reads() {
    let schema = Config::schema();
    let file: Value =
        serde_json::to_value(toml::from_str::<toml::Value>(EXAMPLE).unwrap()).unwrap();
    let of = |path: &str| schema.pointer(path).unwrap().as_object().unwrap().clone();
    let tables = |properties: serde_json::Map<String, Value>| {
        let tables = properties.into_iter().filter(|(_, about)| is_table(about));
        tables.map(|(name, _)| name).collect::<Vec<_>>()
    };
    let in_any = |list: &str, name: &str| {
        let list = file[list].as_array().unwrap();
        list.iter().any(|one| one.get(name).is_some())
    };

    let outer = tables(of("/properties"));
    let upstream = tables(of("/properties/upstreams/items/properties"));
    let route = tables(of("/properties/routes/items/properties"));
    assert!(outer.len() > 15 && upstream.len() > 8 && route.len() > 4);
    let missing: Vec<_> = [
        outer
            .into_iter()
            // It needs a server beside the gateway.
            .filter(|name| name != "store" && file.get(name).is_none())
            .collect::<Vec<_>>(),
        upstream
            .into_iter()
            .filter(|name| !in_any("upstreams", name))
            .collect(),
        route
            .into_iter()
            .filter(|name| !in_any("routes", name))
            .collect(),
    ]
    .concat();
    assert!(missing.is_empty(), "not in the example: {missing:?}");
}

/// async-openai before the gateway whose URL is in the environment, or else one of the test's own.
struct Typed {
    url: String,
    /// Kept while it is asked.
    #[allow(dead_code, reason = "it is there to be dropped")]
    own: Option<(Relay, tempfile::TempDir)>,
}

impl Typed {
    async fn start() -> Self {
        if let Ok(url) = env::var("RELAY_EVERY_LAYER") {
            return Self { url, own: None };
        }
        let directory = tempfile::tempdir().unwrap();
        let (exact, _) = embedded(Demo::exact()).await;
        let (deviant, _) = embedded(Demo::deviant()).await;
        let relay = Relay::start(&before(exact, deviant, directory.path())).await;
        Self {
            url: relay.uri("/v1"),
            own: Some((relay, directory)),
        }
    }

    fn client(&self) -> Client<OpenAIConfig> {
        Client::with_config(self.config())
    }

    fn config(&self) -> OpenAIConfig {
        OpenAIConfig::new()
            .with_api_base(&self.url)
            .with_api_key("sk-every-layer")
    }
}

fn ask(model: &str, tools: Vec<ChatCompletionTools>) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default()
        .model(model)
        .messages([ChatCompletionRequestUserMessage::from("Hello there!").into()])
        .tools(tools)
        .build()
        .unwrap()
}

fn weather() -> ChatCompletionTools {
    let city =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    ChatCompletionTools::Function(ChatCompletionTool {
        function: FunctionObject {
            name: "weather".to_owned(),
            parameters: Some(city),
            ..FunctionObject::default()
        },
    })
}

async fn chats(client: &Client<OpenAIConfig>) {
    let request = ask("gpt-4.1-mini", Vec::new());
    let answer = soon(client.chat().create(request)).await.unwrap();
    let choice = &answer.choices[0];
    let text = choice.message.content.as_deref().unwrap_or_default();
    assert!(text.contains("Hello there!"), "{text}");
    assert_eq!(choice.finish_reason, Some(FinishReason::Stop));
    assert_eq!(answer.model, "gpt-4.1-mini");
    assert!(answer.usage.unwrap().completion_tokens > 0);
}

async fn streams(client: &Client<OpenAIConfig>) {
    let request = ask("gpt-4.1-mini", Vec::new());
    let chunks = soon(client.chat().create_stream(request)).await;
    let mut chunks = chunks.unwrap();
    let (mut text, mut finish) = (String::new(), None);
    while let Some(chunk) = soon(chunks.next()).await {
        for choice in chunk.unwrap().choices {
            text += choice.delta.content.as_deref().unwrap_or_default();
            finish = choice.finish_reason.or(finish);
        }
    }
    assert!(text.contains("Hello there!"), "{text}");
    assert_eq!(finish, Some(FinishReason::Stop));
}

async fn calls_a_tool(client: &Client<OpenAIConfig>) {
    let request = ask("gpt-4.1-mini", vec![weather()]);
    let answer = soon(client.chat().create(request)).await.unwrap();
    let choice = &answer.choices[0];
    assert_eq!(choice.finish_reason, Some(FinishReason::ToolCalls));
    let calls = serde_json::to_value(&choice.message.tool_calls).unwrap();
    assert_eq!(calls[0]["function"]["name"], "weather");
    let arguments = calls[0]["function"]["arguments"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(arguments).unwrap()["city"].is_string());
}

async fn fails(typed: &Typed) {
    let own = typed.config().with_header("x-demo-status", "400").unwrap();
    for (config, model, code) in [
        (typed.config(), "gpt-9", Some("model_not_found")),
        (
            typed.config().with_api_key("sk-of-nobody"),
            "gpt-4.1-mini",
            Some("invalid_api_key"),
        ),
        (own, "gpt-4.1-mini", None),
    ] {
        let client = Client::with_config(config);
        let error = soon(client.chat().create(ask(model, Vec::new()))).await;
        let Err(OpenAIError::ApiError(error)) = error else {
            panic!("{model} was answered: {error:?}");
        };
        assert_eq!(error.api_error.code.as_deref(), code, "{error}");
        assert!(!error.api_error.message.is_empty());
    }
}

#[tokio::test]
async fn async_openai_chats_streams_calls_a_tool_and_fails_through_every_layer() {
    let typed = Typed::start().await;
    let client = typed.client();
    // The rollout sends one in two to either side: both have to be right.
    for _ in 0..4 {
        chats(&client).await;
        streams(&client).await;
        calls_a_tool(&client).await;
        fails(&typed).await;
    }
    println!("async-openai through every layer: chat, stream, tool_call, error");
}
