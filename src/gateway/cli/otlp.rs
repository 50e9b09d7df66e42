//! Spans to a collector of OpenTelemetry, as the usual environment variables say.

use std::{env, fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tower::ServiceExt;
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::{
    gateway::client::{Client, ClientConfig},
    message::RequestBody,
    telemetry::conventions::SCHEMA_URL,
};

/// How long the last spans may take.
const LAST: Duration = Duration::from_secs(5);
/// How long a batch of them may.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that a collector's answer may be, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What exports spans, until the program ends.
pub(super) struct Export(SdkTracerProvider);

impl Export {
    /// Sends what is left.
    pub(super) fn end(self) {
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
pub(super) fn spans<S>() -> Result<Option<(impl Layer<S>, Export)>, String>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let said = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .into_iter()
    .find_map(|name| Some((name, said(name)?)));
    let is_off = said("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"))
        || said("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    let Some((name, endpoint)) = endpoint.filter(|_| !is_off) else {
        return Ok(None);
    };
    let wrong = |error: &dyn fmt::Display| format!("{name} {endpoint:?}: {error}");
    let uri: Uri = endpoint.parse().map_err(|error| wrong(&error))?;
    let client = ClientConfig::default().build(&uri);
    let client = Sender {
        client: client.map_err(|error| wrong(&error))?,
        runtime: Handle::current(),
    };
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let exporter = exporter.build().map_err(|error| wrong(&error))?;
    let mut resource = Resource::builder();
    let names_itself = said("OTEL_SERVICE_NAME").is_some()
        || said("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
    if !names_itself {
        resource = resource.with_service_name("tower-relay");
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.build())
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
