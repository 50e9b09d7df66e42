//! Who a request is counted for.
//!
//! Limits, budgets, breakers and bills count by a [`Key`]; a [`KeyBy`] says where it is read from.
//!
//! ```
//! use http::Request;
//! use tower_relay::{key::{KeyBy, Missing}, message::RequestBody};
//!
//! let by = KeyBy::api_key().when_missing(Missing::Refuse);
//!
//! let request = Request::post("/v1/chat/completions")
//!     .header("authorization", "Bearer sk-secret")
//!     .body(RequestBody::json("{}"))?;
//! let key = by.key_of(&request)?.unwrap();
//! assert_eq!(key.to_string(), "api_key:746b4ad1ca9129e1caf080bf9406d435");
//!
//! let nobody = Request::post("/v1/chat/completions").body(RequestBody::json("{}"))?;
//! assert_eq!(by.key_of(&nobody).unwrap_err().status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A key read from what a caller may choose freely (a header, a model's name) lets them choose whom they are counted for:
//! count by what was authenticated, or by names from a list ([`KeyBy::model_among`]).

mod by;
mod holders;
mod identity;
mod read;
mod sticky;

use std::{fmt, fmt::Write, sync::Arc};

use sha2::{Digest, Sha256};

#[cfg(feature = "gateway")]
pub(crate) use self::by::IdentityPart;
pub(crate) use self::by::{presented_api_key, presented_bearer};
pub(crate) use self::holders::Holders;
pub(crate) use self::sticky::digest;
pub use self::{
    by::{KeyBy, Missing},
    identity::Identity,
    sticky::StickyBy,
};

/// The longest name that a key keeps as text, in bytes; a longer one is kept as its digest.
const MAX_NAME: usize = 128;

/// Whom something is counted for. Cheap to clone, compare and hash; bounded in size; never a secret in clear.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    kind: &'static str,
    name: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Name {
    /// There is only one of this kind.
    None,
    Text(Arc<str>),
    /// The first half of a SHA-256.
    Digest([u8; 16]),
}

impl Key {
    /// The key of everyone together.
    pub const GLOBAL: Self = Self {
        kind: "global",
        name: Name::None,
    };

    /// A key of `kind` with a name that is no secret.
    pub fn named(kind: &'static str, name: &str) -> Self {
        if name.len() > MAX_NAME {
            return Self::secret(kind, name.as_bytes());
        }
        Self {
            kind,
            name: Name::Text(name.into()),
        }
    }

    /// A key of `kind` that keeps only half of the SHA-256 of `secret`: the same in every replica and after a restart.
    pub fn secret(kind: &'static str, secret: &[u8]) -> Self {
        let digest = Sha256::digest(secret);
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(digest) {
            *to = from;
        }
        Self {
            kind,
            name: Name::Digest(half),
        }
    }

    /// What kind of key it is: `global`, `api_key`, `header`, `model`, `upstream`, or one's own.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its name, to be digested: a text and a digest are never the same by their first byte.
    #[cfg(feature = "cache")]
    pub(crate) fn name_bytes(&self) -> (u8, &[u8]) {
        match &self.name {
            Name::None => (0, &[]),
            Name::Text(text) => (1, text.as_bytes()),
            Name::Digest(digest) => (2, digest),
        }
    }
}

impl fmt::Display for Key {
    /// `kind`, or `kind:name`, with digests in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        match &self.name {
            Name::None => Ok(()),
            Name::Text(text) => write!(f, ":{text}"),
            Name::Digest(digest) => {
                f.write_char(':')?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
