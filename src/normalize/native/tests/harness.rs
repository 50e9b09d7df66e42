//! A service that answers what it is told, through the layer.

use std::{convert::Infallible, sync::mpsc};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;
use tokio_test::block_on;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::{
    message::{BodyError, Completion, Media, RequestBody, ResponseBody},
    normalize::{NormalizePolicy, Repair, ResponseNormalizeLayer},
};

pub(super) const JSON: &str = "application/json";
pub(super) const EVENTS: &str = "text/event-stream";
pub(super) const LINES: &str = "application/x-ndjson";

/// What a caller gets.
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) media: Media,
    pub(super) pieces: Vec<String>,
    pub(super) error: Option<BodyError>,
    pub(super) completion: Completion,
    pub(super) repairs: Vec<Repair>,
}

impl Seen {
    pub(super) fn text(&self) -> String {
        self.pieces.concat()
    }

    /// The data of each event.
    pub(super) fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }

    /// One line for each event: its delta, or what stands in its place.
    pub(super) fn deltas(&self) -> Vec<String> {
        let delta = |event: &Value| match (&event["choices"][0], &event["usage"]) {
            _ if event["error"].is_object() => format!("error {}", event["error"]["message"]),
            (Value::Null, usage) => format!("usage {}", usage["total_tokens"]),
            (choice, _) => match choice["finish_reason"].as_str() {
                Some(reason) => format!("{} {reason}", choice["index"]),
                None => format!("{} {}", choice["index"], choice["delta"]),
            },
        };
        self.events().iter().map(delta).collect()
    }

    pub(super) fn is_done(&self) -> bool {
        self.text().ends_with("data: [DONE]\n\n")
    }
}

/// What a caller gets of `pieces`, and of an error after them.
pub(super) fn sent(media: &'static str, asked: &str, pieces: Vec<Bytes>, breaks: bool) -> Seen {
    sent_through(ResponseNormalizeLayer::new(), media, asked, pieces, breaks)
}

/// What a caller gets under `policy`.
pub(super) fn under(policy: NormalizePolicy, media: &'static str, asked: &str, text: &str) -> Seen {
    let layer = ResponseNormalizeLayer::builder().policy(policy);
    let pieces = vec![Bytes::copy_from_slice(text.as_bytes())];
    sent_through(layer.build().unwrap(), media, asked, pieces, false)
}

fn sent_through(
    layer: ResponseNormalizeLayer,
    media: &'static str,
    asked: &str,
    pieces: Vec<Bytes>,
    breaks: bool,
) -> Seen {
    let handle = layer.handle();
    let broken = breaks.then_some(Err("reset"));
    let chunks: Vec<_> = pieces.into_iter().map(Ok).chain(broken).collect();
    let service =
        ServiceBuilder::new()
            .layer(layer)
            .service(service_fn(move |_: Request<RequestBody>| {
                let frames = chunks.clone().into_iter();
                let frames = frames.map(|chunk: Result<Bytes, &str>| chunk.map(Frame::data));
                let mut response = Response::new(StreamBody::new(stream::iter(frames)));
                response
                    .headers_mut()
                    .insert("content-type", media.parse().unwrap());
                std::future::ready(Ok::<_, Infallible>(ResponseBody::wrap(response)))
            }));
    let request = Request::post("/v1/chat/completions")
        .body(RequestBody::json(asked.to_owned()))
        .unwrap();
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let media = response.body().media();
    let (settled, settlement) = mpsc::channel();
    let mut body = response.into_body().on_end(move |completion| {
        let _ = settled.send(completion.clone());
    });
    let (mut pieces, mut error) = (Vec::new(), None);
    while let Some(frame) = block_on(body.frame()) {
        match frame {
            Ok(frame) => {
                pieces.push(String::from_utf8_lossy(&frame.into_data().unwrap()).into_owned());
            }
            Err(broken) => error = Some(broken),
        }
    }
    let repairs = handle.repairs().filter(|(_, count)| *count > 0);
    Seen {
        status,
        headers,
        media,
        pieces,
        error,
        completion: settlement.recv().unwrap(),
        repairs: repairs.map(|(repair, _)| repair).collect(),
    }
}

/// A stream to a caller who asked for one, with usage.
pub(super) fn streamed(media: &'static str, text: &str) -> Seen {
    let asked = r#"{"model":"asked","stream":true,"stream_options":{"include_usage":true}}"#;
    sent(
        media,
        asked,
        vec![Bytes::copy_from_slice(text.as_bytes())],
        false,
    )
}

/// A body to a caller who asked for no stream.
pub(super) fn answered(media: &'static str, text: &str) -> Seen {
    sent(
        media,
        r#"{"model":"asked"}"#,
        vec![Bytes::copy_from_slice(text.as_bytes())],
        false,
    )
}

/// Each JSON as an event, named by its type where it has one.
pub(super) fn events(jsons: &[&str]) -> String {
    let event = |json: &&str| {
        let value: Value = serde_json::from_str(json).unwrap();
        match value["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {json}\n\n"),
            None => format!("data: {json}\n\n"),
        }
    };
    jsons.iter().map(event).collect()
}
