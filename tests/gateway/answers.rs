//! What callers get.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;

use crate::harness::{Relay, caller, chat, demo, get, post, receive, send, soon};

#[tokio::test]
async fn a_chat_is_answered_by_the_model_that_the_alias_stands_for() {
    let relay = Relay::before(demo().await.0).await;
    let got = send(post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({})),
    ))
    .await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    assert_eq!(got.json()["model"], "demo-small");
    assert!(
        got.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .contains("Hello there!")
    );
    assert!(got.headers.contains_key("x-relay-request-id"));
}

#[tokio::test]
async fn tools_are_called_and_embeddings_made() {
    let relay = Relay::before(demo().await.0).await;
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
    let got = send(post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({"tools": tools})),
    ))
    .await;
    assert_eq!(
        got.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "weather"
    );

    let request = json!({"model": "text-embedding-3-small", "input": ["one", "two"]});
    let got = send(post(relay.uri("/v1/embeddings"), &request)).await;
    assert_eq!(
        got.json()["data"].as_array().unwrap().len(),
        2,
        "{}",
        got.text
    );
}

#[tokio::test]
async fn models_that_may_be_asked_for_are_listed_and_no_others() {
    let relay = Relay::before(demo().await.0).await;
    let list = get(relay.uri("/v1/models")).await.json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["gpt-4.1-mini", "demo-small", "demo-embed"]);
    assert_eq!(
        get(relay.uri("/v1/models/gpt-4.1-mini")).await.json()["owned_by"],
        "demo"
    );
    for path in ["/v1/models/gpt-9", "/models/gpt-9"] {
        assert_eq!(
            get(relay.uri(path)).await.failure(),
            (404, "model_not_found".to_owned())
        );
    }
}

#[tokio::test]
async fn where_no_model_is_named_the_upstreams_own_list_is_passed_on() {
    let (upstream, _) = demo().await;
    let config = format!(
        "[[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}"
    );
    let relay = Relay::start(&config).await;
    let list = get(relay.uri("/v1/models")).await.json();
    assert_eq!(list["data"][0]["owned_by"], "tower-relay", "{list}");
}

#[tokio::test]
async fn a_model_that_nobody_knows_is_a_404_with_those_that_are_known() {
    let relay = Relay::before(demo().await.0).await;
    let got = send(post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-9", &json!({})),
    ))
    .await;
    assert_eq!(got.failure(), (404, "model_not_found".to_owned()));
    assert!(got.text.contains("gpt-4.1-mini"), "{}", got.text);
}

