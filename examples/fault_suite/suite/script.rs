#![doc = include_str!("../PROTOCOL.md")]

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

/// What an upstream does with one call.
pub(crate) type Call = Vec<Step>;

/// What an upstream does with one call after the other.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Script {
    pub(crate) calls: Vec<Call>,
    pub(crate) then: Then,
}

/// A scenario in a file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptFile {
    pub(crate) name: String,
    pub(crate) calls: Vec<Call>,
    /// In place of `calls` where a stream is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) streamed_calls: Option<Vec<Call>>,
    #[serde(default)]
    pub(crate) then: Then,
}

/// What follows the last of the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Then {
    /// It again.
    #[default]
    RepeatLast,
    /// The first.
    StartOver,
    /// Answers as they should be.
    Answer,
}

/// One thing that an upstream does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Refuse,
    AcceptAfterMs(u64),
    Unread,
    Head(Vec<String>),
    Send(Payload),
    Chunk(Payload),
    LastChunk,
    Answer,
    WaitMs(u64),
    Silence,
    Close,
    Reset,
}

/// Bytes to send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Payload {
    Once(Data),
    Often(Often),
}

/// Bytes to send in a certain way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Often {
    pub(crate) data: Data,
    #[serde(default = "once")]
    pub(crate) times: u64,
    #[serde(default)]
    pub(crate) every_ms: u64,
    #[serde(default)]
    pub(crate) per_byte_ms: u64,
}

/// Text, or bytes that are none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Data {
    Text(String),
    Bytes(Vec<u8>),
}

fn once() -> u64 {
    1
}

impl Script {
    /// The call number `index`, counted from 0.
    pub(crate) fn call(&self, index: usize) -> Call {
        let wrapped = match self.then {
            Then::RepeatLast => index.min(self.calls.len().saturating_sub(1)),
            Then::StartOver => index.checked_rem(self.calls.len()).unwrap_or(0),
            Then::Answer => index,
        };
        let call = self.calls.get(wrapped);
        call.cloned().unwrap_or_else(|| vec![Step::Answer])
    }

    /// Answers as they should be.
    pub(crate) fn healthy() -> Self {
        Self {
            calls: Vec::new(),
            then: Then::Answer,
        }
    }

    /// Whether it ever refuses a connection, which an upstream that listens cannot do.
    pub(crate) fn refuses(&self) -> bool {
        self.calls
            .iter()
            .flatten()
            .any(|step| *step == Step::Refuse)
    }
}

impl ScriptFile {
    /// What is played for an answer that is streamed, or not.
    pub(crate) fn script(&self, streamed: bool) -> Script {
        let other = self.streamed_calls.as_ref().filter(|_| streamed);
        Script {
            calls: other.unwrap_or(&self.calls).clone(),
            then: self.then,
        }
    }
}

impl Payload {
    pub(crate) fn often(&self) -> Often {
        match self {
            Self::Once(data) => Often {
                data: data.clone(),
                times: 1,
                every_ms: 0,
                per_byte_ms: 0,
            },
            Self::Often(often) => often.clone(),
        }
    }
}

impl Data {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::Once(Data::Text(text.to_owned()))
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Once(Data::Text(text))
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Once(Data::Bytes(bytes))
    }
}

/// The lines of a head as they are sent, `{date+N}` replaced by the HTTP date of N seconds from now.
pub(crate) fn head(lines: &[String]) -> String {
    let mut head = lines.join("\r\n") + "\r\n\r\n";
    let dates: HashMap<String, u64> = head
        .split("{date+")
        .skip(1)
        .filter_map(|rest| rest.split_once('}')?.0.parse().ok())
        .map(|seconds: u64| (format!("{{date+{seconds}}}"), seconds))
        .collect();
    for (variable, seconds) in dates {
        #[expect(
            clippy::disallowed_methods,
            reason = "an upstream has a clock of its own"
        )]
        let at = SystemTime::now() + Duration::from_secs(seconds);
        head = head.replace(&variable, &httpdate::fmt_http_date(at));
    }
    head
}
