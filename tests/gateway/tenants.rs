//! Who may call a gateway, and what each of them may ask for.

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
};

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_relay::{
    gateway::{AllowanceLevel, Config},
    key::Key,
    server::tenants::{KeyHash, TenantKey},
};

use crate::harness::{Got, Relay, caller, chat, demo, post, scripted, send, soon, with_key};
use crate::redis_server::Server;

async fn ask(relay: &Relay, key: &str, model: &str) -> Got {
    let request = post(relay.uri("/v1/chat/completions"), &chat(model, &json!({})));
    send(with_key(request, key)).await
}

async fn listed(relay: &Relay, key: &str) -> Vec<String> {
    let request = Request::get(relay.uri("/v1/models")).body(Full::default());
    let list = send(with_key(request.unwrap(), key)).await.json();
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A tenant's table, with one key called as the tenant is.
fn tenant(name: &str, more: &str) -> String {
    let hash = KeyHash::of(&format!("sk-{name}"));
    format!(
        "[[tenants]]\nname = \"{name}\"\nkeys = [{{ id = \"one\", sha256 = \"{hash}\" }}]\n{more}\n"
    )
}

fn upstream(name: &str, address: SocketAddr, more: &str) -> String {
    format!(
        "[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n{more}\n"
    )
}

async fn relay(tenants: &str) -> Relay {
    let (address, _) = demo().await;
    let upstream = upstream("demo", address, "models = [\"demo-small\", \"demo-embed\"]");
    Relay::start(&format!("{tenants}{upstream}")).await
}

#[tokio::test]
async fn without_a_tenants_key_nothing_is_answered_but_whether_it_is_well() {
    let relay = relay(&tenant("acme", "")).await;
    assert_eq!(ask(&relay, "sk-acme", "demo-small").await.status, 200);
    for path in [
        "/v1/models",
        "/v1/models/demo-small",
        "/v1/chat/completions",
        "/anything",
    ] {
        let got = send(with_key(post(relay.uri(path), &json!({})), "sk-other")).await;
        assert_eq!(got.failure(), (401, "invalid_api_key".to_owned()), "{path}");
        assert!(!got.text.contains("sk-other"));
        assert_eq!(got.json()["error"]["type"], "invalid_request_error");
        let got = send(post(relay.uri(path), &json!({}))).await;
        assert_eq!(got.failure(), (401, "missing_api_key".to_owned()), "{path}");
        assert!(got.headers.contains_key("x-relay-request-id"));
    }
    let health = Request::get(relay.uri("/health")).body(Full::default());
    assert_eq!(send(health.unwrap()).await.status, 200);
}

#[tokio::test]
async fn each_tenant_asks_for_its_models_alone_and_sees_no_others() {
    let tenants = tenant("one", "models = [\"demo-small\"]")
        + &tenant(
            "two",
            "models = [\"demo-e*\"]\nendpoints = [\"embeddings\"]",
        )
        + &tenant("all", "");
    let relay = relay(&tenants).await;
    assert_eq!(ask(&relay, "sk-one", "demo-small").await.status, 200);
    let refused = ask(&relay, "sk-one", "demo-embed").await;
    assert_eq!(refused.failure(), (404, "model_not_found".to_owned()));
    let refused = ask(&relay, "sk-two", "demo-embed").await;
    assert_eq!(refused.failure(), (403, "endpoint_not_allowed".to_owned()));

    assert_eq!(listed(&relay, "sk-one").await, ["demo-small"]);
    assert_eq!(listed(&relay, "sk-two").await, ["demo-embed"]);
    assert_eq!(listed(&relay, "sk-all").await, ["demo-small", "demo-embed"]);
    let one = Request::get(relay.uri("/v1/models/demo-embed")).body(Full::default());
    let got = send(with_key(one.unwrap(), "sk-one")).await;
    assert_eq!(got.failure(), (404, "model_not_found".to_owned()));
}

#[tokio::test]
async fn what_may_not_go_to_an_upstream_is_never_sent_there() {
    let (near, near_taken) = demo().await;
    let (far, far_taken) = demo().await;
    let config = tenant("eu", "upstreams = [\"near\"]")
        + &tenant("all", "")
        + "[[routes]]\nname = \"steady\"\nmodels = [\"demo-small\"]\nfallback = { targets = [\"far\", \"near\"] }\n"
        + &upstream("far", far, "models = [\"demo-small\", \"demo-embed\"]")
        + &upstream("near", near, "models = [\"demo-small\"]");
    let relay = Relay::start(&config).await;
    let served =
        |taken: &std::sync::atomic::AtomicUsize| taken.load(std::sync::atomic::Ordering::SeqCst);
    // The route begins with the far one.
    assert_eq!(ask(&relay, "sk-eu", "demo-small").await.status, 200);
    assert_eq!((served(&far_taken), served(&near_taken)), (0, 1));
    let refused = ask(&relay, "sk-eu", "demo-embed").await;
    assert_eq!(refused.failure(), (404, "model_not_found".to_owned()));
    assert_eq!(served(&far_taken), 0);
    assert_eq!(listed(&relay, "sk-eu").await, ["demo-small"]);
    assert_eq!(ask(&relay, "sk-all", "demo-small").await.status, 200);
    assert_eq!(served(&far_taken), 1);
    assert_eq!(listed(&relay, "sk-all").await, ["demo-small", "demo-embed"]);
}

#[tokio::test]
async fn what_may_not_go_to_an_upstream_is_neither_split_nor_copied_there() {
    let (near, near_taken) = demo().await;
    let (far, far_taken) = demo().await;
    let config = tenant("eu", "upstreams = [\"near\"]")
        + "[shadow]\ntarget = \"far\"\npercent = 100\n\
           [[routes]]\nname = \"moving\"\nmodels = [\"demo-small\"]\n\
           split = { targets = [\"far\", \"near\"], weights = [1, 1] }\n"
        + &upstream("far", far, "models = [\"demo-small\"]")
        + &upstream("near", near, "models = [\"demo-small\"]");
    let relay = Relay::start(&config).await;
    for _ in 0..10 {
        assert_eq!(ask(&relay, "sk-eu", "demo-small").await.status, 200);
    }
    assert_eq!(relay.handles.shadow().unwrap().sent(), 0);
    let served =
        |taken: &std::sync::atomic::AtomicUsize| taken.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(served(&far_taken), 0);
    assert!(served(&near_taken) > 0);
}

#[tokio::test]
async fn the_flag_chooses_among_the_models_that_a_tenant_may_ask_for() {
    let (address, _) = demo().await;
    let config = tenant("small", "models = [\"demo-small\"]")
        + &tenant("all", "")
        + "[model_select.tiers]\nlow = [\"demo-small\"]\nmedium = [\"demo-large\"]\nhigh = [\"demo-large\"]\n"
        + &upstream("demo", address, "");
    let relay = Relay::start(&config).await;
    let mut body = chat("demo-small", &json!({"auto_model_select": true}));
    body["messages"][0]["content"] = "words ".repeat(1_000).into();
    for (key, model) in [("sk-small", "demo-small"), ("sk-all", "demo-large")] {
        let request = post(relay.uri("/v1/chat/completions"), &body);
        let got = send(with_key(request, key)).await;
        assert_eq!(got.json()["model"], model, "{}", got.text);
    }
}

#[tokio::test]
async fn a_model_is_chosen_that_an_upstream_serves_which_a_tenant_may_use() {
    let (near, _) = demo().await;
    let (far, _) = demo().await;
    let config = tenant("eu", "upstreams = [\"near\"]")
        + &tenant("all", "")
        + "[model_select.tiers]\nlow = [\"big\", \"demo-small\"]\nmedium = [\"big\"]\nhigh = [\"big\"]\n\
           [models.aliases]\nbig = \"demo-large\"\n"
        + &upstream("far", far, "models = [\"demo-large\"]")
        + &upstream("near", near, "models = [\"demo-small\"]");
    let relay = Relay::start(&config).await;
    for (key, model) in [("sk-eu", "demo-small"), ("sk-all", "demo-large")] {
        let got = ask(&relay, key, "auto").await;
        assert_eq!(got.json()["model"], model, "{}", got.text);
    }
}

#[tokio::test]
async fn limits_lie_within_limits_and_who_is_refused_by_his_own_takes_nothing_of_the_others() {
    let limited = |requests| format!("limits = [{{ requests = {requests}, per = \"1h\" }}]");
    let two = |name: &str, more: &str| {
        let [one, two] = ["1", "2"].map(|n| KeyHash::of(&format!("sk-{name}-{n}")));
        format!(
            "[[tenants]]\nname = \"{name}\"\norganisation = \"acme\"\nteam = \"web\"\n\
             keys = [{{ id = \"1\", sha256 = \"{one}\" }}, {{ id = \"2\", sha256 = \"{two}\" }}]\n{more}\n"
        )
    };
    let config = two(
        "a",
        &format!("{}\neach_key = {{ {} }}", limited(3), limited(2)),
    ) + &two("b", "")
        + &format!(
            "[organisations.acme]\n{}\n[teams.\"acme/web\"]\n{}\n",
            limited(5),
            limited(9)
        );
    let relay = relay(&config).await;
    let mut statuses = Vec::new();
    for key in ["a-1", "a-1", "a-1", "a-2", "a-2", "b-1", "b-2", "b-1"] {
        statuses.push(
            ask(&relay, &format!("sk-{key}"), "demo-small")
                .await
                .status
                .as_u16(),
        );
    }
    // The first key has used its two, the tenant its three, and the organisation its five.
    assert_eq!(statuses, [200, 200, 429, 200, 429, 200, 200, 429]);
    // Whom a broader limit has refused, the narrower ones have not counted.
    for (level, key, used) in [
        (AllowanceLevel::Key, Key::named("key", "a/1"), 2),
        (AllowanceLevel::Key, Key::named("key", "a/2"), 1),
        (AllowanceLevel::Tenant, Key::named("tenant", "a"), 3),
        (AllowanceLevel::Team, Key::named("team", "acme/web"), 5),
        (
            AllowanceLevel::Organisation,
            Key::named("organisation", "acme"),
            5,
        ),
    ] {
        let handle = relay.handles.rate_limit_by(level).unwrap();
        assert_eq!(handle.levels(&key).await[0].used, used, "{level:?}");
    }
}

#[tokio::test]
async fn limits_of_tenants_reserve_and_tell_as_those_of_callers_do() {
    let limits = "limits = [{ requests = 9, per = \"1h\" }, { tokens = 500, per = \"1h\" }]";
    for (more, status, told) in [
        ("", 400, true),
        (
            "[rate_limit]\ndefault_output = 100\nheaders = false\n",
            200,
            false,
        ),
    ] {
        let relay = relay(&(tenant("a", limits) + more)).await;
        // A thousand tokens of output are reserved where a request has no cap, unless it is said.
        let got = ask(&relay, "sk-a", "demo-small").await;
        assert_eq!(got.status, status, "{}", got.text);
        assert_eq!(got.headers.contains_key("x-ratelimit-limit-tokens"), told);
    }
}

#[tokio::test]
async fn a_tenant_in_flight_leaves_room_for_others() {
    let (address, mut asked) = scripted().await;
    let config = tenant("a", "admission = { max_in_flight = 1, max_pending = 0 }")
        + &tenant("b", "")
        + &upstream("scripted", address, "");
    let relay = Relay::start(&config).await;
    let stream = |key: &str| {
        let body = chat("m", &json!({"stream": true}));
        with_key(post(relay.uri("/v1/chat/completions"), &body), key)
    };
    let client = caller();
    let running = tokio::spawn(client.request(stream("sk-a")));
    let first = soon(asked.recv()).await.unwrap();
    first.say("data: {\"choices\":[]}\n\n").await;
    let answer = soon(running).await.unwrap().unwrap();

    let handle = relay.handles.admission_by(AllowanceLevel::Tenant).unwrap();
    assert_eq!(handle.state(&Key::named("tenant", "a")).in_flight, 1);
    let refused = send(stream("sk-a")).await;
    assert_eq!(refused.failure(), (503, "relay_overloaded".to_owned()));
    assert_eq!(refused.headers["retry-after"], "1");
    let other = tokio::spawn(client.request(stream("sk-b")));
    let second = soon(asked.recv()).await.unwrap();
    drop((answer, first));
    // Who has left makes room.
    let again = async {
        loop {
            let mut got = tokio::spawn(client.request(stream("sk-a")));
            tokio::select! {
                asked = asked.recv() => break asked,
                got = &mut got => assert_eq!(got.unwrap().unwrap().status(), 503),
            }
        }
    };
    assert!(soon(again).await.is_some());
    drop((second, other));
}

#[tokio::test]
async fn keys_change_while_the_gateway_serves_and_after_a_restart_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let (address, _) = demo().await;
    let config = format!(
        "tenant_state = {file:?}\n{}{}",
        tenant("acme", ""),
        upstream("demo", address, "")
    );
    let build = || {
        let config = Config::from_toml(&config, "test").unwrap();
        config
            .build_with_env(&|name| (name == "DEMO_KEY").then(|| "demo-key".to_owned()))
            .unwrap()
    };
    let gateway = build();
    let tenants = gateway.tenants().unwrap().clone();
    let relay = Relay::serve(gateway).await;
    assert_eq!(ask(&relay, "sk-acme", "demo-small").await.status, 200);
    tenants
        .set_key("acme", TenantKey::new("two", KeyHash::of("sk-two")))
        .unwrap();
    assert_eq!(ask(&relay, "sk-two", "demo-small").await.status, 200);
    tenants.revoke("acme", "one").unwrap();
    let restarted = Relay::serve(build()).await;
    for relay in [&relay, &restarted] {
        assert_eq!(ask(relay, "sk-acme", "demo-small").await.status, 401);
        assert_eq!(ask(relay, "sk-two", "demo-small").await.status, 200);
    }
    std::fs::write(&file, "{").unwrap();
    let config = Config::from_toml(&config, "test").unwrap();
    let error = config
        .build_with_env(&|name| (name == "DEMO_KEY").then(|| "demo-key".to_owned()))
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("test:1: tenant_state: ") && error.contains("is broken"),
        "{error}"
    );
}

