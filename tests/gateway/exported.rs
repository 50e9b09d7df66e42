//! The program sends its spans to a collector.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, Metric, metric::Data, number_data_point::Value as Number,
    },
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::harness::{chat, send, soon};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// What a collector is sent: path, content type, key, and a batch.
type Batch = (String, String, Option<String>, Bytes);

/// A collector, and what it is sent.
async fn collector() -> (SocketAddr, mpsc::Receiver<Batch>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (batch, batches) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let batch = batch.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let batch = batch.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let header = |name| {
                        let value = request.headers().get(name);
                        value.map(|value| value.to_str().unwrap().to_owned())
                    };
                    let (kind, key) = (header("content-type").unwrap(), header("x-key"));
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    batch.send((path, kind, key, body)).await.unwrap();
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, batches)
}

/// The program, which is killed when the test has ended.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// The program with its demo upstreams, and its address.
    fn start(env: &[(&str, &str)]) -> (Self, String) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
            .args(["--listen", "127.0.0.1:0"])
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(program.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("is listening on ") {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0);
        }
        let address = line.rsplit_once("is listening on ").unwrap().1.trim();
        let address = address.to_owned();
        // It may go on to print.
        std::thread::spawn(move || out.lines().for_each(drop));
        (Self(program), address)
    }
}

fn hex(bytes: &[u8]) -> String {
    let number = bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte));
    format!("{number:0width$x}", width = 2 * bytes.len())
}

fn attributes(all: &[KeyValue]) -> BTreeMap<&str, String> {
    let shown = |value: &Option<AnyValue>| match value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::ArrayValue(list)) => format!("{:?}", list.values.len()),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    all.iter()
        .map(|one| (&*one.key, shown(&one.value)))
        .collect()
}

#[tokio::test]
async fn spans_reach_a_collector_under_the_callers_trace() {
    let (collector, mut batches) = collector().await;
    let endpoint = format!("http://{collector}");
    let (program, address) = Program::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("NO_PROXY", "*"),
    ]);
    let body = chat("gpt-4.1-mini", &json!({"max_tokens": 7})).to_string();
    let request = Request::post(format!("{address}/v1/chat/completions"))
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-hush-4711")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(Full::from(body))
        .unwrap();
    assert_eq!(send(request).await.status, 200);

    let mut spans: Vec<Span> = Vec::new();
    while spans.len() < 2 {
        let (path, kind, _, batch) = soon(batches.recv()).await.unwrap();
        assert_eq!((&*path, &*kind), ("/v1/traces", "application/x-protobuf"));
        let text = String::from_utf8_lossy(&batch).into_owned();
        assert!(!text.contains("sk-hush-4711") && !text.contains("Hello there!"));
        let batch = ExportTraceServiceRequest::decode(batch).unwrap();
        for resource in batch.resource_spans {
            let about = resource.resource.unwrap().attributes;
            assert_eq!(attributes(&about)["service.name"], "tower-relay");
            for scope in resource.scope_spans {
                assert_eq!(scope.scope.unwrap().name, "tower-relay");
                assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.44.0");
                spans.extend(scope.spans);
            }
        }
    }
    drop(program);

    assert_eq!(spans.len(), 2, "{spans:?}");
    let of = |kind| spans.iter().find(|span| span.kind == kind as i32).unwrap();
    let (request, attempt) = (of(SpanKind::Server), of(SpanKind::Client));
    for span in [request, attempt] {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        let status = span.status.as_ref().map_or(0, |status| status.code);
        assert_ne!(status, StatusCode::Error as i32);
    }
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(attempt.parent_span_id, request.span_id);
    assert_eq!(request.name, "chat gpt-4.1-mini");
    let said = attributes(&request.attributes);
    assert_eq!(said["gen_ai.operation.name"], "chat");
    assert_eq!(said["gen_ai.request.max_tokens"], "7");
    assert_eq!(said["gen_ai.response.finish_reasons"], "1", "a list of one");
    assert_eq!(said["relay.end"], "successful");
    assert!(said.contains_key("gen_ai.usage.input_tokens"), "{said:?}");
    assert!(!said.contains_key("error.type"), "{said:?}");
}

/// The metrics of a batch, by their names.
fn metrics(batch: Bytes) -> BTreeMap<String, Metric> {
    let batch = ExportMetricsServiceRequest::decode(batch).unwrap();
    let [resource] = &batch.resource_metrics[..] else {
        panic!("{batch:?}");
    };
    let about = &resource.resource.as_ref().unwrap().attributes;
    assert_eq!(attributes(about)["service.name"], "tower-relay");
    let [scope] = &resource.scope_metrics[..] else {
        panic!("{resource:?}");
    };
    assert_eq!(scope.scope.as_ref().unwrap().name, "tower-relay");
    assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.44.0");
    let named = scope
        .metrics
        .iter()
        .map(|one| (one.name.clone(), one.clone()));
    named.collect()
}

#[tokio::test]
async fn metrics_reach_a_collector_and_say_what_prometheus_reads() {
    let (collector, mut batches) = collector().await;
    let endpoint = format!("http://{collector}/");
    let (_program, address) = Program::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20key"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("NO_PROXY", "*"),
    ]);
    for stream in [false, true, true] {
        let body = chat("gpt-4.1-mini", &json!({"stream": stream})).to_string();
        let request = Request::post(format!("{address}/v1/chat/completions"))
            .header("content-type", "application/json")
            .body(Full::from(body))
            .unwrap();
        assert_eq!(send(request).await.status, 200);
    }
    // What is sent next has all of them, once the last has ended.
    let (seen, duration) = loop {
        let (path, kind, key, batch) = soon(batches.recv()).await.unwrap();
        assert_eq!((&*path, &*kind), ("/v1/metrics", "application/x-protobuf"));
        assert_eq!(key.as_deref(), Some("a key"));
        let seen = metrics(batch);
        let duration = seen.get("gen_ai.client.operation.duration").cloned();
        if let Some(Data::Histogram(histogram)) = duration.and_then(|metric| metric.data)
            && histogram
                .data_points
                .iter()
                .map(|point| point.count)
                .sum::<u64>()
                == 3
        {
            break (seen, histogram);
        }
    };
    assert_eq!(seen["gen_ai.client.operation.duration"].unit, "s");
    assert_eq!(seen["gen_ai.client.token.usage"].unit, "{token}");
    let cumulative = AggregationTemporality::Cumulative as i32;
    assert_eq!(duration.aggregation_temporality, cumulative);
    for point in &duration.data_points {
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert!(point.sum.unwrap() > 0.0 && point.time_unix_nano > point.start_time_unix_nano);
        let about = attributes(&point.attributes);
        assert_eq!(about["gen_ai.operation.name"], "chat");
    }
    let Some(Data::Sum(requests)) = &seen["relay.requests"].data else {
        panic!("{:?}", seen["relay.requests"]);
    };
    assert!(requests.is_monotonic);
    assert_eq!(requests.aggregation_temporality, cumulative);
    let counted = requests.data_points.iter().map(|point| match point.value {
        Some(Number::AsInt(count)) => count,
        _ => panic!("{point:?}"),
    });
    assert_eq!(counted.sum::<i64>(), 3);
    assert!(matches!(
        seen["relay.requests.in_flight"].data,
        Some(Data::Gauge(_))
    ));
}

#[test]
fn what_cannot_be_of_a_collector_is_said_at_the_start() {
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "sk-secret"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
            .args(["--listen", "127.0.0.1:0"])
            .envs([collector, (name, value)])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains(name) && !text.contains("secret"), "{text}");
    }
}
