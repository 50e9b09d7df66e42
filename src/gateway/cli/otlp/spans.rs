//! Spans to a collector.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tower::ServiceExt;
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::{Collector, MAX_ANSWER, resource};
use crate::{gateway::client::Client, message::RequestBody, telemetry::conventions::SCHEMA_URL};

/// How long the last spans may take.
const LAST: Duration = Duration::from_secs(5);
/// How long a batch of them may.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What exports spans, until the program ends.
pub(in crate::gateway::cli) struct Export(SdkTracerProvider);

impl Export {
    /// Sends what is left.
    pub(in crate::gateway::cli) fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// The spans of this crate, to the collector that the environment names; `None` where it names none.
///
/// # Errors
///
/// When the endpoint is none, or the protocol is not HTTP with protobuf.
pub(in crate::gateway::cli) fn spans<S>() -> Result<Option<(impl Layer<S>, Export)>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let Some(collector) = Collector::find("TRACES")? else {
        return Ok(None);
    };
    let wrong = |error: &dyn fmt::Display| collector.wrong(error);
    let client = Sender {
        client: collector.client()?,
        runtime: Handle::current(),
    };
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let exporter = exporter.build().map_err(|error| wrong(&error))?;
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .with_batch_exporter(exporter)
        .build();
    Ok(Some((layer(&provider), Export(provider))))
}

fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let scope = opentelemetry::InstrumentationScope::builder("tower-relay")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build();
    let tracer: SdkTracer = provider.tracer_with_scope(scope);
    // Where in its source a span was made says nothing of a request.
    let spans = OpenTelemetryLayer::new(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    spans.with_filter(filter_fn(is_ours))
}

/// The spans of requests and attempts, and nothing else.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("tower_relay::telemetry")
}

/// Sends batches by the gateway's own client. The SDK waits for them on a thread without a runtime.
struct Sender {
    client: Client,
    runtime: Handle,
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sending = async move {
            let response = client.oneshot(request.map(RequestBody::bytes)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        let sending = self
            .runtime
            .spawn(async move { tokio::time::timeout(TIMEOUT, sending).await });
        Box::pin(async move { sending.await?? })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
