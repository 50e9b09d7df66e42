//! Tables as configuration files write them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use super::{
    Above, Capabilities, Currency, ModelInfo, ModelTable, OffPeak, Price, Prices, Rates, Service,
    Window,
    price::{Decimal, PER_UNIT},
};
use crate::message::Endpoint;

/// A file of models:
///
/// ```
/// use tower_relay::message::catalog::{ModelTable, Price};
///
/// let table = ModelTable::from_toml(r#"
///     [models."acme-1"]
///     provider = "acme"
///     context_window = 128_000
///     max_output_tokens = 16_384
///     capabilities = { streaming = true, tools = true, images = false, json = true }
///     endpoints = ["chat_completions"]
///
///     ## USD per million tokens; per_request in USD.
///     [models."acme-1".prices]
///     input = "0.10"
///     output = "0.42"
///     cache_read = "0.01"
///     above = [{ tokens = 200_000, input = "0.20", output = "0.84" }]
///     service = { priority = { input = "0.20", output = "0.84" } }
///     off_peak = { windows = [{ hours = "16:30-00:30", weekdays = [1, 2, 3, 4, 5] }], input = "0.05", output = "0.21" }
///
///     [models."local/*".prices]
///     input = 0
///     output = 0
/// "#)?;
/// assert_eq!(table.get("acme-1").unwrap().prices.as_ref().unwrap().base.input, Price::per_million("0.1"));
/// assert_eq!(table.get("local/llama").unwrap().prices.as_ref().unwrap().base.input, Some(Price::FREE));
/// # Ok::<(), tower_relay::message::ConfigError>(())
/// ```
///
/// Prices may be text or numbers: `"0.10"` or `0.10`. A number is read by its shortest decimal spelling, which is the one
/// that was written for up to 15 digits. `currency = { label = "CNY", usd = "0.14" }` at the top says that all prices of the
/// file are in a currency of which one unit is worth that many USD; they are then held to the nearest pico-USD.
impl<'de> Deserialize<'de> for ModelTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = File::deserialize(deserializer)?;
        let currency = file
            .currency
            .map(CurrencyFile::read)
            .transpose()
            .map_err(D::Error::custom)?
            .map(Arc::new);
        file.models
            .into_iter()
            .map(|(id, entry)| {
                entry
                    .read(&id, currency.as_ref())
                    .map_err(|reason| D::Error::custom(format!("models.{id:?}.{reason}")))
            })
            .collect()
    }
}

