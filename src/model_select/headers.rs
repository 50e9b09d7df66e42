//! What the answer says of the choice.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};
use serde::{Deserialize, Deserializer, de::Error};

use crate::message::{ResponseBody, Selection, Served};

/// The header with the model that was chosen.
pub const X_RELAY_MODEL: HeaderName = HeaderName::from_static("x-relay-model");
/// The header with the complexity of the request: a level such as `high`, or points from 1 to 100.
pub const X_RELAY_COMPLEXITY: HeaderName = HeaderName::from_static("x-relay-complexity");

/// Under which names the answer says what was chosen; `None` says nothing.
///
/// Deserializes from `"relay"`, `"guide"`, `"none"`, or a table of names.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderNames {
    /// The model that was chosen: `x-relay-model` by default.
    pub model: Option<HeaderName>,
    /// The complexity: `x-relay-complexity` by default.
    pub complexity: Option<HeaderName>,
    /// The upstream that answered, where that is known: none by default.
    pub provider: Option<HeaderName>,
    /// The milliseconds from the request to the head of its answer: none by default.
    pub response_time_ms: Option<HeaderName>,
}

impl Default for HeaderNames {
    fn default() -> Self {
        Self {
            model: Some(X_RELAY_MODEL),
            complexity: Some(X_RELAY_COMPLEXITY),
            ..Self::none()
        }
    }
}

impl HeaderNames {
    /// No headers.
    pub fn none() -> Self {
        Self {
            model: None,
            complexity: None,
            provider: None,
            response_time_ms: None,
        }
    }

    /// Those of the migration guides: `x-auto-model`, `x-complexity`, `x-provider`, `x-response-time-ms`.
    pub fn guide() -> Self {
        Self {
            model: Some(HeaderName::from_static("x-auto-model")),
            complexity: Some(HeaderName::from_static("x-complexity")),
            provider: Some(HeaderName::from_static("x-provider")),
            response_time_ms: Some(HeaderName::from_static("x-response-time-ms")),
        }
    }

    pub(super) fn write(
        &self,
        response: &mut Response<ResponseBody>,
        selection: &Selection,
        took: Duration,
    ) {
        let provider = response.extensions().get::<Served>();
        let provider = provider.and_then(|served| HeaderValue::from_str(&served.upstream).ok());
        let said = [
            (&self.model, HeaderValue::from_str(&selection.model).ok()),
            (
                &self.complexity,
                HeaderValue::from_str(&selection.complexity).ok(),
            ),
            (&self.provider, provider),
            (
                &self.response_time_ms,
                HeaderValue::from_str(&took.as_millis().to_string()).ok(),
            ),
        ];
        let headers = response.headers_mut();
        for (name, value) in said {
            if let (Some(name), Some(value)) = (name, value) {
                headers.insert(name.clone(), value);
            }
        }
    }
}

impl<'de> Deserialize<'de> for HeaderNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Names {
            model: Option<String>,
            complexity: Option<String>,
            provider: Option<String>,
            response_time_ms: Option<String>,
        }

        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected \"relay\", \"guide\", \"none\" or a table of names"
        )]
        enum Either {
            Preset(Preset),
            Names(Names),
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Preset {
            Relay,
            Guide,
            None,
        }

        let name = |name: Option<String>| {
            name.map(|name| name.parse())
                .transpose()
                .map_err(|_| D::Error::custom("is not the name of a header"))
        };
        Ok(match Either::deserialize(deserializer)? {
            Either::Preset(Preset::Relay) => Self::default(),
            Either::Preset(Preset::Guide) => Self::guide(),
            Either::Preset(Preset::None) => Self::none(),
            Either::Names(names) => Self {
                model: name(names.model)?,
                complexity: name(names.complexity)?,
                provider: name(names.provider)?,
                response_time_ms: name(names.response_time_ms)?,
            },
        })
    }
}
