//! One attempt, as it is written down.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::message::{CostSource, Endpoint, Tags, catalog::Cost, usage::Usage};

/// One attempt at an upstream, with what it used and cost. Never a prompt, never a key.
///
/// In JSON what is not known is left out. Unknown members are ignored, so that a newer file can be read.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When the attempt began.
    #[serde(with = "rfc3339_text")]
    pub time: SystemTime,
    /// The request that it belongs to; attempts of one request share it.
    pub request_id: Box<str>,
    /// Which attempt of its request it is: the first is 1.
    pub attempt: u32,
    /// Whom the request is counted for, as [`Key`](crate::key::Key) shows it: a hash, where that is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// The upstream that was asked.
    pub upstream: Arc<str>,
    /// The name of the credential that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Arc<str>>,
    /// The model that the caller asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_asked: Option<Arc<str>>,
    /// The model that the upstream was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_served: Option<Arc<str>>,
    /// The API that was called.
    pub endpoint: Endpoint,
    /// Whether a stream was asked for.
    #[serde(default)]
    pub stream: bool,
    /// What it used.
    #[serde(default)]
    pub usage: Usage,
    /// How that is known.
    #[serde(default)]
    pub source: CostSource,
    /// What it cost; absent where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Cost>,
    /// What its provider says that it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_cost_usd: Option<Cost>,
    /// From the request to the answer's end, in milliseconds.
    #[serde(default)]
    pub latency_ms: u64,
    /// From the request to the first output, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u64>,
    /// The answer's status; 0 where there was none.
    #[serde(default)]
    pub status: u16,
    /// What came of it: [`Outcome::as_str`](crate::message::Outcome::as_str).
    #[serde(default)]
    pub outcome: Box<str>,
    /// Why the model stopped, in the provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<Box<str>>,
    /// Messages of the prompt.
    #[serde(default)]
    pub messages: u64,
    /// Tools offered.
    #[serde(default)]
    pub tools: u64,
    /// Images and other files among the prompt.
    #[serde(default)]
    pub images: u64,
    /// The prompt's text, in characters.
    #[serde(default)]
    pub prompt_chars: u64,
    /// The cap on the answer that was asked for, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// How complex the request was found to be, where a layer looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complexity: Option<Box<str>>,
    /// What the request is for.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whose budgets it is charged to: the account of each, by the budget's name.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub budgets: Tags,
    /// A copy whose answer nobody waits for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

impl Record {
    /// An attempt of the request `request_id` at `upstream`, that began at `time`.
    pub fn new(time: SystemTime, request_id: impl Into<Box<str>>, upstream: Arc<str>) -> Self {
        Self {
            time,
            request_id: request_id.into(),
            attempt: 1,
            key: None,
            upstream,
            credential: None,
            model_asked: None,
            model_served: None,
            endpoint: Endpoint::ChatCompletions,
            stream: false,
            usage: Usage::default(),
            source: CostSource::default(),
            cost_usd: None,
            stated_cost_usd: None,
            latency_ms: 0,
            ttft_ms: None,
            status: 0,
            outcome: Box::default(),
            finish_reason: None,
            messages: 0,
            tools: 0,
            images: 0,
            prompt_chars: 0,
            max_output_tokens: None,
            complexity: None,
            tags: Tags::new(),
            budgets: Tags::new(),
            shadow: false,
        }
    }

    /// From the request to the answer's end.
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }

    /// The model to count it for: the one that served.
    pub fn model(&self) -> Option<&Arc<str>> {
        self.model_served.as_ref().or(self.model_asked.as_ref())
    }

    /// Whether something was used that has no known price.
    pub fn is_unpriced(&self) -> bool {
        self.cost_usd.is_none()
    }
}

mod rfc3339_text {
    use std::{borrow::Cow, time::SystemTime};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::wire::rfc3339;

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&rfc3339::format(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        rfc3339::parse(&text).ok_or_else(|| Error::custom("expected a moment of RFC 3339"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_record_is_one_line_that_reads_back() {
        let mut record = Record::new(UNIX_EPOCH, "req-1", "openai".into());
        record.cost_usd = Cost::parse_usd("0.0012");
        record.tags = Tags::from_iter([("team", "growth")]);
        let line = serde_json::to_string(&record).unwrap();
        assert!(line.starts_with(
            r#"{"time":"1970-01-01T00:00:00.000Z","request_id":"req-1","attempt":1,"#
        ));
        assert!(line.contains(r#""cost_usd":"0.0012""#) && !line.contains('\n'));
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn a_line_of_another_version_is_read_as_far_as_it_is_known() {
        let line = r#"{"time":"2026-11-21T00:00:00Z","request_id":"a","attempt":2,"upstream":"u","endpoint":"chat_completions","new":[1]}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!((record.attempt, record.cost_usd), (2, None));
    }
}
