//! What operators see and change.

use std::{process::Command, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower_relay::gateway::{Config, Reloader};

use crate::harness::{Got, Relay, caller, chat, demo, get, post, send, soon};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn env(name: &str) -> Option<String> {
    match name {
        "DEMO_KEY" => Some("demo-key".to_owned()),
        "ADMIN_TOKEN" => Some(TOKEN.to_owned()),
        "OTHER_TOKEN" => Some(TOKEN.chars().rev().collect()),
        _ => None,
    }
}

/// A relay, and where its operators ask.
pub(crate) struct Watched {
    pub(crate) relay: Relay,
    reloader: Reloader,
    admin: String,
}

impl Watched {
    pub(crate) async fn start(config: &str) -> Self {
        let config = Config::from_toml(config, "test");
        let gateway = config.and_then(|config| config.build_with_env(&env));
        let gateway = gateway.unwrap_or_else(|error| panic!("{error}"));
        let reloader = gateway.reloader();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = format!("http://{}", listener.local_addr().unwrap());
        let relay = Relay::serve(gateway.with_admin_listener(listener)).await;
        Self {
            relay,
            reloader,
            admin,
        }
    }

    fn reload(&self, config: &str) -> Vec<String> {
        let config = Config::from_toml(config, "test");
        let reloaded = config.and_then(|config| self.reloader.reload_with_env(&config, &env));
        reloaded
            .unwrap_or_else(|error| panic!("{error}"))
            .needs_restart
    }

    async fn ask(&self, model: &str) -> Got {
        send(post(
            self.relay.uri("/v1/chat/completions"),
            &chat(model, &json!({})),
        ))
        .await
    }

    async fn status(&self) -> Value {
        get(format!("{}/status", self.admin)).await.json()
    }

    async fn act(&self, path: &str, with: &Value) -> Got {
        let mut request = post(format!("{}/admin/{path}", self.admin), with);
        let token = format!("Bearer {TOKEN}").parse().unwrap();
        request.headers_mut().insert("authorization", token);
        send(request).await
    }

    /// What a change was from and to.
    async fn change(&self, path: &str, with: &Value) -> (Value, Value) {
        let got = self.act(path, with).await;
        assert_eq!(got.status, StatusCode::OK, "{}", got.text);
        let answer = got.json();
        (answer["old"].clone(), answer["new"].clone())
    }

    pub(crate) fn ctl(&self, arguments: &[&str], token: &str) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
            .arg("ctl")
            .args(arguments)
            .env("RELAY_ADMIN", &self.admin)
            .env("RELAY_ADMIN_TOKEN", token)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

async fn config(more: &str) -> String {
    let (old, new) = (demo().await.0, demo().await.0);
    format!(
        "[admin]\nname = \"eu-1\"\ntokens = {{ ops = {{ env = \"ADMIN_TOKEN\" }} }}\n[alerts]\n\
         [catalog.own.models.\"demo-small\".prices]\ninput = \"0.40\"\noutput = \"1.60\"\n{more}\n\
         [models]\naliases = {{ \"fast\" = \"demo-small\" }}\n\
         [[routes]]\nname = \"moving\"\nmodels = [\"demo-small\"]\nsplit = {{ targets = [\"old\", \"new\"] }}\n\
         rollout = {{ stages = [[50, 50], [0, 100]] }}\n\
         [[upstreams]]\nname = \"old\"\nbase_url = \"http://{old}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         models = [\"demo-small\"]\ncircuit_breaker = {{}}\n\
         [[upstreams]]\nname = \"new\"\nbase_url = \"http://{new}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         models = [\"demo-small\"]\ncircuit_breaker = {{}}\n"
    )
}

#[tokio::test]
async fn a_status_shows_what_was_spent_and_what_there_is_to_steer() {
    let watched = Watched::start(&config("").await).await;
    for _ in 0..3 {
        assert_eq!(watched.ask("fast").await.status, StatusCode::OK);
    }
    let status = watched.status().await;
    assert_eq!(status["replica"]["name"], "eu-1");
    let today = &status["spend"]["today"];
    assert_eq!(today["requests"], 3);
    assert_ne!(today["cost_usd"], "0");
    assert_eq!(status["spend"]["models"][0]["name"], "demo-small");
    assert_eq!(status["spend"]["savings"][0]["baseline"], "demo-small");
    let controls = status["controls"].as_object().unwrap();
    let kinds: Vec<_> = controls.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        [
            "alerts", "breakers", "models", "prices", "rollouts", "splits"
        ]
    );
    assert_eq!(controls["breakers"]["old"]["state"], "closed");
    assert_eq!(controls["rollouts"]["moving"]["state"], "active");
    let page = get(format!("{}/dashboard", watched.admin)).await;
    assert!(page.text.starts_with("<!doctype html>"));
    let listed = get(watched.relay.uri("/v1/models")).await.json();
    let fast = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["id"] == "fast");
    assert!(fast.unwrap()["latency_p95_ms"].is_u64(), "{listed}");
    let elsewhere = get(format!("{}/v1/models", watched.admin)).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_changed_holds_for_the_next_request() {
    let more = "[[budgets]]\nname = \"team\"\nby = \"global\"\nper = \"day\"\nhard = \"5\"\n\
                [rate_limit]\nlimits = [{ requests = 100, per = \"1h\" }]\n[admission]\n";
    let watched = Watched::start(&config(more).await).await;
    let served = async || {
        let got = watched.ask("fast").await;
        got.headers["x-relay-upstream"].to_str().unwrap().to_owned()
    };

    let (old, new) = watched.change("rollouts/moving/rollback", &json!({})).await;
    assert_eq!(
        (&old["state"], &new["state"]),
        (&json!("active"), &json!("rolled_back"))
    );
    for _ in 0..8 {
        assert_eq!(served().await, "old");
    }
    watched
        .change("rollouts/moving/force", &json!({"target": "new"}))
        .await;
    assert_eq!(served().await, "new");
    watched
        .change("rollouts/moving/force", &json!({"target": null}))
        .await;
    assert_eq!(served().await, "old");
    let (_, resumed) = watched.change("rollouts/moving/resume", &json!({})).await;
    assert_eq!(resumed["weights"], json!([50, 50]));

    let (old, new) = watched.change("breakers/new/open", &json!({})).await;
    assert_eq!((old, new), (json!("closed"), json!("forced_open")));
    for _ in 0..8 {
        assert_eq!(served().await, "old");
    }
    watched.change("breakers/new/reset", &json!({})).await;

    let quick = json!({"name": "quick", "target": "demo-small"});
    assert_eq!(
        watched.change("models/gateway/alias", &quick).await.0,
        Value::Null
    );
    let listed = get(watched.relay.uri("/v1/models")).await.text;
    assert!(listed.contains("\"quick\""), "{listed}");
    assert_eq!(watched.ask("quick").await.status, StatusCode::OK);

    let (old, _) = watched
        .change("budgets/team/limits", &json!({"hard": "0.000001"}))
        .await;
    assert_eq!(old["hard"], "5");
    assert_eq!(
        watched.ask("fast").await.failure(),
        (429, "budget_exceeded".to_owned())
    );
    watched
        .change("budgets/team/limits", &json!({"hard": "5"}))
        .await;
    assert_eq!(watched.ask("fast").await.status, StatusCode::OK);
    let (old, new) = watched
        .change("budgets/team/reset", &json!({"key": "global"}))
        .await;
    assert_ne!(old, new);

    let one = json!({"limits": [{"requests": 1, "per": "1h"}]});
    watched.change("limits/callers/quota", &one).await;
    assert_eq!(
        watched.ask("fast").await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    let (old, new) = watched
        .change("limits/callers/reset", &json!({"key": "api_key:missing"}))
        .await;
    assert!(
        old[0]["used"].as_u64() > new[0]["used"].as_u64(),
        "{old} {new}"
    );
    assert_eq!(watched.ask("fast").await.status, StatusCode::OK);

    let refused = watched.status().await["refusals"].clone();
    let reasons: Vec<_> = refused["recent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["reason"])
        .collect();
    assert_eq!(reasons, ["rate_limited", "budget_exceeded"]);
    let changes = watched.status().await["changes"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 12);
    assert_eq!(changes[0]["who"], "ops");

    for (path, with, status, reason) in [
        (
            "splits/moving/weights",
            json!({"weights": [0, 0]}),
            400,
            "weights",
        ),
        (
            "splits/moving/weights",
            json!({"weights": [1]}),
            400,
            "weights",
        ),
        (
            "splits/moving/weights",
            json!({"weights": [0, 1]}),
            409,
            "the rollout of this split sets",
        ),
        (
            "splits/moving/force",
            json!({"target": "old"}),
            409,
            "force the rollout instead",
        ),
        (
            "splits/moving/force",
            json!({}),
            400,
            "missing field `target`",
        ),
        (
            "rollouts/moving/force",
            json!({"target": "newer"}),
            400,
            "known are old, new",
        ),
        (
            "budgets/team/limits",
            json!({"hard": "1", "soft": "2"}),
            400,
            "soft",
        ),
        (
            "limits/callers/reset",
            json!({"key": "sk-secret"}),
            400,
            "is no key",
        ),
        (
            "limits/callers/quota",
            json!({"limits": null}),
            400,
            "limits",
        ),
        (
            "budgets/teams/reset",
            json!({"key": "global"}),
            404,
            "but team",
        ),
    ] {
        let got = watched.act(path, &with).await;
        assert_eq!(got.status.as_u16(), status, "{path} {with}: {}", got.text);
        let message = got.json()["error"]["message"].to_string();
        assert!(message.contains(reason), "{path} {with}: {message}");
    }
}

#[tokio::test]
async fn keys_of_tenants_are_given_and_taken_and_refusals_say_who_asked() {
    let more = "[[tenants]]\nname = \"acme\"\nmodels = [\"fast\"]\nkeys = []\n";
    let watched = Watched::start(&config(more).await).await;
    let ask = async |model: &str| {
        let mut request = post(
            watched.relay.uri("/v1/chat/completions"),
            &chat(model, &json!({})),
        );
        let key = "Bearer acme-key".parse().unwrap();
        request.headers_mut().insert("authorization", key);
        send(request).await.status.as_u16()
    };
    assert_eq!(ask("fast").await, 401);
    let hash = tower_relay::server::tenants::KeyHash::of("acme-key").to_string();
    let key = json!({"id": "2026", "sha256": hash});
    let (old, new) = watched.change("tenants/acme/set_key", &key).await;
    assert_eq!((old, &new["id"]), (Value::Null, &json!("2026")));
    assert!(!new.to_string().contains(&hash));
    assert_eq!((ask("fast").await, ask("other").await), (200, 404));
    watched
        .change("tenants/acme/revoke_key", &json!({"id": "2026"}))
        .await;
    assert_eq!(ask("fast").await, 401);
    let gone = watched
        .act("tenants/acme/revoke_key", &json!({"id": "2025"}))
        .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);

    let recent = watched.status().await["refusals"]["recent"].clone();
    let said: Vec<_> = recent
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["status"], &one["caller"]))
        .collect();
    assert_eq!(said[1], (&json!(404), &json!("key:acme/2026")));
    assert_eq!(said[0], (&json!(401), &Value::Null));
    let spent = watched.status().await["spend"]["tenants"][0]["name"].clone();
    assert_eq!(spent, "acme");
}

