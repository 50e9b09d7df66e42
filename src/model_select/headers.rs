//! What the answer says of the choice.

use http::{HeaderName, HeaderValue, Response};

use crate::message::{ResponseBody, Selection};

/// The header with the model that was chosen.
pub const X_RELAY_MODEL: HeaderName = HeaderName::from_static("x-relay-model");
/// The header with the complexity of the request: a level such as `high`, or points from 1 to 100.
pub const X_RELAY_COMPLEXITY: HeaderName = HeaderName::from_static("x-relay-complexity");

pub(super) fn write(response: &mut Response<ResponseBody>, selection: &Selection) {
    let headers = response.headers_mut();
    for (name, said) in [
        (X_RELAY_MODEL, &selection.model),
        (X_RELAY_COMPLEXITY, &selection.complexity),
    ] {
        if let Ok(value) = HeaderValue::from_str(said) {
            headers.insert(name, value);
        }
    }
}
