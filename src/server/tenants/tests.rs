use std::{
    fs,
    time::{Duration, SystemTime},
};

use http::{Method, Request, Response};
use tower::{Layer, ServiceExt};

use super::*;
use crate::{
    message::{AllowedUpstreams, Endpoint, Outcome, Refusal, RequestBody, ResponseBody},
    testing::{answering, read, refusal},
    wire::clock,
};

fn key(id: &str) -> TenantKey {
    TenantKey::new(id, KeyHash::of(&format!("sk-{id}")))
}

fn request(key: &str, path: &str, body: &str) -> Request<RequestBody> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"));
    request.body(RequestBody::json(body.to_owned())).unwrap()
}

fn chat(key: &str, model: &str) -> Request<RequestBody> {
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    request(key, "/v1/chat/completions", &body)
}

/// The answer to `request`: who asked, and where the request may go.
async fn ask(tenants: &Tenants, request: Request<RequestBody>) -> Response<ResponseBody> {
    let service = AuthLayer::new(tenants.clone()).layer(answering(|request| {
        let caller = request.extensions().get::<Caller>().unwrap();
        let upstreams = request.extensions().get::<AllowedUpstreams>();
        let upstreams: Vec<_> = upstreams
            .iter()
            .flat_map(|upstreams| upstreams.iter())
            .collect();
        Response::new(ResponseBody::from(format!(
            "{} {upstreams:?}",
            caller.key()
        )))
    }));
    let Ok(response) = service.oneshot(request).await;
    response
}

async fn refused(tenants: &Tenants, request: Request<RequestBody>) -> (u16, String) {
    refusal(ask(tenants, request).await).await
}

