use std::{collections::BTreeMap, sync::Arc};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response};
use serde::{Deserialize, Deserializer, de::Error};
use tokio::time::Instant;

use crate::message::{ConfigError, Served};

/// What the names of this crate's headers begin with.
const OURS: &str = "x-relay-";

/// What follows that: every header of this crate that an answer may carry.
pub(super) const KNOWN: [&str; 13] = [
    "request-id",
    "upstream",
    "model",
    "complexity",
    "attempts",
    "failed-attempts",
    "cost-usd",
    "cache",
    "cache-saved-usd",
    "budget-warning",
    "budget-model",
    "dropped-params",
    "clamped-params",
];

/// Headers that callers send too.
const ASKED: [&str; 2] = ["request-id", "upstream"];

/// The name of a header that only answers with other names have: the milliseconds from the request to the head of its answer.
const RESPONSE_TIME: &str = "response-time-ms";

/// Under which names answers carry the headers of this crate: `x-relay-…` by default.
///
/// Names are told apart by what follows `x-relay-`. Two have more than a new name: under one of its own, `upstream` says on every answer of an upstream
/// who gave it, not only on those of a split; and `response-time-ms`, the time from the request to the head of its answer, is there only then.
///
/// Deserializes from `"relay"`, `"guide"`, `"none"`, or a table of names such as `{ model = "x-model", attempts = "" }`, in which an empty one
/// leaves the header out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderNames(Option<Arc<Names>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    /// By the names of this crate; `None` for those that are left out.
    renamed: BTreeMap<&'static str, Option<HeaderName>>,
    response_time: Option<HeaderName>,
}

impl HeaderNames {
    /// Those of this crate.
    pub const fn relay() -> Self {
        Self(None)
    }

    /// Those of the migration guides: `x-provider`, `x-response-time-ms`, `x-auto-model` and `x-complexity`; the others stay.
    pub fn guide() -> Self {
        let named = [
            ("upstream", "x-provider"),
            ("model", "x-auto-model"),
            ("complexity", "x-complexity"),
        ];
        let named = named.map(|(ours, name)| (ours, Some(HeaderName::from_static(name))));
        Self(Some(Arc::new(Names {
            renamed: named.into(),
            response_time: Some(HeaderName::from_static("x-response-time-ms")),
        })))
    }

    /// None at all.
    pub fn none() -> Self {
        Self(Some(Arc::new(Names {
            renamed: KNOWN.map(|ours| (ours, None)).into(),
            response_time: None,
        })))
    }

    /// The same, with another name for the header `x-relay-{ours}`, or without it.
    ///
    /// # Errors
    ///
    /// When this crate has no such header, or two would have the same name.
    pub fn rename(mut self, ours: &str, name: Option<HeaderName>) -> Result<Self, ConfigError> {
        let names = Arc::make_mut(self.0.get_or_insert_default());
        let wrong = |reason: String| Err(ConfigError::new(ours.to_owned(), reason));
        let mut others = names.renamed.iter().filter(|(other, _)| **other != ours);
        if name.is_some() && others.any(|(_, other)| *other == name) {
            return wrong("has the name of another".to_owned());
        }
        if ours == RESPONSE_TIME {
            names.response_time = name;
            return Ok(self);
        }
        let Some(known) = KNOWN.into_iter().find(|known| *known == ours) else {
            let known = KNOWN.join(", ");
            return wrong(format!("is not there: known are {known}, {RESPONSE_TIME}"));
        };
        names.renamed.insert(known, name);
        Ok(self)
    }

    /// All of them, as answers carry them.
    pub fn all(&self) -> Vec<HeaderName> {
        let names = self.0.as_deref();
        let renamed = |ours| names.and_then(|names| names.renamed.get(ours));
        let known = KNOWN.into_iter().filter_map(|ours| match renamed(ours) {
            Some(name) => name.clone(),
            None => Some(full(ours)),
        });
        known
            .chain(names.and_then(|names| names.response_time.clone()))
            .collect()
    }

    /// What callers send under these names, under those of this crate.
    #[inline]
    pub(crate) fn read(&self, headers: &mut HeaderMap) {
        let Some(names) = self.0.as_deref() else {
            return;
        };
        for ours in ASKED {
            if let Some(Some(name)) = names.renamed.get(ours)
                && let Some(value) = headers.remove(name)
            {
                headers.insert(full(ours), value);
            }
        }
    }

    /// When the request came, where an answer is to say how long it took.
    pub(crate) fn clock(&self) -> Option<Instant> {
        let names = self.0.as_deref()?;
        names.response_time.as_ref().map(|_| Instant::now())
    }

    /// `response` with what this crate says in its head under these names. `began` is what [`clock`](Self::clock) said.
    pub(crate) fn renamed<B>(&self, response: Response<B>, began: Option<Instant>) -> Response<B> {
        if self.0.is_none() {
            return response;
        }
        let (mut head, body) = response.into_parts();
        self.write(&mut head.headers, &head.extensions, began);
        Response::from_parts(head, body)
    }

    fn write(&self, headers: &mut HeaderMap, extensions: &Extensions, began: Option<Instant>) {
        let Some(names) = self.0.as_deref() else {
            return;
        };
        // All are taken out before any is put in: one's new name may be another's old one.
        let taken: Vec<_> = (names.renamed.iter())
            .map(|(ours, name)| (*ours, name, headers.remove(full(ours))))
            .collect();
        for (ours, name, value) in taken {
            let Some(name) = name else { continue };
            let value = match ours {
                "upstream" => value.or_else(|| upstream(extensions)),
                _ => value,
            };
            if let Some(value) = value {
                headers.insert(name.clone(), value);
            }
        }
        if let (Some(name), Some(began)) = (&names.response_time, began) {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            headers.insert(name.clone(), millis.into());
        }
    }
}

fn upstream(extensions: &Extensions) -> Option<HeaderValue> {
    let served = extensions.get::<Served>()?;
    HeaderValue::from_str(&served.upstream).ok()
}

/// The whole name of a header of this crate.
pub(super) fn full(ours: &str) -> HeaderName {
    // What is known makes a name.
    HeaderName::try_from([OURS, ours].concat()).unwrap_or(HeaderName::from_static("x-relay"))
}

impl<'de> Deserialize<'de> for HeaderNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected \"relay\", \"guide\", \"none\" or a table of names"
        )]
        enum Either {
            Preset(Preset),
            Names(BTreeMap<String, String>),
        }

        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Preset {
            Relay,
            Guide,
            None,
        }

        let named = match Either::deserialize(deserializer)? {
            Either::Preset(Preset::Relay) => return Ok(Self::relay()),
            Either::Preset(Preset::Guide) => return Ok(Self::guide()),
            Either::Preset(Preset::None) => return Ok(Self::none()),
            Either::Names(named) => named,
        };
        named
            .into_iter()
            .try_fold(Self::relay(), |names, (ours, name)| {
                let parsed = (!name.is_empty()).then(|| name.parse()).transpose();
                let parsed = parsed.map_err(|_| {
                    D::Error::custom(format!("{ours}: {name:?} is not the name of a header"))
                })?;
                names.rename(&ours, parsed).map_err(D::Error::custom)
            })
    }
}
