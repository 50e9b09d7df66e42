//! Tool calls, whole or in fragments.

use serde_json::value::RawValue;

use super::{
    choice::{each, edited},
    repairs::{Repair, Repairs},
};
use crate::wire::json::{Index, Kind, Value};

/// The calls of a list. `next` is how many calls of the choice have begun, and grows with them.
pub(super) fn repaired(
    raw: &[u8],
    in_stream: bool,
    answer: &str,
    next: &mut u64,
    repairs: &mut Repairs,
) -> Option<Box<RawValue>> {
    let repaired = each(raw, |at, raw| {
        repairs.in_tool_call(Some(at));
        call(raw, in_stream, answer, next, repairs)
    });
    repairs.in_tool_call(None);
    repaired
}

fn call(
    raw: &[u8],
    in_stream: bool,
    answer: &str,
    next: &mut u64,
    repairs: &mut Repairs,
) -> Option<String> {
    let index = Index::parse(raw).ok()?;
    let members = index.members(raw);
    let mut edit = members.edit();
    let text = |name| {
        members
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let stated = members.get("index").and_then(Value::as_u64);
    // Without an index, whoever has an id or a name begins a call.
    let function = members.get("function");
    let inner = function.and_then(|function| Index::parse(function.raw()).ok());
    let inner = inner
        .as_ref()
        .zip(function)
        .map(|(index, function)| index.members(function.raw()));
    let is_named = inner.is_some_and(|inner| {
        inner
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty())
    });
    let begins = match stated {
        Some(at) if in_stream => at >= *next,
        _ => !in_stream || *next == 0 || is_named || text("id").is_some(),
    };
    let at = stated.filter(|_| in_stream).unwrap_or_else(|| {
        if begins {
            *next
        } else {
            next.saturating_sub(1)
        }
    });
    *next = (*next).max(at.saturating_add(1));
    if begins && text("id").is_none() {
        edit.set("id", format!("call_{answer}_{at}").as_str());
    } else if text("id").is_none() {
        edit.remove("id");
    }
    match text("type").as_deref() {
        Some("function" | "custom") => {}
        _ if begins => {
            edit.set("type", "function");
        }
        _ => {
            edit.remove("type");
        }
    }
    if let Some(inner) = inner {
        let mut function = inner.edit();
        if inner.get("name").is_some_and(|name| {
            name.as_str()
                .is_none_or(|name| in_stream && name.is_empty())
        }) {
            function.remove("name");
        }
        match inner.get("arguments") {
            Some(arguments) if arguments.kind() == Kind::String => {}
            Some(arguments) if matches!(arguments.kind(), Kind::Object | Kind::Array) => {
                function.set("arguments", &*String::from_utf8_lossy(arguments.raw()));
            }
            None if in_stream => {}
            _ if in_stream => {
                function.remove("arguments");
            }
            _ => {
                function.set("arguments", "");
            }
        }
        if function.is_changed() {
            edit.set("function", function);
        }
    } else if function.is_some_and(Value::is_null) {
        edit.remove("function");
    }
    if edit.is_changed() {
        repairs.add(Repair::ToolCall);
    }
    if in_stream && stated.is_none() {
        edit.set("index", at);
        repairs.add(Repair::Index);
    }
    edited(edit)
}
