//! Gateways, upstreams and callers for the tests.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Version, request::Parts};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower_relay::gateway::{
    Config, Gateway, Handles, InvalidConfig, Reloaded, Reloader, Stack, demo::Demo,
};

/// Far more than anything here takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(30);

/// What `future` resolves to, if that is soon.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("it takes too long")
}

/// Says how long things of this kind took. Each takes less than a second, but single ones take as long as a busy machine likes.
#[expect(clippy::print_stdout, reason = "for whoever asks how long it takes")]
pub(crate) fn within_a_second(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{} {what}: median {median:?}, slowest {slowest:?}",
        took.len()
    );
    assert!(took[0] < Duration::from_secs(1), "{what}: {took:?}");
}

/// A running gateway.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) handles: Handles,
    reloader: Reloader,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Relay {
    /// Runs `config`, which finds the key of the demo upstreams as `DEMO_KEY` and a wrong one as `WRONG_KEY`.
    pub(crate) async fn start(config: &str) -> Self {
        let gateway =
            Config::from_toml(config, "test").and_then(|config| config.build_with_env(&env));
        Self::serve(gateway.unwrap_or_else(|error| panic!("{error}"))).await
    }

    /// Runs a gateway.
    pub(crate) async fn serve(gateway: Gateway<impl Stack>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handles = gateway.handles().clone();
        let reloader = gateway.reloader();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway.serve(listener, async { drop(stopped.await) }));
        Self {
            address,
            handles,
            reloader,
            stop: Some(stop),
            serving,
        }
    }

    /// Gives it another configuration.
    pub(crate) fn reload(&self, config: &str) -> Result<Reloaded, InvalidConfig> {
        let config = Config::from_toml(config, "test")?;
        self.reloader.reload_with_env(&config, &env)
    }

    /// A relay before one upstream, with the aliases of the built-in demo.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        Self::with(upstream, "").await
    }

    /// The same, with more configuration before it.
    pub(crate) async fn with(upstream: SocketAddr, more: &str) -> Self {
        let config = format!(
            "{more}\n[models]\nunknown = \"reject\"\n[models.aliases]\n\"gpt-4.1-mini\" = \"demo-small\"\n\
             \"text-embedding-*\" = \"demo-embed\"\n\"demo-*\" = \"demo-*\"\n\
             [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\n\
             credential = {{ env = \"DEMO_KEY\" }}\nmodels = [\"demo-small\", \"demo-embed\"]\n"
        );
        Self::start(&config).await
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks it to end.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(self) {
        soon(self.serving).await.unwrap();
    }
}

/// What the configurations of the tests find in the environment.
fn env(name: &str) -> Option<String> {
    match name {
        "DEMO_KEY" => Some("demo-key".to_owned()),
        "WRONG_KEY" => Some("stale-key".to_owned()),
        "RELAY_ADMIN_TOKEN" => Some("sixteen-letters-or-more".to_owned()),
        _ => None,
    }
}

/// An address at which nobody answers.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A demo upstream, and how many connections it has taken.
pub(crate) async fn demo() -> (SocketAddr, Arc<AtomicUsize>) {
    embedded(Demo::exact()).await
}

/// The same, of whichever habits.
pub(crate) async fn embedded(demo: Demo) -> (SocketAddr, Arc<AtomicUsize>) {
    upstream(move |request| {
        let demo = demo.clone();
        async move {
            demo.respond(request)
                .await
                .map(|body| body.map_err(Into::into).boxed())
        }
    })
    .await
}

/// A request at a scripted upstream: the test reads its body and writes its answer.
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    pub(crate) answer: mpsc::Sender<Bytes>,
}

impl Asked {
    /// Sends an event of the answer.
    pub(crate) async fn say(&self, event: &'static str) {
        self.answer
            .send(Bytes::from_static(event.as_bytes()))
            .await
            .unwrap();
    }
}

/// An upstream whose answers are event streams that the test writes.
pub(crate) async fn scripted() -> (SocketAddr, mpsc::Receiver<Asked>) {
    let (ask, asked) = mpsc::channel(16);
    let (address, _) = upstream(move |request: Request<Incoming>| {
        let ask = ask.clone();
        async move {
            let (answer, events) = mpsc::channel(1);
            let (head, body) = request.into_parts();
            ask.send(Asked { head, body, answer })
                .await
                .unwrap_or_else(|_| panic!("the test has ended"));
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(Events(events).boxed()).unwrap()
        }
    })
    .await;
    (address, asked)
}

pub(crate) type AnyBody = BoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) async fn upstream<F, R>(answer: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            stream.set_nodelay(true).unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answering = answer(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, taken)
}

/// A body that the test writes as it goes on.
pub(crate) struct Events(pub(crate) mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The status, and the code of the error.
    pub(crate) fn failure(&self) -> (u16, String) {
        (
            self.status.as_u16(),
            self.json()["error"]["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }
}

pub(crate) fn caller<B>() -> Client<HttpConnector, B>
where
    B: Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) async fn send(request: Request<Full<Bytes>>) -> Got {
    receive(soon(caller().request(request)).await.unwrap()).await
}

pub(crate) async fn receive(response: Response<Incoming>) -> Got {
    let (head, body) = response.into_parts();
    let bytes = soon(body.collect()).await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Got {
        status: head.status,
        version: head.version,
        headers: head.headers,
        text,
    }
}

pub(crate) fn post(uri: String, body: &Value) -> Request<Full<Bytes>> {
    let request = Request::post(uri).header("content-type", "application/json");
    request
        .body(Full::new(Bytes::from(body.to_string())))
        .unwrap()
}

/// The same by who has `key`.
pub(crate) fn with_key(mut request: Request<Full<Bytes>>, key: &str) -> Request<Full<Bytes>> {
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    request
}

pub(crate) async fn get(uri: String) -> Got {
    send(Request::get(uri).body(Full::default()).unwrap()).await
}

/// A chat request, with `more` in it.
pub(crate) fn chat(model: &str, more: &Value) -> Value {
    let mut request =
        json!({"model": model, "messages": [{"role": "user", "content": "Hello there!"}]});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}
