use std::error::Error;

use bytes::{Buf, Bytes};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::AUTHORIZATION,
    request::Parts,
};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Demo, DemoBody, Model, chat, completions,
    deviations::{Deviation, HONEST},
    digest, embeddings,
    failure::Failure,
    fault::Faults,
    fields::{Ask, Fields},
    files,
    reply::{Json, Reply},
    responses,
};

/// The largest JSON request, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

type Endpoint = fn(&Ask<'_>) -> Result<Reply, Failure>;

/// An answer, and in whose dialect a failure is told.
struct Outcome {
    dialect: &'static Deviation,
    request_id: String,
    reply: Result<Reply, Failure>,
}

pub(super) async fn respond<B>(demo: &Demo, request: Request<B>) -> Response<DemoBody>
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (head, body) = request.into_parts();
    if head.uri.path() == "/health" {
        return Reply::Json(Json::ok(json!({"status": "ok"})))
            .into_response(demo.pace, &Faults::default());
    }
    let (faults, outcome) = match admit(demo, &head.headers) {
        Ok(faults) => {
            let outcome = answer(demo, &head, body, &faults).await;
            (faults, outcome)
        }
        Err(failure) => (Faults::default(), plain(&head, Err(failure))),
    };
    if !faults.delay.is_zero() {
        tokio::time::sleep(faults.delay).await;
    }

    let mut reply = outcome
        .reply
        .unwrap_or_else(|failure| Reply::Json(outcome.dialect.fail(&failure)));
    if let (Reply::Stream(stream), Some(events)) = (&mut reply, faults.error_event) {
        outcome.dialect.break_stream(stream, events);
    }
    let mut response = reply.into_response(demo.pace, &faults);
    if let Ok(id) = HeaderValue::try_from(format!("req_{}", outcome.request_id)) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

fn admit(demo: &Demo, headers: &HeaderMap) -> Result<Faults, Failure> {
    if headers
        .get(AUTHORIZATION)
        .is_none_or(|given| given.as_bytes() != demo.authorization.as_bytes())
    {
        return Err(Failure::unauthorized());
    }
    Faults::read(headers)
}

async fn answer<B>(demo: &Demo, head: &Parts, body: B, faults: &Faults) -> Outcome
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let endpoint: Endpoint = match (&head.method, head.uri.path()) {
        (&Method::POST, "/v1/chat/completions") => chat::respond,
        (&Method::POST, "/v1/completions") => completions::respond,
        (&Method::POST, "/v1/responses") => responses::respond,
        (&Method::POST, "/v1/embeddings") => embeddings::respond,
        _ => {
            let reply = match faults.status {
                Some(status) => Err(Failure::on_request(status)),
                None => without_model(demo, head, body).await,
            };
            return plain(head, reply);
        }
    };
    let body = match read(body).await {
        Ok(body) => body,
        Err(failure) => return plain(head, Err(failure)),
    };
    let hash = hash(&[head.uri.path().as_bytes(), &body]);
    match identify(demo, &body) {
        Err(failure) => Outcome {
            dialect: &HONEST,
            request_id: hash,
            reply: Err(failure),
        },
        Ok((value, model)) => {
            let ask = Fields::of(&value).map(|fields| Ask {
                fields,
                model,
                hash: &hash,
                created: demo.created,
            });
            let reply = match (faults.status, ask) {
                (Some(status), _) => Err(Failure::on_request(status)),
                (None, Some(ask)) => endpoint(&ask),
                (None, None) => Err(Failure::unknown_model()),
            };
            Outcome {
                dialect: model.deviation,
                request_id: hash,
                reply,
            }
        }
    }
}

/// The routes that no model answers.
async fn without_model<B>(demo: &Demo, head: &Parts, body: B) -> Result<Reply, Failure>
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let path = head.uri.path();
    let describe = |model: &Model| json!({"id": model.id, "object": "model", "created": demo.created, "owned_by": model.owned_by});
    match (&head.method, path) {
        (&Method::POST, "/v1/files") => files::respond(&head.headers, body, demo.created).await,
        (&Method::GET, "/v1/models") => {
            let data: Vec<_> = demo.models.iter().map(describe).collect();
            Ok(Reply::Json(Json::ok(
                json!({"object": "list", "data": data}),
            )))
        }
        (method, path) => match path.strip_prefix("/v1/models/") {
            Some(id) if method == Method::GET => {
                let model = demo.models.iter().find(|model| model.id == id);
                let model = model.ok_or_else(Failure::unknown_model)?;
                Ok(Reply::Json(Json::ok(describe(model))))
            }
            _ => Err(Failure::new(
                StatusCode::NOT_FOUND,
                format!("Invalid URL ({method} {path})"),
            )),
        },
    }
}

fn plain(head: &Parts, reply: Result<Reply, Failure>) -> Outcome {
    let request_id = hash(&[head.method.as_str().as_bytes(), head.uri.path().as_bytes()]);
    Outcome {
        dialect: &HONEST,
        request_id,
        reply,
    }
}

async fn read<B>(body: B) -> Result<Bytes, Failure>
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Failure::too_large(MAX_BODY));
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::too_large(MAX_BODY)),
        Err(_) => Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "The request body could not be read.",
        )),
    }
}

/// The parsed body and the model that it names.
fn identify<'a>(demo: &'a Demo, body: &[u8]) -> Result<(Value, &'a Model), Failure> {
    let malformed = |_| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "We could not parse the JSON body of your request.",
        )
    };
    let value: Value = serde_json::from_slice(body).map_err(malformed)?;
    let missing = || {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "you must provide a model parameter",
        )
    };
    let name = Fields::of(&value)
        .ok_or_else(missing)?
        .text("model")?
        .ok_or_else(missing)?;
    let model = demo
        .models
        .iter()
        .find(|model| model.id == name)
        .ok_or_else(Failure::unknown_model)?;
    Ok((value, model))
}

fn hash(parts: &[&[u8]]) -> String {
    digest::id(parts.iter().fold(Sha256::new(), Digest::chain_update))
}
