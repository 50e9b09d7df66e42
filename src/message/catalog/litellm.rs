//! LiteLLM's price list, `model_prices_and_context_window_backup.json` in the Python package `litellm`.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Above, Capabilities, ModelInfo, ModelTable, OffPeak, Price, Prices, Rates, Service, Window,
    price::Decimal,
};
use crate::message::{ConfigError, Endpoint};

impl ModelTable {
    /// Reads LiteLLM's price list.
    ///
    /// Prices of tokens and requests are read, with their tiers by prompt size and by service and their off-peak hours, from
    /// the numbers as they are written, to the nearest pico-USD. Prices of images, seconds, characters and searches, and
    /// regional surcharges, are not. An entry or a member that cannot be read counts as unknown, as the list has some whose
    /// values are prose.
    ///
    /// # Errors
    ///
    /// When `json` is not one JSON object.
    pub fn from_litellm_json(json: &[u8]) -> Result<Self, ConfigError> {
        let entries: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(json)
            .map_err(|error| ConfigError::new("litellm", format!("no price list: {error}")))?;
        Ok(entries
            .iter()
            .filter(|(name, _)| *name != "sample_spec")
            .filter_map(|(name, entry)| Some(model(name, &serde_json::from_str(entry.get()).ok()?)))
            .collect())
    }
}

type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

fn get<'a, T: Deserialize<'a>>(members: &Members<'a>, name: &str) -> Option<T> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

fn model(name: &str, members: &Members<'_>) -> ModelInfo {
    let flag = |name| get::<bool>(members, name);
    ModelInfo {
        provider: get::<Cow<'_, str>>(members, "litellm_provider").map(|label| {
            match label.split_once('-') {
                // One price list under several names: `vertex_ai-language-models`, `vertex_ai-anthropic_models`.
                Some(("vertex_ai", _)) => Arc::from("vertex_ai"),
                _ => Arc::from(label),
            }
        }),
        context_window: get(members, "max_input_tokens"),
        max_output_tokens: get(members, "max_output_tokens"),
        capabilities: Capabilities {
            streaming: flag("supports_native_streaming"),
            tools: flag("supports_function_calling"),
            images: flag("supports_vision"),
            json: flag("supports_response_schema"),
        },
        endpoints: endpoints(members),
        prices: Some(prices(members)).filter(|prices| !prices.is_empty()),
        ..ModelInfo::new(name)
    }
}

fn endpoints(members: &Members<'_>) -> Option<Vec<Endpoint>> {
    if let Some(paths) = get::<Vec<Cow<'_, str>>>(members, "supported_endpoints") {
        let mut endpoints: Vec<_> = paths
            .iter()
            .map(|path| Endpoint::from_path(&Method::POST, path))
            .collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        return Some(endpoints);
    }
    Some(vec![match &*get::<Cow<'_, str>>(members, "mode")? {
        "embedding" => Endpoint::Embeddings,
        "completion" => Endpoint::Completions,
        "responses" => Endpoint::Responses,
        "rerank" => Endpoint::Rerank,
        "moderation" => Endpoint::Moderations,
        // A chat model may be served by any of the chat endpoints.
        "chat" => return None,
        _ => Endpoint::Other,
    }])
}

fn prices(members: &Members<'_>) -> Prices {
    let mut found: BTreeMap<(Option<&str>, u64), Rates> = BTreeMap::new();
    let mut old_cache_read = None;
    for (name, value) in members {
        let Some(price) = price(value) else { continue };
        if name == "input_cost_per_token_cache_hit" {
            old_cache_read = Some(price);
        } else if let Some(Field {
            kind,
            above,
            service,
        }) = Field::parse(name)
            && let Some(rate) = found.entry((service, above)).or_default().named(kind)
        {
            *rate = Some(price);
        }
    }
    for tier in get::<Vec<Members<'_>>>(members, "tiered_pricing").unwrap_or_default() {
        if let Some(start) = start_of_range(&tier) {
            let rates = found.entry((None, start)).or_default();
            *rates = plain_rates(&tier).or(*rates);
        }
    }

    let inclusive =
        get::<Cow<'_, str>>(members, "litellm_provider").is_some_and(|label| label == "xai");
    let mut prices = Prices {
        off_peak: get(members, "off_peak_pricing").and_then(|members| off_peak(&members)),
        ..Prices::default()
    };
    // Sorted: of each service the base rates come first, then those above ever larger prompts.
    for ((service, tokens), rates) in found {
        let (base, above) = match service {
            None => (&mut prices.base, &mut prices.above),
            Some(name) => {
                if prices
                    .services
                    .last()
                    .is_none_or(|last| &*last.name != name)
                {
                    prices.services.push(Service {
                        name: name.into(),
                        rates: Rates::default(),
                        above: Vec::new(),
                    });
                }
                let Some(service) = prices.services.last_mut() else {
                    continue;
                };
                (&mut service.rates, &mut service.above)
            }
        };
        match tokens {
            0 => *base = rates,
            _ => above.push(Above {
                tokens,
                inclusive,
                rates,
            }),
        }
    }
    prices.base.cache_read = prices.base.cache_read.or(old_cache_read);
    prices
}

