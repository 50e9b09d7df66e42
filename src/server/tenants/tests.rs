mod access;
mod state_file;

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
