//! A recorded answer as it comes out of the normaliser, to a caller of the API that OpenAI has for it.

use std::{convert::Infallible, time::SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request};
use serde_json::{Map, Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_relay::{
    message::RequestBody,
    normalize::{Reasoning, ResponseNormalizeLayer},
};

use super::{
    Record,
    sent::{Cut, Sent, collect},
};

/// What a caller gets.
pub(super) struct Normal {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) repairs: Vec<&'static str>,
}

impl Normal {
    /// What becomes of `sent`, in the place of what was recorded.
    pub(super) fn of(record: &Record, sent: &Sent, reasoning: Reasoning, cut: Cut) -> Self {
        let layer = ResponseNormalizeLayer::builder()
            .reasoning(reasoning)
            .build()
            .unwrap();
        let handle = layer.handle();
        let service =
            ServiceBuilder::new()
                .layer(layer)
                .service(service_fn(|_: Request<RequestBody>| {
                    let mut response = sent.response(cut);
                    // OpenAI always sends it; not every recording kept it.
                    if record.provider == "openai" {
                        let version = HeaderValue::from_static("2020-10-01");
                        response.headers_mut().insert("openai-version", version);
                    }
                    std::future::ready(Ok::<_, Infallible>(response))
                }));
        let response = service.oneshot(request(record)).now_or_never();
        let response = response.expect("a service that never waits").unwrap();
        let status = response.status().as_u16();
        let body = collect(response.into_body());
        let repairs = handle.repairs().filter(|(_, count)| *count > 0);
        Self {
            status,
            body,
            repairs: repairs.map(|(repair, _)| repair.as_str()).collect(),
        }
    }

    pub(super) fn is_unchanged(&self, sent: &Sent) -> bool {
        self.body == sent.body && self.status == sent.status()
    }

    pub(super) fn ends_with_done(&self) -> bool {
        self.body.trim_ascii_end().ends_with(b"[DONE]")
    }
}

/// The request that was answered, at OpenAI's path for it: those to the chats of other APIs went to OpenAI's. Where it was not kept, usage
/// was asked for.
fn request(record: &Record) -> Request<RequestBody> {
    let (method, path) = match &*record.api {
        "openai-completions" => ("POST", "/v1/completions"),
        "openai-responses" => ("POST", "/v1/responses"),
        "embeddings" => ("POST", "/v1/embeddings"),
        "models" => ("GET", "/v1/models"),
        "rerank" => ("POST", "/v1/rerank"),
        "count_tokens" => ("POST", "/v1/messages/count_tokens"),
        _ => ("POST", "/v1/chat/completions"),
    };
    let asked = record.request().filter(|request| request.is_object());
    let asked = asked
        .cloned()
        .unwrap_or_else(|| json!({"model": "m", "stream_options": {"include_usage": true}}));
    Request::builder()
        .method(method)
        .uri(path)
        .body(RequestBody::json(asked.to_string()))
        .unwrap()
}

/// `body` with the ids and times that the normaliser made up since `began`, which differ from run to run, as they are in every row.
fn without_made_names(body: &[u8], sent: &[u8], began: u64) -> String {
    let (body, sent) = (String::from_utf8_lossy(body), String::from_utf8_lossy(sent));
    let mut stable = body.clone().into_owned();
    for kind in ["chatcmpl-", "cmpl-"] {
        let is_ours = |char: char| char.is_ascii_hexdigit() || char == '-';
        let ids = body.split(kind).skip(1);
        let mut ids = ids.filter_map(|rest| rest.split(|char| !is_ours(char)).next());
        if let Some(id) = ids.find(|id| !id.is_empty() && !sent.contains(id)) {
            stable = stable.replace(&format!("{kind}{id}"), &format!("{kind}made"));
        }
    }
    for time in began..=seconds() {
        stable = stable.replace(&time.to_string(), "1");
    }
    stable
}

fn seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// What a row says of an answer as a caller gets it.
pub(super) fn members(record: &Record, row: &mut Map<String, Value>) {
    let (sent, began) = (Sent::of(record), seconds());
    let normal = Normal::of(record, &sent, Reasoning::Keep, Cut::Whole);
    let body = without_made_names(&normal.body, &sent.body, began);
    row.insert("status".into(), normal.status.into());
    row.insert("body".into(), body.into());
    row.insert("unchanged".into(), normal.is_unchanged(&sent).into());
    row.insert("repairs".into(), normal.repairs.into());
}
