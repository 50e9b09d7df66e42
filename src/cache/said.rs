//! What an answer says beyond its text, told without parsing it.

use memchr::memmem;

/// Whether an answer calls a tool, in the shapes of OpenAI's chat, completions and Responses and Anthropic's: `tool_calls`, `function_call`,
/// items whose type ends in `_call`, blocks of type `tool_use`.
pub(super) fn calls_tools(body: &[u8]) -> bool {
    states(body, b"\"tool_calls\"")
        || any(body, b"_call\"", |rest| !is_member(rest) || has_value(rest))
        || any(body, b"tool_use\"", |rest| !is_member(rest))
}

/// Whether an answer is a refusal that its finish reason does not tell: OpenAI's `refusal`, and a part of that type.
pub(super) fn refuses(body: &[u8]) -> bool {
    states(body, b"\"refusal\"") || any(body, b"\"refusal\"", |rest| !is_member(rest))
}

/// Whether a member of this name has a value that is neither null nor empty.
fn states(body: &[u8], name: &[u8]) -> bool {
    any(body, name, has_value)
}

/// Whether what follows `needle` is as wanted, anywhere in `body`. A quote within a string is escaped, so what is found with its own is a
/// name or a value, never part of a text.
fn any(body: &[u8], needle: &[u8], wanted: impl Fn(&[u8]) -> bool) -> bool {
    memmem::find_iter(body, needle).any(|at| {
        let rest = body.get(at + needle.len()..).unwrap_or_default();
        wanted(rest)
    })
}

fn is_member(rest: &[u8]) -> bool {
    rest.trim_ascii_start().starts_with(b":")
}

fn has_value(rest: &[u8]) -> bool {
    let Some((b':', value)) = rest.trim_ascii_start().split_first() else {
        return false;
    };
    match value.trim_ascii_start() {
        [b'n', ..] | [b'"', b'"', ..] => false,
        [b'[', rest @ ..] => !rest.trim_ascii_start().starts_with(b"]"),
        value => !value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_calls_are_told_from_their_absence_and_from_talk_of_them() {
        for (body, calls) in [
            (r#"{"message":{"content":"x","tool_calls":null}}"#, false),
            (r#"{"message":{"tool_calls" : [ ]}}"#, false),
            (
                r#"{"message":{"content":"say \"tool_calls\": [1]"}}"#,
                false,
            ),
            (r#"{"message":{"tool_calls" : [{"id":"1"}]}}"#, true),
            (r#"{"delta":{"tool_calls":[{"index":0}]}}"#, true),
            (r#"{"message":{"function_call":null}}"#, false),
            (r#"{"message":{"function_call":{"name":"f"}}}"#, true),
            (r#"{"output":[{"type":"function_call","name":"f"}]}"#, true),
            (r#"{"output":[{"type":"web_search_call"}]}"#, true),
            (r#"{"content":[{"type":"tool_use","id":"1"}]}"#, true),
            (r#"{"content":[{"type":"text","text":"tool_use"}]}"#, true),
            (
                r#"{"content":[{"type":"text","text":"a tool_use!"}]}"#,
                false,
            ),
            (
                r#"{"tools":[{"type":"function"}],"tool_choice":"auto"}"#,
                false,
            ),
        ] {
            assert_eq!(calls_tools(body.as_bytes()), calls, "{body}");
        }
    }

    #[test]
    fn refusals_are_told_from_their_absence() {
        for (body, refused) in [
            (r#"{"message":{"content":"x","refusal":null}}"#, false),
            (r#"{"message":{"content":null,"refusal":"no"}}"#, true),
            (r#"{"content":[{"type":"refusal","refusal":""}]}"#, true),
            (r#"{"message":{"content":"a \"refusal\": \"no\""}}"#, false),
        ] {
            assert_eq!(refuses(body.as_bytes()), refused, "{body}");
        }
    }
}
