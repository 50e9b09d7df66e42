//! The models that the crate knows by itself.

use std::sync::{Arc, LazyLock};

use super::{ModelInfo, ModelTable, Price, Prices, Rates};

/// The built-in table, read on first use and shared from then on.
pub(super) fn table() -> Arc<ModelTable> {
    static TABLE: LazyLock<Arc<ModelTable>> = LazyLock::new(|| {
        Arc::new(
            include_str!("prices.csv")
                .lines()
                .filter_map(line)
                .collect(),
        )
    });
    Arc::clone(&TABLE)
}

/// `model,provider,input,output,cache_read,cache_write,context_window,max_output`: prices in USD per million tokens.
fn line(line: &str) -> Option<ModelInfo> {
    if line.starts_with('#') || line.starts_with("model,") {
        return None;
    }
    let mut fields = line.split(',');
    let mut next = || fields.next().filter(|field| !field.is_empty());
    let id = next()?;
    let provider = next();
    let mut price = || next().and_then(Price::per_million);
    let mut base = Rates {
        input: price(),
        output: price(),
        cache_read: price(),
        cache_write_5m: price(),
        ..Rates::default()
    };
    if id.contains("claude-") {
        // Anthropic's price list: a write for an hour costs twice the input.
        base.cache_write_1h = base
            .input
            .map(|input| Price::from_pico_usd(input.pico_usd() * 2));
    }
    Some(ModelInfo {
        provider: provider.map(Arc::from),
        context_window: next().and_then(|tokens| tokens.parse().ok()),
        max_output_tokens: next().and_then(|tokens| tokens.parse().ok()),
        prices: Some(Prices {
            base,
            ..Prices::default()
        }),
        ..ModelInfo::new(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_model_with_prices_and_limits() {
        let table = table();
        let lines = include_str!("prices.csv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
            - 1;
        assert_eq!(table.len(), lines);
        for model in table.iter() {
            let rates = model.prices.as_ref().unwrap().base;
            assert!(
                rates.input.is_some() && rates.output.is_some(),
                "{}",
                model.id
            );
            assert!(
                model.context_window.is_some() && model.max_output_tokens.is_some(),
                "{}",
                model.id
            );
            assert!(model.provider.is_some(), "{}", model.id);
        }
    }

    #[test]
    fn an_empty_field_is_unknown_and_a_zero_is_free() {
        let table = table();
        let rates = |id: &str| table.get(id).unwrap().prices.as_ref().unwrap().base;
        assert_eq!(rates("gpt-5.5").cache_write_5m, None);
        assert_eq!(rates("zai/glm-5").cache_write_5m, Some(Price::FREE));
        assert_eq!(
            rates("claude-sonnet-4-5").cache_write_1h,
            Price::per_million("6")
        );
        assert_eq!(rates("gpt-4.1").cache_write_1h, None);
    }
}
