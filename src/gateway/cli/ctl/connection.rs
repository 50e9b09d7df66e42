use std::{env, fs, time::Duration};

use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Problem, command::Options};
use crate::{
    gateway::client::{Client, ClientConfig},
    message::RequestBody,
};

const DEFAULT: &str = "http://127.0.0.1:9090";
const TIMEOUT: Duration = Duration::from_secs(15);
/// Far more than a report has.
const MAX_ANSWER: usize = 64 << 20;

/// The admin API of one gateway.
pub(super) struct Connection {
    base: String,
    client: Client,
    token: Option<HeaderValue>,
}

impl Connection {
    pub(super) fn new(options: Options) -> Result<Self, Problem> {
        let set = |name| {
            env::var(name)
                .ok()
                .filter(|value: &String| !value.trim().is_empty())
        };
        let base = options.admin.or_else(|| set("RELAY_ADMIN"));
        let base = base.unwrap_or_else(|| DEFAULT.to_owned());
        // As it is printed and as it is written down, `127.0.0.1:9090` will do.
        let base = if base.contains("://") {
            base
        } else {
            format!("http://{base}")
        };
        let base = base.trim_end_matches('/').to_owned();
        let wrong = || Problem::Unusable(format!("{base:?} is no URL, such as {DEFAULT:?}"));
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        let client = ClientConfig::default().build(&uri).map_err(|_| wrong())?;
        let token = match options.token_file {
            Some(file) => Some(fs::read_to_string(&file).map_err(|error| {
                Problem::Unusable(format!("{} cannot be read: {error}", file.display()))
            })?),
            None => set("RELAY_ADMIN_TOKEN"),
        };
        let token = token.map(|token| {
            let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
            let mut value = value
                .map_err(|_| Problem::Unusable("the token cannot stand in a header".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            base,
            client,
            token: token.transpose()?,
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Problem> {
        self.send(Method::GET, path, RequestBody::empty()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        self.send(Method::POST, path, RequestBody::json(body.to_string()))
            .await
    }

    async fn send(&self, method: Method, path: &str, body: RequestBody) -> Result<Value, Problem> {
        let unusable = |reason: String| Problem::Unusable(format!("{}: {reason}", self.base));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        let request = request.body(body);
        let request = request.map_err(|error| unusable(error.to_string()))?;
        let asking = async {
            let response = self.client.clone().oneshot(request).await;
            let response = response.map_err(|error| unusable(chain(&error)))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await;
            let body = body
                .map_err(|error| unusable(error.to_string()))?
                .to_bytes();
            Ok((status, body))
        };
        let late = |_| unusable("it does not answer".to_owned());
        let (status, body) = timeout(TIMEOUT, asking).await.map_err(late)??;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success() {
            return answer.ok_or_else(|| unusable("what it answers is not JSON".to_owned()));
        }
        let message = answer
            .as_ref()
            .and_then(|answer| answer.pointer("/error/message"));
        let message = message.and_then(Value::as_str).unwrap_or("no reason");
        Err(Problem::Refused(format!("{message} ({status})")))
    }
}

/// An error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
