use super::*;

async fn faulty(demo: &Demo, model: &str, extra: Value, faults: &[(&'static str, &str)]) -> Got {
    let mut request = request(
        "POST",
        "/v1/chat/completions",
        chat(model, extra).to_string(),
    );
    for (name, value) in faults {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    send(demo, request).await
}

#[tokio::test]
async fn a_status_is_answered_in_the_providers_shape() {
    let got = faulty(
        &Demo::exact(),
        "demo-small",
        json!({}),
        &[("x-demo-status", "429")],
    )
    .await;
    assert_eq!(
        (got.status.as_u16(), got.error_code()),
        (429, json!("rate_limit_exceeded"))
    );
    assert_eq!(got.headers["retry-after"], "1");
    let got = faulty(
        &Demo::exact(),
        "demo-small",
        json!({}),
        &[("x-demo-status", "503")],
    )
    .await;
    assert_eq!(
        (got.status.as_u16(), got.error_code()),
        (503, json!("server_is_overloaded"))
    );

    let demo = Demo::deviant();
    let got = faulty(&demo, "deviant-xai", json!({}), &[("x-demo-status", "429")]).await;
    assert!(got.json()["error"].is_string());
    let got = faulty(
        &demo,
        "deviant-openrouter",
        json!({}),
        &[("x-demo-status", "429")],
    )
    .await;
    assert_eq!(got.error_code(), 429);
    let got = faulty(
        &demo,
        "deviant-gemini",
        json!({}),
        &[("x-demo-status", "429")],
    )
    .await;
    assert_eq!(got.json()["error"]["details"][0]["retryDelay"], "1s");
    assert!(!got.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_status_also_meets_routes_without_a_model() {
    let mut request = request("GET", "/v1/models", "");
    request
        .headers_mut()
        .insert("x-demo-status", "500".parse().unwrap());
    let got = send(&Demo::exact(), request).await;
    assert_eq!(
        (got.status.as_u16(), &got.json()["error"]["type"]),
        (500, &json!("server_error"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_head_waits_for_its_delay() {
    let start = Instant::now();
    faulty(
        &Demo::exact(),
        "demo-small",
        json!({}),
        &[("x-demo-delay-ms", "1500")],
    )
    .await;
    assert_eq!(start.elapsed(), Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn events_keep_the_pace_that_the_demo_or_the_caller_sets() {
    let demo = Demo::exact().pace(Duration::from_millis(15));
    let stream = json!({"stream": true});
    let start = Instant::now();
    let got = faulty(&demo, "demo-small", stream.clone(), &[]).await;
    // One pause between each two of the chunks and the `[DONE]`.
    let pauses = u32::try_from(got.chunks().len()).unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(15) * pauses);

    let start = Instant::now();
    faulty(
        &demo,
        "demo-small",
        stream,
        &[("x-demo-event-delay-ms", "100")],
    )
    .await;
    assert_eq!(start.elapsed(), Duration::from_millis(100) * pauses);
}

#[tokio::test]
async fn a_stream_is_cut_after_so_many_events() {
    for events in [0, 1, 3] {
        let cut = events.to_string();
        let got = faulty(
            &Demo::exact(),
            "demo-small",
            json!({"stream": true}),
            &[("x-demo-cut", &cut)],
        )
        .await;
        assert!(got.cut);
        assert_eq!(got.chunks().len(), events);
    }
    let got = faulty(
        &Demo::exact(),
        "demo-small",
        json!({}),
        &[("x-demo-cut", "0")],
    )
    .await;
    assert!(got.cut && got.text.is_empty());
    let got = faulty(
        &Demo::exact(),
        "demo-small",
        json!({"stream": true}),
        &[("x-demo-cut", "999")],
    )
    .await;
    assert!(!got.cut && got.text.ends_with("[DONE]\n\n"));
}

#[tokio::test]
async fn a_stream_breaks_off_with_the_providers_error_event() {
    let faults = [("x-demo-error-event", "2")];
    let got = faulty(
        &Demo::exact(),
        "demo-small",
        json!({"stream": true}),
        &faults,
    )
    .await;
    assert_eq!(got.chunks().len(), 3);
    assert_eq!(got.chunks()[2]["error"]["type"], "server_error");
    assert!(!got.cut && !got.text.contains("[DONE]"));

    let groq = faulty(
        &Demo::deviant(),
        "deviant-groq",
        json!({"stream": true}),
        &faults,
    )
    .await;
    assert!(groq.text.contains("event: error\ndata: {"));
    assert_eq!(groq.chunks()[2]["error"]["code"], "tool_use_failed");
    let openrouter = faulty(
        &Demo::deviant(),
        "deviant-openrouter",
        json!({"stream": true}),
        &faults,
    )
    .await;
    assert_eq!(
        openrouter.chunks()[0]["choices"][0]["finish_reason"],
        "error"
    );
}

#[tokio::test]
async fn a_fault_out_of_range_is_refused_by_name() {
    let cases = [
        ("x-demo-delay-ms", "60001"),
        ("x-demo-event-delay-ms", "-1"),
        ("x-demo-status", "200"),
        ("x-demo-cut", "soon"),
        ("x-demo-error-event", "1000001"),
    ];
    for (name, value) in cases {
        let got = faulty(&Demo::exact(), "demo-small", json!({}), &[(name, value)]).await;
        assert_eq!(
            (got.status.as_u16(), &got.json()["error"]["param"]),
            (400, &json!(name))
        );
    }
}