#[tokio::test]
async fn prices_are_read_again_from_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.toml");
    let write = |price: &str| {
        let text =
            format!("[models.\"demo-small\".prices]\ninput = \"{price}\"\noutput = \"{price}\"\n");
        std::fs::write(&file, text).unwrap();
    };
    write("1");
    let more = format!("catalog.files = [{file:?}]\n");
    let config = config("").await.replace(
        "[catalog.own.models.\"demo-small\".prices]\ninput = \"0.40\"\noutput = \"1.60\"\n",
        "",
    );
    let watched = Watched::start(&format!("{more}{config}")).await;
    let spent = async || {
        watched.ask("fast").await;
        let status = watched.status().await;
        status["spend"]["total"]["cost_usd"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    let first = spent().await;
    write("1000");
    watched.change("prices/catalog/reload", &json!({})).await;
    assert!(spent().await > 500.0 * first);
    std::fs::write(&file, "broken = [").unwrap();
    let got = watched.act("prices/catalog/reload", &json!({})).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST, "{}", got.text);
    assert!(spent().await > 1000.0 * first, "the old ones hold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_steers_it_and_says_what_came_of_it_in_its_exit_code() {
    let watched = Watched::start(&config("").await).await;
    watched.ask("fast").await;
    let ctl = |arguments: &'static [&'static str], token: &'static str| {
        let watched = &watched;
        tokio::task::block_in_place(move || watched.ctl(arguments, token))
    };
    let (code, out, _) = ctl(&["status"], "");
    assert_eq!(code, Some(0));
    assert!(out.starts_with("eu-1  tower-relay "), "{out}");
    assert!(
        out.contains("rollout    moving           active, stage 1 of 2: old 50, new 50"),
        "{out}"
    );
    let (code, out, err) = ctl(&["rollback"], TOKEN);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.starts_with("rollouts moving: rollback\n  old  {"),
        "{out}"
    );
    assert_eq!(
        watched.status().await["controls"]["rollouts"]["moving"]["state"],
        "rolled_back"
    );
    let (code, _, _) = ctl(&["force-model", "new"], TOKEN);
    assert_eq!(code, Some(0));
    assert_eq!(
        watched.status().await["controls"]["rollouts"]["moving"]["forced"],
        "new"
    );
    assert_eq!(ctl(&["force-model", "--off"], TOKEN).0, Some(0));
    assert_eq!(ctl(&["do", "breakers", "old", "open"], TOKEN).0, Some(0));
    assert_eq!(
        watched.status().await["controls"]["breakers"]["old"]["state"],
        "forced_open"
    );

    let (code, _, err) = ctl(&["pause", "standing"], TOKEN);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("there is no \"standing\" among the rollouts, but moving"),
        "{err}"
    );
    let (code, _, err) = ctl(&["pause"], "wrong-token-wrong-token");
    assert_eq!(code, Some(1));
    assert!(
        err.contains("the token is not one of those set up") && !err.contains("wrong-token"),
        "{err}"
    );
    let (code, _, err) = ctl(&["pause", "--admin", "127.0.0.1:1"], TOKEN);
    assert_eq!(code, Some(2));
    assert!(err.contains("http://127.0.0.1:1"), "{err}");
    assert_eq!(ctl(&["fly"], TOKEN).0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_like_a_number_is_text_where_the_gateway_wants_text() {
    let more = "[[budgets]]\nname = \"team\"\nby = \"global\"\nper = \"day\"\nhard = \"5\"\n\
                [[tenants]]\nname = \"acme\"\nkeys = []\n[rate_limit]\n";
    let watched = Watched::start(&config(more).await).await;
    let ctl = |arguments: &[&str]| tokio::task::block_in_place(|| watched.ctl(arguments, TOKEN));
    let hash = tower_relay::server::tenants::KeyHash::of("acme-key");
    let hash = format!("sha256={hash}");
    let (code, out, err) = ctl(&["do", "tenants", "acme", "set_key", "id=1.10", &hash]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("\"id\":\"1.10\""), "{out}");
    let (code, out, err) = ctl(&["do", "budgets", "team", "limits", "hard=7", "soft=6.5"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(
        out.contains("\"hard\":\"7\"") && out.contains("\"soft\":\"6.5\""),
        "{out}"
    );
    // What is no number stays what it is, and so does a number where one is wanted.
    let (code, _, err) = ctl(&["do", "budgets", "team", "limits", "hard=[7]"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("`hard`"), "{err}");
    let (code, _, err) = ctl(&["do", "limits", "callers", "reset", "key=5"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("is no key"), "{err}");
}

#[tokio::test]
async fn it_is_ready_until_the_breakers_of_all_upstreams_are_open() {
    let watched = Watched::start(&config("").await).await;
    let health = async |path: &str| get(watched.relay.uri(path)).await.status.as_u16();
    assert_eq!(
        (health("/health").await, health("/health/ready").await),
        (200, 200)
    );
    watched.change("breakers/old/open", &json!({})).await;
    assert_eq!(health("/health/ready").await, 200);
    watched.change("breakers/new/open", &json!({})).await;
    assert_eq!(
        (health("/health/live").await, health("/health/ready").await),
        (200, 503)
    );
    watched.change("breakers/new/reset", &json!({})).await;
    assert_eq!(health("/health/ready").await, 200);
}

#[tokio::test]
async fn listeners_hear_of_changes_and_do_not_hold_up_the_end() {
    let mut watched = Watched::start(&config("").await).await;
    let request = Request::get(format!("{}/status/stream", watched.admin));
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let mut response = soon(caller().request(request)).await.unwrap();
    let mut seen = String::new();
    let mut is_paused = false;
    while !seen.contains(r#""state":"paused""#) {
        let frame = soon(response.body_mut().frame()).await.unwrap().unwrap();
        seen += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        if !std::mem::replace(&mut is_paused, true) {
            watched.change("rollouts/moving/pause", &json!({})).await;
        }
    }
    watched.relay.stop();
    let started = tokio::time::Instant::now();
    watched.relay.ended().await;
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_reload_is_shown_at_once_and_what_was_counted_goes_on() {
    let config = config("").await;
    let watched = Watched::start(&config).await;
    for _ in 0..3 {
        watched.ask("fast").await;
    }
    watched.change("breakers/new/open", &json!({})).await;
    let third = config.replace(
        "[models]",
        "[[budgets]]\nname = \"team\"\nper = \"day\"\nhard = \"1\"\n[models]",
    );
    assert!(watched.reload(&third.replace("eu-1", "eu-2")).is_empty());
    let status = watched.status().await;
    assert_eq!(status["replica"]["name"], "eu-2");
    assert_eq!(status["spend"]["total"]["requests"], 3);
    assert_eq!(
        status["controls"]["breakers"]["new"]["state"],
        "forced_open"
    );
    assert!(status["controls"]["budgets"]["team"].is_object());
    assert_eq!(status["changes"].as_array().unwrap().len(), 1);
    watched.change("breakers/new/reset", &json!({})).await;
    let steered = watched.change("rollouts/moving/rollback", &json!({})).await;
    assert_eq!(steered.1["state"], "rolled_back");
    assert_eq!(watched.ask("fast").await.headers["x-relay-upstream"], "old");

    // Another token, and then none of it.
    watched.reload(&config.replace("ADMIN_TOKEN", "OTHER_TOKEN"));
    let refused = watched.act("breakers/new/open", &json!({})).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let table =
        "[admin]\nname = \"eu-1\"\ntokens = { ops = { env = \"ADMIN_TOKEN\" } }\n[alerts]\n";
    assert_eq!(watched.reload(&config.replace(table, "")), ["admin.listen"]);
    assert_eq!(watched.status().await["controls"]["alerts"], Value::Null);
}

#[test]
fn what_cannot_work_names_its_field() {
    let upstream = "[[upstreams]]\nname = \"a\"\nbase_url = \"http://127.0.0.1:1\"\n";
    for (table, error) in [
        (
            "[admin]\ntoken_to_read = true\n",
            "test:2: admin.token_to_read: needs a token",
        ),
        (
            "[admin]\ntokens = { ops = { env = \"NOT_SET\" } }\n",
            "test:2: admin.tokens.ops.env: the environment variable NOT_SET is not set",
        ),
        (
            "[admin]\ntokens = { ops = { env = \"SHORT\" } }\n",
            "test:2: admin.tokens.ops.env: must be 16 or more",
        ),
        (
            "[admin]\ntokens = { ops = \"none\" }\n",
            "test:2: admin.tokens.ops.env: is missing",
        ),
        (
            "[alerts.rules]\nerror_rate = 5\n",
            "test:2: alerts.rules.error_rate: must be a share",
        ),
        (
            "[alerts]\nevery = \"0s\"\n",
            "test:2: alerts.every: must be at least",
        ),
        (
            "[alerts.webhook]\nurl = { env = \"SHORT\" }\n",
            "test:2: alerts.webhook.url: must be a URL",
        ),
    ] {
        let env = |name: &str| (name == "SHORT").then(|| "secret".to_owned());
        let config = Config::from_toml(&format!("{table}{upstream}"), "test").unwrap();
        let said = config
            .build_with_env(&env)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(said.starts_with(error), "{said}");
        assert!(!said.contains("secret"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hedges_are_steered_and_scores_are_shown() {
    let (address, _) = demo().await;
    let config = format!(
        "[admin]\ntokens = {{ ops = {{ env = \"ADMIN_TOKEN\" }} }}\n[feedback]\n\
         [[routes]]\nname = \"quick\"\nhedge = {{ targets = [\"a\", \"b\"] }}\n\
         [[upstreams]]\nname = \"a\"\nbase_url = \"http://{address}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n\
         [[upstreams]]\nname = \"b\"\nbase_url = \"http://{address}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n"
    );
    let watched = Watched::start(&config).await;
    let got = watched.ask("demo-small").await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text);
    let id = got.headers["x-relay-request-id"].to_str().unwrap();
    let score = json!({"request_id": id, "score": 0.25});
    let scored = send(post(watched.relay.uri("/v1/feedback"), &score)).await;
    assert_eq!(scored.status, StatusCode::OK, "{}", scored.text);

    let delay = json!({"delay": "1s"});
    let change = watched.change("hedges/quick/delay", &delay).await;
    assert_eq!(change, (Value::Null, json!(1.0)));
    let (code, _, said) = watched.ctl(&["do", "hedges", "quick", "disable"], TOKEN);
    assert_eq!(code, Some(0), "{said}");
    let (code, shown, _) = watched.ctl(&["show", "hedges"], TOKEN);
    assert_eq!(code, Some(0));
    assert!(shown.contains("under_way"), "{shown}");
    let controls = watched.status().await["controls"].clone();
    let hedge = &controls["hedges"]["quick"];
    assert_eq!(hedge["enabled"], false);
    assert_eq!(hedge["hedged"], 0);
    let a = &controls["feedback"]["answers"]["upstreams"]["a"];
    assert_eq!((&a["scores"], &a["mean"]), (&json!(1), &json!(0.25)));
    let none = watched.act("feedback/answers/purge", &json!({})).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.text.contains("but nothing"), "{}", none.text);
}

#[tokio::test]
async fn the_share_that_is_copied_is_set_as_requests_flow() {
    let (old, new) = (demo().await.0, demo().await.0);
    let upstream = |name: &str, address| {
        format!(
            "[[upstreams]]\nname = {name:?}\nbase_url = \"http://{address}/v1\"\ncredential = {{ env = \"DEMO_KEY\" }}\n"
        )
    };
    let config = format!(
        "[admin]\ntokens = {{ ops = {{ env = \"ADMIN_TOKEN\" }} }}\n[shadow]\ntarget = \"new\"\npercent = 0\n{}{}",
        upstream("old", old),
        upstream("new", new),
    );
    let watched = Watched::start(&config).await;
    let sent = || watched.relay.handles.shadow().unwrap().sent();
    watched.ask("demo-small").await;
    assert_eq!(sent(), 0);
    let change = watched
        .change("shadows/copies/percent", &json!({"percent": 100}))
        .await;
    assert_eq!(change, (json!(0), json!(100)));
    watched.ask("demo-small").await;
    assert_eq!(sent(), 1);
    for (with, reason) in [
        (json!({"percent": 101}), "percent: must be at most 100"),
        (json!({"percent": 0.5}), "0.5"),
        (json!({}), "percent"),
    ] {
        let refused = watched.act("shadows/copies/percent", &with).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
        assert!(refused.text.contains(reason), "{}", refused.text);
    }
    let shown = watched.relay.handles.controls().show();
    assert_eq!(shown["shadows"]["copies"]["percent"], 100);
}

#[tokio::test]
async fn copies_are_spend_of_no_tenant() {
    let hash = tower_relay::server::tenants::KeyHash::of("sk-acme");
    let more = format!(
        "[[tenants]]\nname = \"acme\"\nkeys = [{{ id = \"one\", sha256 = \"{hash}\" }}]\n\
         [shadow]\ntarget = \"new\"\npercent = 100\n"
    );
    let watched = Watched::start(&config(&more).await).await;
    for _ in 0..3 {
        let request = post(
            watched.relay.uri("/v1/chat/completions"),
            &chat("fast", &json!({})),
        );
        let got = send(crate::harness::with_key(request, "sk-acme")).await;
        assert_eq!(got.status, 200, "{}", got.text);
    }
    let copied = async {
        loop {
            let spend = watched.status().await["spend"].clone();
            if spend["copies"]["requests"] == 3 {
                return spend;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let spend = soon(copied).await;
    assert_ne!(spend["copies"]["cost_usd"], "0");
    assert_eq!(spend["total"]["requests"], 3);
    let tenants = spend["tenants"].as_array().unwrap();
    assert_eq!((tenants.len(), &tenants[0]["name"]), (1, &json!("acme")));
    assert_eq!(tenants[0]["cost_usd"], spend["total"]["cost_usd"]);
}

#[tokio::test]
async fn the_limits_of_tenants_are_changed_by_key_alone_and_show_none_for_all() {
    let hash = |key: &str| tower_relay::server::tenants::KeyHash::of(key).to_string();
    let more = format!(
        "[[tenants]]\nname = \"acme\"\nkeys = [{{ id = \"one\", sha256 = \"{}\" }}]\n\
         limits = [{{ requests = 100, per = \"1h\" }}]\nadmission = {{ max_in_flight = 5 }}\n\
         each_key = {{ limits = [{{ requests = 90, per = \"1h\" }}], admission = {{ max_in_flight = 4 }} }}\n\
         [[tenants]]\nname = \"free\"\nkeys = [{{ id = \"one\", sha256 = \"{}\" }}]\n",
        hash("sk-acme"),
        hash("sk-free")
    );
    let watched = Watched::start(&config(&more).await).await;
    let ask = async || {
        let request = post(
            watched.relay.uri("/v1/chat/completions"),
            &chat("fast", &json!({})),
        );
        let got = send(crate::harness::with_key(request, "sk-acme")).await;
        got.status.as_u16()
    };
    let one = |key: Value| json!({"key": key, "limits": [{"requests": 1, "per": "1h"}]});
    let none = |key: Value| json!({"key": key, "max_in_flight": 0, "max_pending": 0});
    for level in ["tenant", "key"] {
        for (key, reason) in [
            (Value::Null, "is needed"),
            (json!("tenant:free"), "tenant:free is not counted here"),
            (json!("key:free/one"), "key:free/one is not counted here"),
        ] {
            for (path, with) in [
                (format!("limits/{level}/quota"), one(key.clone())),
                (format!("admissions/{level}/limits"), none(key.clone())),
            ] {
                let got = watched.act(&path, &with).await;
                assert_eq!(got.status, StatusCode::BAD_REQUEST, "{path} {with}");
                assert!(got.text.contains(reason), "{path} {with}: {}", got.text);
            }
        }
        let controls = watched.status().await["controls"].clone();
        assert_eq!(controls["limits"][level]["limits"], json!([]));
        let max = &controls["admissions"][level]["max_in_flight"];
        assert_eq!(max, &Value::Null);
    }
    assert_eq!(ask().await, 200);
    for (level, key, requests) in [
        ("tenant", "tenant:acme", "100"),
        ("key", "key:acme/one", "90"),
    ] {
        let quota = format!("limits/{level}/quota");
        let (old, _) = watched.change(&quota, &one(json!(key))).await;
        assert!(old[0].as_str().unwrap().starts_with(requests), "{old}");
        assert_eq!(ask().await, 429, "{level}");
        let before = json!({"key": key, "limits": null});
        watched.change(&quota, &before).await;
        assert_eq!(ask().await, 200, "{level}");
        let limits = format!("admissions/{level}/limits");
        watched.change(&limits, &none(json!(key))).await;
        assert_eq!(ask().await, 503, "{level}");
        let some = json!({"key": key, "max_in_flight": 3});
        watched.change(&limits, &some).await;
        assert_eq!(ask().await, 200, "{level}");
    }
}
