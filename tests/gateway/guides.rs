//! What the guides say to write into a configuration can be written there.

use tower_relay::gateway::Config;

/// The `toml` blocks of a page, one after another.
fn config(page: &str) -> String {
    let blocks = page.split("```toml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_configurations_of_the_guides_are_configurations() {
    let folder = tempfile::tempdir().unwrap();
    for (page, text) in [
        (
            "migrating",
            include_str!("../../src/docs/guides/migrating.md"),
        ),
        (
            "replicas",
            include_str!("../../src/docs/guides/replicas.md"),
        ),
        (
            "from_litellm",
            include_str!("../../src/docs/guides/from_litellm.md"),
        ),
    ] {
        let mut config = config(text);
        assert!(!config.is_empty(), "{page}");
        if !config.contains("[[upstreams]]") {
            config += "\n[[upstreams]]\nname = \"any\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";
        }
        for file in ["audit.jsonl", "shadow.jsonl", "rollout.json"] {
            let path = folder.path().join(format!("{page}-{file}"));
            config = config.replace(
                &format!("\"{file}\""),
                &format!("{:?}", path.display().to_string()),
            );
        }
        let built = Config::from_toml(&config, page).and_then(|config| {
            config
                .build_with_env(&|name| match name {
                    "REDIS_URL" => Some("redis://127.0.0.1:1/".to_owned()),
                    name => name.ends_with("_KEY").then(|| "sk-of-a-test".to_owned()),
                })
                .map(drop)
        });
        assert!(built.is_ok(), "{page}: {}", built.unwrap_err());
    }
}
