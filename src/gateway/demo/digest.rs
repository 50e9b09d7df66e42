use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Bytes of a digest that an id is made of.
const ID_BYTES: usize = 12;

/// The first 24 hexadecimal digits of a hash: enough for an id.
pub(super) fn id(hash: Sha256) -> String {
    let digest = hash.finalize();
    digest
        .iter()
        .take(ID_BYTES)
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
