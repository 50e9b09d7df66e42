//! Keys from text, as they are shown.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de::Error};

use super::{Key, Name};

/// The kinds that the crate itself has.
const KINDS: [&str; 9] = [
    "global",
    "api_key",
    "header",
    "model",
    "upstream",
    "key",
    "tenant",
    "team",
    "organisation",
];

impl FromStr for Key {
    type Err = &'static str;

    /// Reads a key as it is shown: `global`, `tenant:acme`, `api_key:746b4ad1ca9129e1caf080bf9406d435`. Its kind is one of this crate's
    /// own. Of an API key there is only ever its digest; of a header's value, 32 hexadecimal digits are taken for one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let known = KINDS.iter().find(|known| **known == kind);
        let kind = known.ok_or(
            "is no key, such as \"global\", \"tenant:acme\" or \"api_key:\" with a digest",
        )?;
        let name = match (*kind, name) {
            ("global", None) => Name::None,
            ("global", Some(_)) | (_, None | Some("")) => {
                return Err("is no key: a kind other than global has a name after a colon");
            }
            ("api_key" | "header", Some(name)) => match (digest(name), *kind) {
                (Some(digest), _) => Name::Digest(digest),
                (None, "api_key") if name != "missing" => {
                    return Err("is no key: of an API key there is only its digest");
                }
                (None, _) => Name::Text(name.into()),
            },
            (_, Some(name)) => return Ok(Self::named(kind, name)),
        };
        Ok(Self { kind, name })
    }
}

fn digest(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16)).collect();
    let mut digest = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        let (high, low) = (pair.first()?.as_ref()?, pair.get(1)?.as_ref()?);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(digest)
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_shown() {
        for key in [
            Key::GLOBAL,
            Key::secret("api_key", b"sk-secret"),
            Key::named("api_key", "missing"),
            Key::named("header", "growth"),
            Key::secret("header", b"growth"),
            Key::named("model", "accounts/x:free"),
            Key::named("model", "746b4ad1ca9129e1caf080bf9406d435"),
            Key::named("key", "acme/2026"),
            Key::named("model", &"m".repeat(128)),
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for text in [
            "",
            "tenant",
            "tenant:",
            "global:x",
            "user:x",
            "api_key:sk-secret",
        ] {
            let error = text.parse::<Key>().unwrap_err();
            assert!(error.contains("is no key") && !error.contains("secret"));
        }
    }
}
