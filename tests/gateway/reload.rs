//! One configuration in place of another, while requests flow.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower_relay::{
    control::{Control, Parameters},
    gateway::Config,
    key::Key,
    server::tenants::KeyHash,
};

use crate::harness::{Got, Relay, caller, chat, demo, post, scripted, send, soon};

fn upstream(name: &str, address: SocketAddr, more: &str) -> String {
    format!(
        "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\nmodels = [\"demo-small\"]\n{more}\n"
    )
}

async fn ask(relay: &Relay) -> Got {
    let request = chat("demo-small", &json!({}));
    send(post(relay.uri("/v1/chat/completions"), &request)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_during_a_hundred_reloads() {
    let (address, connections) = demo().await;
    let config = |limit: u32| {
        let layers = "circuit_breaker = {}\ncommit_guard = {}\nretry = {}\nnormalize = {}\n";
        let outer = format!(
            "[rate_limit]\nlimits = [{{ requests = {limit}, per = \"1s\" }}]\n[admission]\nmax_in_flight = {limit}\n"
        );
        format!("{outer}{}", upstream("demo", address, layers))
    };
    let relay = Arc::new(Relay::start(&config(1_000_000)).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..8)
        .map(|number| {
            let (relay, is_over) = (Arc::clone(&relay), Arc::clone(&is_over));
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                let client = caller();
                while !is_over.load(Ordering::SeqCst) {
                    let stream = number % 2 == 0;
                    let body = chat("demo-small", &json!({ "stream": stream }));
                    let request = post(relay.uri("/v1/chat/completions"), &body);
                    let response = soon(client.request(request)).await.unwrap();
                    assert_eq!(response.status(), 200);
                    let body = soon(response.into_body().collect()).await.unwrap();
                    let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
                    assert!(!stream || text.ends_with("data: [DONE]\n\n"), "{text}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 0..100 {
        relay.reload(&config(1_000_001 + number)).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    is_over.store(true, Ordering::SeqCst);
    for caller in callers {
        soon(caller).await.unwrap();
    }
    let answered = answered.load(Ordering::SeqCst);
    assert!(answered >= 100, "{answered}");
    // The client was the same all along, with its connections.
    assert!(connections.load(Ordering::SeqCst) <= 16, "{connections:?}");
}

#[tokio::test]
async fn a_broken_configuration_changes_nothing() {
    let (address, _) = demo().await;
    let good = upstream("demo", address, "circuit_breaker = {}");
    let relay = Relay::start(&good).await;
    let breaker = relay.handles.circuit_breaker("demo").unwrap();
    for (broken, told) in [
        (good.replace("credential", "credentail"), "test:4: "),
        (
            good.replace("DEMO_KEY", "NO_KEY"),
            "test:4: upstreams.0.credential.env: ",
        ),
        (
            format!("[admission]\nmax_in_flight = 0\n{good}"),
            "test:2: admission.max_in_flight: ",
        ),
    ] {
        let error = relay.reload(&broken).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
        assert_eq!(ask(&relay).await.status, 200);
    }
    breaker.force_open(&Key::named("upstream", "demo"));
    assert_eq!(ask(&relay).await.status, 503, "it is still the same stack");
}

#[tokio::test]
async fn what_was_steered_stays_so_while_its_settings_change() {
    let (address, _) = demo().await;
    let config = |open_for: &str, enabled: &str| {
        let breaker = format!("circuit_breaker = {{ open_for = \"{open_for}\" }}");
        format!(
            "[[routes]]\nname = \"safe\"\nfallback = {{ targets = [\"a\", \"b\"]{enabled} }}\n{}{}",
            upstream("a", address, &breaker),
            upstream("b", address, &breaker)
        )
    };
    let relay = Relay::start(&config("10s", "")).await;
    let a = Key::named("upstream", "a");
    relay.handles.circuit_breaker("a").unwrap().force_open(&a);
    relay.handles.fallback("safe").unwrap().set_enabled(false);
    assert_eq!(ask(&relay).await.status, 503);

    relay.reload(&config("20s", ", attempts = 4")).unwrap();
    assert_eq!(ask(&relay).await.status, 503);
    relay.handles.fallback("safe").unwrap().set_enabled(true);
    let got = ask(&relay).await;
    assert_eq!(got.status, 200, "{}", got.text);
    relay.handles.circuit_breaker("a").unwrap().reset(&a);
    relay.handles.fallback("safe").unwrap().set_enabled(false);
    assert_eq!(ask(&relay).await.status, 200);
}

#[tokio::test]
async fn what_is_used_of_a_limit_stays_used() {
    let (address, _) = demo().await;
    let config = |requests: u32, more: &str| {
        format!(
            "[rate_limit]\nlimits = [{{ requests = {requests}, per = \"1h\" }}]\n{more}{}",
            upstream("demo", address, "")
        )
    };
    let relay = Relay::start(&config(2, "")).await;
    assert_eq!(ask(&relay).await.status, 200);
    relay.reload(&config(2, "max_waiting = 10\n")).unwrap();
    assert_eq!(ask(&relay).await.status, 200);
    assert_eq!(ask(&relay).await.status, 429);
    relay.reload(&config(4, "")).unwrap();
    assert_eq!(ask(&relay).await.status, 200, "there is more room now");
}

#[tokio::test]
async fn money_that_is_spent_stays_spent_and_requests_on_their_way_are_charged() {
    let (address, mut asked) = scripted().await;
    let config = |hard: &str, more: &str| {
        format!(
            "[[budgets]]\nname = \"all\"\nby = \"global\"\nhard = \"{hard}\"\nper = \"total\"\n{more}\
             [catalog.own.models.\"demo-small\".prices]\ninput = 1\noutput = 1\n{}",
            upstream("demo", address, "")
        )
    };
    let relay = Relay::start(&config("5", "")).await;
    let request = chat("demo-small", &json!({ "stream": true, "max_tokens": 10 }));
    let uri = relay.uri("/v1/chat/completions");
    let response = tokio::spawn(async move { caller().request(post(uri, &request)).await });
    let at_upstream = soon(asked.recv()).await.unwrap();
    at_upstream
        .say("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
        .await;
    let response = soon(response).await.unwrap().unwrap();

    // While it is on its way, the budget becomes another's second, with another limit.
    let first = "[[budgets]]\nname = \"first\"\nby = \"global\"\nhard = \"90\"\nper = \"total\"\n";
    let changed = format!("{first}{}", config("7", ""));
    relay.reload(&changed).unwrap();
    let level = || {
        let budget = relay.handles.budgets().unwrap();
        budget.level("all", &Key::GLOBAL).unwrap()
    };
    assert_ne!(level().reserved.to_string(), "0", "{:?}", level());
    at_upstream
        .say(
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":500000,\"completion_tokens\":500000,\"total_tokens\":1000000}}\n\n",
        )
        .await;
    at_upstream.say("data: [DONE]\n\n").await;
    drop(at_upstream);
    soon(response.into_body().collect()).await.unwrap();
    assert_eq!(level().spent.to_string(), "1", "{:?}", level());
    assert_eq!(level().limits.hard.to_string(), "7");
    let budget = relay.handles.budgets().unwrap();
    let first = budget.level("first", &Key::GLOBAL).unwrap();
    assert_eq!(first.spent.to_string(), "0", "it is not that one's");
    // And once more, with nothing on its way.
    relay.reload(&config("5", "")).unwrap();
    assert_eq!(level().spent.to_string(), "1");
    assert_eq!(level().limits.hard.to_string(), "5");
}

#[tokio::test]
async fn weights_and_a_rollout_go_on_where_their_tables_are_the_same() {
    let (address, _) = demo().await;
    let config = |weights: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"moving\"\nsplit = {{ targets = [\"a\", \"b\"], weights = {weights} }}\n{more}{}{}",
            upstream("a", address, ""),
            upstream("b", address, "")
        )
    };
    let relay = Relay::start(&config("[90, 10]", "")).await;
    let split = || relay.handles.split("moving").unwrap();
    split().set_weights(&[1, 3]).unwrap();
    relay
        .reload(&config("[90, 10]", "label = \"on the move\"\n"))
        .unwrap();
    assert_eq!(*split().weights(), [1, 3], "somebody has set them");
    relay.reload(&config("[50, 50]", "")).unwrap();
    assert_eq!(*split().weights(), [50, 50], "the file says otherwise now");

    let rollout = "[routes.rollout]\nstages = [[90, 10], [50, 50]]\n";
    relay.reload(&config("[50, 50]", rollout)).unwrap();
    assert_eq!(*split().weights(), [90, 10]);
    relay.handles.rollout("moving").unwrap().rollback_now();
    assert_eq!(*split().weights(), [1, 0]);
    relay
        .reload(&config("[50, 50]", &format!("label = \"x\"\n{rollout}")))
        .unwrap();
    assert_eq!(
        *split().weights(),
        [1, 0],
        "what was rolled back is not begun again"
    );
    let state = relay.handles.rollout("moving").unwrap().status().state;
    assert_eq!(format!("{state:?}"), "RolledBack");

    let rollout = relay.handles.rollout("moving").unwrap();
    relay.reload(&config("[50, 50]", "")).unwrap();
    let with = Parameters::parse(br#"{"weights": [1, 3]}"#).unwrap();
    split().act("weights", with).await.unwrap();
    drop(rollout);
    assert_eq!(*split().weights(), [1, 3], "no rollout is in charge");
}

#[tokio::test]
async fn tenants_come_and_go_and_what_they_hold_is_counted_on() {
    let (address, mut asked) = scripted().await;
    let tenant = |name: &str| {
        let hash = KeyHash::of(&format!("sk-{name}"));
        format!(
            "[[tenants]]\nname = \"{name}\"\nkeys = [{{ id = \"one\", sha256 = \"{hash}\" }}]\n\
             admission = {{ max_in_flight = 1, max_pending = 0 }}\n"
        )
    };
    let upstream = upstream("demo", address, "");
    let relay = Relay::start(&format!("{}{upstream}", tenant("acme"))).await;
    let uri = relay.uri("/v1/chat/completions");
    let ask = |key: &str| {
        let mut request = post(uri.clone(), &chat("demo-small", &json!({ "stream": true })));
        let key = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", key);
        request
    };
    let held = tokio::spawn(caller().request(ask("sk-acme")));
    let at_upstream = soon(asked.recv()).await.unwrap();
    assert_eq!(send(ask("sk-other")).await.status, 401);
    relay
        .reload(&format!("{}{}{upstream}", tenant("other"), tenant("acme")))
        .unwrap();
    assert_eq!(send(ask("sk-acme")).await.status, 503, "one is in flight");
    let other = tokio::spawn(caller().request(ask("sk-other")));
    drop(soon(asked.recv()).await.unwrap());
    assert_eq!(soon(other).await.unwrap().unwrap().status(), 200);

    let tenants = relay.handles.layers().tenants.clone().unwrap();
    tenants.revoke("other", "one").unwrap();
    relay
        .reload(&format!(
            "[server]\naccess_log = true\n{}{}{upstream}",
            tenant("other"),
            tenant("acme")
        ))
        .unwrap();
    assert_eq!(send(ask("sk-other")).await.status, 401, "it stays revoked");
    drop(at_upstream);
    drop(soon(held).await);
}

#[tokio::test]
async fn an_answer_ends_on_the_stack_that_it_began_on() {
    let (address, mut asked) = scripted().await;
    let (other, _) = demo().await;
    let relay = Relay::start(&upstream("old", address, "")).await;
    let request = post(
        relay.uri("/v1/chat/completions"),
        &chat("demo-small", &json!({ "stream": true })),
    );
    let response = tokio::spawn(caller().request(request));
    let at_upstream = soon(asked.recv()).await.unwrap();
    relay.reload(&upstream("new", other, "")).unwrap();
    assert_eq!(ask(&relay).await.status, 200);
    at_upstream.say("data: one\n\n").await;
    let response = soon(response).await.unwrap().unwrap();
    relay.reload(&upstream("newer", other, "")).unwrap();
    at_upstream.say("data: [DONE]\n\n").await;
    drop(at_upstream);
    let body = soon(response.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "data: one\n\ndata: [DONE]\n\n");
}

#[tokio::test]
async fn what_only_a_restart_changes_is_said() {
    let (address, _) = demo().await;
    let config = upstream("demo", address, "");
    let relay = Relay::start(&config).await;
    let same = relay.reload(&config).unwrap();
    assert!(same.needs_restart.is_empty(), "{same:?}");
    let moved = format!(
        "listen = \"127.0.0.1:1\"\n[server]\nmax_connections = 5\naccess_log = true\n{config}"
    );
    let told = relay.reload(&moved).unwrap().needs_restart;
    assert_eq!(told, ["listen", "server.max_connections"]);
    assert_eq!(ask(&relay).await.status, 200);
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let (address, _) = demo().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    // As an editor does it: all at once.
    let write = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
    };
    let config = upstream("demo", address, "").replace("{ env = \"DEMO_KEY\" }", "\"none\"");
    write(&config);
    let gateway = Config::from_file(&path).unwrap().build().unwrap();
    let signal = gateway.watch(&path, |_| {});
    let relay = Relay::serve(gateway).await;
    let health = || async {
        let request = Request::get(relay.uri("/v1/models")).body(Full::default());
        send(request.unwrap()).await.text
    };
    assert!(health().await.contains("demo-small"));
    write(&config.replace("demo-small", "demo-other"));
    soon(async {
        while !health().await.contains("demo-other") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // A broken one leaves it as it is; asked at once, and again after it is mended.
    write("upstreams = 1");
    signal.reload();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(health().await.contains("demo-other"));
    write(&config);
    signal.reload();
    soon(async {
        while !health().await.contains("demo-small") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
