//! Answers that are given again, and what they cost then.

use std::path::Path;

use serde_json::{Value, json};
use tower_relay::{cache::Purge, gateway::Config, ledger::read_files, message::catalog::Cost};

use crate::{
    harness::{Got, Relay, chat, demo, post, send},
    redis_server::Server,
};

const PRICES: &str = "[models.demo-small.prices]\ninput = \"2.00\"\noutput = \"8.00\"\n";

async fn relay(folder: &Path, more: &str) -> Relay {
    let (address, _) = demo().await;
    let (prices, audit) = (folder.join("prices.toml"), folder.join("audit.jsonl"));
    std::fs::write(&prices, PRICES).unwrap();
    Relay::start(&format!(
        "[catalog]\nfiles = [\"{}\"]\n[audit]\npath = \"{}\"\n{more}\
         [[upstreams]]\nname = \"demo\"\nbase_url = \"http://{address}/v1\"\n\
         credential = {{ env = \"DEMO_KEY\" }}\n",
        prices.display(),
        audit.display()
    ))
    .await
}

async fn ask(relay: &Relay, key: &str, body: &Value) -> Got {
    let mut request = post(relay.uri("/v1/chat/completions"), body);
    let key = format!("Bearer {key}").parse().unwrap();
    request.headers_mut().insert("authorization", key);
    send(request).await
}

#[tokio::test]
async fn a_hit_is_the_same_answer_and_costs_nothing_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let more = "[cache]\n[rate_limit]\nlimits = [{ requests = 100, per = \"1m\" }]\n\
                [[budgets]]\nname = \"all\"\nby = \"global\"\nper = \"total\"\nhard = \"1\"\nsoft = \"0\"\n";
    let mut relay = relay(folder.path(), more).await;
    for stream in [false, true] {
        let body = chat("demo-small", &json!({"temperature": 0, "stream": stream}));
        let first = ask(&relay, "one", &body).await;
        assert_eq!(
            (first.status.as_u16(), &first.headers["x-relay-cache"]),
            (200, &"miss".parse().unwrap())
        );
        let spent = first.headers.get("x-relay-budget-warning").cloned();
        let again = ask(&relay, "one", &body).await;
        assert_eq!(again.headers["x-relay-cache"], "hit", "{stream}");
        assert_eq!(again.text, first.text);
        let saved = again.headers["x-relay-cache-saved-usd"].to_str().unwrap();
        assert!(Cost::parse_usd(saved).unwrap() > Cost::ZERO);
        let third = ask(&relay, "one", &body).await;
        if let (Some(_), Some(after)) = (spent, third.headers.get("x-relay-budget-warning")) {
            assert_eq!(
                again.headers["x-relay-budget-warning"], after,
                "a hit was charged"
            );
        }
        assert_eq!(
            ask(&relay, "two", &body).await.headers["x-relay-cache"],
            "miss"
        );
    }
    let cache = relay.handles.cache().unwrap();
    let counts = cache.counts();
    assert_eq!((counts.hits, counts.misses, counts.kept), (4, 4, 4));
    cache.purge(Purge::Model("demo-small".into())).await;
    let body = chat("demo-small", &json!({"temperature": 0}));
    assert_eq!(
        ask(&relay, "one", &body).await.headers["x-relay-cache"],
        "miss"
    );
    relay.stop();
    relay.ended().await;

    let records = read_files([folder.path().join("audit.jsonl")]);
    assert_eq!(records.map(Result::unwrap).count(), 5);
}

#[tokio::test]
async fn two_tenants_never_see_each_others_answers_and_all_keys_of_one_do() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |key: &str| tower_relay::server::tenants::KeyHash::of(key).to_string();
    let tenants = format!(
        "[cache]\nrequests = \"all\"\n\
         [[tenants]]\nname = \"red\"\nkeys = [{{ id = \"a\", sha256 = {:?} }}, {{ id = \"b\", sha256 = {:?} }}]\n\
         [[tenants]]\nname = \"blue\"\nkeys = [{{ id = \"a\", sha256 = {:?} }}]\n",
        hash("red-a"),
        hash("red-b"),
        hash("blue-a")
    );
    let relay = relay(folder.path(), &tenants).await;
    let body = chat("demo-small", &json!({}));
    for (key, status) in [
        ("red-a", "miss"),
        ("red-b", "hit"),
        ("blue-a", "miss"),
        ("red-a", "hit"),
    ] {
        assert_eq!(
            ask(&relay, key, &body).await.headers["x-relay-cache"],
            status,
            "{key}"
        );
    }
    assert_eq!(ask(&relay, "nobody", &body).await.status, 401);
}

/// A relay with two upstreams of a model each, a route for `demo-small`, and `more`.
async fn routed(route: &str, more: &str) -> String {
    let (address, _) = demo().await;
    let upstream = |name: &str, model: &str| {
        format!(
            "[[upstreams]]\nname = {name:?}\nbase_url = \"http://{address}/v1\"\n\
             credential = {{ env = \"DEMO_KEY\" }}\nmodels = [{model:?}]\n"
        )
    };
    let (one, two) = (upstream("one", "demo-small"), upstream("two", "demo-large"));
    format!(
        "{more}\n[[routes]]\nname = \"small\"\nfallback = {{ targets = [\"one\", \"two\"] }}\n{route}\n{one}{two}"
    )
}

