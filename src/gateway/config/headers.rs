use std::{collections::BTreeMap, fmt};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Deserializer, de::Error};

/// Headers that the client states itself, and that would break a request if they were set.
const FRAMING: [HeaderName; 6] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
];

/// Headers that a credential is sent in.
const CREDENTIALS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// Headers for every request to an upstream, by name. `Debug` shows no value.
#[derive(Clone, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    /// The headers.
    pub fn get_ref(&self) -> &HeaderMap {
        &self.0
    }
}

impl From<HeaderMap> for Headers {
    fn from(headers: HeaderMap) -> Self {
        Self(headers)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in BTreeMap::<String, String>::deserialize(deserializer)? {
            let fail = |reason: &str| D::Error::custom(format!("headers.{name}: {reason}"));
            let header: HeaderName = name
                .parse()
                .map_err(|_| fail("is not the name of a header"))?;
            if CREDENTIALS.contains(&header) {
                return Err(fail("a key is set by `credential` and `style`"));
            }
            if FRAMING.contains(&header) {
                return Err(fail("is set by the client itself"));
            }
            let value: HeaderValue = value
                .parse()
                .map_err(|_| fail("the value cannot stand in a header"))?;
            headers.insert(header, value);
        }
        Ok(Self(headers))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}