#[tokio::test]
async fn how_a_path_is_spelled_lets_no_model_past_the_known_ones() {
    let relay = Relay::before(demo().await.0).await;
    for path in [
        "/v1/chat/%63ompletions",
        "/v1/chat%2Fcompletions",
        "/v1//chat//completions/",
        "/V1/chat/Completions",
        "/chat/completions",
        "/embeddings",
    ] {
        let got = send(post(relay.uri(path), &chat("gpt-9", &json!({})))).await;
        assert_eq!(got.failure(), (404, "model_not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_a_413() {
    let relay = Relay::with(demo().await.0, "[edge]\nmax_body = \"1kB\"").await;
    let long = chat("gpt-4.1-mini", &json!({"user": "x".repeat(2000)}));
    let got = send(post(relay.uri("/v1/chat/completions"), &long)).await;
    assert_eq!(got.failure(), (413, "request_too_large".to_owned()));
}

#[tokio::test]
async fn an_upload_larger_than_the_cap_passes() {
    let relay = Relay::with(demo().await.0, "[edge]\nmax_body = \"1kB\"").await;
    let file = "x".repeat(1 << 20);
    let form = format!(
        "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{file}\r\n--b--\r\n"
    );
    let request = Request::post(relay.uri("/v1/files"))
        .header("content-type", "multipart/form-data; boundary=b");
    let got = send(request.body(Full::new(Bytes::from(form))).unwrap()).await;
    assert_eq!(
        (got.status, got.json()["bytes"].as_u64()),
        (StatusCode::OK, Some(1 << 20)),
        "{}",
        got.text
    );
}

#[tokio::test]
async fn each_upstream_gets_the_models_that_it_names_under_its_own_names() {
    let ((first, _), (second, _)) = (demo().await, demo().await);
    let upstream = |name: &str, address, models: &str, aliases: &str| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
             models = [\"{models}\"]\naliases = {{ {aliases} }}\n"
        )
    };
    let config = upstream("a", first, "small", "\"small\" = \"demo-small\"")
        + &upstream("b", second, "large*", "\"large*\" = \"demo-large\"");
    let relay = Relay::start(&config).await;
    for (asked, served) in [("small", "demo-small"), ("large-1", "demo-large")] {
        let got = send(post(
            relay.uri("/v1/chat/completions"),
            &chat(asked, &json!({})),
        ))
        .await;
        assert_eq!(got.json()["model"], served, "{}", got.text);
    }
}

#[tokio::test]
async fn a_caller_may_speak_http2() {
    let relay = Relay::before(demo().await.0).await;
    let caller = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    for _ in 0..3 {
        let request = post(
            relay.uri("/v1/chat/completions"),
            &chat("gpt-4.1-mini", &json!({})),
        );
        let got = receive(soon(caller.request(request)).await.unwrap()).await;
        assert_eq!((got.status, got.version), (StatusCode::OK, Version::HTTP_2));
    }
}

#[tokio::test]
async fn connections_to_the_upstream_are_used_again() {
    const REQUESTS: usize = 20;
    let (upstream, taken) = demo().await;
    let relay = Relay::before(upstream).await;
    let caller = caller();
    for _ in 0..REQUESTS {
        let request = post(
            relay.uri("/v1/chat/completions"),
            &chat("gpt-4.1-mini", &json!({})),
        );
        receive(soon(caller.request(request)).await.unwrap()).await;
    }
    let taken = taken.load(Ordering::SeqCst);
    assert!(
        taken <= REQUESTS / 4,
        "{taken} connections for {REQUESTS} requests, one after the other"
    );
}

#[tokio::test]
async fn pages_are_shown_each_header_once() {
    let server = "[server]\nheaders = \"guide\"\n[server.cors]\nenabled = true\norigins = [\"*\"]";
    let relay = Relay::with(demo().await.0, server).await;
    let mut request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({})),
    );
    let origin = "https://app.test".parse().unwrap();
    request.headers_mut().insert("origin", origin);
    let got = send(request).await;
    let shown = got.headers["access-control-expose-headers"].to_str();
    let mut shown: Vec<_> = shown.unwrap().split(',').map(str::trim).collect();
    assert!(shown.contains(&"x-response-time-ms") && shown.contains(&"retry-after"));
    let all = shown.len();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown.len(), all, "{shown:?}");
}

#[tokio::test]
async fn pages_may_call_where_cors_says_so() {
    let cors = "[server.cors]\nenabled = true\norigins = [\"https://app.test\"]";
    let relay = Relay::with(demo().await.0, cors).await;
    let preflight = |origin: &str| {
        let request = Request::options(relay.uri("/v1/chat/completions"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            );
        send(request.body(Full::default()).unwrap())
    };
    let allowed = preflight("https://app.test").await.headers;
    assert_eq!(allowed["access-control-allow-origin"], "https://app.test");
    assert_eq!(
        allowed["access-control-allow-headers"],
        "authorization,content-type"
    );
    assert!(
        !preflight("https://evil.test")
            .await
            .headers
            .contains_key("access-control-allow-origin")
    );

    let mut request = post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({})),
    );
    request
        .headers_mut()
        .insert("origin", "https://app.test".parse().unwrap());
    let got = send(request).await;
    assert_eq!(
        (got.status, &got.headers["access-control-allow-origin"]),
        (StatusCode::OK, &"https://app.test".parse().unwrap())
    );
}

#[tokio::test]
async fn health_and_models_are_the_relays_own_and_carry_the_requests_id() {
    let relay = Relay::before("127.0.0.1:1".parse().unwrap()).await;
    assert_eq!(get(relay.uri("/health")).await.text, r#"{"status":"ok"}"#);
    for path in ["/health", "/v1/models"] {
        assert!(
            get(relay.uri(path))
                .await
                .headers
                .contains_key("x-relay-request-id")
        );
        let mut request = Request::get(relay.uri(path)).body(Full::default()).unwrap();
        request
            .headers_mut()
            .insert("x-relay-request-id", "mine".parse().unwrap());
        assert_eq!(send(request).await.headers["x-relay-request-id"], "mine");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let relay = Relay::before("127.0.0.1:1".parse().unwrap()).await;
    let got = send(post(
        relay.uri("/v1/chat/completions"),
        &chat("gpt-4.1-mini", &json!({})),
    ))
    .await;
    assert_eq!(got.failure(), (502, "upstream_unreachable".to_owned()));
}
