//! What is said of a configuration that cannot work.

use super::*;

#[test]
fn a_wrong_configuration_says_file_line_field_and_reason() {
    const UPSTREAM: &str = "[[upstreams]]\nname = \"a\"\nbase_url = \"http://a.test\"\n";
    for (text, expected) in [
        ("", "relay.toml:1: upstreams: there must be at least one"),
        (
            "listen = \"0.0.0.0\"",
            "relay.toml:1: listen: invalid socket address syntax: write an address and a port, as in \"127.0.0.1:8080\"",
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
          largest single body that is allowed: raise it, or lower max_body",
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
            "relay.toml:2: models.rules.0.model: unknown field `model`: did you mean `models`?",
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
            "relay.toml:3: upstreams.0.base_url: begins neither with https:// nor http://: write \
          \"https://a.test\"",
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
