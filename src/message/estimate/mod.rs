//! How many tokens a prompt will be, before anyone has counted it.
//!
//! ```
//! use tower_relay::message::{RequestBody, estimate::TokenEstimator};
//!
//! let estimator = TokenEstimator::default();
//! let body = RequestBody::json(
//!     r#"{"model":"gpt-4o","messages":[{"role":"user","content":"What is the capital of France?"}]}"#,
//! );
//! // OpenAI counts 14.
//! assert_eq!(estimator.estimate(&body), Some(13));
//! assert_eq!(estimator.estimate_text("人人生而自由，在尊严和权利上一律平等。"), 18);
//! ```
//!
//! By default text is weighed by its bytes: each class of characters (letters and words, digits, punctuation, alphabets,
//! syllables, ideographs) has a weight of its own, since English has four to five bytes a token, Chinese three, and code
//! something else again. It costs one pass without an allocation, over at most 256 KiB a request; what is beyond weighs as much a
//! byte as what was before. Feature `tiktoken` counts with OpenAI's own vocabulary instead.
//!
//! What providers add around the text (message separators, tools, their own system prompts) is estimated by the family of
//! the model. It is what an estimate is mostly wrong about, and mostly for short prompts: a limit or a budget settles to the
//! stated usage once that is known.

mod choices;
mod overhead;
mod typical;
mod weight;

pub(super) use self::weight::Weight;
pub(crate) use self::{choices::choices, typical::Typical};

use std::borrow::Cow;

use self::overhead::Overhead;
use super::RequestBody;

/// Estimates the tokens of a prompt.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenEstimator {
    counter: Counter,
}

#[derive(Debug, Clone, Copy, Default)]
enum Counter {
    #[default]
    Bytes,
    #[cfg(feature = "tiktoken")]
    Tiktoken { max_bytes: usize },
}

impl TokenEstimator {
    /// Weighs bytes: about 0.3 ns a byte of ASCII and 1 ns of other text.
    pub const fn by_bytes() -> Self {
        Self {
            counter: Counter::Bytes,
        }
    }

    /// Counts with the vocabulary `o200k_base` of OpenAI's models since gpt-4o, up to `max_bytes` of a prompt; the rest is
    /// weighed by bytes. That takes some 16 ns a byte of prose and ten times as much of one long word, on the calling
    /// thread, so keep it to what may be spent on a request (64 KiB: 1 to 10 ms). The vocabulary is built on first use.
    #[cfg(feature = "tiktoken")]
    pub const fn by_tiktoken(max_bytes: usize) -> Self {
        Self {
            counter: Counter::Tiktoken { max_bytes },
        }
    }

    /// Tokens of this text by itself.
    pub fn estimate_text(self, text: &str) -> u64 {
        self.sum(|add| add(text))
    }

    /// Tokens of the prompt of a request with what the model's provider adds around it; `None` where there is no JSON body with a
    /// prompt to read.
    pub fn estimate(self, body: &RequestBody) -> Option<u64> {
        let prompt = body
            .prompt()
            .filter(|prompt| prompt.messages > 0 || prompt.text_bytes > 0)?;
        let text = match self.counter {
            Counter::Bytes => prompt.weight.tokens(),
            #[cfg(feature = "tiktoken")]
            Counter::Tiktoken { .. } => {
                let members = body.members().ok()??;
                self.sum(|add| {
                    super::Prompt::count_with(members, add);
                })
            }
        };
        let model = body.model().unwrap_or(Cow::Borrowed(""));
        Some(text.saturating_add(Overhead::of(&model).tokens(prompt)))
    }

    fn sum(self, texts: impl FnOnce(&mut dyn FnMut(&str))) -> u64 {
        let mut weight = Weight::default();
        match self.counter {
            Counter::Bytes => {
                texts(&mut |text| weight.add(text));
                weight.tokens()
            }
            #[cfg(feature = "tiktoken")]
            Counter::Tiktoken { max_bytes } => {
                let vocabulary = tiktoken_rs::o200k_base_singleton();
                let (mut counted, mut room) = (0u64, max_bytes);
                texts(&mut |text| {
                    // The largest head that ends with a whole character.
                    let (head, tail) = (0..=room.min(text.len()))
                        .rev()
                        .find_map(|at| text.split_at_checked(at))
                        .unwrap_or(("", text));
                    room -= head.len();
                    counted += vocabulary.count_ordinary(head) as u64;
                    weight.add(tail);
                });
                counted.saturating_add(weight.tokens())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(json: &str) -> Option<u64> {
        TokenEstimator::default().estimate(&RequestBody::json(json.to_owned()))
    }

    #[test]
    fn what_has_no_prompt_has_no_estimate() {
        for json in [
            "{}",
            r#"{"model":"gpt-4o"}"#,
            r#"{"messages":[]}"#,
            "[]",
            "x",
        ] {
            assert_eq!(estimate(json), None, "{json}");
        }
        let estimator = TokenEstimator::default();
        assert_eq!(estimator.estimate(&RequestBody::bytes("x")), None);
        assert_eq!(estimator.estimate(&RequestBody::empty()), None);
    }

    #[test]
    fn lists_of_tokens_are_counted_not_guessed() {
        assert_eq!(
            estimate(r#"{"model":"text-embedding-3-small","input":[1,2,3,4]}"#),
            Some(4)
        );
    }

    #[test]
    fn tools_calls_and_images_add_to_the_text() {
        let plain = estimate(r#"{"messages":[{"role":"user","content":"hi"}]}"#).unwrap();
        let tools = estimate(
            r#"{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
        );
        let image = estimate(
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{}}]}]}"#,
        );
        let call = estimate(
            r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"function":{"arguments":"{\"city\":\"Paris\"}"}}]}]}"#,
        );
        assert!(tools.unwrap() > plain + 10);
        assert_eq!(image.unwrap(), plain + 765);
        assert!(call.unwrap() > plain + 4);
    }

    #[cfg(feature = "tiktoken")]
    #[test]
    fn tiktoken_counts_as_openai_does_up_to_its_cap() {
        let estimator = TokenEstimator::by_tiktoken(64 * 1024);
        assert_eq!(estimator.estimate_text("What is the capital of France?"), 7);
        let body = RequestBody::json(
            r#"{"model":"gpt-4o","messages":[{"role":"user","content":"What is the capital of France?"}]}"#,
        );
        assert_eq!(estimator.estimate(&body), Some(14));
        let long = "人人生而自由 ".repeat(20_000);
        let capped = TokenEstimator::by_tiktoken(1_000).estimate_text(&long);
        let weighed = TokenEstimator::by_bytes().estimate_text(&long);
        assert!(
            capped.abs_diff(weighed) < weighed / 50,
            "{capped} and {weighed}"
        );
    }

    proptest! {
        #[test]
        fn more_text_is_never_fewer_tokens(text in ".{0,200}", more in ".{0,50}") {
            let estimator = TokenEstimator::default();
            let both = text.clone() + &more;
            prop_assert!(estimator.estimate_text(&both) >= estimator.estimate_text(&text));
        }

        #[test]
        fn any_json_has_an_estimate_or_none(json in r#"\{"(messages|input|prompt|tools)":[\[\]{}"a-z0-9:,]{0,60}\}"#) {
            let _ = estimate(&json);
        }
    }
}
