//! What an upstream keeps: files, batches, stored answers, conversations.

use http::{Method, Request};

use crate::{
    message::{ApiError, Endpoint, RequestBody, members},
    wire::{json::Value, path::percent_decode},
};

/// Members that name something which an upstream keeps.
const REFERENCES: [&str; 3] = ["previous_response_id", "conversation", "container"];

/// The ends of paths at which an answer is made and nothing is kept or read, of those that no layer reads.
const ANSWERS: &[&str] = &[
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/audio/translations",
    "/fim/completions",
    "/ocr",
    "/classify",
    "/tokenize",
    "/detokenize",
    // Cohere's.
    "/v2/chat",
    "/embed",
    // Ollama's.
    "/api/chat",
    "/api/generate",
    "/api/embeddings",
    // Gemini's.
    ":generatecontent",
    ":streamgeneratecontent",
    ":embedcontent",
];

/// Whether `request` may read, change or list what an upstream keeps of any of its callers.
///
/// Paths are told by a list of those that do not: what is new or unknown may do anything.
pub(super) fn is_concerned(
    endpoint: Endpoint,
    request: &Request<RequestBody>,
) -> Result<bool, ApiError> {
    match endpoint {
        Endpoint::Models => Ok(false),
        Endpoint::Other => Ok(!only_answers(request.method(), request.uri().path())),
        _ => {
            // A body that is not read may name anything.
            let members = members(request).map_err(ApiError::from)?;
            let members = members.ok_or_else(ApiError::unread_body)?;
            Ok(REFERENCES.into_iter().any(|name| {
                members
                    .get(name)
                    .is_some_and(|value: Value<'_>| !value.is_null())
            }))
        }
    }
}

fn only_answers(method: &Method, path: &str) -> bool {
    let path = String::from_utf8_lossy(&percent_decode(path)).to_ascii_lowercase();
    let path = path.trim_end_matches('/');
    *method == Method::POST && ANSWERS.iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_are_known_to_keep_nothing_are_free() {
        for (path, is_free) in [
            ("/v1/images/generations", true),
            ("/v1/audio/transcriptions/", true),
            ("/openai/deployments/whisper/audio/%74ranscriptions", true),
            ("/v1beta/models/gemini-2.5-flash:generateContent", true),
            ("/v1/files", false),
            ("/v1/images/generations/../../files", false),
            ("/v1/batches", false),
            ("/v1/threads/t/runs", false),
            ("/v1/chat", false),
        ] {
            assert_eq!(only_answers(&Method::POST, path), is_free, "{path}");
            assert!(!only_answers(&Method::GET, path));
        }
    }
}
