//! An upstream that is killed and comes back, under load.

use std::{
    net::SocketAddr,
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::harness::{Relay, caller, chat, demo, post, soon};

const CLIENTS: usize = 64;

/// What came of all requests.
#[derive(Debug, Default)]
struct Counts {
    whole: AtomicUsize,
    streamed: AtomicUsize,
    told: AtomicUsize,
    fell_back: AtomicUsize,
    wrong: AtomicUsize,
}

/// Serves `upstream` at `at` until it is aborted, which closes every connection.
async fn serve(at: SocketAddr, upstream: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut relay, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut upstream = TcpStream::connect(upstream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut relay, &mut upstream).await;
            });
        }
    });
    (address, serving)
}

/// Asks over and over until it is told to stop, every other client for streams.
async fn client(uri: String, streamed: bool, stop: Arc<AtomicBool>, counts: Arc<Counts>) {
    let caller = caller();
    while !stop.load(SeqCst) {
        let mut request = post(
            uri.clone(),
            &chat("demo-small", &json!({"stream": streamed})),
        );
        let pause = "2".parse().unwrap();
        request.headers_mut().insert("x-demo-event-delay-ms", pause);
        let response = soon(caller.request(request)).await.unwrap();
        let is_answer = response.status() == 200;
        if response.headers().contains_key("x-relay-failed-attempts") {
            counts.fell_back.fetch_add(1, SeqCst);
        }
        let (mut text, mut broken) = (Vec::new(), false);
        let mut body = response.into_body();
        while let Some(frame) = soon(body.frame()).await {
            match frame {
                Ok(frame) => text.extend_from_slice(frame.data_ref().unwrap()),
                Err(_) => broken = true,
            }
        }
        let text = String::from_utf8(text).unwrap();
        let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        let count = match (streamed, broken) {
            (false, false) if is_answer && text.ends_with('}') => &counts.whole,
            (true, false) if is_answer && last == "data: [DONE]" => &counts.streamed,
            (true, true) if is_answer && last.starts_with("data: {\"error\":") => &counts.told,
            _ => &counts.wrong,
        };
        count.fetch_add(1, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_killed_and_comes_back_costs_no_answer_that_was_not_begun() {
    let (first, _) = demo().await;
    let (second, _) = demo().await;
    let (address, serving) = serve(SocketAddr::from(([127, 0, 0, 1], 0)), first).await;
    let relay = Relay::start(&format!(
        "[[routes]]\nname = \"steady\"\nfallback = {{ targets = [\"first\", \"second\"] }}\n\
         [[upstreams]]\nname = \"first\"\nbase_url = \"http://{address}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         commit_guard = {{}}\ncircuit_breaker = {{ open_for = \"100ms\", slow_start = \"300ms\" }}\n\
         [[upstreams]]\nname = \"second\"\nbase_url = \"http://{second}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         commit_guard = {{}}\n"
    ))
    .await;
    let uri = relay.uri("/v1/chat/completions");
    let (stop, counts) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Counts::default()),
    );
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (stop, counts) = (Arc::clone(&stop), Arc::clone(&counts));
        clients.spawn(client(uri.clone(), number % 2 == 0, stop, counts));
    }
    let answered = || counts.whole.load(SeqCst).min(counts.streamed.load(SeqCst));
    let more = async |than: usize| {
        soon(async {
            while answered() < than {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    more(CLIENTS).await;
    assert_eq!(counts.fell_back.load(SeqCst), 0, "{counts:?}");
    serving.abort();
    assert!(serving.await.is_err());
    more(answered() + 2 * CLIENTS).await;
    assert!(counts.fell_back.load(SeqCst) > 0, "{counts:?}");

    let (_, serving) = serve(address, first).await;
    // The first is asked again once its breaker lets it, and in the end by all.
    let mut since = counts.fell_back.load(SeqCst);
    soon(async {
        loop {
            more(answered() + CLIENTS).await;
            let now = counts.fell_back.load(SeqCst);
            if std::mem::replace(&mut since, now) == now {
                break;
            }
        }
    })
    .await;
    stop.store(true, SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    serving.abort();
    println!("{CLIENTS} clients, one upstream killed and restarted: {counts:?}");
    assert_eq!(counts.wrong.load(SeqCst), 0, "{counts:?}");
}
