//! Telling somebody elsewhere.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::BodyExt;
use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

use super::Notice;
use crate::message::{BoxError, RequestBody, ResponseBody};

/// The notices that wait at most. More are dropped, and counted.
const QUEUE: usize = 64;
/// How often one is sent at most, and what is waited before the second and third time.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

type Client = BoxCloneSyncService<Request<RequestBody>, Response<ResponseBody>, BoxError>;

/// Where notices are posted as JSON.
#[derive(Clone)]
pub struct Webhook {
    uri: Uri,
    authorization: Option<http::HeaderValue>,
    timeout: Duration,
    client: Client,
}

/// What became of a webhook's notices since the start.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WebhookCounts {
    /// Taken by the other side.
    pub sent: u64,
    /// Not taken, though tried three times.
    pub failed: u64,
    /// Not tried: as many waited as may.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub(super) fn counts(&self) -> WebhookCounts {
        WebhookCounts {
            sent: self.sent.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

impl Webhook {
    /// Posts to `uri` through `client`, and waits 5 s for each answer.
    pub fn new<S, B>(uri: Uri, client: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let client = client.map_err(Into::into).map_response(ResponseBody::wrap);
        Self {
            uri,
            authorization: None,
            timeout: Duration::from_secs(5),
            client: BoxCloneSyncService::new(client),
        }
    }

    /// Sends this `authorization` with each.
    #[must_use]
    pub fn authorization(mut self, mut value: http::HeaderValue) -> Self {
        value.set_sensitive(true);
        self.authorization = Some(value);
        self
    }

    /// How long to wait for each answer.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn request(&self, json: &str) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::json(json.to_owned()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        let json = http::HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        request
    }

    /// Whether it was taken; `None` where another attempt may help.
    async fn attempt(&self, json: &str) -> Option<bool> {
        let sending = async {
            let response = self.client.clone().oneshot(self.request(json)).await.ok()?;
            let status = response.status();
            // Read on, so that the connection can be kept; nobody needs what it says.
            let mut body = response.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            Some(status)
        };
        let status = timeout(self.timeout, sending).await.ok()??;
        let may_heal = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        (!may_heal).then(|| status.is_success())
    }

    async fn send(&self, notice: &Notice) -> bool {
        let json = serde_json::to_string(notice).unwrap_or_default();
        for wait in WAITS {
            if let Some(taken) = self.attempt(&json).await {
                return taken;
            }
            sleep(wait).await;
        }
        self.attempt(&json).await.unwrap_or(false)
    }
}

impl fmt::Debug for Webhook {
    /// The host alone: what follows it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Webhook").field(&self.uri.host()).finish()
    }
}

/// Where notices wait to be posted.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: mpsc::Sender<Notice>,
    counters: Arc<Counters>,
}

impl Outbox {
    pub(super) fn put(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            self.counters.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// The outbox of `webhook`, and what empties it until all who may put something there are gone.
pub(super) fn outbox(
    webhook: Webhook,
    counters: Arc<Counters>,
) -> (Outbox, impl Future<Output = ()> + Send) {
    let (queue, mut queued) = mpsc::channel::<Notice>(QUEUE);
    let counted = Arc::clone(&counters);
    let sending = async move {
        while let Some(notice) = queued.recv().await {
            if webhook.send(&notice).await {
                counted.sent.fetch_add(1, Relaxed);
            } else {
                counted.failed.fetch_add(1, Relaxed);
                tracing::warn!(
                    ?webhook,
                    rule = notice.rule.as_str(),
                    "an alert could not be delivered"
                );
            }
        }
    };
    (Outbox { queue, counters }, sending)
}
