//! What a status means where nothing else is known.

use super::facts::Meaning;

/// The meaning of a status of 400 and above, by itself.
pub(super) fn meaning(status: u16) -> Meaning {
    match status {
        // 434: Zhipu's "no permission for this API".
        401 | 403 | 434 => Meaning::Auth,
        // 412: Fireworks, a suspended account.
        402 | 412 => Meaning::Quota,
        404 => Meaning::Model,
        // 522 and 524: Cloudflare in front of any provider.
        408 | 504 | 522 | 524 => Meaning::Timeout,
        429 => Meaning::Rate,
        // 409: retried by the SDKs of OpenAI and Anthropic. 498: Groq's flex tier. 529: Anthropic, Cloudflare.
        409 | 498 | 503 | 529 => Meaning::Overload,
        // 424: Bedrock's stream broke.
        424 => Meaning::Server,
        400..=499 => Meaning::Invalid,
        _ => Meaning::Server,
    }
}

/// The status that an error inside a 200 should have had.
pub(super) fn of_meaning(meaning: Meaning) -> u16 {
    match meaning {
        Meaning::Rate | Meaning::Quota => 429,
        Meaning::Overload => 503,
        Meaning::Server => 502,
        Meaning::Timeout => 504,
        Meaning::Model => 404,
        Meaning::Auth => 401,
        Meaning::Context | Meaning::Filter | Meaning::Invalid => 400,
    }
}

/// The same, by the general types of errors, which say no more than a status.
pub(super) fn of_kind(kind: &str) -> Option<u16> {
    Some(match kind {
        "permission_error" | "permission_denied" => 403,
        "not_found_error" | "not_found" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        // TGI (huggingface_hub#2514).
        "validation" => 422,
        "api_error" | "server_error" | "internal" | "internal_server_error" => 500,
        _ if kind.starts_with("invalid_")
            || kind.starts_with("invalid-")
            || kind == "badrequesterror" =>
        {
            400
        }
        _ => return None,
    })
}
