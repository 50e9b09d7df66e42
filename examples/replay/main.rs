//! A golden dataset against two stacks: what each makes of the same questions, and how good that is.
//!
//! `cargo run --example replay -- examples/golden-sample.jsonl` asks two embedded demo upstreams. With a gateway's configuration it asks any two upstreams or
//! routes of that:
//!
//! ```sh
//! cargo run --example replay -- golden.jsonl --config gateway.toml --primary openai --primary-model gpt-4.1-mini \
//!     --shadow groq --shadow-model llama-3.3-70b-versatile --check
//! ```
//!
//! A line of the dataset is `{"id", "request", "expect"}`: the body of a chat request, and what its answer must have: texts (`contains`, `absent`), JSON
//! (`json`), a call of a tool (`tool`). The share of that which an answer has is its score. The comparison is that of shadow traffic, because it is one.

#![allow(clippy::print_stdout, reason = "a program for people")]

mod golden;
mod options;
mod sides;

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tower::{Layer, ServiceExt};
use tower_relay::{
    ledger::Feedback,
    message::{Deadline, RequestBody},
    shadow::{Comparison, Gate, Report, ShadowLayer, Side, Verdict},
};

use self::{
    golden::{Question, read_dataset},
    options::{HELP, Options},
    sides::{Answers, Sides, Which, heard},
};

type AnyError = Box<dyn Error + Send + Sync>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    match replay().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether it went as it should.
async fn replay() -> Result<bool, AnyError> {
    let Some(options) = Options::read()? else {
        println!("{HELP}");
        return Ok(true);
    };
    let dataset = read_dataset(&options.dataset)?;
    let sides = Sides::of(&options).await?;
    let answers = Answers::default();
    let (told, mut comparisons) = mpsc::unbounded_channel();
    let (layer, worker) = ShadowLayer::builder()
        .percent(100)
        .concurrency(options.concurrency)
        .deadline(PATIENCE)
        .model(&sides.shadow.1)
        .sink(move |comparison: &Comparison| drop(told.send(comparison.clone())))
        .build(heard(sides.shadow.0.clone(), Which::Shadow, &answers))?;
    let (end, worker) = (worker.shutdown_handle(), tokio::spawn(worker));
    let primary = layer.layer(heard(sides.primary.0.clone(), Which::Primary, &answers));

    let room = Arc::new(Semaphore::new(options.concurrency));
    let mut asking = JoinSet::new();
    let (mut pairs, mut feedback) = (Vec::new(), Vec::new());
    println!(
        "{:<18}{:>26}{:>26}{:>12}",
        "", "primary", "shadow", "similarity"
    );
    for question in &dataset {
        // A pair keeps its place until both answers are compared, so that none is left out.
        while room.available_permits() == 0 {
            let Some(pair) = comparisons.recv().await else {
                break;
            };
            feedback.extend(show(&pair, &dataset, &answers));
            pairs.push(pair);
            room.add_permits(1);
        }
        let place = Arc::clone(&room).acquire_owned().await?;
        place.forget();
        let request = request(question, &sides.primary.1)?;
        let primary = primary.clone();
        asking.spawn(async move {
            let Ok(response) = primary.oneshot(request).await;
            // What is wrong with it stands in the comparison.
            let _ = response.into_body().collect().await;
        });
    }
    while pairs.len() < dataset.len() {
        let Some(pair) = comparisons.recv().await else {
            break;
        };
        feedback.extend(show(&pair, &dataset, &answers));
        pairs.push(pair);
    }
    end.shutdown();
    worker.await?;

    let mut gate = Gate::default();
    gate.min_comparisons = dataset.len();
    let report = Report::of(&pairs, &gate).with_feedback(&pairs, &feedback);
    println!("\n{report}");
    let is_as_good = report.shadow.scores.mean() >= report.primary.scores.mean();
    if !is_as_good {
        println!("the shadow's answers have less of what they must have");
    }
    Ok(!options.check || (report.verdict == Verdict::Passed && is_as_good))
}

fn request(question: &Question, model: &str) -> Result<Request<RequestBody>, AnyError> {
    let mut body = question.request.clone();
    body.insert("model".to_owned(), Value::from(model));
    let mut request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-relay-request-id", &question.id)
        .body(RequestBody::json(serde_json::to_string(&body)?))?;
    request.extensions_mut().insert(Deadline::after(PATIENCE));
    Ok(request)
}

/// Prints a line for a pair; the scores of its answers.
fn show(pair: &Comparison, dataset: &[Question], answers: &Answers) -> Vec<Feedback> {
    let mut feedback = Vec::new();
    let Some(question) = dataset
        .iter()
        .find(|question| *question.id == *pair.request_id)
    else {
        return feedback;
    };
    let mut cell = |side: &Side, which| {
        let answer = answers.take(&pair.request_id, which);
        let score = answer.and_then(|answer| question.expect.score(&answer));
        // An answer that is none has nothing of what it must have.
        let score = score.or_else(|| (!side.is_success()).then_some(0.0));
        if let (Some(score), Some(upstream)) = (score, &side.upstream) {
            feedback.push(Feedback::new(
                &*pair.request_id,
                Arc::clone(upstream),
                score,
            ));
        }
        let score = score.map_or(String::new(), |score| format!(", {score:.2}"));
        format!("{}, {} ms{score}", side.outcome, side.latency_ms)
    };
    let (primary, shadow) = (
        cell(&pair.primary, Which::Primary),
        cell(&pair.shadow, Which::Shadow),
    );
    let similarity = pair
        .similarity
        .map_or("-".to_owned(), |score| format!("{score:.2}"));
    println!(
        "{:<18}{primary:>26}{shadow:>26}{similarity:>12}",
        question.id
    );
    feedback
}
