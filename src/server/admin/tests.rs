use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    control::{Acting, Change, Control, Controls, Parameters, acted},
    testing::read,
};

const TOKEN: &str = "0123456789abcdef";

/// A number that can be set, and broken.
#[derive(Debug, Default)]
struct Dial(std::sync::Mutex<u64>);

impl Control for Dial {
    fn kind(&self) -> &'static str {
        "dials"
    }

    fn show(&self) -> Value {
        json!({"at": *self.0.lock().unwrap()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["turn"]
    }

    fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Turn {
            to: u64,
        }
        acted(with.read::<Turn>().map(|turn| {
            let old = std::mem::replace(&mut *self.0.lock().unwrap(), turn.to);
            Change::new(old, turn.to)
        }))
    }
}

fn admin(access: AccessBuilder) -> (Admin, Changes) {
    let controls = Controls::default();
    controls.add("left/right", Dial::default());
    let changes = Changes::default();
    (
        Admin::new(&controls, &access.build()).noting(&changes),
        changes,
    )
}

fn access() -> AccessBuilder {
    Access::builder().token("ops", TOKEN).unwrap()
}

fn post(body: &'static str) -> http::request::Builder {
    let _ = body;
    Request::post("/admin/dials/left%2Fright/turn")
        .header(header::HOST, "127.0.0.1:9090")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
}

async fn send(
    admin: &Admin,
    request: http::request::Builder,
    body: &'static str,
) -> (StatusCode, Value) {
    let request = request.body(Full::from(body)).unwrap();
    let (head, text) = read(admin.clone().oneshot(request).await.unwrap()).await;
    (head.status, serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn what_is_there_is_shown_as_a_whole_by_kind_and_by_name() {
    let (admin, _) = admin(Access::builder());
    let get = async |path: &str| {
        let request = Request::get(path).header(header::HOST, "localhost:9090");
        send(&admin, request, "").await
    };
    let all =
        json!({"controls": {"dials": {"left/right": {"at": 0}}}, "actions": {"dials": ["turn"]}});
    assert_eq!(get("/admin").await, (StatusCode::OK, all.clone()));
    assert_eq!(get("/").await.1, all, "nested, the prefix is stripped");
    assert_eq!(
        get("/admin/dials").await.1,
        json!({"left/right": {"at": 0}})
    );
    assert_eq!(get("/admin/dials/left%2Fright").await.1, json!({"at": 0}));
    for (path, status) in [
        ("/admin/doors", 404),
        ("/admin/dials/up", 404),
        ("/admin/dials/left%2Fright/turn", 405),
        ("/admin/a/b/c/d", 404),
    ] {
        let (got, error) = get(path).await;
        assert_eq!(got.as_u16(), status, "{path}");
        assert!(error["error"]["message"].is_string());
    }
}

#[tokio::test]
async fn a_change_says_what_was_and_what_is_and_who_did_it() {
    let (admin, changes) = admin(access());
    let authorized = || post("").header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    let (status, answer) = send(&admin, authorized(), r#"{"to": 7}"#).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!((&answer["old"], &answer["new"]), (&json!(0), &json!(7)));
    let noted = changes.recent();
    assert_eq!(
        (&*noted[0].who, &*noted[0].action, &noted[0].new),
        ("ops", "turn", &json!(7))
    );
    for (body, status, reason) in [
        (r#"{"to": 8, "by": 1}"#, 400, "unknown field `by`"),
        (r"{}", 400, "missing field `to`"),
        (r#"{"to""#, 400, "not a JSON object"),
    ] {
        let (got, error) = send(&admin, authorized(), body).await;
        let message = error["error"]["message"].as_str().unwrap();
        assert_eq!(got.as_u16(), status);
        assert!(message.contains(reason), "{message}");
    }
    let large: &'static str = Box::leak(" ".repeat(2 << 20).into_boxed_str());
    assert_eq!(send(&admin, authorized(), large).await.0.as_u16(), 413);
    assert_eq!(changes.recent().len(), 1, "what failed is no change");
}

#[tokio::test]
async fn nobody_changes_anything_without_a_token_or_through_a_browser_that_was_tricked() {
    let (guarded, changes) = admin(access().host("relay.internal"));
    let (open, _) = admin(Access::builder());
    let bearer = format!("Bearer {TOKEN}");
    let authorized = || post("").header(header::AUTHORIZATION, &bearer);
    let with = |name: &'static str, value: &'static str| {
        let mut request = authorized();
        let headers = request.headers_mut().unwrap();
        headers.insert(name, value.parse().unwrap());
        request
    };
    for (admin, request, status, code) in [
        (&open, authorized(), 403, "no_tokens"),
        (&guarded, post(""), 401, "missing_token"),
        (
            &guarded,
            with("authorization", "Bearer 0123456789abcdeF"),
            401,
            "invalid_token",
        ),
        (
            &guarded,
            with("authorization", "Basic 0123456789abcdef"),
            401,
            "missing_token",
        ),
        (
            &guarded,
            with("host", "evil.test:9090"),
            403,
            "host_not_allowed",
        ),
        (
            &guarded,
            with("origin", "http://evil.test"),
            403,
            "cross_origin",
        ),
        (&guarded, with("origin", "null"), 403, "cross_origin"),
        (
            &guarded,
            with("sec-fetch-site", "same-site"),
            403,
            "cross_origin",
        ),
        (&guarded, with("content-type", "text/plain"), 415, ""),
    ] {
        let (got, error) = send(admin, request, r#"{"to": 9}"#).await;
        assert_eq!(got.as_u16(), status, "{code}");
        assert_eq!(error["error"]["code"].as_str().unwrap_or_default(), code);
        assert!(!error.to_string().contains("0123456789abcde"));
    }
    assert!(changes.recent().is_empty());
    for request in [
        with("origin", "http://127.0.0.1:9090"),
        with("host", "relay.internal"),
        with("host", "[::1]:9090"),
        with("sec-fetch-site", "same-origin"),
    ] {
        assert_eq!(
            send(&guarded, request, r#"{"to": 9}"#).await.0,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn reading_needs_a_token_only_where_that_is_asked() {
    let (admin, _) = admin(access().token_to_read(true));
    let get = || Request::get("/admin").header(header::HOST, "localhost");
    assert_eq!(send(&admin, get(), "").await.0, StatusCode::UNAUTHORIZED);
    let request = get().header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    assert_eq!(send(&admin, request, "").await.0, StatusCode::OK);
}

#[test]
fn a_token_that_can_be_guessed_is_none_and_no_token_is_shown() {
    for token in [
        "",
        "short",
        "with spaces in it ...",
        "0123456789abcde\u{e9}",
    ] {
        assert!(Access::builder().token("ops", token).is_err());
    }
    assert!(!format!("{:?}", access().build()).contains(TOKEN));
}