#[cfg(any(feature = "gateway", feature = "audit"))]
impl ModelTable {
    /// Reads a table from TOML.
    ///
    /// # Errors
    ///
    /// When the text is no TOML, names an unknown field, or has a price that is no decimal or is negative.
    pub fn from_toml(text: &str) -> Result<Self, crate::message::ConfigError> {
        toml::from_str(text)
            .map_err(|error| crate::message::ConfigError::new("catalog", error.to_string()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    currency: Option<CurrencyFile>,
    models: BTreeMap<String, EntryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CurrencyFile {
    label: Box<str>,
    usd: Amount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    provider: Option<Arc<str>>,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    #[serde(default)]
    capabilities: Capabilities,
    endpoints: Option<Vec<Endpoint>>,
    prices: Option<PricesFile>,
}

#[derive(Deserialize)]
struct PricesFile {
    #[serde(default)]
    above: Vec<AboveFile>,
    #[serde(default)]
    service: BTreeMap<Box<str>, ServiceFile>,
    off_peak: Option<OffPeakFile>,
    #[serde(flatten)]
    rates: RatesFile,
}

#[derive(Deserialize)]
struct AboveFile {
    tokens: u64,
    #[serde(default)]
    inclusive: bool,
    #[serde(flatten)]
    rates: RatesFile,
}

#[derive(Deserialize)]
struct ServiceFile {
    #[serde(default)]
    above: Vec<AboveFile>,
    #[serde(flatten)]
    rates: RatesFile,
}

#[derive(Deserialize)]
struct OffPeakFile {
    windows: Vec<WindowFile>,
    #[serde(flatten)]
    rates: RatesFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowFile {
    hours: String,
    weekdays: Option<Vec<u8>>,
    #[serde(default)]
    weekdays_east_minutes: i16,
}

/// What is left of a table when its other fields are read; [`Rates`] knows which names there are.
type RatesFile = BTreeMap<String, Amount>;

/// The one rate that is not one of tokens.
const PER_REQUEST: &str = "per_request";

/// A decimal as it is written.
struct Amount(String);

impl CurrencyFile {
    fn read(self) -> Result<Currency, String> {
        let pico_usd = Decimal::parse(&self.usd.0)
            .and_then(|usd| usd.exact(PER_UNIT))
            .filter(|pico| *pico > 0);
        let pico_usd =
            pico_usd.ok_or_else(|| format!("currency.usd: {:?} is no worth in USD", self.usd.0))?;
        Ok(Currency {
            label: self.label,
            pico_usd,
        })
    }
}

impl EntryFile {
    fn read(self, id: &str, currency: Option<&Arc<Currency>>) -> Result<ModelInfo, String> {
        Ok(ModelInfo {
            provider: self.provider,
            context_window: self.context_window,
            max_output_tokens: self.max_output_tokens,
            capabilities: self.capabilities,
            endpoints: self.endpoints,
            prices: self
                .prices
                .map(|prices| prices.read(currency))
                .transpose()?,
            ..ModelInfo::new(id)
        })
    }
}

impl PricesFile {
    fn read(self, currency: Option<&Arc<Currency>>) -> Result<Prices, String> {
        let services = self.service.into_iter().map(|(name, service)| {
            Ok(Service {
                name: name.to_ascii_lowercase().into(),
                rates: rates(service.rates, currency)?,
                above: above(service.above, currency)?,
            })
        });
        Ok(Prices {
            base: rates(self.rates, currency)?,
            above: above(self.above, currency)?,
            services: services.collect::<Result<_, String>>()?,
            off_peak: self
                .off_peak
                .map(|off_peak| off_peak.read(currency))
                .transpose()?,
            currency: currency.cloned(),
        })
    }
}

impl OffPeakFile {
    fn read(self, currency: Option<&Arc<Currency>>) -> Result<OffPeak, String> {
        Ok(OffPeak {
            windows: self
                .windows
                .iter()
                .map(WindowFile::read)
                .collect::<Result<_, _>>()?,
            rates: rates(self.rates, currency)?,
        })
    }
}

impl WindowFile {
    fn read(&self) -> Result<Window, String> {
        let window = Window::daily(&self.hours)
            .ok_or_else(|| format!("prices.off_peak: {:?} is not HH:MM-HH:MM", self.hours))?
            .weekdays_east(self.weekdays_east_minutes);
        match &self.weekdays {
            Some(days) => window
                .on(days)
                .ok_or_else(|| "prices.off_peak: weekdays are 1 (Monday) to 7".to_owned()),
            None => Ok(window),
        }
    }
}

fn above(tiers: Vec<AboveFile>, currency: Option<&Arc<Currency>>) -> Result<Vec<Above>, String> {
    let mut read = Vec::with_capacity(tiers.len());
    for AboveFile {
        tokens,
        inclusive,
        rates: amounts,
    } in tiers
    {
        read.push(Above {
            tokens,
            inclusive,
            rates: rates(amounts, currency)?,
        });
    }
    read.sort_by_key(|above| above.tokens);
    Ok(read)
}

fn rates(amounts: RatesFile, currency: Option<&Arc<Currency>>) -> Result<Rates, String> {
    let mut rates = Rates::default();
    for (name, Amount(text)) in amounts {
        let rate = rates
            .named(&name)
            .ok_or_else(|| format!("prices: unknown field `{name}`"))?;
        let price = if name == PER_REQUEST {
            Price::per_unit(&text)
        } else {
            Price::per_million(&text)
        };
        let price = match currency {
            Some(currency) => price.and_then(|price| in_usd(price, currency)),
            None => price,
        };
        *rate = Some(price.ok_or_else(|| {
            format!("prices.{name}: {text:?} is no price: write a number of at most six decimals, as in \"2.50\"")
        })?);
    }
    Ok(rates)
}

/// To the nearest pico-USD.
fn in_usd(price: Price, currency: &Currency) -> Option<Price> {
    const ONE: u128 = 10u128.pow(PER_UNIT);
    let pico = (price.times(currency.pico_usd) + ONE / 2) / ONE;
    Some(Price::from_pico_usd(pico.try_into().ok()?))
}

/// Decimals in text or numbers by the names of the fields: USD per million tokens, `per_request` in USD.
impl<'de> Deserialize<'de> for Rates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        rates(RatesFile::deserialize(deserializer)?, None).map_err(D::Error::custom)
    }
}

/// As they are deserialized, with the decimals in text.
impl Serialize for Rates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.known().map(|(name, price)| {
            (
                name,
                if name == PER_REQUEST {
                    price.usd_per_unit().to_string()
                } else {
                    price.usd_per_million().to_string()
                },
            )
        }))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a price: a decimal such as \"0.10\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Amount, E> {
                Ok(Amount(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount(number.to_string()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
