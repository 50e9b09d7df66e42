use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    answer::words,
    failure::Failure,
    fields::Ask,
    reply::{Json, Reply},
};
use crate::random::Random;

const DEFAULT_DIMENSIONS: u64 = 256;
const MAX_DIMENSIONS: u64 = 1_024;
/// OpenAI's limits on one request: inputs, and tokens of all inputs together.
const MAX_INPUTS: usize = 2_048;
const MAX_TOKENS: u64 = 300_000;

/// `POST /v1/embeddings`.
pub(super) fn respond(ask: &Ask<'_>) -> Result<Reply, Failure> {
    if !ask.model.embeds {
        return Err(Failure::new(
            http::StatusCode::FORBIDDEN,
            "You are not allowed to generate embeddings from this model.",
        ));
    }
    let fields = ask.fields;
    let inputs = inputs(fields.get("input")).ok_or_else(|| {
        Failure::invalid(
            "input",
            "Invalid 'input': expected a string, an array of at most 2048 strings, or token arrays; none empty.",
        )
    })?;
    let lengths = inputs
        .iter()
        .map(|input| u64::try_from(input.len()).unwrap_or(u64::MAX));
    let longest = lengths.clone().max().unwrap_or(0);
    let tokens: u64 = lengths.sum();
    if longest > ask.model.window {
        return Err(Failure::context_overflow(longest, ask.model.window));
    }
    if tokens > MAX_TOKENS {
        return Err(Failure::context_overflow(tokens, MAX_TOKENS));
    }

    let dimensions = fields
        .integer("dimensions", 1..=MAX_DIMENSIONS)?
        .unwrap_or(DEFAULT_DIMENSIONS);
    let dimensions = usize::try_from(dimensions).unwrap_or(usize::MAX);
    let encode: fn(&[f32]) -> Value = match fields.text("encoding_format")? {
        None | Some("float") => |vector| json!(vector),
        Some("base64") => |vector| {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect();
            base64(&bytes).into()
        },
        Some(_) => {
            return Err(Failure::invalid(
                "encoding_format",
                "Invalid 'encoding_format': expected 'float' or 'base64'.",
            ));
        }
    };
    let data = inputs.iter().enumerate().map(|(index, input)| {
        json!({"object": "embedding", "index": index, "embedding": encode(&unit_vector(input, dimensions))})
    });
    Ok(Reply::Json(Json::ok(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": ask.model.id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))))
}

/// Each input as the seeds of its tokens.
fn inputs(input: Option<&Value>) -> Option<Vec<Vec<u64>>> {
    let inputs = match input? {
        Value::String(text) => vec![of_text(text)],
        Value::Array(items) if items.first().is_some_and(Value::is_u64) => vec![of_tokens(items)?],
        Value::Array(items) if (1..=MAX_INPUTS).contains(&items.len()) => {
            let each = items.iter().map(|item| match item {
                Value::String(text) => Some(of_text(text)),
                Value::Array(tokens) => of_tokens(tokens),
                _ => None,
            });
            each.collect::<Option<_>>()?
        }
        _ => return None,
    };
    inputs
        .iter()
        .all(|seeds: &Vec<_>| !seeds.is_empty())
        .then_some(inputs)
}

fn of_text(text: &str) -> Vec<u64> {
    if words(text) == 0 && !text.is_empty() {
        return vec![seed(text)];
    }
    text.split_whitespace().map(seed).collect()
}

fn of_tokens(tokens: &[Value]) -> Option<Vec<u64>> {
    tokens.iter().map(Value::as_u64).collect()
}

fn seed(word: &str) -> u64 {
    let word = word.to_lowercase();
    let digest = Sha256::digest(word.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |seed, byte| (seed << 8) | u64::from(*byte))
}

/// The sum of one pseudo-random direction per token, so that inputs that share words are close, scaled
/// to length 1.
fn unit_vector(seeds: &[u64], dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0_f32; dimensions];
    for &seed in seeds {
        let random = Random::seeded(seed);
        for number in &mut vector {
            *number += direction(random.next());
        }
    }
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    if length > 0.0 {
        for number in &mut vector {
            *number /= length;
        }
    } else if let Some(first) = vector.first_mut() {
        *first = 1.0;
    }
    vector
}

/// A number in -1 to 1 from a random one.
fn direction(random: u64) -> f32 {
    let [low, high, ..] = random.to_le_bytes();
    f32::from(i16::from_le_bytes([low, high])) / 32_768.0
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| {
        ALPHABET
            .get((bits & 63) as usize)
            .map_or('=', |digit| char::from(*digit))
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = (at(0) << 16) | (at(1) << 8) | at(2);
        text.push(digit(bits >> 18));
        text.push(digit(bits >> 12));
        text.push(if group.len() > 1 {
            digit(bits >> 6)
        } else {
            '='
        });
        text.push(if group.len() > 2 { digit(bits) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_examples_of_rfc_4648() {
        let examples = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in examples {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn vectors_have_length_one_and_shared_words_make_them_close() {
        let of = |text: &str| unit_vector(&of_text(text), 256);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (cat, kitten, car) = (of("the cat sat"), of("the cat slept"), of("fast red car"));
        assert!((dot(&cat, &cat) - 1.0).abs() < 1e-4);
        assert!(dot(&cat, &kitten) > dot(&cat, &car) + 0.3);
    }
}
