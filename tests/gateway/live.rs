//! `--check --live`: whether upstreams answer, and have what the configuration names.

use std::{fs, process::Command};

use tower_relay::gateway::demo::Demo;

use crate::harness::{demo, embedded};

fn check(config: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tower-relay"))
        .args(["--check", "--live", "--config"])
        .arg(&path)
        .env("DEMO_KEY", "demo-key")
        .env("WRONG_KEY", "stale-key")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(
        !text.contains("demo-key") && !text.contains("stale-key"),
        "{text}"
    );
    (output.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_are_asked_for_their_models_and_what_is_missing_is_told() {
    let (address, _) = demo().await;
    let (keyed, _) = embedded(Demo::exact().key("demo-key")).await;
    let upstream = |name: &str, address, more: &str| {
        format!("[[upstreams]]\nname = \"{name}\"\nbase_url = \"http://{address}/v1\"\n{more}\n")
    };
    let good = upstream(
        "keyed",
        keyed,
        "credential = { env = \"DEMO_KEY\" }\nmodels = [\"demo-small\"]",
    );
    let open = upstream(
        "open",
        address,
        "credential = { env = \"DEMO_KEY\" }\naliases = { \"fast\" = \"demo-small\" }\nmodels = [\"fast\"]",
    );
    let (code, text) = check(&format!(
        "[models.aliases]\n\"quick\" = \"fast\"\n{good}{open}"
    ));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("ok      keyed") && text.contains("ok      open"),
        "{text}"
    );
    assert!(text.contains("demo-small"), "{text}");

    let wrong = upstream("wrong", keyed, "credential = { env = \"WRONG_KEY\" }");
    let nobody = upstream("nobody", ([127, 0, 0, 1], 1).into(), "models = [\"x\"]");
    let old = upstream(
        "old",
        address,
        "credential = { env = \"DEMO_KEY\" }\nmodels = [\"demo-old\"]",
    );
    let aliases = "[models.aliases]\n\"a\" = \"gone\"\n\"b\" = \"demo-old\"\n";
    let rest = upstream("rest", address, "credential = { env = \"DEMO_KEY\" }");
    let (code, text) = check(&format!("{aliases}{rest}{old}{wrong}{nobody}"));
    assert_eq!(code, 1, "{text}");
    for part in [
        "FAILED  wrong  rejects the key from the environment's WRONG_KEY",
        "FAILED  nobody  cannot be reached: ",
        "MISSING old has no model \"demo-old\", which it is to serve",
        "MISSING the alias \"a\" leads to \"gone\", which rest does not have",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("alias \"b\""), "it was told: {text}");

    let (code, text) = check("[[upstreams]]\nname = \"a\"\n");
    assert_eq!(code, 2, "{text}");
}
