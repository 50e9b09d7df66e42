//! What of a request tells how its answer is to be.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Request};

use super::{api::Api, head::Answer, layer::Shared};
use crate::{
    message::{Dialect, Endpoint, MaxSilence, RequestBody, UsageWanted},
    wire::clock,
};

/// A request for an answer that OpenAI has a form for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    model: String,
    pub(super) usage: bool,
    pub(super) stream: bool,
    /// How long the upstream may say nothing while its answer is read; zero for as long as it likes.
    pub(super) silence: Duration,
}

impl Asked {
    /// `None` for a request whose answer passes, whatever it is.
    pub(super) fn of(request: &Request<RequestBody>) -> Option<Self> {
        let endpoint = Endpoint::of(request);
        if endpoint == Endpoint::Other || endpoint.dialect() == Dialect::Anthropic {
            return None;
        }
        let body = request.body();
        let silence = request.extensions().get::<MaxSilence>();
        Some(Self {
            endpoint,
            model: body.model().unwrap_or_default().into_owned(),
            usage: UsageWanted::by(request),
            stream: body.is_streaming(),
            silence: silence.map_or(Duration::ZERO, |max| max.0),
        })
    }

    /// The API whose answer, if it is one, is put right; errors are for every endpoint.
    pub(super) fn api(&self) -> Option<Api> {
        Api::of(self.endpoint)
    }

    /// What an answer is given that does not say it.
    pub(super) fn answer(&self, api: Api, headers: &HeaderMap, shared: &Shared) -> Answer {
        let since_epoch = clock::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let (time, number) = (since_epoch.as_micros(), shared.number());
        Answer {
            id: format!("{}-{time:x}-{number:x}", api.id_prefix()),
            created: since_epoch.as_secs(),
            model: self.model.clone(),
            openai: is_openai(headers),
            api,
            reasoning: shared.settings.reasoning,
        }
    }
}

/// Whether OpenAI itself answers: nobody else sends this header.
pub(super) fn is_openai(headers: &HeaderMap) -> bool {
    headers.contains_key("openai-version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_asked_for_by_the_body_or_by_who_took_the_asking_out_of_it() {
        let post = |body: &'static str| {
            let request = Request::post("/v1/chat/completions");
            request.body(RequestBody::json(body)).unwrap()
        };
        let usage = |request: &Request<RequestBody>| Asked::of(request).unwrap().usage;
        assert!(usage(&post(r#"{"stream_options":{"include_usage":true}}"#)));
        let mut request = post(r#"{"stream":true}"#);
        assert!(!usage(&request));
        request.extensions_mut().insert(UsageWanted);
        assert!(usage(&request));
    }
}
