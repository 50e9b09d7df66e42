//! A request's members while it is decided what becomes of them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::params::{Change, Plan};
use crate::{
    message::ModelPattern,
    wire::json::{Members, NewValue, Value},
};

/// The caps on the tokens of an answer, by their names at OpenAI's and Anthropic's endpoints.
const OUTPUT_CAPS: [&str; 4] = [
    "max_completion_tokens",
    "max_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
];

/// The members as the changes so far leave them.
pub(super) struct Draft<'a> {
    members: Vec<Member<'a>>,
    /// The name of one that the caller did not send.
    unasked: Option<&'static str>,
    plan: Plan,
}

struct Member<'a> {
    name: Cow<'a, str>,
    /// JSON.
    value: &'a [u8],
}

impl<'a> Draft<'a> {
    pub(super) fn new(members: Members<'a>, unasked: Option<&'static str>) -> Self {
        let member = |(name, value): (_, Value<'a>)| Member {
            name,
            value: value.raw(),
        };
        Self {
            members: members.iter().map(member).collect(),
            unasked,
            plan: Plan::default(),
        }
    }

    pub(super) fn into_plan(self) -> Plan {
        self.plan
    }

    /// The first that is one of these and says something.
    pub(super) fn find(&self, patterns: &[ModelPattern]) -> Option<&str> {
        let found = self
            .members
            .iter()
            .find(|member| member.is_one_of(patterns) && !member.is_null());
        found.map(|member| &*member.name)
    }

    fn get(&self, name: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Where both are there `to` wins, unless it is `null`.
    pub(super) fn rename(&mut self, from: &'a str, to: &'a str) {
        if self.get(from).is_none() {
            return;
        }
        match self.get(to) {
            Some(there) if there.is_null() => self.remove(to),
            Some(_) => {
                self.plan.report.dropped(from);
                self.remove(from);
                return;
            }
            None => {}
        }
        if let Some(member) = self.members.iter_mut().find(|member| member.name == from) {
            member.name = Cow::Borrowed(to);
        }
        self.plan.changes.push(Change::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    }

    fn remove(&mut self, name: &str) {
        self.members.retain(|member| member.name != name);
        self.plan.changes.push(Change::Remove(name.to_owned()));
    }

    pub(super) fn drop(&mut self, patterns: &[ModelPattern]) {
        let Self {
            members,
            unasked,
            plan,
        } = self;
        members.retain(|member| {
            let goes = member.is_one_of(patterns);
            if goes {
                if *unasked != Some(&*member.name) {
                    plan.report.dropped(&member.name);
                }
                plan.changes
                    .push(Change::Remove(member.name.as_ref().to_owned()));
            }
            !goes
        });
    }

    pub(super) fn set(&mut self, name: &'a str, value: &'a RawValue) {
        let bytes = value.get().as_bytes();
        match self.members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.value = bytes,
            None => self.members.push(Member {
                name: Cow::Borrowed(name),
                value: bytes,
            }),
        }
        let value = NewValue::from(value.to_owned());
        self.plan.changes.push(Change::Set(name.to_owned(), value));
    }

    pub(super) fn set_default(&mut self, name: &'a str, value: &'a RawValue) {
        if self.get(name).is_none_or(Member::is_null) {
            self.set(name, value);
        }
    }

    /// Lowers every cap on the answer's tokens to `cap`.
    pub(super) fn clamp(&mut self, cap: u64) {
        for name in OUTPUT_CAPS {
            if self.get(name).is_some_and(|member| member.exceeds(cap)) {
                self.plan.report.clamped(name, cap);
                self.plan
                    .changes
                    .push(Change::Set(name.to_owned(), cap.into()));
            }
        }
    }
}

impl Member<'_> {
    fn is_null(&self) -> bool {
        self.value == b"null"
    }

    /// `model` is the business of the aliases, whatever a pattern may match.
    fn is_one_of(&self, patterns: &[ModelPattern]) -> bool {
        self.name != "model" && patterns.iter().any(|pattern| pattern.matches(&self.name))
    }

    /// Whether it is a number above `cap`, in any spelling and of any size: `1e400` is one.
    #[allow(
        clippy::cast_precision_loss,
        reason = "spellings other than whole numbers need not be compared more closely"
    )]
    fn exceeds(&self, cap: u64) -> bool {
        let Ok(text) = std::str::from_utf8(self.value) else {
            return false;
        };
        match text.parse::<u64>() {
            Ok(number) => number > cap,
            Err(_) => text.parse::<f64>().is_ok_and(|number| number > cap as f64),
        }
    }
}
