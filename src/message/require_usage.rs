//! Asking for usage on behalf of the relay, without the caller noticing.

use std::sync::LazyLock;

use http::{Request, Response};
use memchr::memmem::Finder;

use super::{Edited, Endpoint, RequestBody, ResponseBody, edit, edit_answer};
use crate::wire::json::{Index, JsonError, Kind, Value};

/// Makes sure that the answer of `request` will state its usage: asks for it (`stream_options.include_usage`) where a stream of
/// OpenAI's chat or completions would not state it otherwise.
///
/// What is returned hides from the caller what only the asking caused; `None` where nothing had to be asked. So the outermost
/// layer that needs usage asks and hides, and those further in find it asked for.
///
/// ```
/// use http::Request;
/// use tower_relay::message::{RequestBody, require_usage};
///
/// let mut request = Request::post("/v1/chat/completions").body(RequestBody::json(r#"{"stream":true}"#)).unwrap();
/// let outer = require_usage(&mut request)?;
/// assert_eq!(request.body().as_bytes().unwrap(), r#"{"stream":true,"stream_options":{"include_usage":true}}"#);
/// let inner = require_usage(&mut request)?;
/// assert!(outer.is_some() && inner.is_none());
/// # Ok::<(), tower_relay::wire::json::JsonError>(())
/// ```
///
/// # Errors
///
/// When the body of a request that is to be read is not one JSON object.
pub fn require_usage(request: &mut Request<RequestBody>) -> Result<Option<HideUsage>, JsonError> {
    if !matches!(
        Endpoint::of(request),
        Endpoint::ChatCompletions | Endpoint::Completions
    ) {
        return Ok(None);
    }
    let Some(members) = request.body().members().map_err(JsonError::clone)? else {
        return Ok(None);
    };
    if !request.body().is_streaming() || request.body().wants_usage() {
        return Ok(None);
    }
    let options = members
        .get("stream_options")
        .map(|options| (options.kind(), options.raw().to_vec()));
    match options {
        None | Some((Kind::Null, _)) => {
            edit(request, |edit| {
                edit.set("stream_options", serde_json::json!({"include_usage": true}));
            })?;
            request.extensions_mut().insert(UsageAsked);
        }
        Some((Kind::Object, options)) => {
            let index = Index::parse(&options)?;
            let mut asked = index.members(&options).edit();
            asked.set("include_usage", true);
            edit(request, |edit| {
                edit.set("stream_options", asked);
            })?;
        }
        // The upstream will say what is wrong with it.
        Some(_) => return Ok(None),
    }
    Ok(Some(HideUsage { _private: () }))
}

/// Stands in the extensions of a request whose `stream_options` are the relay's, not the caller's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageAsked;

/// Stands in the extensions of a request from which a layer took the asking for usage, as its upstream refuses that: whoever sent
/// it wants the usage all the same, should the answer state it unasked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageWanted;

impl UsageWanted {
    /// Whether whoever sent `request` wants a stream to end with its usage.
    #[cfg(feature = "normalize")]
    pub(crate) fn by(request: &Request<RequestBody>) -> bool {
        request.extensions().get::<Self>().is_some() || request.body().wants_usage()
    }
}

/// Takes out of an answer what [`require_usage`] caused.
#[derive(Debug)]
#[must_use = "the caller did not ask for what the answer now holds"]
pub struct HideUsage {
    _private: (),
}

impl HideUsage {
    /// Removes the extra chunk that holds only the usage, and the `"usage":null` of the other chunks. Usage that a provider states
    /// beside its last choice, asked or not, stays; so does every other byte.
    ///
    /// A provider that sends such a chunk or such a `null` to callers who did not ask loses it: nothing in a stream that is not held
    /// back tells it from what the asking caused, and to OpenAI's clients the two are the same.
    pub fn hide(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        edit_answer(response, without_usage)
    }
}

fn without_usage(data: &[u8]) -> Edited {
    // Made once: every event is searched, and to make it costs as much as the search.
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
    if NAME.find(data).is_none() {
        return Edited::Keep;
    }
    let Ok(index) = Index::parse(data) else {
        return Edited::Keep;
    };
    let members = index.members(data);
    let Some(usage) = members.get("usage") else {
        return Edited::Keep;
    };
    if usage.is_null() {
        let mut edit = members.edit();
        edit.remove("usage");
        return Edited::Replace(edit.into_text());
    }
    if members.get("choices").is_some_and(is_empty_list) {
        Edited::Drop
    } else {
        Edited::Keep
    }
}

fn is_empty_list(value: Value<'_>) -> bool {
    let inner = value
        .raw()
        .strip_prefix(b"[")
        .and_then(|raw| raw.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::message::Media;

    fn asked(body: &'static str) -> (bool, String) {
        let mut request = Request::post("/v1/chat/completions")
            .body(RequestBody::json(body))
            .unwrap();
        let hide = require_usage(&mut request).unwrap();
        (
            hide.is_some(),
            String::from_utf8(request.body().as_bytes().unwrap().to_vec()).unwrap(),
        )
    }

    #[test]
    fn usage_is_asked_for_where_it_is_missing_and_nothing_else_changes() {
        for (body, sent) in [
            (
                r#"{"stream":true}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (
                r#"{"stream_options":null,"stream":true}"#,
                Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
            ),
            (
                r#"{"stream":true,"stream_options":{"a":1.0}}"#,
                Some(r#"{"stream":true,"stream_options":{"a":1.0,"include_usage":true}}"#),
            ),
            (
                r#"{"stream":true,"stream_options":{"include_usage":false}}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (
                r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
                None,
            ),
            (r#"{"stream":true,"stream_options":7}"#, None),
            (r#"{"stream":false}"#, None),
            ("{}", None),
        ] {
            let (hides, got) = asked(body);
            assert_eq!(
                (hides, &*got),
                (sent.is_some(), sent.unwrap_or(body)),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn the_caller_sees_the_stream_that_they_asked_for() {
        let without = "data: {\"id\":\"1\",\"choices\":[],\"prompt_filter_results\":[]}\n\n\
                       data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"the \\\"usage\\\" of\"}}]}\n\n\
                       : keep-alive\n\n\
                       data: {\"id\":\"1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                       data: [DONE]\n\n";
        let with = "data: {\"id\":\"1\",\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n\
                    data: {\"id\":\"1\",\"choices\":[{\"delta\":{\"content\":\"the \\\"usage\\\" of\"}}],\"usage\":null}\n\n\
                    : keep-alive\n\n\
                    data: {\"id\":\"1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
                    data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"total_tokens\":3}}\n\n\
                    data: [DONE]\n\n";
        for (sent, seen) in [(with, without), (without, without)] {
            let response = Response::new(ResponseBody::from(sent).with_media(Media::EventStream));
            let hidden = HideUsage { _private: () }
                .hide(response)
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes();
            assert_eq!(hidden, seen);
        }
    }

    #[tokio::test]
    async fn usage_that_a_provider_states_anyway_stays() {
        let native = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"total_tokens\":3}}\n\ndata: [DONE]\n\n";
        let response = Response::new(ResponseBody::from(native).with_media(Media::EventStream));
        let hidden = HideUsage { _private: () }
            .hide(response)
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(hidden, native);
    }
}
