//! The file that documents every option.

use super::*;
use crate::message::catalog::ModelTable;

/// The example, with every line in it that is an option and no sentence.
pub(in crate::gateway) fn all_options(example: &str) -> String {
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
                endpoints = [\"chat_completions\"]\ncache = false\n\
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
