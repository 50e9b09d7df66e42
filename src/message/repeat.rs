//! What it takes to send a request more than once.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::{RequestBody, ResponseBody};

/// As much of an answer that is not handed on is read, in bytes, so that its connection can be used again.
const MAX_DRAINED: usize = 64 << 10;
/// And for so long.
const MAX_DRAIN: Duration = Duration::from_millis(250);

/// The same request once more, with `body`.
pub(crate) fn copy(request: &Request<RequestBody>, body: RequestBody) -> Request<RequestBody> {
    let mut copy = Request::new(body);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy
}

/// Reads a small rest of an answer that nobody wants: dropping it would close its HTTP/1 connection.
pub(crate) async fn drain(mut body: ResponseBody) {
    let until = Instant::now() + MAX_DRAIN;
    let mut read = 0;
    while read < MAX_DRAINED {
        let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await else {
            return;
        };
        // Empty frames must come to an end too.
        read += frame.data_ref().map_or(0, Bytes::len).max(64);
    }
}
