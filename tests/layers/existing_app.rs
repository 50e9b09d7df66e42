//! Layers put into an application that exists already, with uploads, a WebSocket and an event stream of its own.

use std::convert::Infallible;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Multipart, WebSocketUpgrade, ws},
    response::{IntoResponse, Response, Sse, sse},
    routing::{get, post},
};
use futures_util::{SinkExt, StreamExt, stream};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, channel::Channel};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tower::{Layer, ServiceExt};
use tower_relay::{
    client::AdaptLayer,
    model_rewrite::{Aliases, ModelRewriteLayer, Unknown},
    server::{EdgeLayer, Health},
};

/// The application as it was before.
fn application() -> Router {
    async fn upload(mut form: Multipart) -> String {
        let mut sizes = Vec::new();
        while let Some(field) = form.next_field().await.unwrap() {
            let name = field.name().unwrap().to_owned();
            sizes.push(format!("{name}:{}", field.bytes().await.unwrap().len()));
        }
        sizes.join(",")
    }
    async fn socket(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(ws::Message::Text(text))) = socket.recv().await {
                let answer = ws::Message::Text(format!("you said {text}").into());
                if socket.send(answer).await.is_err() {
                    return;
                }
            }
        })
    }
    async fn ticks() -> impl IntoResponse {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        tokio::spawn(async move {
            for tick in 0..3 {
                sender
                    .send_data(Bytes::from(format!("event: tick\ndata: {tick}\n\n")))
                    .await
                    .unwrap();
            }
        });
        (
            [(header::CONTENT_TYPE, "text/event-stream")],
            Body::new(body),
        )
    }
    async fn sse_of_axum() -> impl IntoResponse {
        Sse::new(stream::iter([Ok::<_, Infallible>(
            sse::Event::default().event("hi").data("there"),
        )]))
    }
    Router::new()
        .route(
            "/v1/chat/completions",
            post(|body: String| async move { body }),
        )
        .route("/upload", post(upload))
        .route("/socket", get(socket))
        .route("/ticks", get(ticks))
        .route("/sse", get(sse_of_axum))
        .route(
            "/echo",
            post(|request: Request<Body>| async move { request.into_body() }),
        )
}

fn app() -> Router {
    let rewrite = ModelRewriteLayer::builder()
        .aliases(Aliases::new([("fast", "real")]).unwrap())
        .unknown(Unknown::Reject)
        .restore_name(true)
        .build()
        .unwrap();
    application().layer((EdgeLayer::default(), rewrite, AdaptLayer::new(Body::new)))
}

async fn serve(app: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn text(
    response: http::Response<impl axum::body::HttpBody<Data = Bytes, Error: std::fmt::Debug>>,
) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

#[tokio::test]
async fn the_endpoint_that_layers_read_is_rewritten() {
    let request = |model: &str| {
        let body = format!(r#"{{"model":"{model}"}}"#);
        Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap()
    };
    let response = app().oneshot(request("fast")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().contains_key("x-relay-request-id"));
    assert_eq!(text(response).await, r#"{"model":"real"}"#);
    let response = app().oneshot(request("slow")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_upload_reaches_its_handler() {
    let part = |name: &str, size: usize| {
        format!(
            "--x\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n{}\r\n",
            "a".repeat(size)
        )
    };
    let body = [
        part("small", 10),
        part("large", 300_000),
        "--x--\r\n".to_owned(),
    ]
    .concat();
    let request = Request::post("/upload")
        .header("content-type", "multipart/form-data; boundary=x")
        .body(Body::from(body))
        .unwrap();
    let response = app().oneshot(request).await.unwrap();
    assert!(!response.headers().contains_key("x-relay-request-id"));
    assert_eq!(text(response).await, "small:10,large:300000");
}

#[tokio::test]
async fn a_request_of_another_route_streams_both_ways() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let request = Request::post("/echo")
        .header("content-type", "application/json")
        .body(Body::new(body))
        .unwrap();
    let mut answer = app().oneshot(request).await.unwrap().into_body();
    for part in ["{\"model\":", "\"model\":"] {
        sender.send_data(Bytes::from(part)).await.unwrap();
        assert_eq!(
            answer.frame().await.unwrap().unwrap().into_data().unwrap(),
            part
        );
    }
}

#[tokio::test]
async fn a_websocket_of_the_application_works() {
    let address = serve(app()).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, response) =
        tokio_tungstenite::client_async(format!("ws://{address}/socket"), stream)
            .await
            .unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    for word in ["hello", "again"] {
        socket.send(Message::text(word)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer, Message::text(format!("you said {word}")));
    }
}

#[tokio::test]
async fn event_streams_of_the_application_pass_as_they_are() {
    for (path, events) in [
        (
            "/ticks",
            "event: tick\ndata: 0\n\nevent: tick\ndata: 1\n\nevent: tick\ndata: 2\n\n",
        ),
        ("/sse", "event: hi\ndata: there\n\n"),
    ] {
        let response = app()
            .oneshot(Request::get(path).body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("x-relay-request-id"));
        assert_eq!(text(response).await, events);
    }
}

#[tokio::test]
async fn layers_fit_wherever_a_router_takes_a_service() {
    let handler = tower::service_fn(
        async |request: Request<tower_relay::message::RequestBody>| {
            Ok::<_, Infallible>(http::Response::new(Body::new(request.into_body())))
        },
    );
    let edge = EdgeLayer::default();
    let own: Router = Router::new()
        .route_service("/v1/chat/completions", edge.layer(handler))
        .nest_service("/nested", edge.layer(handler))
        .fallback_service(edge.layer(handler))
        .route_service("/health", Health::new());
    let layered = own.clone().layer((edge, AdaptLayer::new(Body::new)));
    for app in [own, layered] {
        for path in [
            "/v1/chat/completions",
            "/nested/v1/embeddings",
            "/anything/else",
        ] {
            let request = Request::post(path).body(Body::from("[]")).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(
                response.headers().contains_key("x-relay-request-id"),
                !path.starts_with("/anything")
            );
            assert_eq!(text(response).await, "[]", "{path}");
        }
        let request = Request::get("/health").body(Body::empty()).unwrap();
        assert_eq!(
            text(app.oneshot(request).await.unwrap()).await,
            r#"{"status":"ok"}"#
        );
    }
}
