use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{
    message::{BoxError, Outcome, Reason, Rejection, Served},
    testing::{read, refusal},
};

fn status(code: u16) -> Response<ResponseBody> {
    let builder = Response::builder()
        .status(code)
        .header("location", "https://elsewhere.test/");
    builder.body(ResponseBody::from("of the upstream")).unwrap()
}

#[tokio::test]
async fn a_redirect_is_never_followed_nor_passed() {
    let layer = keyed().build().unwrap();
    for answer in [
        || status(301),
        || status(302),
        || status(303),
        || status(307),
        || status(308),
    ] {
        let response = answered(&layer, chat(), answer).await;
        assert!(!response.headers().contains_key("location"));
        assert_eq!(
            refusal(response).await,
            (502, "upstream_bad_answer".to_owned())
        );
    }
}

#[tokio::test]
async fn the_relays_own_key_rejected_is_not_the_callers_401() {
    for credential in [
        Credential::key("sk-own").unwrap(),
        Credential::none(),
        Credential::per_request(|_| async { Ok("sk-own".to_owned()) }),
    ] {
        let response = answered(&upstream(credential).build().unwrap(), chat(), || {
            status(401)
        })
        .await;
        assert_eq!(refusal(response).await, (502, "upstream_auth".to_owned()));
    }
}

#[tokio::test]
async fn a_proxy_that_rejects_the_relay_is_not_the_callers_407() {
    for credential in [Credential::key("sk-own").unwrap(), Credential::caller()] {
        let layer = upstream(credential).build().unwrap();
        let request = chat().header("authorization", "Bearer sk-theirs");
        let response = answered(&layer, request, || status(407)).await;
        assert_eq!(
            refusal(response).await,
            (502, "upstream_bad_answer".to_owned())
        );
    }
}

#[tokio::test]
async fn the_callers_own_key_rejected_is_the_callers_401() {
    let layer = upstream(Credential::caller()).build().unwrap();
    let response = answered(
        &layer,
        chat().header("authorization", "Bearer sk-theirs"),
        || {
            let mut response = status(401);
            let asked = "Bearer".parse().unwrap();
            response.headers_mut().insert("www-authenticate", asked);
            response
        },
    )
    .await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert!(read(response).await.1.contains("of the upstream"));
}