#[tokio::test]
async fn what_an_upstream_keeps_is_for_those_alone_whose_key_it_is() {
    let (address, _) = demo().await;
    let own = "[[upstreams]]\nname = \"own\"\nbase_url = \"http://u.test/v1\"\ncredential = { env = \"WRONG_KEY\" }\n";
    let config = tenant("a", "upstreams = [\"demo\"]")
        + &tenant("b", "upstreams = [\"demo\"]")
        + &tenant("c", "upstreams = [\"own\"]")
        + &tenant("d", "upstreams = [\"demo\"]\nstored_objects = true")
        + &upstream("demo", address, "")
        + own;
    let relay = Relay::start(&config).await;
    for (key, is_refused) in [
        ("sk-a", true),
        ("sk-b", true),
        ("sk-c", false),
        ("sk-d", false),
    ] {
        for path in ["/v1/files", "/v1/responses/resp_1"] {
            let list = Request::get(relay.uri(path)).body(Full::default());
            let got = send(with_key(list.unwrap(), key)).await;
            let refused = got.text.contains("stored_objects_not_allowed");
            assert_eq!(refused, is_refused, "{key} {path} {}", got.text);
            assert_eq!(got.status == 403, is_refused);
        }
    }
    assert_eq!(ask(&relay, "sk-a", "demo-small").await.status, 200);
}

