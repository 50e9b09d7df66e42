use http::Request;
use tower::ServiceExt;

use super::*;
use crate::{
    client::UpstreamsBuilder,
    message::{Chosen, ModelPattern},
    testing::{answering, read, refusal},
};

/// A target that answers with the name it was chosen by.
fn target(name: &str) -> Target {
    let stack = answering(|request| {
        let chosen = request
            .extensions()
            .get::<Chosen>()
            .unwrap()
            .as_str()
            .to_owned();
        Response::new(ResponseBody::from(chosen))
    });
    Target::new(name, stack)
}

fn models<const N: usize>(names: [&str; N]) -> [ModelPattern; N] {
    names.map(|name| name.parse().unwrap())
}

async fn chosen(
    targets: impl IntoIterator<Item = Target>,
    path: &str,
    body: &'static str,
) -> String {
    let upstreams = targets
        .into_iter()
        .fold(Upstreams::builder(), UpstreamsBuilder::add)
        .build()
        .unwrap();
    let request = Request::post(path).body(RequestBody::json(body)).unwrap();
    let Ok(response) = ModelRoute::new(upstreams).oneshot(request).await;
    read(response).await.1
}

#[tokio::test]
async fn a_request_goes_to_the_first_that_names_its_model_and_serves_its_endpoint() {
    let targets = || {
        [
            target("any"),
            target("chat")
                .models(models(["gpt-*"]))
                .endpoints([Endpoint::ChatCompletions]),
            target("embed")
                .models(models(["gpt-*", "ada"]))
                .endpoints([Endpoint::Embeddings]),
        ]
    };
    for (path, body, name) in [
        ("/v1/chat/completions", r#"{"model":"gpt-4"}"#, "chat"),
        ("/v1/embeddings", r#"{"model":"gpt-4"}"#, "embed"),
        ("/v1/embeddings", r#"{"model":"ada"}"#, "embed"),
        ("/v1/chat/completions", r#"{"model":"ada"}"#, "any"),
        ("/v1/responses", r#"{"model":"gpt-4"}"#, "any"),
        ("/v1/chat/completions", "{}", "any"),
        ("/v1/chat/completions", "not json", "any"),
        ("/v1/files", r#"{"model":"gpt-4"}"#, "any"),
    ] {
        assert_eq!(chosen(targets(), path, body).await, name, "{path} {body}");
    }
}

#[tokio::test]
async fn a_request_that_nobody_names_goes_to_the_first_that_serves_its_endpoint() {
    let targets = || {
        [
            target("chat")
                .models(models(["a"]))
                .endpoints([Endpoint::ChatCompletions]),
            target("embed")
                .models(models(["b"]))
                .endpoints([Endpoint::Embeddings]),
        ]
    };
    assert_eq!(
        chosen(targets(), "/v1/embeddings", r#"{"model":"a"}"#).await,
        "embed"
    );
    assert_eq!(
        chosen(targets(), "/v1/chat/completions", r#"{"model":"c"}"#).await,
        "chat"
    );
}

#[tokio::test]
async fn a_request_to_an_endpoint_that_nobody_serves_is_answered_here() {
    for (path, body) in [
        ("/v1/responses", r#"{"model":"a"}"#),
        ("/v1/files", ""),
        ("/v1/models", ""),
    ] {
        let only = target("chat").endpoints([Endpoint::ChatCompletions]);
        let upstreams = Upstreams::builder().add(only).build().unwrap();
        let request = Request::post(path).body(RequestBody::json(body)).unwrap();
        let Ok(response) = ModelRoute::new(upstreams).oneshot(request).await;
        let rejection = response.extensions().get::<Rejection>().unwrap();
        assert_eq!(rejection.reason, Reason::InvalidRequest);
        assert_eq!(
            refusal(response).await,
            (404, "endpoint_not_served".to_owned()),
            "{path}"
        );
    }
}

#[test]
fn a_set_that_cannot_be_chosen_from_is_refused() {
    for (builder, reason) in [
        (Upstreams::builder(), "there must be at least one"),
        (
            Upstreams::builder().add(target("")),
            "a target has an empty name",
        ),
        (
            Upstreams::builder().add(target("a")).add(target("a")),
            "\"a\" is there twice",
        ),
    ] {
        assert_eq!(builder.build().unwrap_err().reason(), reason);
    }
}

#[test]
fn targets_are_found_by_name_in_order_of_preference() {
    let upstreams = Upstreams::builder()
        .add(target("b").label("Bee"))
        .add(target("a"))
        .build()
        .unwrap();
    assert_eq!(
        upstreams
            .iter()
            .map(Target::display_name)
            .collect::<Vec<_>>(),
        ["Bee", "a"]
    );
    assert_eq!(upstreams.len(), 2);
    assert!(upstreams.get("Bee").is_none() && upstreams.get("b").is_some());
}

/// What becomes of a chat for `model` that may only be sent to these: who answers, or the refusal's code.
async fn chosen_of(allowed: &[&str], targets: Vec<Target>, model: &str) -> String {
    let upstreams = targets
        .into_iter()
        .fold(Upstreams::builder(), UpstreamsBuilder::add);
    let mut request = Request::post("/v1/chat/completions")
        .body(RequestBody::json(format!(r#"{{"model":"{model}"}}"#)))
        .unwrap();
    let allowed = AllowedUpstreams::new(allowed.iter().copied());
    request.extensions_mut().insert(allowed);
    let route = ModelRoute::new(upstreams.build().unwrap());
    let Ok(response) = route.oneshot(request).await;
    if response.status() == 200 {
        return read(response).await.1;
    }
    refusal(response).await.1
}

#[tokio::test]
async fn what_is_not_allowed_is_not_there() {
    let targets = || {
        vec![
            target("us").models(models(["gpt-*", "ada"])),
            target("eu").models(models(["gpt-*"])),
            target("any"),
        ]
    };
    for (allowed, model, expected) in [
        (&["eu"][..], "gpt-4", "eu"),
        (&["eu"], "ada", "model_not_found"),
        (&["eu"], "unknown", "eu"),
        (&["any", "eu"], "ada", "any"),
        (&["us", "eu"], "gpt-4", "us"),
        (&[], "gpt-4", "model_not_found"),
        (&[], "unknown", "endpoint_not_served"),
    ] {
        let chosen = chosen_of(allowed, targets(), model).await;
        assert_eq!(chosen, expected, "{allowed:?} {model}");
    }
}

#[tokio::test]
async fn a_target_refuses_what_may_not_be_sent_to_it_whoever_chose_it() {
    let [us, eu] = ["us", "eu"].map(target);
    let route = target("steady").over([&us, &eu]);
    let outer = target("outer").over([&route]);
    for (allowed, statuses) in [(&["eu"][..], [403, 200, 200, 200]), (&["asia"], [403; 4])] {
        for (target, status) in [&us, &eu, &route, &outer].into_iter().zip(statuses) {
            let mut request = Request::post("/v1/chat/completions")
                .body(RequestBody::json("{}"))
                .unwrap();
            let allowed = AllowedUpstreams::new(allowed.iter().copied());
            request.extensions_mut().insert(allowed);
            let Ok(response) = target.clone().oneshot(request).await;
            assert_eq!(response.status(), status, "{}", target.name());
        }
    }
}
