use super::*;

async fn whole(model: &str, extra: Value) -> Value {
    complete(&Demo::deviant(), model, extra).await.json()
}

async fn stream(model: &str, extra: Value) -> Got {
    complete(
        &Demo::deviant(),
        model,
        merge(json!({"stream": true}), extra),
    )
    .await
}

fn with_usage() -> Value {
    json!({"stream_options": {"include_usage": true}})
}

fn finish(got: &Got) -> Value {
    got.chunks()
        .into_iter()
        .rfind(|chunk| chunk["choices"].as_array().is_some_and(|c| !c.is_empty()))
        .unwrap()
}

fn usages(got: &Got) -> usize {
    got.chunks()
        .iter()
        .filter(|chunk| chunk["usage"].is_object())
        .count()
}

async fn overflow(model: &str) -> Got {
    let long = vec!["word"; 9_000].join(" ");
    complete(
        &Demo::deviant(),
        model,
        json!({"messages": [{"role": "user", "content": long}]}),
    )
    .await
}

#[tokio::test]
async fn every_deviation_deviates_and_still_says_the_same() {
    assert_eq!(Demo::deviant().models().len(), DEVIATIONS.len());
    for deviation in &DEVIATIONS {
        let model = deviation.model;
        assert!(model.starts_with("deviant-") && deviation.about.ends_with('.'));
        if model == "deviant-groq-tool-error" {
            continue;
        }
        let said = stream(model, json!({})).await.said();
        assert_eq!(
            said,
            format!("This is {model}, a demo. You said: hello there")
        );
    }
}

#[tokio::test]
async fn perplexity_sends_crlf_the_message_so_far_and_cumulative_usage_but_no_done() {
    let got = stream("deviant-perplexity", json!({})).await;
    assert_eq!(
        got.text.matches('\n').count(),
        got.text.matches("\r\n").count()
    );
    assert!(!got.text.contains("[DONE]"));
    let chunks = got.chunks();
    let used: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["usage"]["completion_tokens"].as_u64().unwrap())
        .collect();
    assert!(used.is_sorted() && used.last() == Some(&9));
    assert_eq!(chunks[2]["choices"][0]["message"]["content"], "This is");
    assert_eq!(chunks[2]["choices"][0]["delta"]["content"], " is");
    assert_eq!(finish(&got)["object"], "chat.completion.done");
}

#[tokio::test]
async fn groq_sends_the_usage_three_times_if_asked_and_twice_if_not() {
    let got = stream("deviant-groq", with_usage()).await;
    assert_eq!(usages(&got), 2);
    assert_eq!(finish(&got)["x_groq"]["usage"], finish(&got)["usage"]);
    assert_eq!(usages(&stream("deviant-groq", json!({})).await), 1);
}

#[tokio::test]
async fn groq_can_fail_in_a_named_event() {
    let got = stream("deviant-groq-tool-error", json!({})).await;
    assert!(got.text.contains("event: error\n") && !got.text.contains("[DONE]"));
    assert_eq!(got.chunks().last().unwrap()["error"]["status_code"], 400);
}

#[tokio::test]
async fn openrouter_keeps_alive_and_adds_cost_and_native_reasons() {
    let got = stream("deviant-openrouter", json!({})).await;
    assert!(got.text.starts_with(": OPENROUTER PROCESSING\n\n"));
    assert_eq!(usages(&got), 1);
    assert!(finish(&got)["usage"]["cost"].is_number());
    assert_eq!(finish(&got)["choices"][0]["native_finish_reason"], "STOP");
    let got = complete(&Demo::deviant(), "deviant-openrouter", json!({})).await;
    assert!(got.text.starts_with("\n   ") && got.json()["usage"]["cost"].is_number());
}

#[tokio::test]
async fn mistral_sends_content_as_a_list_and_refuses_stream_options() {
    let content =
        whole("deviant-mistral", json!({})).await["choices"][0]["message"]["content"].clone();
    assert_eq!(
        (&content[0]["type"], &content[1]["type"]),
        (&json!("thinking"), &json!("text"))
    );
    let got = stream("deviant-mistral", json!({})).await;
    assert!(got.chunks()[0]["choices"][0]["delta"]["content"].is_array());
    assert_eq!(finish(&got)["usage"]["total_tokens"], 11);
    let got = stream("deviant-mistral", with_usage()).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        got.json()["message"]["detail"][0]["type"],
        "extra_forbidden"
    );
}

