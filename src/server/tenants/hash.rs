use std::{fmt, hint::black_box, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// The SHA-256 of a key: what is kept of it. Written as 64 hexadecimal digits.
///
/// Enough for keys that are random, as they should be: nobody guesses one of 128 bits, however fast the hash. A password is none.
///
/// ```
/// use tower_relay::server::tenants::KeyHash;
///
/// let hash = KeyHash::of("sk-relay-0123456789abcdef");
/// assert_eq!(hash.to_string().parse(), Ok(hash));
/// ```
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of `key`.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Its first half: enough to find it by.
    pub(super) fn prefix(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.iter_mut()
            .zip(self.0)
            .for_each(|(to, from)| *to = from);
        half
    }
}

/// In a time that does not tell where they differ.
impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        let difference = pairs.fold(0, |sum, (one, two)| black_box(sum | (one ^ two)));
        black_box(difference) == 0
    }
}

impl FromStr for KeyHash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "must be a SHA-256, 64 hexadecimal digits: `tower-relay --hash-key` makes it";
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return Err(EXPECTED);
        }
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(text.chunks(2)) {
            let (high, low) = (digit(pair.first()), digit(pair.get(1)));
            let value = high.zip(low).map(|(high, low)| high << 4 | low);
            *byte = value
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(EXPECTED)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    /// The first digits: what tells keys apart, and no more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(")?;
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not shown where it is wrong: it may be the key itself.
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_every_other_tool() {
        // printf %s abc | sha256sum
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::of("abc").to_string(), hash);
        assert_eq!(hash.to_uppercase().parse(), Ok(KeyHash::of("abc")));
        assert_ne!(KeyHash::of("abc"), KeyHash::of("abd"));
    }

    #[test]
    fn what_is_no_hash_is_told_without_showing_it() {
        for text in [
            "",
            "sk-secret",
            &"0".repeat(63),
            &"g".repeat(64),
            &"é".repeat(32),
        ] {
            let error = text.parse::<KeyHash>().unwrap_err();
            assert!(error.contains("--hash-key"));
        }
        let error = serde_json::from_str::<KeyHash>("\"sk-secret\"").unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}
