use std::{env, fs, process};

use super::*;
use crate::message::catalog::ModelTable;

/// What is wrong with `text`, as an operator sees it.
fn error(text: &str) -> String {
    let set = |name: &str| (name == "SET").then(|| "wrong-key".to_owned());
    let config = Config::from_toml(text, "relay.toml");
    match config.and_then(|config| config.build_with_env(&set).map(drop)) {
        Ok(()) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_wrong_configuration_says_file_line_field_and_reason() {
    const UPSTREAM: &str = "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\n";
    for (text, expected) in [
        ("", "relay.toml:1: upstreams: there must be at least one"),
        (
            "listen = \"0.0.0.0\"",
            "relay.toml:1: listen: invalid socket address syntax",
        ),
        (
            "\nlisten = \"0.0.0.0:1",
            "relay.toml:2: invalid basic string, expected `\"`",
        ),
        (
            "[server]\nport = 80",
            "relay.toml:2: server.port: unknown field `port`, expected one of `header_timeout`, \
          `idle_timeout`, `shutdown_timeout`, `max_connections`, `http2`, `access_log`, `headers`, `cors`",
        ),
        (
            "[server]\nidle_timeout = 30",
            "relay.toml:2: server.idle_timeout: invalid type: integer `30`, expected a span of \
          time with its unit, such as \"250ms\", \"30s\" or \"1h30m\"",
        ),
        (
            "[edge]\nmax_body = \"2GiB\"\n[[upstreams]]\nname = \"a\"",
            "relay.toml:1: edge.max_held: is smaller than the \
          largest single body that is allowed",
        ),
        (
            "[models.aliases]\n\"a\" = \"b\"\n\"a*b*\" = \"c\"",
            "relay.toml:3: models.aliases.a*b*: \"a*b*\" has more than one \"*\"",
        ),
        (
            "[models]\nunknown = { default = \" \" }",
            "relay.toml:2: models.unknown.default: must name a model",
        ),
        (
            "[[models.rules]]\nmodels = [\"a\"]\ndrop = [\"b\"]\n[[models.rules]]\nmodels = [\"*\"]\nrename = { a = \"a\" }",
            "relay.toml:6: models.rules.1.rename: \"a\" is renamed itself",
        ),
        (
            "[[models.rules]]\nmodel = [\"a\"]",
            "relay.toml:2: models.rules.0.model: unknown field `model`, expected one of `models`, `endpoints`, \
          `rename`, `reject`, `drop`, `set`, `default`, `max_output_tokens`",
        ),
        (
            "[[models.rules]]\nmodels = [\"a\"]\nset = { temperature = nan }",
            "relay.toml:3: models.rules.0.set.temperature: JSON has no number NaN",
        ),
        (
            "[models.checks]\nwindow = \"on\"",
            "relay.toml:2: models.checks.window: unknown variant `on`, expected one of `off`, `prompt`, \
          `prompt_and_output`",
        ),
        (
            "[catalog]\nfiles = [\"/nowhere/models.toml\"]",
            "relay.toml:2: catalog.files: /nowhere/models.toml: No such file or directory (os error 2)",
        ),
        (
            "[[upstreams]]\nbase_url = \"http://a.test\"",
            "relay.toml:1: upstreams.0.name: must not be empty",
        ),
        (
            "[[upstreams]]\nname = \"a\"",
            "relay.toml:1: upstreams.0.base_url: is missing: where is the upstream?",
        ),
        (
            "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\nmodels = []",
            "relay.toml:4: upstreams.0.models: names none: without it all are served",
        ),
        (
            "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\nendpoints = []",
            "relay.toml:4: upstreams.0.endpoints: names none: without it all are served",
        ),
        (
            "[[upstreams]]\nname = \"a\"\nbase_url = \"a.test\"",
            "relay.toml:3: upstreams.0.base_url: must begin with http:// \
          or https:// and a host",
        ),
        (
            "[[upstreams]]\nname = \"a\"\ntemplate = \"http://a.test/{region}\"",
            "relay.toml:3: upstreams.0.template: unknown \
          placeholder {region}: there are {model} and {path}",
        ),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
    for (routes, expected) in [
        (
            "[[routes]]\nfallback = { targets = [\"a\", \"b\"] }",
            "7: routes.0.name: must not be empty",
        ),
        (
            "[[routes]]\nname = \"b\"",
            "8: routes.0.name: \"b\" is there twice: routes and upstreams have names of their own",
        ),
        (
            "[[routes]]\nname = \"x\"",
            "7: routes.0.fallback: is missing, and split, balance and hedge too: which targets does it have?",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = {}",
            "9: routes.0.fallback.targets: must be at least two",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"c\"] }",
            "9: routes.0.fallback.targets.1: there is no upstream or route \"c\", but a, b",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"a\"] }",
            "9: routes.0.fallback.targets.1: \"a\" is there twice",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"b\"], wait = \"31s\" }",
            "9: routes.0.fallback.wait: must be at most 30s",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"b\"] }\nsplit = { targets = [\"a\", \"b\"] }",
            "10: routes.0.split: cannot stand beside fallback: make one a route of its own, and a target of the other",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"b\"] }\nrollout = {}",
            "10: routes.0.rollout: has no split whose weights it could move",
        ),
        (
            "[[routes]]\nname = \"x\"\nsplit = { targets = [\"a\"] }",
            "9: routes.0.split.targets: must be at least two",
        ),
        (
            "[[routes]]\nname = \"x\"\nsplit = { targets = [\"a\", \"c\"] }",
            "9: routes.0.split.targets.1: there is no upstream or route \"c\", but a, b",
        ),
        (
            "[[routes]]\nname = \"x\"\nsplit = { targets = [\"a\", \"b\"], weights = [0, 0] }",
            "9: routes.0.split.weights: must not all be zero",
        ),
        (
            "[[routes]]\nname = \"x\"\nsplit = { targets = [\"a\", \"b\"] }\nrollout = { stages = [[1]] }",
            "10: routes.0.rollout.stages.0: must be 2, one for each target",
        ),
        (
            "[[routes]]\nname = \"x\"\nmodels = []\nfallback = { targets = [\"a\", \"b\"] }",
            "9: routes.0.models: names none: without it all are served",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"x\"] }",
            "9: routes.0.fallback.targets: goes in a circle: x → x",
        ),
        (
            "[[routes]]\nname = \"x\"\nfallback = { targets = [\"a\", \"y\"] }\n\
             [[routes]]\nname = \"y\"\nfallback = { targets = [\"b\", \"z\"] }\n\
             [[routes]]\nname = \"z\"\nfallback = { targets = [\"y\", \"a\"] }",
            "9: routes.0.fallback.targets: goes in a circle: x → y → z → y",
        ),
    ] {
        let other = "[[upstreams]]\nname = \"b\"\nbase_url = \"http://b.test\"\n";
        assert_eq!(
            error(&format!("{UPSTREAM}{other}{routes}")),
            format!("relay.toml:{expected}"),
            "{routes}"
        );
    }
    for (field, expected) in [
        (
            "template = \"http://a.test\"",
            "4: upstreams.0.template: stands beside a base_url: one of them is enough",
        ),
        (
            "endpoints = [\"chat\"]",
            "4: upstreams.0.endpoints.0: unknown variant `chat`, expected one of `chat_completions`, \
          `completions`, `embeddings`, `responses`, `messages`, `count_tokens`, `moderations`, `rerank`, `models`, `other`",
        ),
        (
            "models = [\"a\", \"b \"]",
            "4: upstreams.0.models: \"b \" is empty or has white space around it",
        ),
        (
            "credential = { env = \"UNSET\" }",
            "4: upstreams.0.credential.env: the environment variable UNSET is not set",
        ),
        (
            "required_prefix = \"sk-\"\ncredential = { env = \"SET\" }",
            "5: upstreams.0.credential.env: the environment \
          variable SET: the key does not begin with \"sk-\"",
        ),
        (
            "required_prefix = \"sk-\"",
            "4: upstreams.0.required_prefix: needs a key of the relay's own to look at",
        ),
        (
            "credential = { file = \"/nowhere/key\" }",
            "4: upstreams.0.credential.file: /nowhere/key: No such file or directory \
          (os error 2)",
        ),
        (
            "credential = { file = \"a\", env = \"SET\" }",
            "4: upstreams.0.credential: a credential has one source: env, file \
          or caller",
        ),
        (
            "credential = { key = \"b\" }",
            "4: upstreams.0.credential.key: unknown field `key`, expected one of `env`, `file`, \
          `caller`",
        ),
        (
            "style = \"basic\"",
            "4: upstreams.0.style: expected \"bearer\", \"x-api-key\", \"api-key\" or { header = \"NAME\", \
          prefix = \"TEXT\" }",
        ),
        (
            "checks = { window_margin_percent = 100 }",
            "4: upstreams.0.checks.window_margin_percent: must be at most 99",
        ),
        (
            "rules = [{ models = [\"a\"], set = { day = 2026-11-21 } }]",
            "4: upstreams.0.rules.0.set.day: JSON has no dates: write it as text",
        ),
        (
            "rules = [{ models = [\"a\"], drop = [\"model\"] }]",
            "4: upstreams.0.rules.0.drop: \"model\" is the business of the aliases",
        ),
        (
            "[upstreams.headers]\nhost = \"b\"",
            "5: upstreams.0.headers.host: is set by the client itself",
        ),
        (
            "[upstreams.client]\nconnections = 0",
            "5: upstreams.0.client.connections: must be between 1 and 64",
        ),
        (
            "[upstreams.client]\nca_file = \"Cargo.toml\"",
            "5: upstreams.0.client.ca_file: Cargo.toml: holds no certificate",
        ),
        (
            "[[upstreams]]\nname = \"a\"\nbase_url = \"http://b.test\"",
            "5: upstreams.1.name: \"a\" is there twice",
        ),
        (
            "[server.cors]\nenabled = true",
            "4: server.cors.origins: must name who may call, or \"*\"",
        ),
        (
            "[server.cors]\nenabled = true\norigins = [\"app.test\"]",
            "6: server.cors.origins: \"app.test\" is not an origin, \
          such as \"https://app.example.com\"",
        ),
    ] {
        assert_eq!(
            error(&format!("{UPSTREAM}{field}")),
            format!("relay.toml:{expected}"),
            "{field}"
        );
    }
}

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
fn a_file_that_cannot_be_read_is_named() {
    assert_eq!(
        Config::from_file("/nowhere/relay.toml")
            .unwrap_err()
            .to_string(),
        "/nowhere/relay.toml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_configuration_made_in_code_has_fields_without_lines() {
    let error = Config::default().build().unwrap_err();
    assert_eq!((error.file(), error.line()), (None, None));
    assert_eq!(error.to_string(), "upstreams: there must be at least one");
}

#[test]
fn routes_may_lie_within_routes_but_not_without_end() {
    let nested = |depth: usize| {
        let upstreams = ["a", "b"].map(|name| {
            format!("[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{name}.test\"\n")
        });
        // The outermost first: their order does not matter.
        let routes = (0..depth).rev().map(|level| {
            let within = level.checked_sub(1).map_or("a".to_owned(), |below| format!("r{below}"));
            format!("[[routes]]\nname = \"r{level}\"\nfallback = {{ targets = [\"{within}\", \"b\"] }}\n")
        });
        upstreams.into_iter().chain(routes).collect::<String>()
    };
    assert_eq!(error(&nested(8)), "none");
    assert_eq!(
        error(&nested(9)),
        "relay.toml:9: routes.0.fallback.targets: lies too deep: routes may lie within 8 others"
    );
}

/// The example, with every line in it that is an option and no sentence.
fn all_options(example: &str) -> String {
    let option = |line: &str| {
        let option = line.strip_prefix("# ")?;
        let is_option = option
            .split_once(" = ")
            .is_some_and(|(name, _)| !name.contains(' '));
        (is_option || option.starts_with('[')).then(|| option.to_owned())
    };
    example
        .lines()
        .map(|line| option(line).unwrap_or_else(|| line.to_owned()) + "\n")
        .collect()
}

#[test]
fn the_example_works_as_it_stands_and_with_every_option_in_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gateway.toml");
    let text = fs::read_to_string(path).unwrap();
    Config::from_toml(&text, path).unwrap().build().unwrap();

    let mut config = Config::from_toml(&all_options(&text), path).unwrap();
    assert_eq!(config.upstreams.len(), 5);
    for upstream in &mut config.upstreams {
        upstream.client.ca_file = None;
    }
    let key = |name: &str| match name {
        "GROQ_API_KEY" => Some("gsk_key".to_owned()),
        "RELAY_ADMIN_TOKEN" => Some("a-token-of-an-operator".to_owned()),
        "ALERT_WEBHOOK" => Some("http://127.0.0.1:1/alerts".to_owned()),
        "ALERT_AUTHORIZATION" => Some("Bearer of-a-webhook".to_owned()),
        _ if name.ends_with("_KEY") => Some("sk-ant-key".to_owned()),
        _ => None,
    };
    config.server.cors.enabled = false;
    config.audit = None;
    config.shadow = None;
    config.feedback = None;
    config.build_with_env(&key).unwrap();
}

#[test]
fn the_defaults_that_the_example_names_are_the_defaults() {
    let text = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/gateway.toml"
    ))
    .unwrap();
    let bare = "[store.redis]\nurl = \"redis://127.0.0.1:6379/\"\n[rate_limit]\n[admission]\nadaptive = {}\n[model_select]\nescalation = {}\n[cache]\n[shadow]\ntarget = \"azure\"\nfile = \"shadow.jsonl\"\n[feedback]\nfile = \"feedback.jsonl\"\n[[upstreams]]\nname = \"ollama\"\nlabel = \"Ollama on this machine\"\n\
                base_url = \"http://127.0.0.1:11434/v1\"\nmodels = [\"llama3.2\", \"qwen*\"]\n\
                endpoints = [\"chat_completions\", \"embeddings\"]\nclient = { ca_file = \"/etc/ssl/company.pem\" }\n\
                rate_limit = {}\nretry = {}\ncircuit_breaker = {}\ncommit_guard = {}\ntimeout = {}\ncost = {}\nnormalize = {}\n\
                [audit]\npath = \"audit.jsonl\"\n[telemetry.providers]\nazure = \"azure.ai.openai\"\n\
                [admin]\nname = \"eu-1\"\nhosts = [\"relay.internal\"]\nbaselines = [\"gpt-4.1\"]\n\
                tokens = { ops = { env = \"RELAY_ADMIN_TOKEN\" } }\n\
                [alerts.webhook]\nurl = { env = \"ALERT_WEBHOOK\" }\nauthorization = { env = \"ALERT_AUTHORIZATION\" }\n\
                [[routes]]\nname = \"steady\"\nlabel = \"OpenAI, and Azure when that fails\"\nmodels = [\"gpt-4.1\"]\n\
                endpoints = [\"chat_completions\"]\n\
                fallback = { targets = [\"openai\", \"azure\"], budget_percent = 100 }\n\
                [[routes]]\nname = \"moving\"\nsplit = { targets = [\"openai\", \"groq\"], weights = [90, 10] }\n\
                rollout = { file = \"rollout.json\" }\n\
                [[routes]]\nname = \"pool\"\nbalance = { targets = [\"openai\", \"azure\"] }\n\
                [[routes]]\nname = \"quick\"\nhedge = { targets = [\"pool\"] }";
    let mut named = Config::from_toml(&all_options(&text), "gateway.toml").unwrap();
    let mut default = Config::from_toml(bare, "gateway.toml").unwrap();
    named.upstreams.truncate(1);
    for config in [&mut named, &mut default] {
        config.source = None;
        config.catalog.own = ModelTable::default();
        config.budgets = Vec::new();
        config.models = None;
        config.tenant_state = None;
        config.tenants.clear();
        config.teams.clear();
        config.organisations.clear();
        config.upstreams[0].aliases = None;
        config.upstreams[0].rules = Vec::new();
        config.upstreams[0].headers = Headers::default();
    }
    let edge = "max_body_by_endpoint: {Embeddings: Size(67108864)}";
    let shown = format!("{named:?}").replace(edge, "max_body_by_endpoint: {}");
    assert_eq!(shown, format!("{default:?}"));
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
