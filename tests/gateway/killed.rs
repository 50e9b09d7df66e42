//! A gateway that is killed under load.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower_relay::ledger::{JsonlAudit, Record, Totals, read_files};

use crate::harness::{caller, chat, demo, post};

const CLIENTS: usize = 16;
/// How long they ask.
const LOAD: Duration = Duration::from_millis(2_500);
/// What the audit may lack: what had ended so shortly before.
const BOUND: Duration = Duration::from_secs(1);

/// The program, which listens at the address; what it prints is to be kept open.
fn start(config: &str) -> (Child, String, BufReader<ChildStdout>) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
        .args(["--config", config, "--listen", "127.0.0.1:0"])
        .env("DEMO_KEY", "demo-key")
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(program.stdout.take().unwrap());
    while !line.contains("http://") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "it did not start");
    }
    let at = line.split("http://").nth(1).unwrap();
    let address = at.split_whitespace().next().unwrap().to_owned();
    (program, address, out)
}

/// When each request's answer had ended, by its id.
type Ended = Arc<Mutex<HashMap<String, Instant>>>;

async fn client(uri: String, streamed: bool, stop: Arc<AtomicBool>, ended: Ended) {
    let caller = caller();
    while !stop.load(SeqCst) {
        let body = chat("demo-small", &json!({"stream": streamed}));
        let Ok(response) = caller.request(post(uri.clone(), &body)).await else {
            return;
        };
        let id = response.headers()["x-relay-request-id"].to_str().unwrap();
        let id = id.to_owned();
        if response.into_body().collect().await.is_ok() {
            ended.lock().unwrap().insert(id, Instant::now());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_ended_a_second_before_is_in_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, _) = demo().await;
    let (config, audit) = (
        folder.path().join("gateway.toml"),
        folder.path().join("audit.jsonl"),
    );
    let text = format!(
        "[audit]\npath = \"{}\"\n[[upstreams]]\nname = \"demo\"\n\
         base_url = \"http://{upstream}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n",
        audit.display()
    );
    std::fs::write(&config, text).unwrap();
    let (mut program, address, _printed) = start(config.to_str().unwrap());

    let (stop, ended) = (Arc::new(AtomicBool::new(false)), Ended::default());
    let uri = format!("http://{address}/v1/chat/completions");
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (stop, ended) = (Arc::clone(&stop), Arc::clone(&ended));
            tokio::spawn(client(uri.clone(), number % 2 == 0, stop, ended))
        })
        .collect();
    sleep(LOAD).await;
    // SIGKILL.
    program.kill().unwrap();
    let killed = Instant::now();
    program.wait().unwrap();
    stop.store(true, SeqCst);
    for client in clients {
        client.await.unwrap();
    }

    let records: Vec<Record> = read_files([&audit]).map(Result::unwrap).collect();
    let mut lines = HashMap::<&str, u32>::new();
    for record in &records {
        *lines.entry(&record.request_id).or_default() += 1;
    }
    assert!(lines.values().all(|lines| *lines == 1));
    let ended = ended.lock().unwrap();
    let before = |at: &Instant| killed.saturating_duration_since(*at);
    let due = ended.values().filter(|at| before(at) > BOUND).count();
    let missing = ended
        .iter()
        .filter(|(id, _)| !lines.contains_key(id.as_str()));
    let ages: Vec<_> = missing.map(|(_, at)| before(at)).collect();
    println!(
        "killed after {} answers, {due} of them due; {} missing, the oldest of {:?}",
        ended.len(),
        ages.len(),
        ages.iter().max()
    );
    assert!(due > 100, "{due}");
    assert!(ages.iter().all(|age| *age <= BOUND), "{ages:?}");

    let totals = Totals::default();
    for record in &records {
        totals.add(record);
    }
    let (replayed, _worker) = JsonlAudit::builder(&audit).build().unwrap();
    assert_eq!(replayed.totals().rows_sorted(), totals.rows_sorted());
}
