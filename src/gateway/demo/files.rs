use std::error::Error;

use bytes::Buf;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::Body;
use http_body_util::BodyExt;
use serde_json::json;

use super::{
    failure::Failure,
    multipart::Form,
    reply::{Json, Reply},
};

/// `POST /v1/files`: counts the uploaded bytes as they pass and keeps none.
pub(super) async fn respond<B>(headers: &HeaderMap, body: B, created: u64) -> Result<Reply, Failure>
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let refused = || {
        Failure::invalid(
            "file",
            "Expected a multipart/form-data body with a file and a purpose.",
        )
    };
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let mut form = content_type.and_then(Form::new).ok_or_else(refused)?;
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| refused())?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        while data.has_remaining() {
            let chunk = data.chunk();
            form.push(chunk).map_err(|_| refused())?;
            let read = chunk.len();
            data.advance(read);
        }
    }
    let file = form.finish().ok_or_else(refused)?;
    let purpose = form.purpose().filter(|purpose| !purpose.is_empty());
    let Some(purpose) = purpose else {
        return Err(Failure::invalid(
            "purpose",
            "'purpose' is a required property",
        ));
    };
    Ok(Reply::Json(Json::ok(json!({
        "id": format!("file-{}", file.hash),
        "object": "file",
        "bytes": file.bytes,
        "created_at": created,
        "filename": file.name,
        "purpose": purpose,
        "status": "processed",
    }))))
}
