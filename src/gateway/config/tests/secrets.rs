//! Keys and passwords, which nobody is shown.

use std::{env, process};

use super::*;

#[test]
fn a_key_that_stands_where_it_should_not_is_never_shown() {
    for field in [
        "credential = \"sk-secret\"",
        "credential = { env = \"sk-secret\" }",
        "credential = { key = \"sk-secret\" }",
        "credential = \"sk-secret",
        "[upstreams.headers]\nauthorization = \"Bearer sk-secret\"",
        "[upstreams.headers]\n\"x-token\" = \"sk-secret\\u0000\"",
        "base_url = \"https://user:sk-secret@a.test\"",
        "[upstreams.client]\nproxy = \"socks5://user:sk-secret@proxy.test\"",
        "[upstreams.client]\nproxy = \"http://user:sk-secret@pro xy.test\"",
    ] {
        let base = if field.starts_with("base_url") {
            ""
        } else {
            "base_url = \"http://a.test\"\n"
        };
        let text = format!("[[upstreams]]\nname = \"a\"\n{base}{field}");
        let shown = error(&text);
        assert!(
            shown.starts_with("relay.toml:") && !shown.contains("secret"),
            "{field}: {shown}"
        );
    }
}

#[test]
fn a_debugged_configuration_shows_no_secret() {
    let text = "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\n\
                headers = { x-token = \"secret\" }\nclient = { proxy = \"http://u:secret@p.test\" }";
    let mut config = Config::from_toml(text, "relay.toml").unwrap();
    config.source = None;
    let shown = format!("{config:?}");
    assert!(
        shown.contains("x-token") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn a_store_is_a_url_or_a_table_and_its_password_is_not_shown() {
    let upstream =
        "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\n[upstreams.rate_limit]\n";
    let read = |store: &str| Config::from_toml(&format!("{store}\n{upstream}"), "relay.toml");
    let text = "[store]\nredis = \"redis://u:secret@host:6380/2\"\n[rate_limit]";
    let mut config = read(text).unwrap();
    // The store's worker settles.
    assert_eq!(config.build().unwrap().take_workers().len(), 1);
    let redis = config.store.redis.clone().unwrap();
    assert_eq!(
        redis.describe(),
        "at host:6380/2, after 50ms without an answer a share of 1 in 1 by itself"
    );
    config.source = None;
    assert!(!format!("{config:?}").contains("secret"));

    let table = |inner: &str| read(&format!("[store.redis]\n{inner}"));
    let env = |name: &str| (name == "REDIS_URL").then(|| "redis://host".to_owned());
    let named = table("url = { env = \"REDIS_URL\" }\non_failure = \"fail_closed\"").unwrap();
    named.build_with_env(&env).unwrap();
    assert_eq!(
        named.build_with_env(&|_| None).unwrap_err().to_string(),
        "relay.toml:2: store.redis.url.env: the environment variable REDIS_URL is not set"
    );
    let wrong = table("").unwrap().build().unwrap_err().to_string();
    assert!(
        wrong.contains("store.redis.url: is not the URL of a server"),
        "{wrong}"
    );
    let wrong = table("url = \"redis://h\"\nreplicas = 0").unwrap().build();
    let wrong = wrong.unwrap_err().to_string();
    assert_eq!(
        wrong,
        "relay.toml:3: store.redis.replicas: must be more than zero"
    );
    assert!(table("urls = \"redis://h\"").is_err());
    assert!(table("url = 7").is_err());
}

#[test]
fn a_key_in_a_file_is_read_and_the_caller_may_bring_their_own() {
    let file = env::temp_dir().join(format!("relay-key-{}", process::id()));
    fs::write(&file, " sk-key\n").unwrap();
    let text = format!(
        "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\nrequired_prefix = \"sk-\"\n\
         credential = {{ file = {file:?} }}\n\
         [[upstreams]]\nname = \"b\"\nbase_url = \"http://b.test\"\ncredential = {{ caller = true }}\n\
         style = {{ header = \"x-token\", prefix = \"Token \" }}"
    );
    let mut gateway = Config::from_toml(&text, "relay.toml")
        .unwrap()
        .build()
        .unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(gateway.take_workers().len(), 1);
}
