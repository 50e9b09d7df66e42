//! What a model thought before it spoke: where that stands, and where the caller gets it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{
    Value as Json,
    value::{RawValue, to_raw_value},
};

use super::{
    repairs::{Repair, Repairs},
    think::{Parts, ThinkSplitter},
};
use crate::wire::json::{Edit, Kind, Members, Value};

/// What becomes of the thoughts that stand in an answer, for which OpenAI's chat has no member.
///
/// In every mode but [`Drop`](Self::Drop), thoughts that stand in a list of parts, as Mistral's do, become `reasoning_content` beside a
/// `content` that is text. Parts that are neither, such as images, stand beside it as they were, in `content_parts`.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// They stay where they are.
    #[default]
    Keep,
    /// They become `reasoning_content`, whichever member they stood in. Lists such as `reasoning_details` stay beside it: they hold the
    /// signatures that a provider wants back.
    Unify,
    /// They are left out, with the lists that hold their signatures. Text between `<think>` and `</think>` is content, and stays.
    Drop,
    /// As `Unify`, and text between `<think>` and `</think>` is cut out of `content` too, for models that think in what they say. A
    /// stream is held back by no more than may be the beginning of a tag; a thought that is never closed stays one. A model that
    /// writes *about* these tags is misunderstood.
    Split,
}

const UNIFIED: &str = "reasoning_content";

/// Other members that hold thoughts as text.
const SPELLINGS: [&str; 3] = ["reasoning", "reasoning_text", "thinking"];

/// The member for parts of a content that are neither text nor thought, such as images: OpenAI has none.
const PARTS: &str = "content_parts";

/// Members that hold them in pieces, with signatures.
const LISTS: [&str; 2] = ["reasoning_details", "thinking_blocks"];

/// Makes `content` text, and puts thoughts where `mode` wants them. `last` is whether the choice ends with this message.
pub(super) fn place<'a>(
    members: Members<'a>,
    mode: Reasoning,
    think: &mut ThinkSplitter,
    last: bool,
    edit: &mut Edit<'a>,
    repairs: &mut Repairs,
) {
    let content = members.get("content");
    let text = content.and_then(Value::as_str);
    let list = content.filter(|content| content.kind() == Kind::Array);
    let mut said = match list {
        Some(list) => {
            let (parts, others) = parts(list);
            edit.set("content", &*parts.text);
            if !others.is_empty() {
                edit.set(PARTS, to_raw_value(&others).unwrap_or_default());
            }
            repairs.add(Repair::Content);
            parts
        }
        None => Parts::default(),
    };
    if mode == Reasoning::Split {
        let before = match list {
            Some(_) => Cow::Owned(std::mem::take(&mut said.text)),
            None => text.unwrap_or_default(),
        };
        think.push(&before, &mut said);
        if last {
            think.finish(&mut said);
        }
        if said.text != before {
            edit.set("content", &*said.text);
            repairs.want(Repair::Reasoning);
        }
    }
    if mode == Reasoning::Drop {
        let mut dropped = !said.reasoning.is_empty();
        for name in SPELLINGS.iter().chain(&LISTS).chain([&UNIFIED]) {
            dropped |= edit.remove(name);
        }
        if dropped {
            repairs.want(Repair::Reasoning);
        }
        return;
    }
    let own = text_of(members, UNIFIED);
    let mut thought = own.clone();
    if mode != Reasoning::Keep {
        thought = thought
            .or_else(|| SPELLINGS.iter().find_map(|name| text_of(members, name)))
            .or_else(|| LISTS.iter().find_map(|name| listed(members.get(name)?)));
        for name in SPELLINGS {
            // Two that differ are both kept: neither is known to be the whole.
            let is_spare = members.get(name).is_some_and(|value| {
                value.is_null()
                    || value
                        .as_str()
                        .is_some_and(|text| text.is_empty() || Some(&text) == thought.as_ref())
            });
            if is_spare && edit.remove(name) {
                repairs.want(Repair::Reasoning);
            }
        }
    }
    let thought = thought.unwrap_or_default() + &*said.reasoning;
    if thought != own.unwrap_or_default() {
        edit.set(UNIFIED, &*thought);
        repairs.want(Repair::Reasoning);
    }
}

fn text_of<'a>(members: Members<'a>, name: &str) -> Option<Cow<'a, str>> {
    let text = members.get(name).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// The thoughts in a list of pieces, where it has any that can be read.
