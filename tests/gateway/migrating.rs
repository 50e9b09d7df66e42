//! What a migration is made of, with real traffic through a gateway: the choice of a model, shadow traffic, and a rollout that an operator steers.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;
use tower_relay::{
    gateway::Config,
    ledger::read_files,
    shadow::{Comparison, Gate, Report},
};

use crate::harness::{Got, Relay, chat, demo, get, nobody, post, scripted, send, within_a_second};

fn upstream(name: &str, address: SocketAddr, more: &str) -> String {
    format!(
        "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n{more}\n"
    )
}

/// Asks with this id.
async fn ask(relay: &Relay, id: &str, body: &Value) -> Got {
    let mut request = post(relay.uri("/v1/chat/completions"), body);
    request
        .headers_mut()
        .insert("x-relay-request-id", id.parse().unwrap());
    send(request).await
}

fn says(text: &str, more: &Value) -> Value {
    let mut body = chat("auto", more);
    body["messages"][0]["content"] = json!(text);
    body
}

#[tokio::test]
async fn a_model_is_chosen_and_the_answer_says_so_under_the_guides_names() {
    let (address, _) = demo().await;
    let relay = Relay::start(&format!(
        "[server]\nheaders = \"guide\"\n[models.aliases]\n\"fast\" = \"demo-small\"\n\
         [model_select.tiers]\nlow = [\"demo-small\"]\nmedium = [\"demo-small\"]\nhigh = [\"demo-large\"]\n{}",
        upstream("demo", address, "")
    ))
    .await;
    let long = "words ".repeat(1_000);
    for (text, model, complexity) in [
        ("Hi!", "demo-small", "low"),
        (long.as_str(), "demo-large", "high"),
    ] {
        // By name, and by the guides' flag, which the upstream never sees: it knows no such member.
        let mut flagged = says(text, &json!({"auto_model_select": true}));
        flagged["model"] = json!("whatever");
        for body in [says(text, &json!({})), flagged] {
            let got = ask(&relay, "a", &body).await;
            assert_eq!(got.status, 200, "{}", got.text);
            assert_eq!(got.json()["model"], model);
            assert_eq!(got.headers["x-auto-model"], model);
            assert_eq!(got.headers["x-complexity"], complexity);
            assert_eq!(got.headers["x-provider"], "demo");
            assert!(got.headers.contains_key("x-response-time-ms"));
            assert!(!got.headers.contains_key("x-relay-model"));
        }
    }
    // Nothing was chosen, but who answered is said all the same; and the relay's own answers have the clock too.
    let plain = ask(&relay, "a", &chat("fast", &json!({}))).await;
    assert_eq!(plain.headers["x-provider"], "demo");
    assert!(!plain.headers.contains_key("x-auto-model"));
    let models = get(relay.uri("/v1/models")).await;
    assert!(models.headers.contains_key("x-response-time-ms"));
    assert!(!models.headers.contains_key("x-provider"));
}

#[tokio::test]
async fn a_request_too_long_for_its_model_goes_to_a_larger_window() {
    let (address, _) = demo().await;
    let relay = Relay::start(&format!(
        "[model_select]\ntiers = {{ low = [\"demo-small\"], medium = [\"demo-small\"], high = [\"demo-small\", \"demo-large\"] }}\n\
         [model_select.escalation]\non_context = true\n{}",
        upstream("demo", address, "")
    ))
    .await;
    let words = "a ".repeat(9_000);
    let got = ask(&relay, "a", &says(&words, &json!({}))).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(got.headers["x-relay-model"], "demo-large");
    assert_eq!(got.headers["x-relay-attempts"], "2");
}