/// What the cache does with the second of two equal requests for a model.
async fn second(relay: &Relay, model: &str, more: &Value) -> Option<String> {
    let body = chat(model, more);
    let (_, again) = (ask(relay, "k", &body).await, ask(relay, "k", &body).await);
    assert_eq!(again.status, 200, "{}", again.text);
    let header = again.headers.get("x-relay-cache")?;
    Some(header.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_route_has_its_own_cache_or_none() {
    let cold = json!({"temperature": 0});
    let warm = json!({"temperature": 1});
    let hit = Some("hit".to_owned());
    // Of a route without a word of its own, with none, with its own, and with its own where there is no other.
    for (cache, route, [small, small_warm, large]) in [
        ("[cache]", "", [&hit, &None, &hit]),
        ("[cache]", "cache = false", [&None, &None, &hit]),
        (
            "[cache]",
            "cache = { requests = \"all\" }",
            [&hit, &hit, &hit],
        ),
        ("", "cache = { requests = \"all\" }", [&hit, &hit, &None]),
        ("", "cache = false", [&None, &None, &None]),
    ] {
        let relay = Relay::start(&routed(route, cache).await).await;
        let case = format!("{cache} {route}");
        assert_eq!(&second(&relay, "demo-small", &cold).await, small, "{case}");
        assert_eq!(
            &second(&relay, "demo-small", &warm).await,
            small_warm,
            "{case}"
        );
        assert_eq!(&second(&relay, "demo-large", &cold).await, large, "{case}");
        let own = relay.handles.cache_of("small");
        assert_eq!(own.is_some(), route.contains("all"), "{case}");
        let shown = relay.handles.controls().show();
        let names = shown
            .get("caches")
            .map(|caches| caches.as_object().unwrap());
        let has = |name| names.is_some_and(|names| names.contains_key(name));
        assert_eq!(has("answers"), cache == "[cache]", "{case}");
        assert_eq!(has("route small"), own.is_some(), "{case}");
        if let Some(own) = own {
            // The one is not purged with the other.
            assert_eq!(own.counts().hits, 2);
            own.purge(Purge::All).await;
            let again = ask(&relay, "k", &chat("demo-large", &cold)).await;
            let kept = again
                .headers
                .get("x-relay-cache")
                .is_some_and(|from| from == "hit");
            assert_eq!(kept, cache == "[cache]", "{case}");
            let again = ask(&relay, "k", &chat("demo-small", &cold)).await;
            assert_eq!(again.headers["x-relay-cache"], "miss", "{case}");
        }
    }
}

#[tokio::test]
async fn replicas_share_the_answers_of_a_route_apart_from_those_of_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let cold = json!({"temperature": 0});
    let shared = "store = \"redis\"\nstore_timeout = \"20s\"";
    let all = format!(
        "[store.redis]\nurl = {:?}\ntimeout = \"20s\"\n[cache]\n{shared}",
        server.url()
    );
    let config = routed(&format!("[routes.cache]\n{shared}"), &all).await;
    let from = async |relay: &Relay, model: &str| {
        let got = ask(relay, "k", &chat(model, &cold)).await;
        got.headers["x-relay-cache"].to_str().unwrap().to_owned()
    };
    let mut first = Relay::start(&config).await;
    for model in ["demo-small", "demo-large"] {
        assert_eq!(from(&first, model).await, "miss");
    }
    first.stop();
    first.ended().await;
    let second = Relay::start(&config).await;
    second.handles.cache().unwrap().purge(Purge::All).await;
    assert_eq!(from(&second, "demo-small").await, "hit");
    assert_eq!(from(&second, "demo-large").await, "miss");
}

#[tokio::test]
async fn a_reload_keeps_the_answers_of_caches_that_stay_as_they_are() {
    let cold = json!({"temperature": 0});
    let from = async |relay: &Relay, model: &str| {
        let got = ask(relay, "k", &chat(model, &cold)).await;
        let from = got.headers.get("x-relay-cache");
        from.map(|from| from.to_str().unwrap().to_owned())
    };
    let [miss, hit] = ["miss", "hit"].map(|from| Some(from.to_owned()));
    let first = routed("cache = { ttl = \"10m\" }", "[cache]").await;
    for (old, new, small, large) in [
        ("[cache]", "[cache]\n[admission]", &hit, &hit),
        ("\"10m\"", "\"20m\"", &miss, &hit),
        ("[cache]", "[cache]\ntool_calls = true", &hit, &miss),
        ("cache = { ttl = \"10m\" }", "cache = false", &None, &hit),
    ] {
        let relay = Relay::start(&first).await;
        for model in ["demo-small", "demo-large"] {
            assert_eq!(from(&relay, model).await, miss);
        }
        relay.reload(&first.replacen(old, new, 1)).unwrap();
        assert_eq!(&from(&relay, "demo-small").await, small, "{new}");
        assert_eq!(&from(&relay, "demo-large").await, large, "{new}");
    }
}

#[tokio::test]
async fn what_a_route_cannot_have_for_a_cache_is_said_where_it_stands() {
    for (route, reason) in [
        ("cache = true", "false, or a table such as [cache] is"),
        (
            "cache = { ttl = \"0s\" }",
            "routes.0.cache.ttl: must be more than zero",
        ),
        (
            "cache = { store = \"redis\" }",
            "routes.0.cache.store: there is no Redis",
        ),
        ("cache = { size = 1 }", "size"),
    ] {
        let config = routed(route, "").await;
        let built = Config::from_toml(&config, "relay.toml").and_then(|config| {
            let env = |name: &str| (name == "DEMO_KEY").then(|| "demo-key".to_owned());
            config.build_with_env(&env).map(drop)
        });
        let error = built.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