fn price(value: &RawValue) -> Option<Price> {
    Price::per_unit_rounded(value.get())
}

/// A member's name taken apart: `input_cost_per_token_above_200k_tokens_priority`.
struct Field<'a> {
    kind: &'static str,
    /// Tokens of prompt; 0 for the base rate.
    above: u64,
    service: Option<&'a str>,
}

impl<'a> Field<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        // The longer of two that begin alike comes first.
        const KINDS: [(&str, &str); 9] = [
            ("input_cost_per_token", "input"),
            ("output_cost_per_token", "output"),
            ("cache_read_input_token_cost", "cache_read"),
            (
                "cache_creation_input_token_cost_above_1hr",
                "cache_write_1h",
            ),
            ("cache_creation_input_token_cost", "cache_write_5m"),
            ("output_cost_per_reasoning_token", "reasoning"),
            ("input_cost_per_audio_token", "audio_in"),
            ("output_cost_per_audio_token", "audio_out"),
            ("input_cost_per_request", "per_request"),
        ];
        let (kind, mut rest) = KINDS
            .into_iter()
            .find_map(|(prefix, kind)| Some((kind, name.strip_prefix(prefix)?)))?;
        let mut above = 0;
        if let Some(size) = rest.strip_prefix("_above_") {
            let (size, after) = size.split_once("_tokens")?;
            above = match size.strip_suffix('k') {
                Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1000)?,
                None => size.parse().ok()?,
            };
            rest = after;
        }
        let service = match rest {
            "" => None,
            "_batches" => Some("batch"),
            "_priority" | "_flex" | "_balanced" | "_ultrafast" => rest.strip_prefix('_'),
            _ => return None,
        };
        Some(Self {
            kind,
            above,
            service,
        })
    }
}

/// Where a tier such as `{"range": [32000, 128000], "input_cost_per_token": ...}` starts. The list also writes 32000.0.
fn start_of_range(tier: &Members<'_>) -> Option<u64> {
    let [start, _] = get::<[&RawValue; 2]>(tier, "range")?;
    Decimal::parse(start.get())?.exact(0)
}

fn plain_rates(members: &Members<'_>) -> Rates {
    let mut rates = Rates::default();
    for (name, value) in members {
        if let Some(Field {
            kind,
            above: 0,
            service: None,
        }) = Field::parse(name)
            && let Some(rate) = rates.named(kind)
        {
            *rate = price(value);
        }
    }
    rates
}

fn off_peak(members: &Members<'_>) -> Option<OffPeak> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Hours {
        One(String),
        Many(Vec<String>),
    }
    #[derive(Deserialize)]
    struct Rule {
        hours_utc: Hours,
        weekdays: Option<Vec<u8>>,
    }
    let zone = get::<Cow<'_, str>>(members, "weekday_timezone");
    let minutes_east = match zone.as_deref() {
        None | Some("UTC") => 0,
        Some("Asia/Shanghai") => 480,
        // Off-peak hours that cannot be told are none: the ordinary price is the safe one.
        Some(_) => return None,
    };
    let mut rules: Vec<Rule> = get(members, "windows").unwrap_or_default();
    if let Some(hours_utc) = get(members, "hours_utc") {
        rules.push(Rule {
            hours_utc,
            weekdays: None,
        });
    }
    let mut windows = Vec::new();
    for rule in rules {
        let hours = match rule.hours_utc {
            Hours::One(hours) => vec![hours],
            Hours::Many(hours) => hours,
        };
        for hours in hours {
            let window = Window::daily(&hours)?.weekdays_east(minutes_east);
            windows.push(match &rule.weekdays {
                Some(weekdays) => window.on(weekdays)?,
                None => window,
            });
        }
    }
    let rates = plain_rates(members);
    (!windows.is_empty() && !rates.is_empty()).then_some(OffPeak { windows, rates })
}
