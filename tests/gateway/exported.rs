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
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};

use crate::harness::{chat, send, soon};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector, and what it is sent: path, content type, and a batch.
async fn collector() -> (SocketAddr, mpsc::Receiver<(String, String, Bytes)>) {
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
                    let kind = request.headers()["content-type"]
                        .to_str()
                        .unwrap()
                        .to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    batch.send((path, kind, body)).await.unwrap();
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
        let (path, kind, batch) = soon(batches.recv()).await.unwrap();
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

#[test]
fn an_endpoint_that_is_none_is_said_at_the_start() {
    let output = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
        .args(["--listen", "127.0.0.1:0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{text}");
}
