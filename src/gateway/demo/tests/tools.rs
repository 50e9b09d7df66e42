use super::*;

#[tokio::test]
async fn the_first_tool_is_called_unless_another_is_named_or_none_is_allowed() {
    let demo = Demo::exact();
    let first = complete(&demo, "demo-small", json!({"tools": weather()}))
        .await
        .json();
    assert_eq!(
        first["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "now"
    );
    assert_eq!(first["choices"][0]["finish_reason"], "tool_calls");

    let named = complete(&demo, "demo-small", call_weather()).await.json();
    let call = &named["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "weather");
    let arguments: Value =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(
        arguments,
        json!({"city_name": "example city name", "unit": "celsius", "days": 3})
    );

    let none = complete(
        &demo,
        "demo-small",
        json!({"tools": weather(), "tool_choice": "none"}),
    )
    .await
    .json();
    assert!(none["choices"][0]["message"]["content"].is_string());
    let unknown =
        json!({"tools": weather(), "tool_choice": {"type": "function", "function": {"name": "x"}}});
    assert_eq!(
        complete(&demo, "demo-small", unknown).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn the_fragments_of_a_streamed_tool_call_join_to_its_arguments() {
    let demo = Demo::exact();
    let whole = complete(&demo, "demo-small", call_weather()).await.json();
    let stream = complete(
        &demo,
        "demo-small",
        merge(call_weather(), json!({"stream": true})),
    )
    .await;
    let fragment = |chunk: &Value| {
        Some(
            chunk
                .pointer("/choices/0/delta/tool_calls/0/function/arguments")?
                .as_str()?
                .to_owned(),
        )
    };
    let joined: String = stream.chunks().iter().filter_map(fragment).collect();
    assert_eq!(
        whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        joined
    );
}

#[tokio::test]
async fn a_tool_result_is_quoted() {
    let body = json!({"model": "demo-small", "tools": weather(), "messages": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
    ]});
    let got = post(&Demo::exact(), "/v1/chat/completions", &body)
        .await
        .json();
    assert_eq!(
        got["choices"][0]["message"]["content"],
        "The tool answered: 21 degrees"
    );
}

#[tokio::test]
async fn a_response_format_makes_the_text_json() {
    let demo = Demo::exact();
    let object = json!({"response_format": {"type": "json_object"}});
    let got = complete(&demo, "demo-small", object).await.json();
    let text = got["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).unwrap()["reply"].is_string());

    let schema = json!({"$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}, "on": {"type": "boolean"}}}}, "$ref": "#/$defs/N"});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
    let got = complete(&demo, "demo-small", format).await.json();
    let text = got["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(text).unwrap()["next"]["on"],
        true
    );
}

#[tokio::test]
async fn a_schema_that_refers_to_itself_many_times_over_stays_small() {
    let properties: serde_json::Map<_, _> = (0..50)
        .map(|index| (format!("p{index}"), json!({"$ref": "#"})))
        .collect();
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": properties}}}]);
    let got = complete(&Demo::exact(), "demo-small", json!({"tools": tools})).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.text.len() < 200_000);
}
