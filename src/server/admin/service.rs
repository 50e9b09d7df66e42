use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use tokio::time::timeout;
use tower_service::Service;

use super::{Access, AdminFuture, Changes};
use crate::{
    control::{ControlError, Controls, Parameters},
    message::{ApiError, BoxError, Dialect, ResponseBody},
    server::{answer::respond, status::Status},
    wire::path::percent_decode,
};

/// The largest body: a table of aliases.
const MAX_BODY: usize = 1 << 20;
/// How long it may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Shows and steers [`Controls`] over HTTP. Clones are one.
///
/// See the [module](super) for what it answers.
#[derive(Debug, Clone)]
pub struct Admin {
    controls: Controls,
    access: Access,
    changes: Changes,
    status: Option<Status>,
}

/// What a path names, below `/admin`.
#[derive(Debug)]
enum Named {
    All,
    Kind(String),
    One(String, String),
    Action(String, String, String),
    Nothing,
}

impl Admin {
    /// Steers `controls`, for those whom `access` lets.
    pub fn new(controls: &Controls, access: &Access) -> Self {
        Self {
            controls: controls.clone(),
            access: access.clone(),
            changes: Changes::default(),
            status: None,
        }
    }

    /// Also makes `status` anew after each change, so that who changes something sees it there.
    #[must_use]
    pub fn refreshing(mut self, status: &Status) -> Self {
        self.status = Some(status.clone());
        self
    }

    /// Keeps what is changed in `changes`.
    #[must_use]
    pub fn noting(mut self, changes: &Changes) -> Self {
        self.changes = changes.clone();
        self
    }

    fn show<B>(
        &self,
        request: &Request<B>,
        named: Named,
    ) -> Result<Response<ResponseBody>, ApiError> {
        self.access.read(request)?;
        let shown = match named {
            Named::All => {
                json!({"controls": self.controls.show(), "actions": self.controls.actions()})
            }
            Named::Kind(kind) => {
                let shown = self.controls.show_kind(&kind);
                shown.ok_or_else(|| self.controls.unknown(&kind, "").to_api_error())?
            }
            Named::One(kind, name) => {
                let control = self.controls.get(&kind, &name);
                let unknown = || self.controls.unknown(&kind, &name).to_api_error();
                control.ok_or_else(unknown)?.show()
            }
            Named::Action(..) => return Err(wrong_method("an action is sent with POST")),
            Named::Nothing => return Err(nothing()),
        };
        Ok(respond(StatusCode::OK, &shown))
    }

    async fn change<B>(
        self,
        who: Arc<str>,
        named: Named,
        body: B,
    ) -> Result<Response<ResponseBody>, ApiError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let Named::Action(kind, name, action) = named else {
            let message = "a change is POST /admin/KIND/NAME/ACTION";
            return Err(wrong_method(message));
        };
        let body = collect(body).await?;
        let parameters = Parameters::parse(&body).map_err(|error| error.to_api_error())?;
        let change = self.controls.act((&kind, &name), &action, parameters).await;
        let change = change.map_err(|error: ControlError| error.to_api_error())?;
        let what = (&*kind, &*name, &*action);
        self.changes.note(Arc::clone(&who), what, &change);
        if let Some(status) = &self.status {
            status.refresh();
        }
        let answer = json!({
            "kind": kind, "name": name, "action": action, "who": who,
            "old": change.old, "new": change.new,
        });
        Ok(respond(StatusCode::OK, &answer))
    }

    async fn answer<B>(self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let named = Named::of(request.uri().path());
        let answer = match *request.method() {
            Method::GET | Method::HEAD => self.show(&request, named),
            Method::POST => match self.access.change(&request) {
                Ok(who) => self.change(who, named, request.into_body()).await,
                Err(error) => {
                    tracing::warn!(
                        path = request.uri().path(),
                        reason = error.message(),
                        "no change"
                    );
                    Err(error)
                }
            },
            _ => Err(wrong_method("read with GET, change with POST")),
        };
        answer.unwrap_or_else(|error| error.to_response(Dialect::OpenAi))
    }
}

/// A change's parameters. It is done only when they are there whole.
async fn collect<B>(body: B) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let collected = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let late = |_| {
        ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request_error",
            "the body did not come in time",
        )
    };
    match collected.map_err(late)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "the body is larger than 1 MiB",
        )),
        Err(_) => Err(ApiError::invalid_request("the body broke off")),
    }
}

fn wrong_method(message: &'static str) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        message,
    )
}

fn nothing() -> ApiError {
    ControlError::Unknown(
        "such path, but /admin, /admin/KIND, /admin/KIND/NAME and POST /admin/KIND/NAME/ACTION"
            .to_owned(),
    )
    .to_api_error()
}

impl Named {
    /// A router that nests the service may have stripped `/admin` or not.
    fn of(path: &str) -> Self {
        let path = path.strip_prefix("/admin").unwrap_or(path);
        let decoded = |part: &str| String::from_utf8_lossy(&percent_decode(part)).into_owned();
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decoded);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (None, ..) => Self::All,
            (Some(kind), None, ..) => Self::Kind(kind),
            (Some(kind), Some(name), None, _) => Self::One(kind, name),
            (Some(kind), Some(name), Some(action), None) => Self::Action(kind, name, action),
            _ => Self::Nothing,
        }
    }
}

impl<B> Service<Request<B>> for Admin
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = AdminFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> AdminFuture {
        AdminFuture(Box::pin(self.clone().answer(request)))
    }
}
