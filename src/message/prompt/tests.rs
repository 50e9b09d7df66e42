use crate::message::RequestBody;

use super::Prompt;

fn prompt(json: &'static str) -> Prompt {
    *RequestBody::json(json).prompt().unwrap()
}

#[test]
fn chat_messages_are_counted_with_their_parts() {
    let counted = prompt(
        r#"{"model":"m","messages":[
            {"role":"system","content":"héllo"},
            {"role":"user","content":[{"type":"text","text":"a\nb"},{"type":"image_url","image_url":{"url":"data:"}}]},
            {"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]},
            {"role":"assistant","content":null,"tool_calls":[]},
            {"role":"assistant","function_call":{"name":"f"}},
            {"role":"tool","content":"42"}],
          "tools":[{},{}],"functions":[{}]}"#,
    );
    assert_eq!(
        counted,
        Prompt {
            messages: 6,
            text_chars: 10,
            text_bytes: 11,
            tools: 3,
            images: 1,
            tool_calls: 2,
            function_calls: 1,
            schema_bytes: 11,
            call_bytes: 16,
            weight: counted.weight,
            ..Prompt::default()
        }
    );
}

#[test]
fn every_shape_of_input_is_read() {
    let count = |json| {
        let prompt = prompt(json);
        (prompt.messages, prompt.text_bytes, prompt.tokens)
    };
    assert_eq!(count(r#"{"input":"abc"}"#), (1, 3, 0));
    assert_eq!(count(r#"{"input":["ab","c"]}"#), (2, 3, 0));
    assert_eq!(count(r#"{"input":[1,2,3]}"#), (1, 0, 3));
    assert_eq!(count(r#"{"input":[[1,2],[3]]}"#), (2, 0, 3));
    assert_eq!(count(r#"{"prompt":"abc"}"#), (1, 3, 0));
    assert_eq!(
        count(
            r#"{"instructions":"ab","input":[{"role":"user","content":[{"type":"input_text","text":"c"}]}]}"#
        ),
        (1, 3, 0)
    );
    assert_eq!(
        count(r#"{"input":[{"type":"function_call_output","output":"abc"}]}"#),
        (1, 3, 0)
    );
}

#[test]
fn anthropics_blocks_and_tool_results_are_read() {
    let counted = prompt(
        r#"{"system":[{"type":"text","text":"ab"}],"messages":[{"role":"user","content":[
            {"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"cd"}]},
            {"type":"image","source":{"type":"base64","data":"xxxx"}}]}]}"#,
    );
    assert_eq!(
        (counted.messages, counted.text_bytes, counted.images),
        (1, 4, 1)
    );
}

#[test]
fn odd_shapes_count_as_nothing() {
    for json in [
        r"{}",
        r#"{"messages":null}"#,
        r#"{"messages":7}"#,
        r#"{"messages":{"a":1}}"#,
        r#"{"tools":"x"}"#,
    ] {
        assert_eq!(prompt(json), Prompt::default(), "{json}");
    }
    let deep = format!(
        r#"{{"messages":[{{"content":{}1{}}}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(RequestBody::json(deep).prompt().unwrap().messages, 1);
}
