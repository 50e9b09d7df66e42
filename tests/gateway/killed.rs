//! A gateway that is killed under load.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::PathBuf,
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

use crate::harness::{caller, chat, demo, post, send};

const CLIENTS: usize = 16;
/// How long they ask.
const LOAD: Duration = Duration::from_millis(2_500);
/// What the audit may lack: what had ended so shortly before.
const BOUND: Duration = Duration::from_secs(1);

/// The program, which listens at the address; what it prints is to be kept open.
pub(crate) fn start(config: &str) -> (Child, String, BufReader<ChildStdout>) {
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

/// A gateway, its audit file, and what its callers have had of it.
struct Killed {
    _folder: tempfile::TempDir,
    config: String,
    audit: PathBuf,
    /// By the kill after which they began: when each answer had ended.
    ended: Vec<(Ended, Instant)>,
}

impl Killed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (upstream, _) = demo().await;
        let config = folder.path().join("gateway.toml");
        let audit = folder.path().join("audit.jsonl");
        let text = format!(
            "[audit]\npath = \"{}\"\n[[upstreams]]\nname = \"demo\"\n\
             base_url = \"http://{upstream}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n",
            audit.display()
        );
        std::fs::write(&config, text).unwrap();
        Self {
            config: config.to_str().unwrap().to_owned(),
            _folder: folder,
            audit,
            ended: Vec::new(),
        }
    }

    /// Runs it, asks for so long, and kills it.
    async fn kill_after(&mut self, load: Duration) {
        let (mut program, address, _printed) = start(&self.config);
        let uri = format!("http://{address}/v1/chat/completions");
        // It serves as soon as it says where it listens, whatever it finds.
        let first = send(post(uri.clone(), &chat("demo-small", &json!({})))).await;
        assert_eq!(first.status, 200, "{}", first.text);
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Ended::default());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (stop, ended) = (Arc::clone(&stop), Arc::clone(&ended));
                tokio::spawn(client(uri.clone(), number % 2 == 0, stop, ended))
            })
            .collect();
        sleep(load).await;
        // SIGKILL.
        program.kill().unwrap();
        let killed = Instant::now();
        program.wait().unwrap();
        stop.store(true, SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        self.ended.push((ended, killed));
    }

    /// Reads what was written, which has all that had ended in time, each once, and comes to the same sums again.
    fn check(&self) {
        let mut reading = read_files([&self.audit]);
        let records: Vec<Record> = reading.by_ref().map(Result::unwrap).collect();
        let torn = reading.skipped();
        assert!(torn <= self.ended.len() as u64, "{torn} lines are torn");
        let mut lines = HashMap::<&str, u32>::new();
        for record in &records {
            *lines.entry(&record.request_id).or_default() += 1;
        }
        assert!(lines.values().all(|lines| *lines == 1));
        let (mut answers, mut due, mut ages) = (0, 0, Vec::new());
        for (ended, killed) in &self.ended {
            let ended = ended.lock().unwrap();
            let before = |at: &Instant| killed.saturating_duration_since(*at);
            answers += ended.len();
            due += ended.values().filter(|at| before(at) > BOUND).count();
            let missing = ended
                .iter()
                .filter(|(id, _)| !lines.contains_key(id.as_str()));
            ages.extend(missing.map(|(_, at)| before(at)));
        }
        println!(
            "killed {} times after {answers} answers, {due} of them due; {} missing, the oldest of {:?}; {torn} lines torn",
            self.ended.len(),
            ages.len(),
            ages.iter().max()
        );
        assert!(due > 0, "nothing was due");
        assert!(ages.iter().all(|age| *age <= BOUND), "{ages:?}");

        let totals = Totals::default();
        for record in &records {
            totals.add(record);
        }
        let (replayed, _worker) = JsonlAudit::builder(&self.audit).build().unwrap();
        assert_eq!(replayed.totals().rows_sorted(), totals.rows_sorted());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_ended_a_second_before_is_in_the_audit() {
    let mut killed = Killed::new().await;
    killed.kill_after(LOAD).await;
    killed.check();
}

/// As often as wanted: `KILLS=50 cargo test --release --test gateway killed -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes two seconds a kill, of which KILLS says how many, 5 by default: `.ci/run` runs it"]
async fn killed_over_and_over_it_serves_at_once_and_has_forgotten_nothing() {
    let kills = std::env::var("KILLS").map_or(5, |text| text.parse().expect("a number"));
    let mut killed = Killed::new().await;
    for kill in 0..kills {
        // From amid the first answers to long after them.
        killed
            .kill_after(Duration::from_millis(100 + kill * 937 % 2_400))
            .await;
    }
    killed.check();
}
