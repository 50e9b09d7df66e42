//! The clients, who never stop asking.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, interval},
};
use tower::ServiceExt;
use tower_relay::message::{Bill, RequestBody, ResponseBody, catalog::Cost};

use crate::{providers::share, relay::Service};

/// A request every tenth of a second.
const EVERY: Duration = Duration::from_millis(100);

/// What they ask for, how many words more there are to it, and its share of the usual mix.
const KINDS: [(&str, usize, f64); 4] = [
    ("What is the capital of France?", 4, 0.40),
    ("Write a function that sorts a list.", 8, 0.35),
    ("Summarize this text.", 24, 0.15),
    ("Analyze and compare these designs.", 16, 0.10),
];

/// What clients saw.
#[derive(Debug, Default, Clone)]
pub(crate) struct Clients {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Answers that took more than one attempt.
    pub(crate) rescued: u64,
    pub(crate) cost: Cost,
    /// How long answers took, to their end, since somebody last looked.
    pub(crate) latencies: Vec<Duration>,
}

/// The clients of a run.
pub(crate) struct Load {
    clients: Arc<Mutex<Clients>>,
    asking: JoinHandle<()>,
}

impl Load {
    /// Begins to ask.
    pub(crate) fn new(service: Service) -> Self {
        let clients = Arc::new(Mutex::new(Clients::default()));
        let noted = Arc::clone(&clients);
        let asking = tokio::spawn(async move {
            let (mut clock, mut waiting) = (interval(EVERY), JoinSet::new());
            for number in 0_u64.. {
                clock.tick().await;
                waiting.spawn(one(service.clone(), number, Arc::clone(&noted)));
                while waiting.try_join_next().is_some() {}
            }
        });
        Self { clients, asking }
    }

    /// What clients have seen so far; the latencies since this was last asked.
    pub(crate) fn look(&self) -> Clients {
        let mut clients = lock(&self.clients);
        let latencies = std::mem::take(&mut clients.latencies);
        Clients {
            latencies,
            ..clients.clone()
        }
    }

    /// The same, and leaves the latencies for others.
    pub(crate) fn peek(&self) -> Clients {
        lock(&self.clients).clone()
    }

    pub(crate) fn stop(&self) {
        self.asking.abort();
    }
}

fn lock(clients: &Mutex<Clients>) -> std::sync::MutexGuard<'_, Clients> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn one(service: Service, number: u64, clients: Arc<Mutex<Clients>>) {
    let is_stream = share(1, number) < 0.3;
    let began = Instant::now();
    let result = ask(service, number, is_stream).await;
    let mut clients = lock(&clients);
    clients.requests += 1;
    match result {
        Ok((cost, is_rescued)) => {
            clients.cost += cost;
            clients.rescued += u64::from(is_rescued);
            clients.latencies.push(began.elapsed());
        }
        Err(error) => {
            clients.errors += 1;
            clients
                .first_error
                .get_or_insert_with(|| format!("request {number}: {error}"));
        }
    }
}

/// Asks, and reads the answer to its end; what it cost, and whether it took more than one attempt.
async fn ask(service: Service, number: u64, is_stream: bool) -> Result<(Cost, bool), String> {
    let mut luck = share(2, number);
    let kind = KINDS.iter().find(|(_, _, share)| {
        luck -= share;
        luck < 0.0
    });
    let (question, words, _) = kind.unwrap_or(&KINDS[0]);
    let content = format!("{question} {}", "word ".repeat(*words));
    let body = json!({
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": content}],
        "stream": is_stream,
    });
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-relay-request-id", format!("client-{number}"))
        .body(RequestBody::json(body.to_string()));
    let request = request.map_err(|error| error.to_string())?;
    let Ok(response) = service.oneshot(request).await;
    let bill = Bill::find(response.extensions());
    let is_rescued = response.headers().contains_key("x-relay-failed-attempts");
    read(response, is_stream).await?;
    Ok((bill.map(|bill| bill.cost()).unwrap_or_default(), is_rescued))
}

/// Reads an answer; what is wrong with it, if anything is.
async fn read(response: Response<ResponseBody>, is_stream: bool) -> Result<(), String> {
    let status = response.status();
    let body = response.into_body().collect().await;
    let body = body.map_err(|error| format!("broken off: {error}"))?;
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    if status != 200 {
        return Err(format!("{status}: {text}"));
    }
    let is_whole = if is_stream {
        text.trim_end().ends_with("data: [DONE]") && !text.contains("\"error\"")
    } else {
        let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let content = answer.pointer("/choices/0/message/content");
        content
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    if is_whole {
        Ok(())
    } else {
        Err(format!("no answer: {text}"))
    }
}
