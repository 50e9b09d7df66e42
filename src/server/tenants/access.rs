//! What a tenant may ask for.

use http::{Request, StatusCode};

use super::{Tenant, stored};
use crate::{
    message::{ApiError, Endpoint, RequestBody, members},
    wire::{json::Value, path::percent_decode},
};

/// Whether `request` is one that `tenant` may send.
pub(super) fn check(tenant: &Tenant, request: &Request<RequestBody>) -> Result<(), ApiError> {
    let endpoint = Endpoint::of(request);
    if endpoint != Endpoint::Models
        && tenant.endpoints.is_some()
        && !tenant.names_endpoint(endpoint)
    {
        return Err(endpoint_not_allowed());
    }
    if !tenant.uses_stored_objects() && stored::is_concerned(endpoint, request)? {
        return Err(stored_not_allowed());
    }
    if tenant.allowed_models().is_none() {
        return Ok(());
    }
    check_path(tenant, request.uri().path())?;
    // A body in which a member stands twice is none: which of them counts is for each upstream to say.
    let Some(members) = members(request).map_err(ApiError::from)? else {
        // What is not read may name any model.
        return match endpoint {
            Endpoint::Models => Ok(()),
            Endpoint::Other if tenant.names_endpoint(endpoint) => Ok(()),
            Endpoint::Other => Err(endpoint_not_allowed()),
            _ => Err(ApiError::unread_body()),
        };
    };
    let model = members.get("model").and_then(Value::as_str);
    let model = model.ok_or_else(ApiError::missing_model)?;
    check_model(tenant, &model)?;
    // OpenRouter's: the models to go on with where the first one fails.
    if let Some(more) = members.get("models").filter(|more| !more.is_null()) {
        let strings = || {
            let reason = "models must be a list of names";
            ApiError::invalid_request(reason).with_param("models")
        };
        let more: Vec<String> = more.deserialize().map_err(|_| strings())?;
        more.iter()
            .try_for_each(|model| check_model(tenant, model))?;
    }
    Ok(())
}

/// The model of a path that names one, as Azure's (`/openai/deployments/{model}/…`).
fn check_path(tenant: &Tenant, path: &str) -> Result<(), ApiError> {
    let path = percent_decode(path);
    let path = String::from_utf8_lossy(&path);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    while let Some(segment) = segments.next() {
        let names_model = ["deployments", "engines"]
            .iter()
            .any(|name| segment.eq_ignore_ascii_case(name));
        if names_model && let Some(model) = segments.next() {
            check_model(tenant, model)?;
        }
    }
    Ok(())
}

fn check_model(tenant: &Tenant, model: &str) -> Result<(), ApiError> {
    if tenant.may_ask_for(model) {
        Ok(())
    } else {
        // What others may ask for is not theirs to know.
        Err(ApiError::model_not_found(model))
    }
}

fn endpoint_not_allowed() -> ApiError {
    let message = "You are not allowed to call this endpoint.";
    ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
        .with_code("endpoint_not_allowed")
}

fn stored_not_allowed() -> ApiError {
    let message = "You are not allowed to use what an upstream keeps (files, batches, stored responses, conversations): its key is not \
                   yours alone.";
    ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
        .with_code("stored_objects_not_allowed")
}
