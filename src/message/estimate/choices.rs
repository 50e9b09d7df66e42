//! How many answers a request asks for.

use crate::message::RequestBody;

/// The most answers of one request that are reserved for: `n`.
const MAX_CHOICES: u64 = 128;

/// How many answers are asked for at once.
pub(crate) fn choices(body: &RequestBody) -> u64 {
    let members = body.members().ok().flatten();
    let count = |name| members.and_then(|members| members.get(name)?.as_u64());
    let asked = count("n").max(count("best_of"));
    asked.unwrap_or(1).clamp(1, MAX_CHOICES)
}