#[tokio::test]
async fn all_other_answers_pass_as_they_are() {
    let layer = keyed().build().unwrap();
    for answer in [
        || status(200),
        || status(403),
        || status(429),
        || status(500),
    ] {
        let response = answered(&layer, Request::post("/v1/files"), answer).await;
        assert_eq!(response.status(), answer().status());
        assert_eq!(read(response).await.1, "of the upstream");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_client_could_read_is_told_in_the_callers_dialect() {
    let layer = keyed().build().unwrap();
    let broken = |text: &'static str, rest: Result<Frame<Bytes>, BoxError>| {
        let frames = [Ok(Frame::data(Bytes::from_static(text.as_bytes()))), rest];
        ResponseBody::new(StreamBody::new(futures_util::stream::iter(frames)))
    };
    let cut = broken(r#"{"error":{"mess"#, Err("reset".into()));
    let whole_but_broken = broken(r#"{"error":{"message":"no"}}"#, Err("reset".into()));
    let open = futures_util::stream::pending::<Result<Frame<Bytes>, BoxError>>();
    let open = ResponseBody::new(StreamBody::new(open));
    for body in [
        ResponseBody::from("<html><h1>502 Bad Gateway</h1></html>"),
        ResponseBody::from("no"),
        ResponseBody::from("502"),
        ResponseBody::empty(),
        cut,
        whole_but_broken,
        open,
    ] {
        let body = Arc::new(Mutex::new(Some(body)));
        let client = answering(move |_| {
            let response = Response::builder().status(502).header("x-kept", "1");
            let body = body.lock().unwrap().take().unwrap();
            response.header("content-length", "40").body(body).unwrap()
        });
        let request = chat().body(RequestBody::json("{}")).unwrap();
        let Ok(response) = layer.layer(client).oneshot(request).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-kept"], "1");
        assert!(!response.headers().contains_key("content-length"));
        let (_, text) = read(response).await;
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(error["error"]["message"].is_string(), "{text}");
    }
}

#[tokio::test]
async fn an_error_in_json_passes_byte_for_byte() {
    let layer = keyed().build().unwrap();
    for text in [
        r#" {"error": {"message": "no",  "type": "x"}} "#,
        r#"[{"error": {"code": 429}}]"#,
        r#"{"detail":"no"}"#,
    ] {
        let client = answering(move |_| {
            let response = Response::builder().status(429);
            response.body(ResponseBody::from(text)).unwrap()
        });
        let request = chat().body(RequestBody::json("{}")).unwrap();
        let Ok(response) = layer.layer(client).oneshot(request).await;
        // Whoever decides on it reads it once more.
        let response = crate::message::classify(response).await;
        assert!(matches!(
            Outcome::of(&response),
            Some(Outcome::RateLimited { .. })
        ));
        assert_eq!(read(response).await.1, text);
    }
}

#[tokio::test]
async fn what_cannot_be_an_answer_of_a_model_is_a_bad_answer() {
    let layer = keyed().build().unwrap();
    let page = || {
        let mut response = status(200);
        let html = "text/html; charset=utf-8".parse().unwrap();
        response.headers_mut().insert("content-type", html);
        response
    };
    for answer in [page, || status(204), || status(205), || status(304)] {
        let response = answered(&layer, chat(), answer).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(response.headers()["x-should-retry"], "false");
        let (_, text) = read(response).await;
        assert!(text.contains("upstream_bad_answer"), "{text}");
        let other = || Request::get("/v1/files");
        let passed = answered(&layer, other(), answer).await;
        assert_eq!(passed.status(), answer().status());
    }
}

#[tokio::test]
async fn a_protocol_switched_unasked_is_a_bad_answer() {
    let response = answered(&keyed().build().unwrap(), chat(), || status(101)).await;
    assert_eq!(
        refusal(response).await,
        (502, "upstream_bad_answer".to_owned())
    );
}

#[tokio::test]
async fn an_upgrade_is_refused_with_what_to_do() {
    let layer = keyed().build().unwrap();
    for request in [
        Request::get("/v1/realtime")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "websocket"),
        Request::connect("upstream.test:443"),
    ] {
        let response = answered(&layer, request, || panic!("was sent")).await;
        assert_eq!(
            response.extensions().get::<Rejection>().unwrap().reason,
            Reason::UpgradeUnsupported
        );
        assert_eq!(
            refusal(response).await,
            (501, "upgrade_unsupported".to_owned())
        );
    }
}

/// Java's `HttpClient` offers it with every request in clear text; RFC 7540, section 3.2, lets a server ignore the offer.
#[tokio::test]
async fn an_offer_of_http_2_is_ignored() {
    let request = chat()
        .header("connection", "Upgrade, HTTP2-Settings")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA");
    let parts = sent(&keyed().build().unwrap(), request).await;
    for name in ["connection", "upgrade", "http2-settings"] {
        assert!(!parts.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn every_answer_says_who_served_it() {
    for answer in [|| status(200), || status(401), || status(302)] {
        let response = answered(&keyed().build().unwrap(), chat(), answer).await;
        let served = response.extensions().get::<Served>().unwrap();
        assert_eq!(
            (&*served.upstream, served.credential.as_deref()),
            ("test", Some("own"))
        );
    }
}

#[tokio::test]
async fn the_model_is_named_where_somebody_had_to_read_the_request() {
    let template =
        UpstreamLayer::builder("azure").template("https://me.test/deployments/{model}/{path}");
    for (layer, is_read, model) in [
        (keyed().build().unwrap(), false, None),
        (keyed().build().unwrap(), true, Some("m")),
        (template.build().unwrap(), false, Some("m")),
    ] {
        let request = chat().body(RequestBody::json(r#"{"model":"m"}"#)).unwrap();
        if is_read {
            assert_eq!(request.body().model().as_deref(), Some("m"));
        }
        let Ok(response) = layer
            .layer(answering(|_| status(200)))
            .oneshot(request)
            .await;
        let served = response.extensions().get::<Served>().unwrap();
        assert_eq!(served.model.as_deref(), model);
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_sent_is_the_callers_error() {
    let response = answered(
        &keyed().build().unwrap(),
        Request::post("/v1/../admin"),
        || panic!("was sent"),
    )
    .await;
    assert_eq!(
        response.extensions().get::<Rejection>().unwrap().reason,
        Reason::InvalidRequest
    );
    assert_eq!(refusal(response).await, (400, "invalid_path".to_owned()));
}