#[tokio::test]
async fn replicas_share_the_limits_of_tenants_and_their_budgets() {
    let Some(server) = Server::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.toml");
    let text = "[models.demo-small.prices]\ninput = \"2.00\"\noutput = \"8.00\"\n";
    std::fs::write(&prices, text).unwrap();
    let (address, _) = demo().await;
    let config = format!(
        "[store.redis]\nurl = \"{}\"\ntimeout = \"10s\"\n[catalog]\nfiles = [{prices:?}]\n\
         [[budgets]]\nname = \"of-tenants\"\nby = \"tenant\"\nper = \"month\"\nhard = \"1\"\n\
         keys = {{ \"tenant:b\" = {{ hard = \"0.002\" }} }}\n{}{}\
         [organisations.big]\nlimits = [{{ requests = 3, per = \"1h\" }}]\n{}",
        server.url(),
        tenant("a", "organisation = \"big\""),
        tenant("b", ""),
        upstream("demo", address, ""),
    );
    let replicas = [Relay::start(&config).await, Relay::start(&config).await];
    let mut statuses = Vec::new();
    for call in 0..4 {
        let got = ask(&replicas[call % 2], "sk-a", "demo-small").await;
        statuses.push(got.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);

    // A cap of 150 reserves a little more than 0.0012 USD: two do not fit at once, and are charged less in the end.
    let capped = |relay: &Relay| {
        let body = chat("demo-small", &json!({"max_tokens": 150}));
        with_key(post(relay.uri("/v1/chat/completions"), &body), "sk-b")
    };
    let answered = send(capped(&replicas[0])).await;
    assert_eq!(answered.status, 200);
    let key = Key::named("tenant", "b");
    let of = |relay: &Relay| {
        let handle = relay.handles.budgets().unwrap();
        handle.level("of-tenants", &key).unwrap()
    };
    let settled = async {
        while of(&replicas[0]).reserved.pico_usd() > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(settled).await;
    let spent = of(&replicas[0]).spent;
    assert!(spent.pico_usd() > 0);
    assert_eq!(send(capped(&replicas[1])).await.status, 200);
    assert!(of(&replicas[1]).spent >= spent, "what the other has spent");
}

#[tokio::test]
async fn attempts_are_recorded_by_the_tenants_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let mut relay = relay(&format!("[audit]\npath = {file:?}\n{}", tenant("acme", ""))).await;
    assert_eq!(ask(&relay, "sk-acme", "demo-small").await.status, 200);
    relay.stop();
    relay.ended().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(record["key"], "key:acme/one");
}

#[test]
fn what_cannot_work_is_told_by_its_place() {
    let upstream = "[[upstreams]]\nname = \"u\"\nbase_url = \"http://u.test\"\n";
    let error =
        |text: String| Config::from_toml(&text, "t").and_then(|config| config.build().map(drop));
    for (text, expected) in [
        (
            tenant("acme", "upstreams = [\"v\"]") + upstream,
            "t:4: tenants.0.upstreams.0: there is no upstream \"v\"",
        ),
        (
            tenant("acme", "upstreams = []") + upstream,
            "t:4: tenants.0.upstreams: names none",
        ),
        (
            tenant("acme", "models = []") + upstream,
            "t:4: tenants.0.models: names none",
        ),
        (
            tenant("acme", "") + &tenant("acme", "") + upstream,
            "t:6: tenants.1.name: \"acme\" is there twice",
        ),
        (
            format!(
                "[teams.web]\n{}{upstream}",
                tenant("acme", "team = \"other\"")
            ),
            "t:1: teams.web: no tenant is of that team",
        ),
        (
            format!(
                "[[budgets]]\nname = \"b\"\nper = \"day\"\nhard = \"5\"\nby = \"team\"\n{}{upstream}",
                tenant("acme", "organisation = \"o\"")
            ),
            "t:5: budgets.0.by: counts nobody, as no tenant is of a team",
        ),
        (
            format!("[organisations.acme]\n{upstream}"),
            "t:1: organisations: is of no use without tenants: say who they are in [[tenants]], or limit everyone by [rate_limit]",
        ),
        (
            tenant("acme", "") + upstream + "credential = { caller = true }",
            "t:8: upstreams.0.credential: would send the keys of tenants",
        ),
        (
            "[[tenants]]\nkeys = [{ id = \"a\", sha256 = \"sk-secret\" }]\n".to_owned() + upstream,
            "t:2: tenants.0.keys.0.sha256: must be a SHA-256",
        ),
    ] {
        let error = error(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_key_on_standard_input_is_hashed_as_the_configuration_takes_it() {
    let hash = |input: &[u8]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
            .arg("--hash-key")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        program.stdin.take().unwrap().write_all(input).unwrap();
        let output = program.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(
        hash(b"sk-acme\n"),
        (Some(0), format!("{}\n", KeyHash::of("sk-acme")))
    );
    for wrong in [&b"\n"[..], b"two keys\n", &[b'k'; 5000], b"\xff"] {
        assert_eq!(hash(wrong), (Some(2), String::new()));
    }
}
