//! Callers who stop reading before their answer's connection is closed.

use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::mpsc::Receiver;
use tower_relay::{circuit_breaker::CircuitState, key::Key, ledger::read_files};

use crate::harness::{Asked, Relay, caller, chat, post, scripted, soon};

const HELLO: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Reads an answer of these events, and then leaves the connection, which the upstream keeps open unless it is to `cut` it.
async fn read(relay: &Relay, asked: &mut Receiver<Asked>, events: &[&'static str], cut: bool) {
    let request = chat("demo-small", &json!({"stream": true}));
    let request = post(relay.uri("/v1/chat/completions"), &request);
    let mut answering = Some(tokio::spawn(caller().request(request)));
    let upstream = soon(asked.recv()).await.unwrap();
    let mut body = None;
    for event in events {
        upstream.say(event).await;
        if let Some(answering) = answering.take() {
            body = Some(soon(answering).await.unwrap().unwrap().into_body());
        }
        let frame = soon(body.as_mut().unwrap().frame()).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), event);
    }
    if cut {
        drop(upstream);
        // However it ends.
        let _ = soon(body.unwrap().collect()).await;
    } else {
        drop(body);
        soon(upstream.answer.closed()).await;
    }
}

#[tokio::test]
async fn who_stops_at_the_end_had_an_answer_and_who_leaves_before_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl");
    let (upstream, mut asked) = scripted().await;
    let mut relay = Relay::start(&format!(
        "[audit]\npath = \"{}\"\n\
         [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{upstream}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n\
         [upstreams.circuit_breaker]\nconsecutive_failures = 2\n",
        audit.display()
    ))
    .await;
    let breaker = relay.handles.circuit_breaker("demo").unwrap().clone();
    let circuit = Key::named("upstream", "demo");

    read(&relay, &mut asked, &[HELLO], true).await;
    // A success, which ends the row of failures; the next one alone opens nothing.
    read(&relay, &mut asked, &[HELLO, DONE], false).await;
    read(&relay, &mut asked, &[HELLO], true).await;
    assert_eq!(breaker.state(&circuit), CircuitState::Closed);
    // Neither a failure, nor a success, which would end the row.
    read(&relay, &mut asked, &[HELLO], false).await;
    assert_eq!(breaker.state(&circuit), CircuitState::Closed);
    read(&relay, &mut asked, &[HELLO], true).await;
    let open = breaker.state(&circuit);
    assert!(matches!(open, CircuitState::Open { .. }), "{open:?}");

    relay.stop();
    relay.ended().await;
    let outcomes: Vec<_> = read_files([audit])
        .map(|record| record.unwrap().outcome.to_string())
        .collect();
    let cut = "transport";
    assert_eq!(outcomes, [cut, "success", cut, "cancelled", cut]);
}
