use http::{HeaderName, Request};

use super::*;
use crate::message::RequestBody;

fn request(body: &'static str) -> Request<RequestBody> {
    Request::post("/v1/chat/completions")
        .body(RequestBody::json(body))
        .unwrap()
}

fn key(by: &KeyBy, request: &Request<RequestBody>) -> String {
    by.key_of(request).unwrap().unwrap().to_string()
}

#[test]
fn an_api_key_is_one_key_in_whichever_header_and_never_shown() {
    let mut keys = Vec::new();
    for (name, value) in [
        ("authorization", "bearer  sk-1"),
        ("x-api-key", "sk-1"),
        ("api-key", " sk-1 "),
    ] {
        let mut request = request("{}");
        request.headers_mut().insert(name, value.parse().unwrap());
        let key = KeyBy::api_key().key_of(&request).unwrap().unwrap();
        assert!(!format!("{key} {key:?}").contains("sk-1"));
        keys.push(key);
    }
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn models_outside_the_list_are_counted_together() {
    let by = KeyBy::model_among(["gpt-*".parse().unwrap()]);
    assert_eq!(
        key(&by, &request(r#"{"model":"gpt-4.1"}"#)),
        "model:gpt-4.1"
    );
    assert_eq!(
        key(&by, &request(r#"{"model":"whatever-7"}"#)),
        "model:other"
    );
    assert_eq!(key(&by, &request("{}")), "model:missing");
}

#[test]
fn a_long_name_is_kept_as_its_digest() {
    let long = Key::named("header", &"x".repeat(10_000));
    assert_eq!(long.to_string().len(), "header:".len() + 32);
    assert_ne!(long, Key::named("header", &"x".repeat(10_001)));
}

#[test]
fn a_missing_identity_follows_the_policy() {
    let by = KeyBy::header(HeaderName::from_static("x-team"));
    assert_eq!(key(&by, &request("{}")), "header:missing");
    assert_eq!(
        by.clone()
            .when_missing(Missing::Exempt)
            .key_of(&request("{}"))
            .unwrap(),
        None
    );
    let refused = by
        .when_missing(Missing::Refuse)
        .key_of(&request("{}"))
        .unwrap_err();
    assert_eq!(
        (refused.status().as_u16(), refused.message()),
        (400, "the header x-team is missing")
    );
}

#[test]
fn what_an_auth_layer_left_is_a_key() {
    #[derive(Clone)]
    struct Tenant(&'static str);
    let by = KeyBy::extension(|tenant: &Tenant| Key::named("tenant", tenant.0));
    let mut request = request("{}");
    request.extensions_mut().insert(Tenant("blue"));
    assert_eq!(key(&by, &request), "tenant:blue");
    let by = KeyBy::custom(|request| Some(Key::named("path", request.uri().path())));
    assert_eq!(key(&by, &request), "path:/v1/chat/completions");
    assert_eq!(key(&KeyBy::global(), &request), "global");
}

#[test]
fn who_was_authenticated_is_counted_at_every_level_that_it_belongs_to() {
    let tenant = Key::named("tenant", "acme");
    let mut request = request("{}");
    for by in [KeyBy::credential(), KeyBy::tenant(), KeyBy::team()] {
        assert_eq!(by.key_of(&request).unwrap(), None);
        let refused = by.when_missing(Missing::Refuse).key_of(&request);
        assert_eq!(refused.unwrap_err().status(), 401);
    }
    let identity = Identity::new(tenant.clone());
    request.extensions_mut().insert(identity.clone());
    assert_eq!(key(&KeyBy::credential(), &request), "tenant:acme");
    assert_eq!(KeyBy::organisation().key_of(&request).unwrap(), None);
    let identity = identity
        .with_credential(Key::named("key", "acme/1"))
        .with_team(Key::named("team", "web"))
        .with_organisation(Key::named("organisation", "big"));
    request.extensions_mut().insert(identity);
    for (by, expected) in [
        (KeyBy::credential(), "key:acme/1"),
        (KeyBy::tenant(), "tenant:acme"),
        (KeyBy::team(), "team:web"),
        (KeyBy::organisation(), "organisation:big"),
    ] {
        assert_eq!(key(&by, &request), expected);
    }
}

#[test]
fn requests_with_the_same_prompt_cache_key_belong_together() {
    let by: StickyBy = serde_json::from_str("\"prompt_cache_key\"").unwrap();
    let number = |body| by.number(&request(body));
    let one = number(r#"{"prompt_cache_key":"support"}"#);
    assert!(one.is_some());
    assert_eq!(number(r#"{"model":"m","prompt_cache_key":"support"}"#), one);
    assert_ne!(number(r#"{"prompt_cache_key":"sales"}"#), one);
    assert_eq!(number("{}"), None);
}
