use std::{
    env, fs,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::*;
use crate::message::Endpoint;

fn input(model: &ModelInfo) -> Option<Price> {
    model.prices.as_ref()?.base.input
}

fn usd(text: &str) -> Price {
    Price::per_million(text).unwrap()
}

/// The same identity by other means: what is left of a name without case, dots, date, and its maker's prefix.
fn identity(name: &str) -> String {
    let name = name.to_lowercase().replace('.', "-");
    let name = [
        "openai/",
        "anthropic/",
        "gemini/",
        "google/",
        "xai/",
        "x-ai/",
        "mistral/",
        "mistralai/",
        "deepseek/",
    ]
    .into_iter()
    .chain([
        "dashscope/",
        "qwen/",
        "moonshot/",
        "moonshotai/",
        "zai/",
        "z-ai/",
        "minimax/",
        "meta/",
        "perplexity/",
    ])
    .find_map(|prefix| name.strip_prefix(prefix))
    .unwrap_or(&name)
    .to_owned();
    let name = name.trim_end_matches("-latest").trim_end_matches("@latest");
    for len in [11, 9] {
        if let Some((base, date)) = name
            .len()
            .checked_sub(len)
            .and_then(|at| name.split_at_checked(at))
        {
            let digits = date.bytes().filter(u8::is_ascii_digit).count();
            if digits == 8 && (date.starts_with("-20") || date.starts_with("@20")) {
                return base.to_owned();
            }
        }
    }
    name.to_owned()
}

#[test]
fn a_model_is_found_by_the_names_that_people_use() {
    let catalog = ModelCatalog::builtin();
    for (asked, id) in [
        ("gpt-4.1", "gpt-4.1"),
        ("GPT-4.1", "gpt-4.1"),
        ("gpt-4-1", "gpt-4.1"),
        ("openai/gpt-4.1", "gpt-4.1"),
        ("OpenAI/GPT-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-latest", "claude-sonnet-4-5"),
        ("gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("google/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
        ("x-ai/grok-4.3", "xai/grok-4.3"),
        ("mistral-large-latest", "mistral/mistral-large-latest"),
        ("minimax-m3", "minimax/MiniMax-M3"),
        ("azure/gpt-4.1", "azure/gpt-4.1"),
        ("azure/gpt-4.1-2025-04-14", "azure/gpt-4.1"),
        (
            "together_ai/moonshotai/kimi-k3",
            "together_ai/moonshotai/Kimi-K3",
        ),
    ] {
        assert_eq!(
            catalog.get(asked).map(|model| model.id.clone()).as_deref(),
            Some(id),
            "{asked}"
        );
    }
}

#[test]
fn what_is_another_model_or_anothers_offer_is_not_found() {
    let catalog = ModelCatalog::builtin();
    for asked in [
        "",
        "/",
        "gpt-4",
        "gpt-4.1-",
        "gpt-4.1-micro",
        "gpt-4.1-mini-2",
        "gpt-41",
        "gpt.4.1",
        "gpt-4.1:free",
        "ft:gpt-4.1:acme::1",
        "acme/gpt-4.1",
        "anthropic/gpt-4.1",
        "openai/openai/gpt-4.1",
        "gpt-oss-120b",
        "openai/gpt-oss-120b",
        "deepseek-v3.2",
        "gpt-4.1-2025-04",
    ] {
        assert_eq!(
            catalog.get(asked).map(|model| model.id.clone()),
            None,
            "{asked}"
        );
    }
}

#[test]
fn a_host_of_open_models_has_prices_of_its_own() {
    let table = ModelTable::builtin();
    let input = |provider, name| input(table.get_at(provider, name).unwrap());
    assert_eq!(input("groq", "openai/gpt-oss-120b"), Some(usd("0.15")));
    assert_eq!(input("cerebras", "gpt-oss-120b"), Some(usd("0.35")));
    assert_eq!(input("azure", "gpt-5.4-2026-03-05"), Some(usd("2.5")));
    assert_eq!(input("openai", "gpt-4.1"), Some(usd("2")));
    assert!(table.get_at("acme", "gpt-oss-120b").is_none());
}

#[test]
fn a_pattern_answers_for_what_has_no_entry() {
    let entry = |id: &str, window| ModelInfo {
        context_window: Some(window),
        ..ModelInfo::new(id)
    };
    let table: ModelTable = [
        entry("*", 1),
        entry("acme/*", 2),
        entry("acme/*-mini", 3),
        entry("acme/big", 4),
    ]
    .into_iter()
    .collect();
    for (asked, window) in [
        ("x", 1),
        ("acme/x", 2),
        ("acme/x-mini", 3),
        ("acme/big", 4),
        ("acme/BIG-20250101", 4),
        ("acme/big-mini", 3),
    ] {
        assert_eq!(
            table.get(asked).unwrap().context_window,
            Some(window),
            "{asked}"
        );
    }
    let over = table.overlay(&[entry("acme/*", 5)].into_iter().collect());
    assert_eq!(over.get("acme/x").unwrap().context_window, Some(5));
    assert_eq!(over.len(), 4);
}

#[test]
fn yours_count_and_what_lies_below_fills_in() {
    let prices = Prices {
        base: Rates {
            input: Some(usd("9")),
            ..Rates::default()
        },
        ..Prices::default()
    };
    let mut yours = ModelInfo::new("claude-sonnet-4.5");
    yours.prices = Some(prices.clone());
    let table = ModelTable::builtin().overlay(&[yours].into_iter().collect());
    for name in [
        "claude-sonnet-4.5",
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
        "anthropic/claude-sonnet-4.5",
    ] {
        let model = table.get(name).unwrap();
        assert_eq!(model.context_window, Some(200_000), "{name}");
        assert_eq!(model.prices.as_ref(), Some(&prices), "{name}");
    }
    assert_eq!(table.len(), ModelTable::builtin().len());
}

#[test]
fn anothers_offer_of_a_model_is_laid_beside_it() {
    let vertex = ModelInfo {
        provider: Some("vertex_ai".into()),
        ..ModelInfo::new("gemini-2.5-flash")
    };
    let table = ModelTable::builtin().overlay(&[vertex].into_iter().collect());
    assert_eq!(
        table.get("gemini-2.5-flash").unwrap().provider.as_deref(),
        Some("vertex_ai")
    );
    for name in ["gemini/gemini-2.5-flash", "google/gemini-2.5-flash"] {
        assert_eq!(
            table.get(name).unwrap().provider.as_deref(),
            Some("gemini"),
            "{name}"
        );
    }
}

#[test]
fn names_of_one_list_are_models_of_their_own() {
    let entry = |id: &str, window| ModelInfo {
        context_window: Some(window),
        provider: Some("openai".into()),
        ..ModelInfo::new(id)
    };
    let list: ModelTable = [
        entry("gpt-4.1", 1),
        entry("openai/gpt-4.1", 2),
        entry("gpt-4-1", 3),
    ]
    .into_iter()
    .collect();
    for table in [list.clone(), ModelTable::builtin().overlay(&list)] {
        for (asked, window) in [("gpt-4.1", 1), ("openai/gpt-4.1", 2), ("gpt-4-1", 3)] {
            assert_eq!(
                table.get(asked).unwrap().context_window,
                Some(window),
                "{asked}"
            );
            assert_eq!(table.get(asked).unwrap().id.as_ref(), asked);
        }
    }
    let filled = ModelTable::builtin().overlay(&list);
    assert_eq!(
        filled.get("openai/gpt-4.1").unwrap().max_output_tokens,
        Some(32_768)
    );
}

#[test]
fn clones_of_a_catalog_see_a_new_table() {
    let catalog = ModelCatalog::default();
    let clone = catalog.clone();
    let before = clone.table();
    catalog.set([ModelInfo::new("new")].into_iter().collect());
    assert!(clone.get("new").is_some() && clone.get("gpt-4.1").is_none());
    assert!(before.get("gpt-4.1").is_some());
}

#[test]
fn a_file_says_all_that_a_price_depends_on() {
    let table = ModelTable::from_toml(
        r#"
        [models.m]
        provider = "acme"
        endpoints = ["chat_completions", "messages"]
        capabilities = { tools = true, images = false }
        [models.m.prices]
        input = 0.10
        output = "0.42"
        cache_write_1h = 3
        per_request = "0.005"
        above = [{ tokens = 300, input = 3 }, { tokens = 200, inclusive = true, input = 2 }]
        service.Priority = { input = 7, above = [{ tokens = 300, input = 8 }] }
        off_peak = { input = 0, windows = [{ hours = "01:00-02:00" }] }
        "#,
    )
    .unwrap();
    let model = table.get("m").unwrap();
    assert_eq!(model.capabilities.tools, Some(true));
    assert_eq!(model.capabilities.images, Some(false));
    assert_eq!(model.capabilities.json, None);
    assert_eq!(model.serves(Endpoint::Messages), Some(true));
    assert_eq!(model.serves(Endpoint::Embeddings), Some(false));
    let prices = model.prices.as_ref().unwrap();
    assert_eq!(prices.base.output, Some(usd("0.42")));
    assert_eq!(prices.base.per_request, Price::per_unit("0.005"));
    let input = |tokens, service, hour: u64| {
        prices
            .rates(
                tokens,
                service,
                UNIX_EPOCH + Duration::from_secs(hour * 3600),
            )
            .input
            .unwrap()
    };
    assert_eq!(input(199, None, 0), usd("0.1"));
    assert_eq!(input(200, None, 0), usd("2"));
    assert_eq!(input(301, None, 0), usd("3"));
    assert_eq!(input(301, Some("priority"), 0), usd("8"));
    assert_eq!(input(301, Some("priority"), 1), Price::FREE);
}

#[test]
fn a_currency_is_converted_at_its_fixed_rate() {
    let table = ModelTable::from_toml(
        "currency = { label = \"CNY\", usd = \"0.14\" }\n[models.m.prices]\ninput = 2\noutput = \"0.000003\"",
    )
    .unwrap();
    let prices = table.get("m").unwrap().prices.clone().unwrap();
    assert_eq!(prices.base.input, Some(usd("0.28")));
    // 3 millionths of a pico-unit's worth is 0.42 pico-USD.
    assert_eq!(prices.base.output, Some(Price::from_pico_usd(0)));
    assert_eq!(&*prices.currency.unwrap().label, "CNY");
}

#[test]
fn a_file_with_a_mistake_says_which() {
    for (text, said) in [
        ("[models.m.prices]\ninput = -1", "input"),
        ("[models.m.prices]\ninput = \"free\"", "input"),
        ("[models.m.prices]\ninput = 0.0000001", "six decimals"),
        ("[models.m.prices]\ninptu = 1", "inptu"),
        (
            "[models.m.prices]\nabove = [{ inptu = 1, tokens = 1 }]",
            "inptu",
        ),
        ("[models.m]\nwindow = 1", "window"),
        ("[models.m]\ncapabilities = { flying = true }", "flying"),
        ("[models.m]\nendpoints = [\"chat\"]", "chat"),
        (
            "[models.m.prices.off_peak]\nwindows = [{ hours = \"25:00-26:00\" }]",
            "25:00",
        ),
        (
            "[models.m.prices.off_peak]\nwindows = [{ hours = \"01:00-02:00\", weekdays = [8] }]",
            "weekdays",
        ),
        ("currency = { label = \"X\", usd = 0 }\nmodels = {}", "usd"),
        ("model = 1", "model"),
    ] {
        let error = ModelTable::from_toml(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

const LITELLM: &str = r#"{
    "sample_spec": {"max_input_tokens": "prose", "input_cost_per_token": 0.0},
    "a": {
        "litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272000, "max_output_tokens": 128000,
        "supports_function_calling": true, "supports_vision": false,
        "supported_endpoints": ["/v1/chat/completions", "/v1/batch", "/v1/responses"],
        "input_cost_per_token": 1.5e-07, "output_cost_per_token": 8.000000000000001e-07,
        "input_cost_per_token_above_272k_tokens": 3e-07, "output_cost_per_token_batches": 4e-07,
        "input_cost_per_token_above_272k_tokens_priority": 6e-07, "cache_creation_input_token_cost_above_1hr": 2e-06,
        "cache_creation_input_token_cost_above_12hr": 9, "output_cost_per_image": 1, "input_cost_per_token_cache_hit": 1e-08
    },
    "xai/b": {"litellm_provider": "xai", "input_cost_per_token": 1, "input_cost_per_token_above_200k_tokens": 2},
    "c": {"tiered_pricing": [
        {"range": [0, 32000.0], "input_cost_per_token": 1e-06}, {"range": [32000.0, 1e6], "input_cost_per_token": 2e-06}]},
    "d": {"litellm_provider": "vertex_ai-language-models", "mode": "embedding", "input_cost_per_token": "x"},
    "e": 7,
    "f": {"input_cost_per_token": 2e-06, "off_peak_pricing": {"input_cost_per_token": 1e-06, "weekday_timezone": "Asia/Shanghai",
        "windows": [{"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [4]}, {"hours_utc": "00:00-00:00", "weekdays": [7]}]}}
}"#;

#[test]
fn litellms_members_are_taken_apart() {
    let table = ModelTable::from_litellm_json(LITELLM.as_bytes()).unwrap();
    assert_eq!(table.len(), 5);
    let a = table.get("a").unwrap();
    assert_eq!(
        (a.context_window, a.max_output_tokens),
        (Some(272_000), Some(128_000))
    );
    assert_eq!(
        (
            a.capabilities.tools,
            a.capabilities.images,
            a.capabilities.json
        ),
        (Some(true), Some(false), None)
    );
    assert_eq!(a.serves(Endpoint::Responses), Some(true));
    let prices = a.prices.as_ref().unwrap();
    let rates = |tokens, service| prices.rates(tokens, service, UNIX_EPOCH);
    assert_eq!(rates(272_000, None).input, Some(usd("0.15")));
    assert_eq!(rates(272_001, None).input, Some(usd("0.3")));
    assert_eq!(rates(272_001, Some("priority")).input, Some(usd("0.6")));
    assert_eq!(rates(0, None).output, Some(usd("0.8")));
    assert_eq!(rates(0, Some("batch")).output, Some(usd("0.4")));
    assert_eq!(rates(0, None).cache_write_1h, Some(usd("2")));
    assert_eq!(rates(0, None).cache_write_5m, None);
    assert_eq!(rates(0, None).cache_read, Some(usd("0.01")));

    let at = |name: &str, tokens| {
        table
            .get(name)
            .unwrap()
            .prices
            .as_ref()
            .unwrap()
            .rates(tokens, None, UNIX_EPOCH)
            .input
    };
    assert_eq!(
        (at("xai/b", 199_999), at("xai/b", 200_000)),
        (Price::per_unit("1"), Price::per_unit("2"))
    );
    assert_eq!(
        (at("c", 32_000), at("c", 32_001)),
        (Some(usd("1")), Some(usd("2")))
    );
    // 1 January 1970 was a Thursday, in Shanghai too.
    assert_eq!(at("f", 0), Some(usd("1")));
    let d = table.get("d").unwrap();
    assert_eq!(
        (d.provider.as_deref(), d.prices.as_ref()),
        (Some("vertex_ai"), None)
    );
    assert_eq!(d.serves(Endpoint::Embeddings), Some(true));

    for bad in ["", "[]", "{\"a\": }", "7"] {
        assert!(
            ModelTable::from_litellm_json(bad.as_bytes()).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn litellms_own_list_reads_and_agrees_with_what_is_built_in() {
    let Some(path) = env::var_os("RELAY_LITELLM_PRICES") else {
        println!(
            "skipped: RELAY_LITELLM_PRICES names no model_prices_and_context_window_backup.json"
        );
        return;
    };
    let text = fs::read(path).unwrap();
    let listed: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let loaded = ModelTable::from_litellm_json(&text).unwrap();
    let builtin = ModelTable::builtin();

    let mut wrong = Vec::new();
    let (mut with_input, mut tiered, mut services, mut off_peak) = (0, 0, 0, 0);
    for (name, entry) in &listed {
        if name == "sample_spec" {
            continue;
        }
        let model = loaded
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not found"));
        let prices = model.prices.clone().unwrap_or_default();
        with_input += usize::from(prices.base.input.is_some());
        tiered += usize::from(!prices.above.is_empty());
        services += usize::from(!prices.services.is_empty());
        off_peak += usize::from(prices.off_peak.is_some());
        let stated = entry["input_cost_per_token"]
            .as_f64()
            .filter(|_| entry.get("tiered_pricing").is_none());
        let read = prices.base.input.map(Price::pico_usd);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a check by other means"
        )]
        if let Some(stated) = stated.map(|stated| (stated * 1e12).round() as u64)
            && read.is_none_or(|read| read.abs_diff(stated) > 1)
        {
            wrong.push(format!("{name}: read {read:?}, stated {stated}"));
        }
    }
    println!(
        "{} entries, {} models: {with_input} with a price of input, {tiered} with tiers by prompt, {services} with service \
         tiers, {off_peak} with off-peak hours",
        listed.len(),
        loaded.len()
    );

    let (mut same, mut other, mut found) = (0, Vec::new(), 0);
    for model in builtin.iter() {
        let Some(listed) = loaded.get(&model.id) else {
            continue;
        };
        let (ours, theirs) = (
            model.prices.clone().unwrap().base,
            listed.prices.clone().unwrap_or_default().base,
        );
        let differs = ours.known().any(|(name, price)| {
            theirs
                .known()
                .find(|(known, _)| *known == name)
                .is_some_and(|(_, listed)| listed != price)
        });
        if differs {
            other.push(&model.id);
        } else {
            same += 1;
        }
    }
    println!(
        "built in and listed: {same} cost the same, {} something else: {other:?}",
        other.len()
    );

    let mut snapshots = Vec::new();
    for model in loaded.iter() {
        let Some(known) = builtin.get(&model.id) else {
            continue;
        };
        found += 1;
        assert_eq!(
            identity(&known.id),
            identity(&model.id),
            "{} for {}",
            known.id,
            model.id
        );
        if input(model).is_some() && input(known) != input(model) {
            snapshots.push(&model.id);
        }
    }
    println!(
        "{found} listed names are found among what is built in, {} at another price: {snapshots:?}",
        snapshots.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #[test]
    fn no_spelling_finds_another_model(at in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>(), tail in "[-.@/0-9a-z]{0,12}") {
        let table = ModelTable::builtin();
        let ids: Vec<_> = table.iter().map(|model| model.id.clone()).collect();
        let id = at.get(&ids);
        let asked = format!("{}{tail}", id.get(..cut.index(id.len() + 1)).unwrap_or(id));
        if let Some(found) = table.get(&asked) {
            prop_assert_eq!(identity(&found.id), identity(&asked), "asked {}, found {}", asked, found.id);
        }
    }

    #[test]
    fn any_name_is_looked_up(name in ".{0,300}", provider in ".{0,20}") {
        let table = ModelTable::builtin();
        let found = table.get(&name).map(|model| &model.id);
        prop_assert_eq!(found, table.get(&name).map(|model| &model.id));
        let _ = table.get_at(&provider, &name);
    }

    #[test]
    fn any_bytes_are_a_list_or_an_error(bytes: Vec<u8>) {
        let _ = ModelTable::from_litellm_json(&bytes);
    }
}

/// In pico-USD.
const CENT: u128 = 10_000_000_000;

#[test]
fn the_guides_month_costs_what_the_guide_says() {
    let table = ModelTable::from_toml(include_str!("../../../examples/guide-prices.toml")).unwrap();
    let month = |name: &str| {
        let rates = table.get(name).unwrap().prices.as_ref().unwrap().base;
        rates.input.unwrap().times(24_000_000) + rates.output.unwrap().times(36_000_000)
    };
    assert_eq!(month("gpt-4.1-mini"), 33_600 * CENT);
    assert_eq!(month("llama-4-maverick"), 1_752 * CENT);
    assert_eq!(
        table.get("deepseek-v3-2").unwrap().capabilities.tools,
        Some(false)
    );
    // The guides' names are the built-in models', so their prices replace the lists'.
    let over = ModelTable::builtin().overlay(&table);
    assert_eq!(
        input(over.get("gemini/gemini-2.5-flash").unwrap()),
        Some(usd("0.30"))
    );
    assert_eq!(
        input(over.get("claude-sonnet-4-5").unwrap()),
        Some(usd("3"))
    );
    assert_eq!(over.get("gpt-4.1").unwrap().max_output_tokens, Some(32_768));
}