#[tokio::test]
async fn a_stream_without_text_is_asked_for_again_and_its_caller_sees_the_better_one_alone() {
    let (address, mut asked) = scripted().await;
    let relay = Relay::start(&format!(
        "[model_select]\ntiers = {{ low = [\"small\"], medium = [\"large\"], high = [\"large\"] }}\n\
         [model_select.escalation]\nchecks = [\"empty\"]\nstreams = true\n{}",
        upstream("scripted", address, "")
    ))
    .await;
    let upstream = async {
        let mut models = Vec::new();
        for text in ["", "Here you are."] {
            let mut one = asked.recv().await.unwrap();
            let body = http_body_util::BodyExt::collect(&mut one.body)
                .await
                .unwrap();
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
            models.push(body["model"].as_str().unwrap().to_owned());
            let said = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
            let said = format!("data: {said}\n\n");
            one.answer.send(said.into()).await.unwrap();
            one.say(
                "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
            )
            .await;
            one.say("data: [DONE]\n\n").await;
        }
        models
    };
    let body = says("Hi!", &json!({"stream": true}));
    let (got, models) = tokio::join!(ask(&relay, "a", &body), upstream);
    assert_eq!(models, ["small", "large"]);
    assert_eq!(got.headers["x-relay-model"], "large");
    assert!(
        got.text.contains("Here you are.") && !got.text.contains("\"content\":\"\""),
        "{}",
        got.text
    );
    assert!(got.text.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn copies_are_compared_and_stand_in_the_audit_once_each_marked() {
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let folder = tempfile::tempdir().unwrap();
    let (audit, pairs) = (
        folder.path().join("audit.jsonl"),
        folder.path().join("shadow.jsonl"),
    );
    let mut relay = Relay::start(&format!(
        "[shadow]\ntarget = \"new\"\npercent = 100\nmodel = \"demo-large\"\nfile = {pairs:?}\n[audit]\npath = {audit:?}\n{}{}",
        upstream("old", old, "models = [\"demo-small\"]"),
        upstream("new", new, "models = [\"demo-large\"]"),
    ))
    .await;
    for number in 0..20 {
        let more = json!({"stream": number % 2 == 0});
        let got = ask(&relay, &format!("req-{number}"), &chat("demo-small", &more)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert!(got.text.contains("demo-small"), "{}", got.text);
    }
    // A copy whose answer is still being read would be let go of at the end.
    let written = || fs::read_to_string(&pairs).unwrap_or_default();
    eventually(|| written().lines().count() == 20).await;
    relay.stop();
    relay.ended().await;

    let comparisons: Vec<Comparison> = written()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for pair in &comparisons {
        assert!(
            pair.primary.is_success() && pair.shadow.is_success(),
            "{pair:?}"
        );
        assert_eq!(pair.primary.upstream.as_deref(), Some("old"));
        assert_eq!(pair.shadow.upstream.as_deref(), Some("new"));
        assert_eq!(pair.shadow.model.as_deref(), Some("demo-large"));
    }
    let report = Report::of(&comparisons, &Gate::default());
    assert_eq!((report.comparisons, report.shadow.errors), (20, 0));
    let records: Vec<_> = read_files([&audit]).map(Result::unwrap).collect();
    for number in 0..20 {
        let id = format!("req-{number}");
        let of_id = records.iter().filter(|record| *record.request_id == *id);
        let mut attempts: Vec<_> = of_id
            .map(|record| (&*record.upstream, record.shadow))
            .collect();
        attempts.sort_unstable();
        assert_eq!(attempts, [("new", true), ("old", false)], "{id}");
    }
}

#[tokio::test]
async fn a_shadow_that_is_not_there_or_never_answers_changes_nothing_for_callers() {
    let (old, _) = demo().await;
    let (silent, mut asked) = scripted().await;
    for target in [nobody().await, silent] {
        let mut relay = Relay::start(&format!(
            "[server]\nshutdown_timeout = \"1s\"\n[shadow]\ntarget = \"new\"\npercent = 100\nconcurrency = 2\n{}{}",
            upstream("old", old, "models = [\"demo-small\"]"),
            upstream("new", target, ""),
        ))
        .await;
        for number in 0..10 {
            let got = ask(
                &relay,
                &format!("req-{number}"),
                &chat("demo-small", &json!({})),
            )
            .await;
            assert_eq!(got.status, 200, "{}", got.text);
        }
        // Those under way do not keep it from ending.
        relay.stop();
        relay.ended().await;
    }
    let mut copies = 0;
    while let Ok(copy) = asked.try_recv() {
        assert_eq!(copy.head.headers["x-relay-shadow"], "1");
        copies += 1;
    }
    assert!((1..=2).contains(&copies), "{copies}");
}

/// A split between both, with a rollout of two stages whose state is in `file`.
fn moving(old: SocketAddr, new: SocketAddr, file: &Path) -> String {
    format!(
        "[[routes]]\nname = \"moving\"\nsplit = {{ targets = [\"old\", \"new\"] }}\nrollout = {{ stages = [[100, 0], [0, 100]], file = \"{}\" }}\n{}{}",
        file.display(),
        upstream("old", old, "models = [\"demo-small\"]"),
        upstream("new", new, "models = [\"demo-small\"]"),
    )
}

async fn who(relay: &Relay) -> String {
    let got = ask(relay, "a", &chat("demo-small", &json!({}))).await;
    assert_eq!(got.status, 200, "{}", got.text);
    got.headers["x-relay-upstream"].to_str().unwrap().to_owned()
}

/// Waits until `expected` answers; how long that took.
async fn answers(relay: &Relay, expected: &str) -> Duration {
    let began = Instant::now();
    while who(relay).await != expected {
        assert!(began.elapsed() < Duration::from_secs(20), "not {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn an_operator_steers_a_rollout_by_its_file_and_a_restart_goes_on_there() {
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollout.json");
    let config = moving(old, new, &file);
    let mut relay = Relay::start(&config).await;
    assert_eq!(who(&relay).await, "old");
    eventually(|| file.exists()).await;
    let edit = async |change: &dyn Fn(&mut Value)| {
        // Once the last edit was taken up and written anew, on several lines.
        let text = || fs::read_to_string(&file).unwrap();
        eventually(|| text().starts_with("{\n")).await;
        let mut state: Value = serde_json::from_str(&text()).unwrap();
        change(&mut state);
        fs::write(&file, state.to_string()).unwrap();
    };
    let mut took = Vec::new();
    for (member, value, expected) in [
        ("stage", json!(1), "new"),
        ("force", json!("old"), "old"),
        ("force", Value::Null, "new"),
    ] {
        edit(&|state| state[member] = value.clone()).await;
        took.push(answers(&relay, expected).await);
    }
    within_a_second("edits of the file in force", took);
    // What cannot hold is not taken for anything else.
    fs::write(&file, "{ \"stage\": ").unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(who(&relay).await, "new");
    relay.stop();
    relay.ended().await;

    // Left as the operator left it, it is an error at the next start rather than a beginning; mended, the rollout goes on where it was.
    let build = || {
        Config::from_toml(&config, "test")
            .unwrap()
            .build_with_env(&key)
    };
    let text = fs::read_to_string(&file).unwrap();
    if !text.contains("\"schema\"") {
        assert!(build().is_err());
        fs::write(
            &file,
            r#"{"schema":1,"state":"paused","stage":1,"targets":["old","new"]}"#,
        )
        .unwrap();
    }
    let relay = Relay::serve(build().unwrap()).await;
    assert_eq!(who(&relay).await, "new");
}

fn key(name: &str) -> Option<String> {
    (name == "DEMO_KEY").then(|| "demo-key".to_owned())
}

#[tokio::test]
async fn a_switch_in_the_environment_moves_all_traffic_whatever_the_stage() {
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollout.json");
    let config = moving(old, new, &file);
    let at_the_end = r#"{"schema":1,"state":"complete","stage":1,"targets":["old","new"]}"#;
    for (switch, value, expected) in [
        ("FORCE_MODEL", "new", "new"),
        ("FORCE_MODEL", "old", "old"),
        ("USE_ROUTING", "false", "old"),
        ("USE_ROUTING", "true", "new"),
    ] {
        fs::write(&file, at_the_end).unwrap();
        let env = |name: &str| key(name).or_else(|| (name == switch).then(|| value.to_owned()));
        let gateway = Config::from_toml(&config, "test")
            .unwrap()
            .build_with_env(&env);
        let relay = Relay::serve(gateway.unwrap()).await;
        for _ in 0..3 {
            assert_eq!(who(&relay).await, expected, "{switch}={value}");
        }
        if expected == "new" && switch == "USE_ROUTING" {
            continue;
        }
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            at_the_end,
            "{switch}={value}"
        );
    }
}

#[tokio::test]
async fn a_score_is_posted_by_the_answers_id_and_counts_for_its_side() {
    let ((old, _), (new, _)) = (demo().await, demo().await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("feedback.jsonl");
    let mut relay = Relay::start(&format!(
        "[feedback]\nfile = \"{}\"\n[[routes]]\nname = \"moving\"\n\
         split = {{ targets = [\"old\", \"new\"], weights = [1, 1], allow_override = true }}\n{}{}",
        file.display(),
        upstream("old", old, "models = [\"demo-small\"]"),
        upstream("new", new, "models = [\"demo-small\"]"),
    ))
    .await;
    for (side, score) in [("old", 0.5), ("new", 1.0), ("new", 0.5)] {
        let mut request = post(
            relay.uri("/v1/chat/completions"),
            &chat("demo-small", &json!({})),
        );
        request
            .headers_mut()
            .insert("x-relay-upstream", side.parse().unwrap());
        let got = send(request).await;
        let id = got.headers["x-relay-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let feedback = json!({"request_id": id, "score": score});
        let taken = send(post(relay.uri("/v1/feedback"), &feedback)).await;
        assert_eq!(taken.status, 200, "{}", taken.text);
        assert_eq!(taken.json()["upstream"], side);
    }
    let unknown = json!({"request_id": "unheard-of", "score": 1});
    let unknown = send(post(relay.uri("/v1/feedback"), &unknown)).await;
    assert_eq!(unknown.failure(), (404, "request_not_found".to_owned()));
    let scores = relay.handles.feedback().unwrap().scores();
    let scores: Vec<_> = scores
        .iter()
        .map(|one| (&*one.upstream, one.scores.count(), one.scores.mean()))
        .collect();
    assert_eq!(scores, [("new", 2, Some(0.75)), ("old", 1, Some(0.5))]);
    relay.stop();
    relay.ended().await;
    assert_eq!(fs::read_to_string(file).unwrap().lines().count(), 3);
}

async fn eventually(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it takes too long"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