#[tokio::test]
async fn azure_starts_without_choices_and_has_a_choice_without_a_delta() {
    let chunks = stream("deviant-azure", json!({})).await.chunks();
    assert_eq!(chunks[0]["choices"], json!([]));
    assert!(chunks[0]["prompt_filter_results"].is_array());
    assert!(chunks.last().unwrap()["choices"][0].get("delta").is_none());
}

#[tokio::test]
async fn gemini_leaves_out_the_index_of_a_tool_call_and_the_thinking_tokens() {
    let got = stream("deviant-gemini", call_weather()).await;
    let call = got.chunks()[0]["choices"][0]["delta"]["tool_calls"][0].clone();
    assert_eq!(call["id"], "");
    assert!(call.get("index").is_none());
    let usage = whole("deviant-gemini", json!({})).await["usage"].clone();
    assert_eq!(
        usage,
        json!({"prompt_tokens": 2, "completion_tokens": 9, "total_tokens": 16})
    );
}

#[tokio::test]
async fn deepseek_sends_blank_lines_and_usage_on_the_last_choice() {
    assert!(
        complete(&Demo::deviant(), "deviant-deepseek", json!({}))
            .await
            .text
            .starts_with("\n\n\n{")
    );
    let got = stream("deviant-deepseek", json!({})).await;
    assert_eq!(usages(&got), 1);
    assert!(got.chunks()[0].get("usage").is_some_and(Value::is_null));
    assert_eq!(finish(&got)["usage"]["prompt_cache_miss_tokens"], 2);
}

#[tokio::test]
async fn together_ends_with_eos_and_answers_403_to_a_long_prompt() {
    assert_eq!(
        whole("deviant-together", json!({})).await["choices"][0]["finish_reason"],
        "eos"
    );
    let got = stream("deviant-together", json!({})).await;
    assert_eq!(finish(&got)["choices"][0]["finish_reason"], "eos");
    assert_eq!(
        overflow("deviant-together").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn zai_leaves_out_object_and_null_reasons() {
    assert!(
        whole("deviant-zai", json!({}))
            .await
            .get("object")
            .is_none()
    );
    let got = stream("deviant-zai", json!({})).await;
    assert_eq!(
        got.headers["content-type"],
        "text/event-stream;charset=UTF-8"
    );
    assert!(got.chunks()[0].get("object").is_none());
    assert!(got.chunks()[0]["choices"][0].get("finish_reason").is_none());
    assert_eq!(overflow("deviant-zai").await.error_code(), "1261");
}

#[tokio::test]
async fn ollama_sends_a_whole_tool_call_in_a_delta_and_bare_usage() {
    let got = stream("deviant-ollama", merge(call_weather(), with_usage())).await;
    let calls: Vec<_> = got
        .chunks()
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0").cloned())
        .collect();
    assert_eq!(calls.len(), 1);
    assert!(
        serde_json::from_str::<Value>(calls[0]["function"]["arguments"].as_str().unwrap()).is_ok()
    );
    assert!(
        got.chunks().last().unwrap()["usage"]
            .get("prompt_tokens_details")
            .is_none()
    );
    assert_eq!(usages(&got), 1);
}

#[tokio::test]
async fn cerebras_ends_without_done() {
    let got = stream("deviant-cerebras", json!({})).await;
    assert!(!got.text.contains("[DONE]"));
    assert!(finish(&got)["time_info"].is_object() && finish(&got)["usage"].is_object());
    assert!(got.chunks()[0]["choices"][0].get("finish_reason").is_none());
}

#[tokio::test]
async fn xai_counts_reasoning_beside_the_completion() {
    let usage = whole("deviant-xai", json!({})).await["usage"].clone();
    assert_eq!(
        (&usage["completion_tokens"], &usage["total_tokens"]),
        (&json!(9), &json!(16))
    );
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 5);
    let got = stream("deviant-xai", with_usage()).await;
    assert_eq!(got.chunks().last().unwrap()["usage"], usage);
}

#[tokio::test]
async fn lm_studio_answers_200_to_a_long_prompt() {
    let got = overflow("deviant-lmstudio").await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.json()["error"].is_string());
}
