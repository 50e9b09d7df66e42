mod config;
mod service;
mod shares;

use http::{Request, Response, StatusCode};

use super::*;
use crate::{
    client::{Target, Upstreams, UpstreamsBuilder},
    message::{RequestBody, ResponseBody},
    testing::answering,
};

/// A target that answers with its name, and the choice that it was told.
fn target(name: &'static str) -> Target {
    let answer = move |request: Request<RequestBody>| {
        let choice = request.extensions().get::<SplitChoice>();
        let reason = choice.map_or("none", |choice| choice.reason.as_str());
        Response::new(ResponseBody::from(format!("{name} {reason}")))
    };
    Target::new(name, answering(answer))
}

fn upstreams(names: &[&'static str]) -> Upstreams {
    let all = names.iter().copied().map(target);
    all.fold(Upstreams::builder(), UpstreamsBuilder::add)
        .build()
        .unwrap()
}

fn chat(id: &str) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .header("x-relay-request-id", id)
        .body(RequestBody::json(r#"{"model":"fast","messages":[]}"#))
        .unwrap()
}
