//! Metrics to a collector.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use opentelemetry_sdk::Resource;
use prost::Message;
use tokio::time::timeout;
use tower::ServiceExt;

use super::{Collector, MAX_ANSWER, encode, resource, said, said_for};
use crate::{
    gateway::client::Client,
    message::{BoxError, RequestBody},
    server::Prometheus,
    wire::{clock, path::percent_decode},
    worker::Worker,
};

const SIGNAL: &str = "METRICS";
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("tower-relay/", env!("CARGO_PKG_VERSION")));

/// Sends what `prometheus` keeps to the collector that the environment names, each minute or as it says, and once more at the end; `None`
/// where it names none.
///
/// # Errors
///
/// When what the environment says cannot be.
pub(in crate::gateway::cli) fn metrics(prometheus: &Prometheus) -> Result<Option<Worker>, String> {
    let Some(collector) = Collector::find(SIGNAL)? else {
        return Ok(None);
    };
    let address = if collector.is_own {
        collector.uri.clone()
    } else {
        let whole = format!("{}/v1/metrics", collector.address.trim_end_matches('/'));
        whole.parse().map_err(|error| collector.wrong(&error))?
    };
    let every = millis(
        said("OTEL_METRIC_EXPORT_INTERVAL")
            .map(|text| ("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), text)),
    )?;
    let patience = millis(said_for(SIGNAL, "TIMEOUT").map(|(name, _, text)| (name, text)))?;
    let exporter = Exporter {
        client: collector.client()?,
        address,
        headers: headers()?,
        timeout: patience.unwrap_or(Duration::from_secs(10)),
        prometheus: prometheus.clone(),
        resource: resource(),
        since: clock::now(),
    };
    let every = every.unwrap_or(Duration::from_secs(60));
    Ok(Some(Worker::new(move |mut shutdown| async move {
        loop {
            let is_last = shutdown.fired_within(every).await;
            exporter.export().await;
            if is_last {
                return;
            }
        }
    })))
}

/// A variable's whole number of milliseconds, more than none.
fn millis(said: Option<(String, String)>) -> Result<Option<Duration>, String> {
    let read = |(name, text): (String, String)| match text.trim().parse::<u64>() {
        Ok(millis @ 1..) => Ok(Duration::from_millis(millis)),
        _ => Err(format!("{name} {text:?}: is no number of milliseconds")),
    };
    said.map(read).transpose()
}

/// What else is sent with each batch, such as a key: `name=value,name=value`, with what needs it escaped as in a URL.
fn headers() -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let Some((variable, _, text)) = said_for(SIGNAL, "HEADERS") else {
        return Ok(headers);
    };
    // What it says may be a key, and is not shown.
    let wrong = || format!("{variable}: is not a list of name=value");
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (name, value) = one.split_once('=').ok_or_else(wrong)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let value = percent_decode(value.trim());
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

struct Exporter {
    client: Client,
    address: Uri,
    headers: HeaderMap,
    timeout: Duration,
    prometheus: Prometheus,
    resource: Resource,
    since: SystemTime,
}

impl Exporter {
    /// Sends all that there is. What does not arrive is told with the next: it is counted from the start.
    async fn export(&self) {
        let told = match timeout(self.timeout, self.send()).await {
            Ok(Ok(status)) if status.is_success() => return,
            Ok(Ok(status)) => format!("the collector answered {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the collector took too long".to_owned(),
        };
        tracing::warn!(error = told, "metrics were not exported");
    }

    async fn send(&self) -> Result<StatusCode, BoxError> {
        let metrics = self.prometheus.snapshot();
        let batch = encode::batch(metrics, &self.resource, self.since, clock::now());
        let mut request =
            Request::post(&self.address).body(RequestBody::bytes(batch.encode_to_vec()))?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        headers.insert(header::USER_AGENT, AGENT);
        let response = self.client.clone().oneshot(request).await?;
        let status = response.status();
        // Read, so that the connection serves the next batch too.
        Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await?;
        Ok(status)
    }
}
