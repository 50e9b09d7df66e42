//! The headers by which the layer speaks to callers.

use http::HeaderName;

/// The header that says where an answer comes from: `hit`, `miss` or `stale`. Absent where a request is none for the cache.
pub const X_RELAY_CACHE: HeaderName = HeaderName::from_static("x-relay-cache");

/// The header that says what an answer from the cache had cost when it was answered, in USD; absent where that is not known.
pub const X_RELAY_CACHE_SAVED_USD: HeaderName = HeaderName::from_static("x-relay-cache-saved-usd");
