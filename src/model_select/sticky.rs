//! Which model a conversation has had so far.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Request;
use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::choose::Choice;
use crate::{key::KeyBy, message::RequestBody};

/// Conversations that are remembered, at most twice as many.
const MAX: usize = 10_000;
/// As many messages are looked through for the first of the user's.
const MAX_OPENING: usize = 8;

/// Remembers the models of conversations, within bounds: once there are many, those that were not asked for since are forgotten.
#[derive(Debug)]
pub(super) struct Sticky {
    span: Duration,
    hasher: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Kept>,
    old: HashMap<u64, Kept>,
}

#[derive(Debug, Clone)]
struct Kept {
    choice: Choice,
    until: Instant,
}

impl Sticky {
    /// A conversation keeps its model for `span` after each of its requests.
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            hasher: RandomState::new(),
            generations: Mutex::default(),
        }
    }

    /// What tells the conversation of `request` from others: the caller's key, and all up to the first message of the user's.
    pub(super) fn conversation(&self, request: &Request<RequestBody>) -> Option<u64> {
        let members = request.body().members().ok()??;
        let mut hasher = self.hasher.build_hasher();
        if let Ok(Some(key)) = KeyBy::api_key().key_of(request) {
            hasher.write(key.to_string().as_bytes());
        }
        for name in ["system", "instructions", "prompt"] {
            if let Some(value) = members.get(name) {
                hasher.write(value.raw());
            }
        }
        let list = members.get("messages").or_else(|| members.get("input"));
        if let Some(list) = list {
            if list.as_str().is_some() {
                hasher.write(list.raw());
            } else {
                let mut reader = serde_json::Deserializer::from_slice(list.raw());
                // It stops at what it looked for.
                let _ = reader.deserialize_seq(Opening(&mut hasher));
            }
        }
        Some(hasher.finish())
    }

    pub(super) fn get(&self, conversation: u64, now: Instant) -> Option<Choice> {
        let mut generations = self.lock();
        let found = generations.young.get(&conversation);
        let kept = found
            .or_else(|| generations.old.get(&conversation))?
            .clone();
        if now >= kept.until {
            return None;
        }
        generations.put(conversation, self.until(kept.choice.clone(), now));
        Some(kept.choice)
    }

    pub(super) fn set(&self, conversation: u64, choice: Choice, now: Instant) {
        let kept = self.until(choice, now);
        self.lock().put(conversation, kept);
    }

    fn until(&self, choice: Choice, now: Instant) -> Kept {
        let until = now.checked_add(self.span).unwrap_or(now);
        Kept { choice, until }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn put(&mut self, conversation: u64, kept: Kept) {
        if self.young.len() >= MAX && !self.young.contains_key(&conversation) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(conversation, kept);
    }
}

/// Hashes messages up to the first of the user's.
struct Opening<'a, H>(&'a mut H);

impl<'de, H: Hasher> Visitor<'de> for Opening<'_, H> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        #[derive(serde::Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            role: Option<&'a RawValue>,
        }
        for _ in 0..MAX_OPENING {
            let Some(message) = list.next_element::<&RawValue>()? else {
                break;
            };
            self.0.write(message.get().as_bytes());
            let role = serde_json::from_str::<Message<'_>>(message.get());
            if role.is_ok_and(|message| message.role.is_some_and(|role| role.get() == "\"user\"")) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(sticky: &Sticky, body: &'static str, key: &str) -> u64 {
        let request = Request::post("/v1/chat/completions")
            .header("authorization", format!("Bearer {key}"))
            .body(RequestBody::json(body))
            .unwrap();
        sticky.conversation(&request).unwrap()
    }

    #[test]
    fn a_conversation_is_known_by_its_beginning_and_its_caller() {
        let sticky = Sticky::new(Duration::from_secs(60));
        let first =
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"}]}"#;
        let later = r#"{"max_tokens":1,"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
        let other =
            r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"b"}]}"#;
        let of = |body, key| conversation(&sticky, body, key);
        assert_eq!(of(first, "k"), of(later, "k"));
        assert_ne!(of(first, "k"), of(other, "k"));
        assert_ne!(of(first, "k"), of(first, "l"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends() {
        let sticky = Sticky::new(Duration::from_secs(60));
        let now = Instant::now();
        let choice = Choice {
            model: "m".into(),
            tier: 1,
        };
        for conversation in 0..5 * MAX as u64 {
            sticky.set(conversation, choice.clone(), now);
        }
        {
            let generations = sticky.lock();
            assert!(generations.young.len() + generations.old.len() <= 2 * MAX);
        }
        let last = 5 * MAX as u64 - 1;
        assert_eq!(sticky.get(last, now), Some(choice.clone()));
        assert_eq!(sticky.get(0, now), None);
        // Each use counts the span anew.
        let later = now + Duration::from_secs(59);
        assert_eq!(sticky.get(last, later), Some(choice.clone()));
        assert_eq!(
            sticky.get(last, now + Duration::from_secs(100)),
            Some(choice)
        );
        assert_eq!(sticky.get(last, now + Duration::from_secs(161)), None);
    }
}
