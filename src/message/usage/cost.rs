//! What an answer cost, in the words of its provider.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::message::catalog::Cost;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    usage: Option<Usage<'a>>,
    /// Venice: `{"usd", "diem"}`.
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
    /// The Responses API's answer, within its last event.
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Usage<'a> {
    /// OpenRouter: USD. Perplexity: an object with their sum in `total_cost`.
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
    /// xAI: 10¹⁰ to the USD.
    #[serde(default)]
    cost_in_usd_ticks: Option<u64>,
    /// OpenRouter called the model with the caller's own key: `cost` is its fee, and the model's provider charges the rest.
    #[serde(default)]
    is_byok: Option<bool>,
    #[serde(borrow, default)]
    cost_details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    upstream_inference_cost: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default, alias = "usd")]
    total_cost: Option<&'a RawValue>,
}

/// The cost that an answer, or one event of it, states: OpenRouter's, Perplexity's, xAI's and Venice's forms. For those that have a
/// member for one: it reads the whole of it.
pub(super) fn stated_cost(json: &[u8]) -> Option<Cost> {
    stated(json, 0)
}

fn stated(json: &[u8], depth: u8) -> Option<Cost> {
    const PICO_USD_PER_TICK: u128 = 100;
    let answer: Answer<'_> = serde_json::from_slice(json.trim_ascii()).ok()?;
    let usage = answer.usage.as_ref();
    let ticks = || {
        let ticks = usage?.cost_in_usd_ticks?;
        Some(Cost::from_pico_usd(u128::from(ticks) * PICO_USD_PER_TICK))
    };
    let within = || match answer.response {
        Some(response) if depth == 0 => stated(response.get().as_bytes(), 1),
        _ => None,
    };
    let charged = |usage: &Usage<'_>| {
        let rest = usage
            .cost_details
            .as_ref()
            .filter(|_| usage.is_byok == Some(true))
            .and_then(|details| usd(details.upstream_inference_cost?));
        Some(usd(usage.cost?)? + rest.unwrap_or_default())
    };
    usage
        .and_then(charged)
        .or_else(ticks)
        .or_else(|| usd(answer.cost?))
        .or_else(within)
}

fn usd(raw: &RawValue) -> Option<Cost> {
    let text = raw.get();
    if !text.starts_with('{') {
        return Cost::parse_usd(text);
    }
    let parts: Parts<'_> = serde_json::from_str(text).ok()?;
    Cost::parse_usd(parts.total_cost?.get())
}

#[cfg(test)]
mod tests {
    use super::super::UsageScan;

    #[test]
    fn each_providers_form_of_a_cost_is_read() {
        for (json, usd) in [
            (
                r#"{"usage":{"cost":0.0001235,"is_byok":false}}"#,
                Some("0.0001235"),
            ),
            (
                r#"{"usage":{"cost":0.01,"is_byok":true,"cost_details":{"upstream_inference_cost":0.2}}}"#,
                Some("0.21"),
            ),
            (r#"{"usage":{"cost":1.5e-7}}"#, Some("0.00000015")),
            (r#"{"usage":{"cost":0}}"#, Some("0")),
            (
                r#"{"usage":{"cost":{"input_tokens_cost":0.001,"total_cost":0.006}}}"#,
                Some("0.006"),
            ),
            (
                r#"{"usage":{"cost_in_usd_ticks":37756000}}"#,
                Some("0.0037756"),
            ),
            (
                r#"{"cost":{"usd":0.02,"diem":0.2},"usage":{}}"#,
                Some("0.02"),
            ),
            (
                r#"{"type":"response.completed","response":{"usage":{"cost":0.5}}}"#,
                Some("0.5"),
            ),
            (r#"{"usage":{"cost":null}}"#, None),
            (r#"{"usage":{"cost":-1}}"#, None),
            (r#"{"usage":{"cost":"a lot"}}"#, None),
            (r#"{"choices":[{"text":"\"cost\": 7"}]}"#, None),
            (r#"{"usage":{"cost":"#, None),
        ] {
            let mut scan = UsageScan::default();
            scan.body(json.as_bytes());
            let cost = scan.cost().map(|cost| cost.to_string());
            assert_eq!(cost.as_deref(), usd, "{json}");
        }
    }
}
