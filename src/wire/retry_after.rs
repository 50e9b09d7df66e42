//! Stub.
use std::time::Duration;
use http::HeaderMap;
/// Stub.
pub fn write(headers: &mut HeaderMap, wait: Duration) {
    let ms = wait.as_millis() as u64;
    headers.insert("retry-after", ms.div_ceil(1000).into());
    headers.insert("retry-after-ms", ms.into());
}
