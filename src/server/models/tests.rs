use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::message::{
    Endpoint,
    catalog::{ModelInfo, Price, Prices},
};

async fn get(models: &Models, method: Method, path: &str) -> (StatusCode, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(())
        .unwrap();
    let response = models.clone().oneshot(request).await.unwrap();
    let status = response.status();
    (
        status,
        String::from_utf8(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
        .unwrap(),
    )
}

#[tokio::test]
async fn the_list_and_each_of_its_models_are_openais() {
    let models = Models::new([Model::new("a", "x"), Model::new("org/b", "y")]);
    let list = r#"{"object":"list","data":[{"id":"a","object":"model","created":0,"owned_by":"x"},{"id":"org/b","object":"model","created":0,"owned_by":"y"}]}"#;
    assert_eq!(
        get(&models, Method::GET, "/v1/models").await,
        (StatusCode::OK, list.to_owned())
    );
    assert_eq!(
        get(&models, Method::GET, "/v1/models/").await.0,
        StatusCode::OK
    );
    let b = r#"{"id":"org/b","object":"model","created":0,"owned_by":"y"}"#;
    for path in ["/v1/models/org/b", "/v1/models/org%2Fb", "/org/b"] {
        assert_eq!(
            get(&models, Method::GET, path).await,
            (StatusCode::OK, b.to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_id_may_have_models_in_it_whether_or_not_a_router_strips_the_prefix() {
    let id = "accounts/fireworks/models/llama-v3p1-8b";
    let models = Models::new([Model::new("llama", "x"), Model::new(id, "y")]);
    for prefix in ["/v1/models", "/openai/v1/models", ""] {
        let (status, body) = get(&models, Method::GET, &format!("{prefix}/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{prefix}");
        assert!(body.contains(id), "{body}");
    }
    let path = "/v1/models/accounts/fireworks/models/other";
    let (status, body) = get(&models, Method::GET, path).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("'accounts/fireworks/models/other'"), "{body}");
}

#[tokio::test]
async fn what_a_catalog_knows_follows_openais_members() {
    let mut info = ModelInfo::new("acme-1");
    info.context_window = Some(128_000);
    info.capabilities.tools = Some(true);
    info.endpoints = Some(vec![Endpoint::ChatCompletions]);
    let mut prices = Prices::default();
    prices.base.input = Price::per_million("0.10");
    prices.base.output = Price::per_million("0.42");
    prices.base.per_request = Price::per_unit("0.005");
    info.prices = Some(prices);
    let model = Model::new("fast", "relay").with_info(&info);
    let json = r#"{"id":"fast","object":"model","created":0,"owned_by":"relay","context_window":128000,"capabilities":{"tools":true},"endpoints":["chat_completions"],"prices":{"input":"0.1","output":"0.42","per_request":"0.005"}}"#;
    let models = Models::new([model.clone()]);
    assert_eq!(
        get(&models, Method::GET, "/v1/models/fast").await,
        (StatusCode::OK, json.to_owned())
    );
    assert_eq!(serde_json::from_str::<Model>(json).unwrap(), model);
}

#[tokio::test]
async fn how_long_answers_take_is_asked_when_somebody_looks() {
    let models = Models::new([Model::new("fast", "x"), Model::new("idle", "x")]);
    let models = models.with_latency(|name| (name == "fast").then(|| Duration::from_millis(120)));
    let (_, list) = get(&models, Method::GET, "/v1/models").await;
    assert_eq!(list.matches("latency_p95_ms").count(), 1, "{list}");
    let (_, fast) = get(&models, Method::GET, "/v1/models/fast").await;
    assert!(fast.contains(r#""latency_p95_ms":120"#), "{fast}");
}

#[tokio::test]
async fn an_unknown_model_is_openais_404() {
    let (status, body) = get(&Models::default(), Method::GET, "/v1/models/gpt-9").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains(r#""code":"model_not_found""#), "{body}");
    assert_eq!(
        get(&Models::default(), Method::DELETE, "/v1/models/x")
            .await
            .0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn clones_see_a_new_list() {
    let models = Models::default();
    let clone = models.clone();
    models.set([Model::new("new", "x")]);
    assert_eq!(
        get(&clone, Method::GET, "/v1/models/new").await.0,
        StatusCode::OK
    );
}
