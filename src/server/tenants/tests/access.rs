//! What a tenant may ask for.

use super::*;

fn bound() -> Tenants {
    let models = ["fast", "gpt-*"].map(|model| model.parse().unwrap());
    Tenants::new([Tenant::new("acme").models(models).key(key("a"))]).unwrap()
}

#[tokio::test]
async fn a_model_that_is_not_allowed_is_as_one_that_is_not_there() {
    let tenants = bound();
    for (model, status) in [
        ("fast", 200),
        ("gpt-4.1", 200),
        ("o3", 404),
        ("GPT-4", 404),
        ("fast ", 404),
    ] {
        assert_eq!(
            ask(&tenants, chat("sk-a", model)).await.status(),
            status,
            "{model}"
        );
    }
    assert_eq!(
        refused(&tenants, chat("sk-a", "o3")).await,
        told(404, "model_not_found")
    );
}

#[tokio::test]
async fn no_other_spelling_of_a_request_reaches_a_model_that_is_not_allowed() {
    let tenants = bound();
    let path = "/v1/chat/completions";
    for (path, body, expected) in [
        (
            path,
            r#"{"messages":[]}"#,
            told(400, "missing_required_parameter"),
        ),
        (
            path,
            r#"{"model":7}"#,
            told(400, "missing_required_parameter"),
        ),
        (
            path,
            r#"{"model":"fast","models":["fast","o3"]}"#,
            told(404, "model_not_found"),
        ),
        (path, r#"{"model":"fast","models":"o3"}"#, told(400, "")),
        (
            "/v1/chat/%63ompletions",
            r#"{"model":"o3"}"#,
            told(404, "model_not_found"),
        ),
        (
            "/openai/deployments/o3/chat/completions",
            r#"{"model":"fast"}"#,
            told(404, "model_not_found"),
        ),
        (
            "/openai/%64eployments/o3/chat/completions",
            r#"{"model":"fast"}"#,
            told(404, "model_not_found"),
        ),
        (
            "/v1/responses",
            r#"{"prompt":{"id":"p"}}"#,
            told(400, "missing_required_parameter"),
        ),
        (
            "/v1/images/generations",
            r#"{"model":"fast"}"#,
            told(403, "endpoint_not_allowed"),
        ),
    ] {
        assert_eq!(
            refused(&tenants, request("sk-a", path, body)).await,
            expected,
            "{path} {body}"
        );
    }
    // Which of the two counts is for each upstream to say.
    let twice = request("sk-a", path, r#"{"model":"fast","model":"o3"}"#);
    assert_eq!(ask(&tenants, twice).await.status(), 400);
    let mut unread = chat("sk-a", "fast");
    *unread.body_mut() = RequestBody::bytes(r#"{"model":"o3"}"#);
    assert_eq!(
        refused(&tenants, unread).await,
        told(415, "unsupported_media_type")
    );
    let allowed = request("sk-a", path, r#"{"model":"fast","models":["gpt-4"]}"#);
    assert_eq!(ask(&tenants, allowed).await.status(), 200);
}

#[tokio::test]
async fn endpoints_that_are_not_named_are_forbidden_and_the_list_of_models_never_is() {
    let acme = Tenant::new("acme").endpoints([Endpoint::Embeddings, Endpoint::Other]);
    let tenants = Tenants::new([acme.key(key("a"))]).unwrap();
    assert_eq!(
        refused(&tenants, chat("sk-a", "m")).await,
        told(403, "endpoint_not_allowed")
    );
    for path in ["/v1/embeddings", "/v1/files"] {
        assert_eq!(
            ask(&tenants, request("sk-a", path, "{}")).await.status(),
            200
        );
    }
    let mut list = request("sk-a", "/v1/models", "");
    *list.method_mut() = Method::GET;
    assert_eq!(ask(&tenants, list).await.status(), 200);
}

/// What stands for a request that concerns what an upstream keeps, and one that does not.
const STORED: [(&str, &str, &str); 9] = [
    ("GET", "/v1/responses/resp_1", ""),
    ("DELETE", "/v1/responses/resp_1", ""),
    ("GET", "/v1/files", ""),
    ("POST", "/v1/files/%66ile-1", ""),
    ("POST", "/v1/batches", "{}"),
    ("GET", "/v1/chat/completions", ""),
    ("POST", "/v1/messages/batches", "{}"),
    (
        "POST",
        "/v1/responses",
        r#"{"model":"m","previous_response_id":"resp_1"}"#,
    ),
    (
        "POST",
        "/v1/responses",
        r#"{"model":"m","conversation":{"id":"conv_1"}}"#,
    ),
];

async fn status_of(tenants: &Tenants, (method, path, body): (&str, &str, &str)) -> u16 {
    let mut request = request("sk-a", path, body);
    *request.method_mut() = method.parse().unwrap();
    ask(tenants, request).await.status().as_u16()
}

#[tokio::test]
async fn who_shares_upstreams_with_others_may_not_use_what_these_keep() {
    let two = |acme: Tenant| {
        let tenants = [acme.key(key("a")), Tenant::new("b").key(key("b"))];
        Tenants::new(tenants).unwrap()
    };
    let acme = || Tenant::new("acme");
    let shared = two(acme());
    let mut list = request("sk-a", "/v1/files", "");
    *list.method_mut() = Method::GET;
    let expected = told(403, "stored_objects_not_allowed");
    assert_eq!(refused(&shared, list).await, expected);
    for concerned in STORED {
        assert_eq!(status_of(&shared, concerned).await, 403, "{concerned:?}");
    }
    for free in [
        (
            "POST",
            "/v1/responses",
            r#"{"model":"m","previous_response_id":null}"#,
        ),
        ("POST", "/v1/audio/transcriptions", ""),
        ("GET", "/v1/models/m", ""),
    ] {
        assert_eq!(status_of(&shared, free).await, 200, "{free:?}");
    }
    // A body that is not read may name anything.
    let mut unread = chat("sk-a", "m");
    *unread.body_mut() = RequestBody::bytes("compressed, say");
    assert_eq!(ask(&shared, unread).await.status(), 415);

    let alone = Tenants::new([acme().key(key("a"))]).unwrap();
    for tenants in [
        two(acme().stored_objects(true)),
        two(acme().endpoints([Endpoint::Other, Endpoint::Responses])),
        alone,
    ] {
        for concerned in STORED {
            assert_eq!(status_of(&tenants, concerned).await, 200, "{concerned:?}");
        }
    }
    let never = Tenants::new([acme().stored_objects(false).key(key("a"))]).unwrap();
    assert_eq!(status_of(&never, STORED[0]).await, 403);
}
