//! A gateway under mixed load: streams, callers who leave, an upstream that fails, other settings and a Redis that restarts all the while. It may
//! grow by nothing, keep nothing, and forget nothing.
//!
//! For as long as wanted, in seconds: `SOAK=1200 cargo test --release --test gateway soak -- --ignored --nocapture`.

mod books;
mod process;

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower_relay::{
    ledger::{Record, read_files},
    message::{CostSource, catalog::Cost},
};

use self::{
    books::{Books, Dice, Tokens, keeping},
    process::{Process, median, slope},
};
use crate::{
    harness::{caller, get, nobody, send},
    killed::start,
    redis_server::Server,
};

const CLIENTS: usize = 64;
/// What is not used for so long is closed, so that it can be counted what is left.
const IDLE: Duration = Duration::from_secs(8);

/// What a caller saw of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Answered(Tokens),
    /// An error in place of an answer.
    Denied(StatusCode),
    /// An error, or the end, within an answer.
    Broken,
    Left,
}

type Log = Arc<Mutex<HashMap<String, Seen>>>;

/// The settings, of which some change.
fn config(
    upstream: impl fmt::Display,
    store: &str,
    folder: &Path,
    admin: &str,
    turn: u64,
) -> String {
    let upstream = |name: &str, more: &str| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{upstream}/{name}/v1\"\nmodels = [\"soak\"]\n\
             commit_guard = {{ limits = {{ idle = \"10s\" }} }}\nnormalize = {{}}\n{more}\
             cost = {{ on_disconnect = {{ drain = {{ time = \"20s\", concurrency = 1000 }} }} }}\n\
             client = {{ pool_idle_timeout = \"1s\" }}\n"
        )
    };
    format!(
        "[server]\nidle_timeout = \"{}s\"\n[edge]\ndeadline = \"60s\"\n\
         [audit]\npath = \"{}\"\nwhen_full = \"wait\"\n[admin]\nlisten = \"{admin}\"\n\
         [rate_limit]\nlimits = [{{ requests = 100000, per = \"1m\" }}, {{ tokens = 2000000, per = \"1m\" }}]\n\
         [admission]\nmax_in_flight = {}\nmax_pending = 16\nmax_wait = \"2s\"\n\
         [store.redis]\nurl = \"{store}\"\nopen_for = \"200ms\"\n\
         [catalog.own.models.\"soak\".prices]\ninput = \"2\"\noutput = \"8\"\n\
         [[routes]]\nname = \"safe\"\nmodels = [\"soak\"]\nfallback = {{ targets = [\"flaky\", \"steady\"] }}\n{}{}",
        IDLE.as_secs(),
        folder.join("audit.jsonl").display(),
        40 + turn % 8,
        upstream(
            "flaky",
            "retry = {}\ntimeout = {}\ncircuit_breaker = { open_for = \"500ms\" }\n"
        ),
        upstream("steady", ""),
    )
}

async fn client(uri: String, number: usize, dice: Arc<Dice>, stop: Arc<AtomicBool>, log: Log) {
    let caller = caller();
    for count in 0.. {
        if stop.load(SeqCst) {
            return;
        }
        let id = format!("soak-{number}-{count}");
        let seen = ask(&caller, &uri, &id, &dice).await;
        if matches!(seen, Seen::Denied(_)) {
            // As whoever is told to wait.
            sleep(Duration::from_millis(20)).await;
        }
        log.lock().unwrap().insert(id, seen);
    }
}

async fn ask(
    caller: &Client<HttpConnector, Full<Bytes>>,
    uri: &str,
    id: &str,
    dice: &Dice,
) -> Seen {
    let is_stream = dice.below(2) == 0;
    let mut body = json!({
        "model": "soak", "user": id, "max_tokens": 500, "stream": is_stream,
        "messages": [{"role": "user", "content": "x".repeat(usize::try_from(dice.below(4_000)).unwrap())}],
    });
    if is_stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    let mut body = body.to_string();
    if dice.below(50) == 0 {
        body.pop();
    }
    let request = Request::post(uri)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer key-{}", dice.below(4)))
        .header("x-relay-request-id", id)
        .body(Full::from(body))
        .unwrap();
    let asking = async {
        match caller.request(request).await {
            Ok(response) => read(response, is_stream).await,
            Err(error) => panic!("{id}: {error:?}"),
        }
    };
    if dice.below(6) > 0 {
        asking.await
    } else {
        let patience = Duration::from_millis(dice.below(60));
        timeout(patience, asking).await.unwrap_or(Seen::Left)
    }
}

