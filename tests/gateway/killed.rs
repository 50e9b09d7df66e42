//! A gateway that is killed under load.

use std::{
    collections::HashMap,
    path::PathBuf,
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

use crate::{
    child::Gateway,
    harness::{caller, chat, demo, post, send, soon},
};

const CLIENTS: usize = 16;
/// What the audit may lack: what had ended so shortly before.
const BOUND: Duration = Duration::from_secs(1);

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
    /// How many answers the audit must have at least, by how long it was waited for before the kills.
    due: usize,
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
            due: 0,
        }
    }

    /// Runs it, and kills it so long after so many answers have ended.
    async fn kill_after(&mut self, answers: usize, time: Duration) {
        let mut gateway = Gateway::start(&self.config);
        let uri = format!("http://{}/v1/chat/completions", gateway.address);
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
        soon(async {
            while ended.lock().unwrap().len() < answers {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        sleep(time).await;
        gateway.kill();
        let killed = Instant::now();
        drop(gateway);
        stop.store(true, SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        self.ended.push((ended, killed));
        if time > BOUND {
            self.due += answers;
        }
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
        assert!(due >= self.due, "{due} of {}", self.due);
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
    killed.kill_after(100, 2 * BOUND).await;
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
            .kill_after(10, Duration::from_millis(kill * 937 % 2_400))
            .await;
    }
    killed.check();
}