fn listed(list: Value<'_>) -> Option<Cow<'_, str>> {
    let thought = thought(&list.deserialize().ok()?);
    (!thought.is_empty()).then_some(Cow::Owned(thought))
}

/// The text of a list of parts, what was thought between, and the parts that are neither.
fn parts(list: Value<'_>) -> (Parts, Vec<&RawValue>) {
    let (mut parts, mut others) = (Parts::default(), Vec::new());
    for raw in list.deserialize::<Vec<&RawValue>>().unwrap_or_default() {
        // What is too deep to be read is none of the two.
        let part = serde_json::from_str(raw.get()).unwrap_or(Json::Null);
        let kind = part.get("type").and_then(Json::as_str).unwrap_or_default();
        if kind.starts_with("thinking") || kind.starts_with("reasoning") {
            parts.reasoning += &thought(&part);
        } else if let Some(text) = part.as_str().or_else(|| part.get("text")?.as_str()) {
            parts.text += text;
        } else {
            others.push(raw);
        }
    }
    (parts, others)
}

/// All text in a thought: one, a list of them, or the member of an object that holds it.
fn thought(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(pieces) => pieces.iter().map(thought).collect(),
        Json::Object(members) => ["thinking", "reasoning", "text", "summary"]
            .iter()
            .find_map(|name| members.get(*name))
            .map(thought)
            .unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::Index;

    fn placed(message: &str, mode: Reasoning) -> String {
        let index = Index::parse(message.as_bytes()).unwrap();
        let members = index.members(message.as_bytes());
        let mut edit = members.edit();
        let mut repairs = Repairs::default();
        let mut think = ThinkSplitter::default();
        place(members, mode, &mut think, true, &mut edit, &mut repairs);
        let is_named = repairs.iter().count() > 0;
        assert_eq!(edit.is_changed(), is_named, "{message}");
        let text = edit.into_text();
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn thoughts_in_parts_are_never_lost_but_when_they_are_dropped() {
        for list in [
            r#"{"type":"thinking","thinking":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"closed":true}"#,
            r#"{"type":"thinking","thinking":"ab"}"#,
            r#"{"type":"reasoning","text":"ab"}"#,
            r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"ab"}]}"#,
        ] {
            let message = format!(r#"{{"content":[{list},"c",{{"type":"text","text":"d"}}]}}"#);
            for mode in [Reasoning::Keep, Reasoning::Unify, Reasoning::Split] {
                let expected = r#"{"content":"cd","reasoning_content":"ab"}"#;
                assert_eq!(placed(&message, mode), expected, "{list}");
            }
            assert_eq!(placed(&message, Reasoning::Drop), r#"{"content":"cd"}"#);
        }
    }

    #[test]
    fn parts_that_are_neither_text_nor_thought_stay_beside_the_text_as_they_were() {
        let image = r#"{"type":"image_url", "image_url":{"url":"data:,"}}"#;
        let deep = "[".repeat(200) + &"]".repeat(200);
        let message = format!(
            r#"{{"content":[{{"text":"a"}},{image},{{"type":"text","text":"b"}},{deep}]}}"#
        );
        let expected = format!(r#"{{"content":"ab","content_parts":[{image},{deep}]}}"#);
        for mode in [Reasoning::Keep, Reasoning::Drop, Reasoning::Split] {
            assert_eq!(placed(&message, mode), expected);
        }
    }

    #[test]
    fn every_spelling_becomes_one() {
        for (given, expected) in [
            (r#"{"reasoning":"a"}"#, r#"{"reasoning_content":"a"}"#),
            (r#"{"reasoning_text":"a"}"#, r#"{"reasoning_content":"a"}"#),
            (r#"{"thinking":"a"}"#, r#"{"reasoning_content":"a"}"#),
            (r#"{"reasoning":null}"#, "{}"),
            (
                r#"{"reasoning":"a","reasoning_content":"a"}"#,
                r#"{"reasoning_content":"a"}"#,
            ),
            (
                r#"{"reasoning_content":"","reasoning":"a"}"#,
                r#"{"reasoning_content":"a"}"#,
            ),
            (
                r#"{"reasoning":"b","reasoning_content":"a"}"#,
                r#"{"reasoning":"b","reasoning_content":"a"}"#,
            ),
            (
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"a"},{"type":"reasoning.encrypted","data":"x"}]}"#,
                r#"{"reasoning_details":[{"type":"reasoning.text","text":"a"},{"type":"reasoning.encrypted","data":"x"}],"reasoning_content":"a"}"#,
            ),
            (
                r#"{"content":"\u00e9","reasoning_content":null}"#,
                r#"{"content":"\u00e9","reasoning_content":null}"#,
            ),
        ] {
            assert_eq!(placed(given, Reasoning::Keep), given);
            assert_eq!(placed(given, Reasoning::Unify), expected);
            assert_eq!(placed(given, Reasoning::Split), expected);
        }
    }

    #[test]
    fn nothing_is_left_of_what_is_dropped() {
        let given = r#"{"content":"c","reasoning":"a","reasoning_content":"a","reasoning_details":[],"thinking_blocks":[]}"#;
        assert_eq!(placed(given, Reasoning::Drop), r#"{"content":"c"}"#);
    }

    #[test]
    fn tags_are_cut_out_of_content() {
        for (given, expected) in [
            (
                r#"{"content":"<think>a</think>b"}"#,
                r#"{"content":"b","reasoning_content":"a"}"#,
            ),
            (
                r#"{"content":"<think>b","reasoning_content":"a"}"#,
                r#"{"content":"","reasoning_content":"ab"}"#,
            ),
            (r#"{"content":"a <thi"}"#, r#"{"content":"a <thi"}"#),
            (r#"{"content":null}"#, r#"{"content":null}"#),
        ] {
            assert_eq!(placed(given, Reasoning::Split), expected);
            assert_eq!(placed(given, Reasoning::Unify), given);
        }
    }
}
