use super::*;

#[tokio::test]
async fn the_older_completions_api_answers_and_streams() {
    let demo = Demo::exact();
    let whole = post(
        &demo,
        "/v1/completions",
        &json!({"model": "demo-small", "prompt": "hi"}),
    )
    .await
    .json();
    let body = json!({"model": "demo-small", "prompt": "hi", "stream": true});
    let stream = post(&demo, "/v1/completions", &body).await;
    let said: String = stream
        .chunks()
        .iter()
        .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(whole["choices"][0]["text"], said);
    assert_eq!(whole["object"], "text_completion");
}

#[tokio::test]
async fn embeddings_come_as_numbers_or_base64_of_the_same_floats() {
    let demo = Demo::exact();
    let body = json!({"model": "demo-embed", "input": ["a b", "c"], "dimensions": 4});
    let numbers = post(&demo, "/v1/embeddings", &body).await.json();
    let base64 = post(
        &demo,
        "/v1/embeddings",
        &merge(body, json!({"encoding_format": "base64"})),
    )
    .await
    .json();
    assert_eq!(numbers["data"][1]["embedding"].as_array().unwrap().len(), 4);
    assert_eq!(base64["data"][1]["embedding"].as_str().unwrap().len(), 24);
    assert_eq!(
        numbers["usage"],
        json!({"prompt_tokens": 3, "total_tokens": 3})
    );

    let tokens = json!({"model": "demo-embed", "input": [[1, 2], [3]]});
    let tokens = post(&demo, "/v1/embeddings", &tokens).await.json();
    assert_eq!(tokens["data"].as_array().unwrap().len(), 2);
    for input in [json!(""), json!([]), json!([[]]), json!([1, "a"]), json!(7)] {
        let got = post(
            &demo,
            "/v1/embeddings",
            &json!({"model": "demo-embed", "input": input}),
        )
        .await;
        assert_eq!(got.json()["error"]["param"], "input", "{input}");
    }
}

#[tokio::test]
async fn a_responses_stream_numbers_its_events_and_ends_with_the_whole_response() {
    let demo = Demo::exact();
    let body = json!({"model": "demo-small", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]});
    let whole = post(&demo, "/v1/responses", &body).await.json();
    let stream = post(
        &demo,
        "/v1/responses",
        &merge(body.clone(), json!({"stream": true})),
    )
    .await;
    let events = stream.chunks();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        assert!(
            stream
                .text
                .contains(&format!("event: {}\n", event["type"].as_str().unwrap()))
        );
    }
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(
        last["response"]["output"][0]["content"],
        whole["output"][0]["content"]
    );
    assert!(!stream.text.contains("[DONE]"));

    let cut = post(
        &demo,
        "/v1/responses",
        &merge(body, json!({"max_output_tokens": 2})),
    )
    .await
    .json();
    assert_eq!(cut["incomplete_details"]["reason"], "max_output_tokens");
}

#[tokio::test]
async fn models_are_listed_and_found_by_name() {
    let demo = Demo::exact();
    let list = send(&demo, request("GET", "/v1/models", "")).await.json();
    assert_eq!(list["data"].as_array().unwrap().len(), demo.models().len());
    let one = send(&demo, request("GET", "/v1/models/demo-embed", ""))
        .await
        .json();
    assert_eq!(one, list["data"][2]);
    let unknown = send(&demo, request("GET", "/v1/models/nope", "")).await;
    assert_eq!(
        (unknown.status, unknown.error_code()),
        (StatusCode::NOT_FOUND, json!("model_not_found"))
    );
}

#[tokio::test]
async fn an_upload_is_counted() {
    let body = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"x.jsonl\"\r\n\r\n12345\r\n--b--\r\n";
    let mut request = request("POST", "/v1/files", body);
    request.headers_mut().insert(
        "content-type",
        "multipart/form-data; boundary=b".parse().unwrap(),
    );
    let got = send(&Demo::exact(), request).await.json();
    assert_eq!(
        (&got["bytes"], &got["filename"], &got["purpose"]),
        (&json!(5), &json!("x.jsonl"), &json!("batch"))
    );
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let demo = Demo::exact();
    let long = vec!["word"; 9_000].join(" ");
    let cases = [
        (
            chat("nope", json!({})),
            404,
            json!("model_not_found"),
            json!("model"),
        ),
        (
            chat("demo-embed", json!({})),
            404,
            Value::Null,
            json!("model"),
        ),
        (
            chat("demo-small", json!({"n": 5})),
            400,
            Value::Null,
            json!("n"),
        ),
        (
            chat("demo-small", json!({"max_tokens": 0})),
            400,
            Value::Null,
            json!("max_tokens"),
        ),
        (
            chat("demo-small", json!({"stream": "yes"})),
            400,
            Value::Null,
            json!("stream"),
        ),
        (
            chat("demo-small", json!({"messages": []})),
            400,
            Value::Null,
            json!("messages"),
        ),
        (
            chat("demo-small", json!({"stream_options": {}})),
            400,
            Value::Null,
            json!("stream_options"),
        ),
        (
            chat(
                "demo-small",
                json!({"messages": [{"role": "user", "content": long}]}),
            ),
            400,
            json!("context_length_exceeded"),
            json!("messages"),
        ),
    ];
    for (body, status, code, param) in cases {
        let got = post(&demo, "/v1/chat/completions", &body).await;
        let error = &got.json()["error"];
        assert_eq!(
            (got.status.as_u16(), &error["code"], &error["param"]),
            (status, &code, &param)
        );
    }
    for body in ["{", "[]", "{}", "{\"model\":7}", &"[".repeat(100_000)] {
        let got = send(
            &demo,
            request("POST", "/v1/chat/completions", body.to_owned()),
        )
        .await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
    }
    let got = send(
        &demo,
        request(
            "POST",
            "/v1/chat/completions",
            vec![b' '; 16 * 1024 * 1024 + 1],
        ),
    )
    .await;
    assert_eq!(got.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        send(&demo, request("GET", "/v1/nope", "")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_refused_and_never_repeated() {
    let demo = Demo::exact().key("other");
    let mut missing = request("GET", "/v1/models", "");
    missing.headers_mut().remove("authorization");
    for request in [request("GET", "/v1/models", ""), missing] {
        let got = send(&demo, request).await;
        assert_eq!(
            (got.status, got.error_code()),
            (StatusCode::UNAUTHORIZED, json!("invalid_api_key"))
        );
        assert!(!got.text.contains("demo-key"));
    }
    assert_eq!(
        send(&demo, request("GET", "/health", "")).await.status,
        StatusCode::OK
    );
    assert!(!format!("{demo:?}").contains("other"));
}
