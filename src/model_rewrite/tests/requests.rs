use super::*;
use crate::{
    message::{Reason, Rejection},
    testing::{read, refusal},
};

async fn rewritten(layer: &ModelRewriteLayer, path: &str, text: &str) -> String {
    let request = passed(layer, post(path, text)).await.unwrap();
    String::from_utf8(request.body().as_bytes().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn an_alias_is_replaced_at_every_endpoint_that_is_read() {
    let layer = aliases([("fast", "real-1")]).build().unwrap();
    for path in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
        "/v1/messages",
        "/v2/rerank",
    ] {
        let text = r#"{"a":[1.0, "model"],  "model" : "fast" ,"z":{"model":"fast"}}"#;
        let expected = r#"{"a":[1.0, "model"],  "model" : "real-1" ,"z":{"model":"fast"}}"#;
        assert_eq!(rewritten(&layer, path, text).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_model_spelled_with_escapes_is_the_same_model() {
    let layer = aliases([("fast", "real")]).build().unwrap();
    let text = r#"{"mod\u0065l":"f\u0061st"}"#;
    assert_eq!(
        rewritten(&layer, "/v1/chat/completions", text).await,
        r#"{"mod\u0065l":"real"}"#
    );
}

#[tokio::test]
async fn patterns_and_the_default_apply_where_no_name_does() {
    let layer = aliases([
        ("gpt-4", "exact"),
        ("gpt-*", "other-*"),
        ("*-mini", "small"),
    ])
    .unknown(Unknown::Default("rest".to_owned()))
    .build()
    .unwrap();
    for (asked, model) in [
        (r#"{"model":"gpt-4"}"#, r#"{"model":"exact"}"#),
        (r#"{"model":"gpt-5"}"#, r#"{"model":"other-5"}"#),
        (r#"{"model":"o4-mini"}"#, r#"{"model":"small"}"#),
        (r#"{"model":"claude"}"#, r#"{"model":"rest"}"#),
        (r#"{"model":7}"#, r#"{"model":"rest"}"#),
        (r#"{"n":1}"#, r#"{"n":1,"model":"rest"}"#),
        ("{}", r#"{"model":"rest"}"#),
    ] {
        assert_eq!(
            rewritten(&layer, "/v1/chat/completions", asked).await,
            model
        );
    }
}

#[tokio::test]
async fn a_name_with_quotes_is_written_as_json() {
    let layer = aliases([("fast", "a\"b\\c\u{1}")]).build().unwrap();
    let text = rewritten(&layer, "/v1/chat/completions", r#"{"model":"fast"}"#).await;
    assert_eq!(text, r#"{"model":"a\"b\\c\u0001"}"#);
}

#[tokio::test]
async fn lengths_and_digests_follow_the_new_text() {
    let layer = aliases([("fast", "much-longer")]).build().unwrap();
    let mut request = post("/v1/chat/completions", r#"{"model":"fast"}"#);
    request.headers_mut().insert("content-length", 16.into());
    request
        .headers_mut()
        .insert("content-md5", "x".parse().unwrap());
    request
        .headers_mut()
        .insert("content-digest", "sha-256=:x:".parse().unwrap());
    let request = passed(&layer, request).await.unwrap();
    assert_eq!(request.headers().len(), 1);
    assert_eq!(request.headers()["content-length"], "23");
    assert_eq!(request.body().as_bytes().unwrap().len(), 23);
}

#[tokio::test]
async fn what_is_not_renamed_is_not_touched() {
    let pass = aliases([("fast", "real"), ("same", "same")])
        .build()
        .unwrap();
    let default = aliases([])
        .unknown(Unknown::Default("real".to_owned()))
        .build()
        .unwrap();
    for (layer, path, text) in [
        (&pass, "/v1/chat/completions", r#"{"model":"other"}"#),
        (&pass, "/v1/chat/completions", r#"{"model":"same"}"#),
        (&pass, "/v1/chat/completions", r#"{"n":1}"#),
        (&default, "/v1/chat/completions", r#"{"model":"real"}"#),
        (&default, "/own/route", r#"{"model":"fast"}"#),
        (&default, "/v1/files", "not json"),
    ] {
        let mut request = post(path, text);
        request
            .headers_mut()
            .insert("content-md5", "x".parse().unwrap());
        let before = request.body().as_bytes().unwrap().as_ptr() as usize;
        let request = passed(layer, request).await.unwrap();
        assert_eq!(
            request.body().as_bytes().unwrap().as_ptr() as usize,
            before,
            "{path} {text}"
        );
        assert!(request.headers().contains_key("content-md5"));
    }
}

#[tokio::test]
async fn a_body_that_layers_do_not_read_passes_even_at_an_endpoint_that_they_do() {
    let layer = aliases([]).unknown(Unknown::Reject).build().unwrap();
    for body in [
        RequestBody::bytes("\u{1f}\u{8b}"),
        RequestBody::new("stream".to_owned()),
        RequestBody::empty(),
    ] {
        passed(
            &layer,
            Request::post("/v1/chat/completions").body(body).unwrap(),
        )
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn an_unknown_model_is_rejected_with_the_list_of_known_ones() {
    let layer = aliases([("b", "x"), ("a-*", "y")])
        .unknown(Unknown::Reject)
        .build()
        .unwrap();
    let response = passed(&layer, post("/v1/chat/completions", r#"{"model":"c"}"#))
        .await
        .unwrap_err();
    let rejection = *response.extensions().get::<Rejection>().unwrap();
    assert_eq!(
        (rejection.layer, rejection.reason),
        ("model_rewrite", Reason::ModelNotFound)
    );
    let (head, text) = read(response).await;
    assert_eq!(head.status, 404);
    assert_eq!(
        text,
        r#"{"error":{"message":"The model `c` does not exist. Known models: a-*, b.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
    );
}

#[tokio::test]
async fn a_long_table_and_a_long_name_make_no_long_message() {
    let table = Aliases::new((0..500).map(|n| (format!("model-{n}"), "x"))).unwrap();
    let layer = ModelRewriteLayer::builder()
        .aliases(table)
        .unknown(Unknown::Reject)
        .build()
        .unwrap();
    let text = format!(r#"{{"model":"{}"}}"#, "é".repeat(100_000));
    let response = passed(&layer, post("/v1/chat/completions", &text))
        .await
        .unwrap_err();
    assert!(read(response).await.1.len() < 2000);
}

#[tokio::test]
async fn a_missing_model_is_rejected_where_one_must_be_known() {
    let layer = aliases([("a", "b")])
        .unknown(Unknown::Reject)
        .build()
        .unwrap();
    for text in ["{}", r#"{"model":null}"#, r#"{"model":["a"]}"#] {
        let response = passed(&layer, post("/v1/chat/completions", text))
            .await
            .unwrap_err();
        assert_eq!(
            refusal(response).await,
            (400, "missing_required_parameter".to_owned()),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_model_named_twice_is_refused_however_it_is_spelled() {
    let layer = aliases([("a", "b")]).build().unwrap();
    for text in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
    ] {
        let (head, body) = read(
            passed(&layer, post("/v1/chat/completions", text))
                .await
                .unwrap_err(),
        )
        .await;
        assert_eq!(head.status, 400);
        assert!(
            body.contains(r#"duplicate member \"model\" at line 1 column 14"#),
            "{body}"
        );
        assert!(
            body.contains(r#""param":"model","code":"invalid_json""#),
            "{body}"
        );
    }
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_line_and_column() {
    let layer = aliases([("a", "b")]).build().unwrap();
    for (text, position) in [
        ("{\n  \"model\": x\n}", "line 2 column 12"),
        ("", "line 1 column 1"),
        ("[]", "line 1 column 1"),
        ("\u{feff}{}", "line 1 column 1"),
        (r#"{"model":"a"} x"#, "line 1 column 15"),
    ] {
        let response = passed(&layer, post("/v1/chat/completions", text))
            .await
            .unwrap_err();
        assert_eq!(
            response.extensions().get::<Rejection>().unwrap().reason,
            Reason::InvalidRequest
        );
        let (head, body) = read(response).await;
        assert_eq!(head.status, 400);
        assert!(body.contains(position), "{text:?}: {body}");
    }
}

#[tokio::test]
async fn nesting_however_deep_passes() {
    let layer = aliases([("a", "b")]).build().unwrap();
    let deep = [
        r#"{"x":"#,
        &"[".repeat(200_000),
        &"]".repeat(200_000),
        r#","model":"a"}"#,
    ]
    .concat();
    assert!(
        rewritten(&layer, "/v1/chat/completions", &deep)
            .await
            .ends_with(r#""model":"b"}"#)
    );
}

#[tokio::test]
async fn anthropics_callers_get_anthropics_errors() {
    let layer = aliases([("a", "b")])
        .unknown(Unknown::Reject)
        .build()
        .unwrap();
    let response = passed(&layer, post("/v1/messages", r#"{"model":"c"}"#))
        .await
        .unwrap_err();
    let text = read(response).await.1;
    assert!(
        text.starts_with(r#"{"type":"error","error":{"type":"not_found_error""#),
        "{text}"
    );
}
