//! Answers that were read to their end.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    NormalizePolicy, Reasoning,
    api::Api,
    asked::{Asked, is_openai},
    conform,
    errors::{self, OriginalAnswer},
    layer::Shared,
    native,
    reading::Read,
    repairs::{Repair, Repairs},
    tally::Tally,
};
use crate::{
    message::{
        ApiError, BoxError, Dialect, Endpoint, Media, Outcome, Output, ResponseBody, Transform,
        classify_error, transform,
    },
    wire::{
        json::{Index, Kind, Value},
        retry_after,
    },
};

/// The answer as OpenAI would have given it.
pub(super) fn normalized(
    read: Read,
    asked: &Asked,
    shared: &Arc<Shared>,
) -> Response<ResponseBody> {
    if read.response.status().as_u16() >= 400 {
        return upstreams_error(read, shared);
    }
    let api = asked.api();
    let openai = is_openai(read.response.headers());
    let is_json = read.response.body().media() == Media::Json;
    let is_plain = api == Some(Api::Chat) && shared.settings.reasoning == Reasoning::Keep;
    if !read.is_whole || (is_json && is_plain && conform::body(&read.text, openai)) {
        return read.response;
    }
    if let Some(error) = stated_error(&read.text, asked) {
        return inner_error(read, &error, shared);
    }
    match api {
        Some(api) => answer(read, asked, api, shared),
        None => read.response,
    }
}

/// An answer of an API that OpenAI has.
fn answer(read: Read, asked: &Asked, api: Api, shared: &Arc<Shared>) -> Response<ResponseBody> {
    let mut repairs = Repairs::default();
    let answer = asked.answer(api, read.response.headers(), shared);
    let native = (api == Api::Chat).then(|| native::body(&read.text, &answer, &mut repairs));
    let text = match native.flatten() {
        Some(Ok(text)) => text,
        Some(Err(error)) => {
            Tally::new(Arc::clone(shared)).count(repairs);
            return inner_error(read, &error, shared);
        }
        None => read.text.clone(),
    };
    if api.has_streams() && !is_answer(&text) {
        if shared.settings.policy == NormalizePolicy::Strict {
            repairs.add(Repair::Choices);
            Tally::new(Arc::clone(shared)).count(repairs);
            return refused(read, repairs);
        }
        return read.response;
    }
    let repaired = api.repaired(&text, &answer, &mut repairs);
    if let Some(word) = repairs.failed() {
        return inner_error(read, &errors::of_failure(word), shared);
    }
    if read.response.body().media() != Media::Json {
        repairs.add(Repair::ContentType);
    }
    Tally::new(Arc::clone(shared)).count(repairs);
    match shared.settings.policy {
        NormalizePolicy::Observe => read.response,
        NormalizePolicy::Strict if repairs.first().is_some() => refused(read, repairs),
        _ if repairs.is_empty() => read.response,
        _ => replaced(read, repaired.unwrap_or(text)),
    }
}

/// Whether `text` has choices at all.
fn is_answer(text: &[u8]) -> bool {
    Index::parse(text).is_ok_and(|index| {
        let choices = index.members(text).get("choices");
        choices.is_some_and(|choices| choices.kind() == Kind::Array)
    })
}

/// The error that stands in an answer of status 200.
fn stated_error(text: &[u8], asked: &Asked) -> Option<ApiError> {
    let error = ApiError::in_answer(text)?;
    // A response that failed is a response: its dialect has a form for that.
    let is_response = asked.endpoint == Endpoint::Responses
        && Index::parse(text).is_ok_and(|index| {
            let object = index.members(text).get("object").and_then(Value::as_str);
            object.as_deref() == Some("response")
        });
    (!is_response).then_some(error)
}

/// An error by its status.
fn upstreams_error(read: Read, shared: &Arc<Shared>) -> Response<ResponseBody> {
    let (status, headers) = (read.response.status(), read.response.headers());
    let error = ApiError::read(status, headers, &read.text);
    let outcome =
        Outcome::of(&read.response).unwrap_or_else(|| classify_error(status, headers, &error));
    let (deserved, error) = if is_openai(headers) {
        (status, error)
    } else {
        let deserved = errors::deserved(status, outcome);
        // Its type goes by the status, where the body has none.
        (deserved, ApiError::read(deserved, headers, &read.text))
    };
    error_response(read, deserved, &error, outcome, shared)
}

/// An error in an answer of status 200.
fn inner_error(read: Read, error: &ApiError, shared: &Arc<Shared>) -> Response<ResponseBody> {
    let outcome = classify_error(error.status(), &HeaderMap::new(), error);
    let status = errors::deserved(error.status(), outcome);
    error_response(read, status, error, outcome, shared)
}

fn error_response(
    mut read: Read,
    status: StatusCode,
    error: &ApiError,
    outcome: Outcome,
    shared: &Arc<Shared>,
) -> Response<ResponseBody> {
    let stated = read.response.status();
    let mut repairs = Repairs::default();
    let text = errors::repaired(&read.text, error, outcome, &mut repairs);
    if status != stated {
        repairs.add(Repair::ErrorStatus);
    }
    let is_json = Media::of(read.response.headers()) == Media::Json;
    if !is_json && text.is_none() {
        repairs.add(Repair::ContentType);
    }
    Tally::new(Arc::clone(shared)).count(repairs);
    if repairs.is_empty() || shared.settings.policy == NormalizePolicy::Observe {
        return read.response;
    }
    let original = OriginalAnswer::new(stated, &read.text);
    let wait = error.retry_after();
    *read.response.status_mut() = status;
    let extensions = read.response.extensions_mut();
    extensions.insert(original);
    extensions.insert(outcome);
    let text = text.unwrap_or_else(|| read.text.clone());
    let mut response = replaced(read, text);
    let headers = response.headers_mut();
    if let Some(wait) = wait
        && !headers.contains_key(header::RETRY_AFTER)
    {
        retry_after::write(headers, wait);
    }
    response
}

/// The 502 in the place of an answer that is not OpenAI's.
fn refused(mut read: Read, repairs: Repairs) -> Response<ResponseBody> {
    let fault = repairs.first().map(|fault| fault.to_string());
    let error = errors::nonconformant(fault.unwrap_or_default());
    let original = OriginalAnswer::new(read.response.status(), &read.text);
    *read.response.status_mut() = error.status();
    let extensions = read.response.extensions_mut();
    extensions.insert(original);
    extensions.insert(Outcome::ServerError);
    replaced(read, error.to_json(Dialect::OpenAi).into())
}

/// The answer with another text. The body stays the upstream's, so that whoever watches it learns what it said and how it ended;
/// one that was not read to its end is let go.
fn replaced(read: Read, text: Bytes) -> Response<ResponseBody> {
    let length = text.len();
    let whole = read.is_whole;
    let response = read.response.map(|body| {
        let body = if whole { body } else { ResponseBody::empty() };
        body.turned_into(Media::Json)
    });
    let mut response = transform(response, Replace(text));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Puts a text in the place of whatever comes.
struct Replace(Bytes);

impl Transform for Replace {
    fn data(&mut self, _: Bytes, _: &mut Output<'_>) -> Result<(), BoxError> {
        Ok(())
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        output.push(std::mem::take(&mut self.0))
    }
}
