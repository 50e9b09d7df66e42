mod concurrent;
#[cfg(feature = "redis")]
mod replicas;
mod service;
mod state;
mod windows;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_layer::Layer;

use super::*;
use crate::{
    key::{Key, KeyBy},
    message::{
        Accounts, Bill, BillLine, Cached, CostSource, RequestBody, ResponseBody, catalog::Cost,
        usage::Usage,
    },
    testing::{answering, refusal},
};

/// 1,000 tokens at 2 USD a million and 100 at 8: 0.0028 USD.
const ANSWER: &str = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;

fn usd(text: &str) -> Cost {
    Cost::parse_usd(text).unwrap()
}

fn team(hard: &str) -> Budget {
    let by = KeyBy::header(http::HeaderName::from_static("x-team"));
    Budget::new("team", by, usd(hard), Per::Month)
}

fn growth() -> Key {
    Key::named("header", "growth")
}

/// Reserves a little more than 8 USD a million times `cap`.
fn ask(model: &str, cap: u64) -> Request<RequestBody> {
    let body = format!(r#"{{"model":"{model}","max_tokens":{cap},"messages":[]}}"#);
    Request::post("/v1/chat/completions")
        .header("x-team", "growth")
        .body(RequestBody::json(body))
        .unwrap()
}

fn answer(body: &'static str) -> Response<ResponseBody> {
    let response = Response::builder().header("content-type", "application/json");
    ResponseBody::wrap(response.body(body.to_owned()).unwrap())
}

async fn send(layer: &BudgetLayer, request: Request<RequestBody>) -> Response<ResponseBody> {
    let Ok(response) = layer
        .layer(answering(|_| answer(ANSWER)))
        .oneshot(request)
        .await;
    response
}

async fn read(response: Response<ResponseBody>) {
    let _ = response.into_body().collect().await;
}

/// A wall clock that stands until it is set.
#[derive(Clone)]
struct Hands(Arc<Mutex<SystemTime>>);

impl Hands {
    fn at(text: &str) -> Self {
        Self(Arc::new(Mutex::new(
            crate::wire::rfc3339::parse(text).unwrap(),
        )))
    }

    fn set(&self, text: &str) {
        *self.0.lock().unwrap() = crate::wire::rfc3339::parse(text).unwrap();
    }

    fn clock(&self) -> impl Fn() -> SystemTime + Send + Sync + 'static {
        let hands = self.0.clone();
        move || *hands.lock().unwrap()
    }
}
