//! What a caller is answered, wherever the answer comes from.

use http::{HeaderValue, Request, Response, StatusCode, response::Parts};

use super::{Entry, X_RELAY_CACHE, head::SharedHead, layer::Shared, member::Member};
use crate::message::{ApiError, Dialect, Endpoint, Reason, Rejection, RequestBody, ResponseBody};

pub(super) fn replay(shared: &Shared, entry: &Entry, is_stale: bool) -> Response<ResponseBody> {
    let counters = &shared.counters;
    counters.hits.add(1);
    counters.stale.add(is_stale.into());
    if let Some(saved) = entry.saved() {
        counters
            .saved
            .add(u64::try_from(saved.pico_usd()).unwrap_or(u64::MAX));
    }
    entry.replay(is_stale, shared.pace)
}

/// The leader's answer: its own head, and a body that others may read too.
pub(super) fn led(member: Member, parts: Parts, head: &SharedHead) -> Response<ResponseBody> {
    let bill = member.flight().bill.as_ref().map(|(bill, _)| bill.clone());
    let body = ResponseBody::new(member.body(head.length)).with_media(head.media());
    let body = match bill {
        // What the meters further in wrote into their own completion.
        Some(bill) => body.on_end(move |completion| {
            if bill.attempts() > 0 {
                completion.bill.get_or_insert(bill);
            }
        }),
        None => body,
    };
    missed(Response::from_parts(parts, body))
}

pub(super) fn missed(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    let headers = response.headers_mut();
    headers.insert(X_RELAY_CACHE, HeaderValue::from_static("miss"));
    response
}

/// The answer to one whose call panicked in the hands of another who waits for it.
pub(super) fn lost(dialect: Dialect) -> Response<ResponseBody> {
    let message = "the relay failed while it waited for the answer";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message).to_response(dialect)
}

pub(super) fn not_kept(request: &Request<RequestBody>) -> Response<ResponseBody> {
    let message = "the request says \"cache-control: only-if-cached\", and its answer is not in the relay's cache";
    let error = ApiError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "invalid_request_error",
        message,
    )
    .with_code("not_cached");
    let dialect = Endpoint::of(request).dialect();
    Rejection::new("cache", Reason::InvalidRequest).into_response(&error, dialect)
}
