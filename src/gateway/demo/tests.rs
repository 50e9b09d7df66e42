use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Demo, deviations::DEVIATIONS};

mod chat;
mod deviations;
mod faults;
mod routes;
mod schema;
mod served;
mod tools;

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    /// The answer ended with an error instead of an end.
    cut: bool,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn error_code(&self) -> Value {
        self.json()["error"]["code"].clone()
    }

    /// The data of every event but `[DONE]`.
    fn chunks(&self) -> Vec<Value> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    fn said(&self) -> String {
        let piece = |chunk: Value| {
            chunk
                .pointer("/choices/0/delta/content")?
                .as_str()
                .map(str::to_owned)
        };
        self.chunks().into_iter().filter_map(piece).collect()
    }
}

async fn send(demo: &Demo, request: Request<Full<Bytes>>) -> Got {
    let (head, mut body) = demo.respond(request).await.into_parts();
    let mut text = vec![];
    let mut cut = false;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap()),
            Err(_) => cut = true,
        }
    }
    Got {
        status: head.status,
        headers: head.headers,
        text: String::from_utf8(text).unwrap(),
        cut,
    }
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let builder = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer demo-key");
    builder.body(Full::new(body.into())).unwrap()
}

async fn post(demo: &Demo, path: &str, body: &Value) -> Got {
    send(demo, request("POST", path, body.to_string())).await
}

/// A chat request for "hello there" with `extra` members.
fn chat(model: &str, extra: Value) -> Value {
    let mut body =
        json!({"model": model, "messages": [{"role": "user", "content": "hello there"}]});
    let Value::Object(extra) = extra else {
        panic!("members expected")
    };
    body.as_object_mut().unwrap().extend(extra);
    body
}

async fn complete(demo: &Demo, model: &str, extra: Value) -> Got {
    post(demo, "/v1/chat/completions", &chat(model, extra)).await
}

fn weather() -> Value {
    json!([
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
        {"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object",
            "properties": {
                "city_name": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]},
                "days": {"type": "integer", "minimum": 3}, "note": {"type": "string"},
            },
            "required": ["city_name", "unit", "days"],
        }}},
    ])
}

fn call_weather() -> Value {
    json!({"tools": weather(), "tool_choice": {"type": "function", "function": {"name": "weather"}}})
}

fn merge(mut a: Value, b: Value) -> Value {
    let Value::Object(b) = b else {
        panic!("members expected")
    };
    a.as_object_mut().unwrap().extend(b);
    a
}
