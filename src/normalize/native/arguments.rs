//! Arguments that come piece by piece, each by its path, written as one JSON text.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::Text;

/// A piece of a call's arguments
/// (<https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling>, read 2026-11).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialArg<'a> {
    /// `$.location.city`, `$.days[0]`, `$['odd name']`
    #[serde(borrow, default)]
    json_path: Text<'a>,
    #[serde(borrow, default)]
    string_value: Text<'a>,
    #[serde(borrow, default)]
    number_value: Option<&'a RawValue>,
    #[serde(default)]
    bool_value: Option<bool>,
    /// The rest of a string is still to come.
    #[serde(default)]
    will_continue: Option<bool>,
}

/// The deepest path that is followed.
const MAX_DEPTH: usize = 64;

/// The text so far, as far as it must be known to go on with it. The pieces come in the order of the text.
#[derive(Default)]
pub(super) struct Arguments {
    /// The way to the value that was written last.
    path: Vec<Step>,
    /// That value is a string without its closing quote.
    in_string: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    At(u64),
}

impl Step {
    fn opens(&self) -> char {
        match self {
            Self::Name(_) => '{',
            Self::At(_) => '[',
        }
    }

    fn closes(&self) -> char {
        match self {
            Self::Name(_) => '}',
            Self::At(_) => ']',
        }
    }

    fn write(&self, out: &mut String) {
        if let Self::Name(name) = self {
            out.push_str(&quoted(name));
            out.push(':');
        }
    }
}

impl Arguments {
    /// The text that `arg` adds.
    pub(super) fn push(&mut self, arg: &PartialArg<'_>) -> String {
        let path = steps(arg.json_path.or_empty());
        let mut out = String::new();
        if path.is_empty() {
            return out;
        }
        let goes_on = arg.will_continue == Some(true);
        if self.in_string && path == self.path {
            out.push_str(inner(&quoted(arg.string_value.or_empty())));
        } else {
            self.go_to(path, &mut out);
            match (arg.string_value.get(), arg.number_value, arg.bool_value) {
                (_, Some(number), _) => out.push_str(number.get()),
                (_, _, Some(truth)) => out.push_str(if truth { "true" } else { "false" }),
                (Some(text), ..) => {
                    out.push('"');
                    out.push_str(inner(&quoted(text)));
                    self.in_string = true;
                }
                _ => out.push_str("null"),
            }
        }
        if self.in_string && !goes_on {
            self.in_string = false;
            out.push('"');
        }
        out
    }

    /// The text that closes what is open; empty where nothing was said.
    pub(super) fn finish(mut self) -> String {
        let mut out = String::new();
        self.close_to(0, &mut out);
        out
    }

    fn go_to(&mut self, path: Vec<Step>, out: &mut String) {
        let shared = self
            .path
            .iter()
            .zip(&path)
            .take_while(|(a, b)| a == b)
            .count();
        // A value cannot stand within a value: at least the last step is new.
        let shared = shared
            .min(path.len().saturating_sub(1))
            .min(self.path.len().saturating_sub(1));
        let had = !self.path.is_empty();
        if had {
            self.close_to(shared + 1, out);
            out.push(',');
        }
        for (at, step) in path.iter().enumerate().skip(shared) {
            if !had || at > shared {
                out.push(step.opens());
            }
            step.write(out);
        }
        self.path = path;
    }

    /// Closes the string and all containers beyond the first `depth`.
    fn close_to(&mut self, depth: usize, out: &mut String) {
        if std::mem::take(&mut self.in_string) {
            out.push('"');
        }
        while self.path.len() > depth {
            if let Some(step) = self.path.pop() {
                out.push(step.closes());
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn inner(quoted: &str) -> &str {
    let open = quoted.strip_prefix('"').unwrap_or(quoted);
    open.strip_suffix('"').unwrap_or(open)
}

/// The steps of a JSON path from the root; none where it is too deep.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        if steps.len() == MAX_DEPTH {
            return Vec::new();
        }
        let (step, after) = if let Some(name) = rest.strip_prefix("['") {
            let (name, after) = name.split_once("']").unwrap_or((name, ""));
            (Step::Name(name.to_owned()), after)
        } else if let Some(at) = rest.strip_prefix('[') {
            let (at, after) = at.split_once(']').unwrap_or((at, ""));
            (Step::At(at.parse().unwrap_or_default()), after)
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at_checked(end).unwrap_or((name, ""));
            (Step::Name(name.to_owned()), after)
        };
        steps.push(step);
        rest = after;
    }
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(args: &Value) -> String {
        let mut arguments = Arguments::default();
        let mut text = String::new();
        for arg in args.as_array().unwrap() {
            let arg = arg.to_string();
            text += &arguments.push(&serde_json::from_str(&arg).unwrap());
        }
        text + &arguments.finish()
    }

    #[test]
    fn pieces_by_their_paths_become_one_json_text() {
        let text = written(&json!([
            {"jsonPath": "$.city", "stringValue": "Bos", "willContinue": true},
            {"jsonPath": "$.city", "stringValue": "ton \"x\"\n", "willContinue": true},
            {"jsonPath": "$.city", "stringValue": ""},
            {"jsonPath": "$.at.lat", "numberValue": 1.50},
            {"jsonPath": "$.at.lon", "numberValue": 2},
            {"jsonPath": "$.days[0]", "stringValue": "mon"},
            {"jsonPath": "$.days[1]['a.b']", "boolValue": true},
            {"jsonPath": "$.none", "nullValue": "NULL_VALUE"},
        ]));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read,
            json!({"city": "Boston \"x\"\n", "at": {"lat": 1.5, "lon": 2}, "days": ["mon", {"a.b": true}], "none": null})
        );
    }

    #[test]
    fn a_string_that_never_ended_is_closed_and_no_pieces_are_no_text() {
        let text =
            written(&json!([{"jsonPath": "$.a[0]", "stringValue": "b", "willContinue": true}]));
        assert_eq!(text, r#"{"a":["b"]}"#);
        assert_eq!(written(&json!([])), "");
        assert_eq!(written(&json!([{"jsonPath": "$", "stringValue": "b"}])), "");
        let deep = "[0]".repeat(100);
        assert_eq!(
            written(&json!([{"jsonPath": deep, "stringValue": "b"}])),
            ""
        );
    }
}
