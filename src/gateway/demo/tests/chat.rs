use super::*;

#[tokio::test]
async fn a_reply_echoes_the_last_user_message_and_counts_words() {
    let got = complete(&Demo::exact(), "demo-small", json!({}))
        .await
        .json();
    let choice = &got["choices"][0];
    assert_eq!(
        choice["message"]["content"],
        "This is demo-small, a demo. You said: hello there"
    );
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(got["usage"]["prompt_tokens"], 2);
    assert_eq!(got["usage"]["completion_tokens"], 9);
    assert_eq!(got["usage"]["total_tokens"], 11);
}

#[tokio::test]
async fn a_long_message_is_echoed_in_part() {
    let long = "é".repeat(10_000);
    let body = json!({"model": "demo-small", "messages": [{"role": "user", "content": [{"type": "text", "text": long}]}]});
    let got = post(&Demo::exact(), "/v1/chat/completions", &body)
        .await
        .json();
    let content = got["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(
        content.ends_with("é…") && content.chars().count() < 300,
        "{content}"
    );
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes_and_another_one_another_id() {
    let demo = Demo::exact();
    let stream = json!({"stream": true});
    let first = complete(&demo, "demo-small", stream.clone()).await;
    let second = complete(&demo, "demo-small", stream).await;
    let other = complete(&demo, "demo-large", json!({"stream": true})).await;
    assert_eq!(first.text, second.text);
    assert_eq!(
        first.headers["x-request-id"],
        second.headers["x-request-id"]
    );
    assert_ne!(first.chunks()[0]["id"], other.chunks()[0]["id"]);
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let demo = Demo::exact();
    let whole = complete(&demo, "demo-small", json!({})).await.json();
    let stream = complete(&demo, "demo-small", json!({"stream": true})).await;
    assert_eq!(whole["choices"][0]["message"]["content"], stream.said());
    assert_eq!(
        stream.headers["content-type"],
        "text/event-stream; charset=utf-8"
    );
    assert!(stream.text.ends_with("data: [DONE]\n\n"));
    assert!(
        stream
            .chunks()
            .iter()
            .all(|chunk| chunk.get("usage").is_none())
    );
    assert_eq!(
        stream.chunks().last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );
}

#[tokio::test]
async fn include_usage_adds_one_chunk_without_choices_and_null_elsewhere() {
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = complete(&Demo::exact(), "demo-small", asked).await.chunks();
    let (last, before) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], 11);
    assert!(
        before
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk.get("usage").is_some())
    );
}

#[tokio::test]
async fn every_name_of_the_output_cap_cuts_the_answer() {
    let demo = Demo::exact();
    for name in ["max_tokens", "max_completion_tokens"] {
        let got = complete(&demo, "demo-small", json!({name: 3})).await.json();
        assert_eq!(
            got["choices"][0]["message"]["content"],
            "This is demo-small,"
        );
        assert_eq!(got["choices"][0]["finish_reason"], "length");
        assert_eq!(got["usage"]["completion_tokens"], 3);
    }
}

#[tokio::test]
async fn several_choices_take_turns_in_a_stream() {
    let got = complete(
        &Demo::exact(),
        "demo-small",
        json!({"n": 3, "stream": true}),
    )
    .await;
    let order: Vec<_> = got
        .chunks()
        .iter()
        .map(|chunk| chunk["choices"][0]["index"].clone())
        .collect();
    assert_eq!(order[..6], [0, 1, 2, 0, 1, 2]);
    let finished = got
        .chunks()
        .iter()
        .filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop")
        .count();
    assert_eq!(finished, 3);
}
