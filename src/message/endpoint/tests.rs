use super::*;

#[test]
fn paths_of_providers_are_recognised() {
    for (path, endpoint) in [
        ("/v1/chat/completions", Endpoint::ChatCompletions),
        ("/v1/chat/completions/", Endpoint::ChatCompletions),
        ("/chat/completions", Endpoint::ChatCompletions),
        ("/openai/v1/chat/completions", Endpoint::ChatCompletions),
        (
            "/openai/deployments/my-gpt/chat/completions",
            Endpoint::ChatCompletions,
        ),
        ("/api/paas/v4/chat/completions", Endpoint::ChatCompletions),
        ("/v1beta/openai/chat/completions", Endpoint::ChatCompletions),
        ("/v1/completions", Endpoint::Completions),
        ("/v1/embeddings", Endpoint::Embeddings),
        ("/v1beta/openai/embeddings", Endpoint::Embeddings),
        ("/openai/deployments/ada/embeddings", Endpoint::Embeddings),
        ("/v1/responses", Endpoint::Responses),
        ("/v1/messages", Endpoint::Messages),
        ("/v1/messages/count_tokens", Endpoint::CountTokens),
        ("/v1/moderations", Endpoint::Moderations),
        ("/v2/rerank", Endpoint::Rerank),
    ] {
        assert_eq!(Endpoint::from_path(&Method::POST, path), endpoint, "{path}");
    }
    for path in [
        "/v1/models",
        "/v1/models/gpt-4.1",
        "/v1/models/meta-llama/llama-4-maverick",
    ] {
        assert_eq!(
            Endpoint::from_path(&Method::GET, path),
            Endpoint::Models,
            "{path}"
        );
    }
}

#[test]
fn how_a_path_is_spelled_does_not_change_what_it_calls() {
    for (path, endpoint) in [
        ("/v1/chat/%63ompletions", Endpoint::ChatCompletions),
        ("/v1/chat%2Fcompletions", Endpoint::ChatCompletions),
        ("/v1/chat%2fcompletion%73", Endpoint::ChatCompletions),
        ("/v1/chat//completions", Endpoint::ChatCompletions),
        ("//v1/chat/completions//", Endpoint::ChatCompletions),
        ("/V1/Chat/Completions", Endpoint::ChatCompletions),
        ("/v1/messages/count%5Ftokens", Endpoint::CountTokens),
        ("/%761/embeddings", Endpoint::Embeddings),
        ("/v1/chat/%", Endpoint::Other),
        ("/v1/chat/%zzompletions", Endpoint::Other),
        ("/v1/chat/%+3ompletions", Endpoint::Other),
        ("/v1/%ff%fe/completions", Endpoint::Other),
        // Decoded once, as servers do.
        ("/v1/chat/%2563ompletions", Endpoint::Other),
    ] {
        assert_eq!(Endpoint::from_path(&Method::POST, path), endpoint, "{path}");
    }
}

#[test]
fn routes_of_an_application_are_not_mistaken_for_an_api() {
    for path in [
        "",
        "/",
        "/messages",
        "/inbox/messages",
        "/api/responses",
        "/completions",
        "/v1",
        "/v1/files",
        "/v1/responses/resp_1/cancel",
        "/views/embeddings",
        "/v1/chat",
        "/xchat/completions",
        "/deployments/a/b/embeddings",
    ] {
        assert_eq!(
            Endpoint::from_path(&Method::POST, path),
            Endpoint::Other,
            "{path}"
        );
    }
    for path in [
        "/v1/chat/completions",
        "/v1/responses/resp_1",
        "/models",
        "/v1/modelsx",
    ] {
        assert_eq!(
            Endpoint::from_path(&Method::GET, path),
            Endpoint::Other,
            "{path}"
        );
    }
}

#[test]
fn what_an_upstream_keeps_is_stateful() {
    use Effects::{Generate, Stateful};
    let table: &[(Endpoint, &'static str, Effects)] = &[
        (Endpoint::ChatCompletions, r#"{"model":"m"}"#, Generate),
        (
            Endpoint::ChatCompletions,
            r#"{"model":"m","store":false}"#,
            Generate,
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"model":"m","store":true}"#,
            Stateful,
        ),
        (
            Endpoint::Responses,
            r#"{"model":"m","store":false}"#,
            Generate,
        ),
        (Endpoint::Responses, r#"{"model":"m"}"#, Stateful),
        (
            Endpoint::Responses,
            r#"{"store":false,"background":true}"#,
            Stateful,
        ),
        (
            Endpoint::Responses,
            r#"{"store":false,"previous_response_id":"resp_1"}"#,
            Stateful,
        ),
        (
            Endpoint::Responses,
            r#"{"store":false,"previous_response_id":null}"#,
            Generate,
        ),
        (Endpoint::Messages, r#"{"container":"c_1"}"#, Stateful),
        (Endpoint::Embeddings, r#"{"input":"x"}"#, Generate),
        (Endpoint::Embeddings, "not json", Stateful),
        (Endpoint::Other, "{}", Stateful),
    ];
    for (endpoint, body, effects) in table {
        assert_eq!(
            endpoint.effects(&RequestBody::json(*body)),
            *effects,
            "{endpoint:?} {body}"
        );
    }
}
