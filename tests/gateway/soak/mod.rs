//! A gateway under mixed load: streams, callers who leave, an upstream that fails, other settings and a Redis that restarts all the while. It may
//! grow by nothing, keep nothing, and forget nothing.
//!
//! For as long as wanted, in seconds: `SOAK=1200 cargo test --release --test gateway soak -- --ignored --nocapture`.

mod accounts;
mod books;
mod callers;
mod memory;
mod process;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};

use self::{
    accounts::account,
    books::{Books, Dice, keeping},
    callers::{Log, client, each_key_is_answered},
    memory::is_flat,
    process::Process,
};
use crate::{
    child::Gateway,
    harness::{get, nobody},
    redis_server::Server,
};

const CLIENTS: usize = 64;
/// What is not used for so long is closed, so that it can be counted what is left.
const IDLE: Duration = Duration::from_secs(8);
/// How often memory is looked at.
const SAMPLED: Duration = Duration::from_millis(500);

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
         [[budgets]]\nname = \"key\"\nby = \"api_key\"\nhard = \"1000000\"\nper = \"day\"\n\
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
    let gateway = Gateway::start(file.to_str().unwrap());
    let process = Process::new(gateway.id(), admin.clone());
    let uri = format!("http://{}/v1/chat/completions", gateway.address);
    let (dice, log) = (Arc::new(Dice::default()), Log::default());

    // All that is opened once.
    each_key_is_answered(&uri, &dice).await;
    sleep(2 * IDLE).await;
    let before = process.holds().await;

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
        sleep(SAMPLED).await;
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

    // What a settlement tells that was lost with the store's end is heard with the next one.
    each_key_is_answered(&uri, &dice).await;
    // Idle connections close, answers that were left are read to their end.
    let at_rest = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            let now = process.holds().await;
            if now.is_at_rest(&before) {
                return now;
            }
        }
    };
    let Ok(after) = timeout(Duration::from_secs(90), at_rest).await else {
        panic!("{:?} of {before:?}", process.holds().await);
    };
    let live = get(format!("http://{}/health/live", gateway.address)).await;
    assert_eq!(live.status, 200);
    gateway.end();

    println!(
        "{} files and {} tasks before, {} and {} after; nothing in flight, waiting, queued or reserved",
        before.files, before.tasks, after.files, after.tasks
    );
    is_flat(&memory);
    account(&log.lock().unwrap(), &books, folder.path(), took);
}