async fn read(response: Response<Incoming>, is_stream: bool) -> Seen {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Seen::Broken;
    };
    if head.status != StatusCode::OK {
        return Seen::Denied(head.status);
    }
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    let last = if is_stream {
        let Some(events) = body.strip_suffix("data: [DONE]\n\n") else {
            return Seen::Broken;
        };
        events.rsplit("data: ").next().unwrap_or_default()
    } else {
        &body
    };
    let last: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{body}"));
    let count = |name: &str| last["usage"][name].as_u64().unwrap();
    Seen::Answered((count("prompt_tokens"), count("completion_tokens")))
}

/// Changes the settings and restarts the store, again and again.
async fn trouble(
    write: impl Fn(u64) + Send + 'static,
    mut store: Server,
    stop: Arc<AtomicBool>,
) -> Server {
    for turn in 0.. {
        sleep(Duration::from_secs(3)).await;
        if stop.load(SeqCst) {
            break;
        }
        write(turn);
        if turn % 3 == 2 {
            store.stop();
            sleep(Duration::from_millis(500)).await;
            store.restart();
        }
    }
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes as long as SOAK says, a minute by default: `.ci/run` runs it"]
async fn soak() {
    let seconds = std::env::var("SOAK").map_or(60, |text| text.parse().expect("seconds"));
    let Some(store) = Server::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let books = Arc::new(Books::default());
    let (upstream, url) = (keeping(Arc::clone(&books)).await, store.url());
    let (file, admin) = (
        folder.path().join("gateway.toml"),
        nobody().await.to_string(),
    );
    let write = {
        let (file, folder, admin) = (file.clone(), folder.path().to_owned(), admin.clone());
        move |turn| {
            // As an editor does: the file is never there in part.
            let new = file.with_extension("new");
            std::fs::write(&new, config(upstream, &url, &folder, &admin, turn)).unwrap();
            std::fs::rename(&new, &file).unwrap();
        }
    };
    write(0);
    let (mut program, address, _printed) = start(file.to_str().unwrap());
    let process = Process::of(program.id());
    let uri = format!("http://{address}/v1/chat/completions");
    let (dice, log) = (Arc::new(Dice::default()), Log::default());

    // All that is opened once.
    while !matches!(
        ask(&caller(), &uri, "first", &dice).await,
        Seen::Answered(_)
    ) {}
    sleep(2 * IDLE).await;
    let files = process.files();

    let stop = Arc::new(AtomicBool::new(false));
    let troubling = tokio::spawn(trouble(write, store, Arc::clone(&stop)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (dice, stop, log) = (Arc::clone(&dice), Arc::clone(&stop), Arc::clone(&log));
            tokio::spawn(client(uri.clone(), number, dice, stop, log))
        })
        .collect();
    let (begun, mut memory) = (Instant::now(), Vec::new());
    while begun.elapsed() < Duration::from_secs(seconds) {
        sleep(Duration::from_millis(500)).await;
        memory.push((begun.elapsed().as_secs_f64(), process.memory()));
        if memory.len() % 20 == 0 {
            assert_eq!(get(format!("http://{admin}/metrics")).await.status, 200);
        }
    }
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let took = begun.elapsed();
    let _store = troubling.await.unwrap();

    // Idle connections close, answers that were left are read to their end.
    let at_rest = async {
        loop {
            let status = get(format!("http://{admin}/status")).await.json();
            sleep(Duration::from_secs(1)).await;
            if process.files() <= files && is_at_rest(&status) {
                break;
            }
        }
    };
    if timeout(Duration::from_secs(90), at_rest).await.is_err() {
        let status = get(format!("http://{admin}/status")).await.text;
        panic!("{} files, {files} before: {status}", process.files());
    }
    let left = process.files();
    let asked = send(
        Request::get(format!("http://{address}/health/live"))
            .body(Full::default())
            .unwrap(),
    );
    assert_eq!(asked.await.status, 200);
    process.end(&mut program);

    let log = log.lock().unwrap();
    account(&log, &books, folder.path(), took);
    let settled: Vec<_> = memory.iter().skip(memory.len() / 4).copied().collect();
    let (early, late) = settled.split_at(settled.len() / 2);
    println!(
        "memory: {} KiB in the first half after a quarter of the time, {} KiB in the second; slope {:.1} KiB a minute; {files} files open before, {left} after",
        median(early),
        median(late),
        slope(&settled) * 60.0,
    );
    // An allocator keeps some of what was freed; a leak of one small box a request would be more than this.
    assert!(median(late) < median(early) * 1.1 + 8_192.0, "it grows");
}

/// Whether nothing is under way anywhere.
fn is_at_rest(status: &Value) -> bool {
    match status {
        Value::Object(members) => members.iter().all(|(name, value)| {
            let counts = matches!(&**name, "in_flight" | "waiting" | "under_way");
            is_at_rest(value) && (!counts || !value.is_number() || *value == 0)
        }),
        Value::Array(items) => items.iter().all(is_at_rest),
        _ => true,
    }
}

/// Every request in the audit file, and every token and its price as the upstream's own books have them.
fn account(log: &HashMap<String, Seen>, books: &Books, folder: &Path, took: Duration) {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut records =
        read_files(files.filter(|path| path.extension().is_some_and(|e| e == "jsonl")));
    let mut lines = HashMap::<String, Vec<Record>>::new();
    for record in &mut records {
        let record = record.unwrap();
        lines
            .entry(record.request_id.to_string())
            .or_default()
            .push(record);
    }
    assert_eq!(records.skipped(), 0);

    let answered = books.answered.lock().unwrap();
    let (mut counts, mut tokens, mut cost) = ([0_u64; 5], (0, 0), Cost::ZERO);
    for (id, seen) in log {
        let lines = lines.get(id).map_or(&[][..], Vec::as_slice);
        let reported = lines
            .iter()
            .filter(|line| line.source == CostSource::Reported);
        let mut reported: Vec<Tokens> = reported
            .map(|line| {
                let (input, output) = (line.usage.total_input(), line.usage.total_output());
                let price = u128::from(input) * 2_000_000 + u128::from(output) * 8_000_000;
                assert_eq!(line.cost_usd, Some(Cost::from_pico_usd(price)), "{line:?}");
                cost += Cost::from_pico_usd(price);
                tokens = (tokens.0 + input, tokens.1 + output);
                (input, output)
            })
            .collect();
        let mut booked = answered.get(id).cloned().unwrap_or_default();
        reported.sort_unstable();
        booked.sort_unstable();
        let attempts: std::collections::HashSet<_> =
            lines.iter().map(|line| line.attempt).collect();
        assert_eq!(attempts.len(), lines.len(), "an attempt twice: {lines:?}");
        let kind = match *seen {
            Seen::Answered(tokens) => {
                assert!(reported.contains(&tokens), "{id}: {tokens:?} of {lines:?}");
                0
            }
            Seen::Denied(_) if lines.is_empty() => 1,
            Seen::Denied(_) => 2,
            Seen::Broken => {
                assert!(!lines.is_empty(), "{id}");
                3
            }
            Seen::Left => 4,
        };
        counts[kind] += 1;
        if *seen == Seen::Left {
            // What its upstream began to say when the request was given up was not waited for.
            assert!(
                reported.iter().all(|tokens| booked.contains(tokens)),
                "{id}: {lines:?}"
            );
        } else {
            assert_eq!(reported, booked, "{id}: {lines:?}");
        }
    }
    let unknown = lines
        .keys()
        .filter(|id| !log.contains_key(*id) && *id != "first");
    assert_eq!(unknown.count(), 0);
    let [answered, refused, failed, broken, left] = counts;
    println!(
        "{} requests in {took:.0?}: {answered} answered, {refused} refused, {failed} failed, {broken} broken off, {left} left by their callers; \
         {} attempts in the audit of {} that the upstream saw; {} and {} tokens, {} USD, as in its own books",
        log.len(),
        lines.values().map(Vec::len).sum::<usize>(),
        books.requests.load(SeqCst),
        tokens.0,
        tokens.1,
        cost,
    );
    assert!(answered > 0 && refused > 0 && broken > 0 && left > 0);
}
