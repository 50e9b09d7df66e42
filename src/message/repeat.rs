//! What it takes to send a request more than once.

use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
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

/// A request as small as it can be kept, for those who will hardly ever send it again. All values of headers lie in one piece: a copy
/// of each would count one more reference to what the server has read, and take it back again.
pub(crate) struct Saved {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Vec<SavedHeader>,
    values: Vec<u8>,
    extensions: Extensions,
    body: RequestBody,
}

/// As much as the values of a client library's headers take, a key among them.
const USUAL: usize = 256;

struct SavedHeader {
    name: HeaderName,
    /// Where its value ends, which begins where the one before does.
    end: usize,
    is_sensitive: bool,
}

impl Saved {
    /// Keeps `request`; `None` where its body can be sent once only.
    pub(crate) fn new(request: &Request<RequestBody>) -> Option<Self> {
        let body = request.body().try_clone()?;
        let mut headers = Vec::with_capacity(request.headers().len());
        let mut values = Vec::with_capacity(USUAL);
        for (name, value) in request.headers() {
            values.extend_from_slice(value.as_bytes());
            headers.push(SavedHeader {
                name: name.clone(),
                end: values.len(),
                is_sensitive: value.is_sensitive(),
            });
        }
        Some(Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers,
            values,
            extensions: request.extensions().clone(),
            body,
        })
    }

    /// The request.
    pub(crate) fn restore(&self) -> Request<RequestBody> {
        // Only what can be cloned was taken.
        let mut request = Request::new(self.body.try_clone().unwrap_or_default());
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.uri);
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers();
        request.extensions_mut().clone_from(&self.extensions);
        request
    }

    fn headers(&self) -> HeaderMap {
        let values = Bytes::copy_from_slice(&self.values);
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        let mut start = 0;
        for saved in &self.headers {
            // What was the value of a header is one.
            if let Ok(mut value) = HeaderValue::from_maybe_shared(values.slice(start..saved.end)) {
                value.set_sensitive(saved.is_sensitive);
                headers.append(saved.name.clone(), value);
            }
            start = saved.end;
        }
        headers
    }
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