fn told(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn any_key_of_a_tenant_opens_and_says_who_asks() {
    let acme = Tenant::new("acme")
        .organisation("big")
        .team("web")
        .upstreams(["eu"]);
    let tenants = Tenants::new([
        acme.key(key("old")).key(key("new")),
        Tenant::new("b").key(key("b")),
    ])
    .unwrap();
    for (key, expected) in [
        ("sk-old", r#"key:acme/old ["eu"]"#),
        ("sk-new", r#"key:acme/new ["eu"]"#),
        ("sk-b", "key:b/b []"),
    ] {
        assert_eq!(read(ask(&tenants, chat(key, "m")).await).await.1, expected);
    }
    let caller = tenants.authenticate(chat("sk-old", "m").headers()).unwrap();
    let shown = |key: Option<&crate::key::Key>| key.map(ToString::to_string).unwrap_or_default();
    assert_eq!(shown(caller.organisation_key()), "organisation:big");
    assert_eq!(shown(caller.team_key()), "team:big/web");
    assert_eq!(caller.tenant_key().to_string(), "tenant:acme");
}

#[tokio::test]
async fn who_presents_no_key_or_a_wrong_one_is_refused_without_showing_it() {
    let past = clock::now() - Duration::from_secs(1);
    let mut revoked = key("revoked");
    revoked.revoked = true;
    let acme = Tenant::new("acme")
        .key(key("late").expires(past))
        .key(revoked);
    let tenants = Tenants::new([acme]).unwrap();
    for wrong in ["sk-nobody", "sk-late", "sk-revoked"] {
        let response = ask(&tenants, chat(wrong, "m")).await;
        assert_eq!(
            Outcome::of_head(&response),
            Some(Outcome::Refused(Refusal::Tenant))
        );
        let (head, text) = read(response).await;
        assert_eq!(head.status, 401);
        assert!(
            text.contains(r#""code":"invalid_api_key""#) && !text.contains(wrong),
            "{text}"
        );
        assert_eq!(text.contains("expired"), wrong == "sk-late");
    }
    let mut nobody = chat("", "m");
    nobody.headers_mut().remove("authorization");
    assert_eq!(
        refused(&tenants, nobody).await,
        told(401, "missing_api_key")
    );
}

#[tokio::test]
async fn a_key_is_taken_until_the_moment_that_it_expires() {
    let soon = clock::now() + Duration::from_secs(3600);
    let tenants = Tenants::new([Tenant::new("acme").key(key("a").expires(soon))]).unwrap();
    assert_eq!(ask(&tenants, chat("sk-a", "m")).await.status(), 200);
    tenants
        .set_expiry("acme", "a", Some(SystemTime::UNIX_EPOCH))
        .unwrap();
    assert_eq!(ask(&tenants, chat("sk-a", "m")).await.status(), 401);
    tenants.set_expiry("acme", "a", None).unwrap();
    assert_eq!(ask(&tenants, chat("sk-a", "m")).await.status(), 200);
}

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

#[test]
fn names_and_keys_are_checked_and_told_by_their_place() {
    let field = |tenants: Vec<Tenant>| Tenants::new(tenants).unwrap_err().to_string();
    let acme = || Tenant::new("acme").key(key("a"));
    for (tenants, expected) in [
        (vec![Tenant::new("a/b")], "0.name: must be 1 to 60"),
        (vec![acme().organisation("")], "0.organisation: must be"),
        (
            vec![acme(), Tenant::new("acme")],
            "1.name: \"acme\" is there twice",
        ),
        (
            vec![acme().key(key("a"))],
            "0.keys.1.id: \"a\" is there twice",
        ),
        (
            vec![acme(), Tenant::new("b").key(key("a"))],
            "1.keys.0.sha256: is Caller(key:acme/a)'s too",
        ),
    ] {
        let error = field(tenants);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn what_was_changed_outlives_a_restart_and_the_configuration_yields_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenants.json");
    let start = || {
        let tenants = [
            Tenant::new("acme").key(key("old")),
            Tenant::new("b").key(key("b")),
        ];
        Tenants::with_state_file(tenants, &file).unwrap()
    };
    let opens =
        |tenants: &Tenants, name: &str| tenants.authenticate(chat(name, "m").headers()).is_ok();
    let first = start();
    assert!(!file.exists(), "nothing was changed yet");
    first.set_key("acme", key("new")).unwrap();
    // While one replaces the other both are taken.
    assert!(opens(&first, "sk-old") && opens(&first, "sk-new"));
    first.revoke("acme", "old").unwrap();
    let later = start();
    for tenants in [&first, &later] {
        assert!(!opens(tenants, "sk-old") && opens(tenants, "sk-new") && opens(tenants, "sk-b"));
    }
    assert_eq!(first.keys("acme"), later.keys("acme"));
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains("sk-"), "{text}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn a_broken_state_file_is_an_error_and_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenants.json");
    let twice = serde_json::to_string(&key("b"))
        .unwrap()
        .replace("\"b\"", "\"x\"");
    for (text, reason) in [
        ("", "is broken: EOF"),
        ("{\"version\":1,\"tenants\":{\"acme\":[", "is broken: EOF"),
        (
            "{\"version\":2,\"tenants\":{}}",
            "a newer program has written it",
        ),
        (
            &format!("{{\"version\":1,\"tenants\":{{\"acme\":[{twice}]}}}}"),
            "keys are for one alone",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let tenants = [
            Tenant::new("acme").key(key("a")),
            Tenant::new("b").key(key("b")),
        ];
        let error = Tenants::with_state_file(tenants, &file).unwrap_err();
        assert_eq!(error.field(), "state_file");
        assert!(error.reason().contains(reason), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn a_change_that_cannot_be_kept_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gone").join("tenants.json");
    let tenants = Tenants::with_state_file([Tenant::new("acme").key(key("a"))], file).unwrap();
    assert!(matches!(
        tenants.revoke("acme", "a"),
        Err(ChangeError::NotKept(_))
    ));
    assert!(tenants.authenticate(chat("sk-a", "m").headers()).is_ok());
    assert!(matches!(
        tenants.revoke("acme", "b"),
        Err(ChangeError::Unknown(_))
    ));
    assert!(matches!(
        tenants.set_key("b", key("b")),
        Err(ChangeError::Unknown(_))
    ));
    let taken = TenantKey::new("b", KeyHash::of("sk-a"));
    assert!(matches!(
        tenants.set_key("acme", taken),
        Err(ChangeError::Invalid(_))
    ));
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
