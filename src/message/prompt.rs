//! What a conversation holds, counted without building it.

use std::fmt;

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::estimate::Weight;
use crate::wire::json::{Kind, Members, Value};

/// Counts over the prompt of a request: `messages`, `input`, `prompt`, `system` and `instructions`.
///
/// Reads OpenAI's chat, completions, embeddings and Responses shapes and Anthropic's. Unknown shapes count as
/// nothing, never as an error; what is nested deeper than 128 levels is not counted.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Messages, or items of a Responses `input`; 1 for a prompt that is one string.
    pub messages: u64,
    /// Length of all text in Unicode characters, after unescaping.
    pub text_chars: u64,
    /// Length of all text in UTF-8 bytes, after unescaping.
    pub text_bytes: u64,
    /// Tokens of prompts that come as lists of token ids.
    pub tokens: u64,
    /// Tools offered: members of `tools` and of the older `functions`.
    pub tools: u64,
    /// Images and other files among the content.
    pub images: u64,
    /// Messages that carry a tool call: `tool_calls`, or `function_call`, its older name.
    pub tool_calls: u64,
    /// Those of them that carry a `function_call`.
    pub function_calls: u64,
    /// Length of the JSON of the tools' definitions and of a schema asked for, in bytes as they were sent.
    pub schema_bytes: u64,
    /// Length of the JSON of tool calls among the messages, in bytes as they were sent.
    pub call_bytes: u64,
    /// What the text weighs in tokens.
    pub(super) weight: Weight,
}

impl Prompt {
    pub(super) fn count(members: Members<'_>) -> Self {
        let mut weight = Weight::default();
        let mut prompt = Self::count_with(members, &mut |text| weight.add(text));
        prompt.weight = weight;
        prompt
    }

    /// Counts all but the weight, and shows each text to `see`.
    pub(super) fn count_with(members: Members<'_>, see: &mut dyn FnMut(&str)) -> Self {
        let mut prompt = Self::default();
        for (name, value) in members.iter() {
            let level = match &*name {
                "messages" | "input" | "prompt" => Level::Conversation,
                "system" | "instructions" => Level::Content,
                "tools" | "functions" => {
                    prompt.schema_bytes += structured_len(value);
                    Level::Tools
                }
                // OpenAI's names for a schema of the answer, then Anthropic's.
                "response_format" | "text" | "output_config" | "output_format" => {
                    prompt.schema_bytes += structured_len(value);
                    continue;
                }
                _ => continue,
            };
            let mut text = serde_json::Deserializer::from_slice(value.raw());
            // The index has validated the text, so only its depth can stop the walk: what was counted stands.
            let _ = Walk {
                level,
                prompt: &mut prompt,
                see,
            }
            .deserialize(&mut text);
        }
        prompt
    }
}

/// The length of a list's or an object's text.
fn structured_len(value: Value<'_>) -> u64 {
    match value.kind() {
        Kind::Array | Kind::Object => value.raw().len() as u64,
        _ => 0,
    }
}

/// Where in a conversation a value stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// A string, or a list of strings, tokens or messages.
    Conversation,
    /// One element of that list.
    Message,
    /// A string, or a list of parts; a part's own content is one again.
    Content,
    /// A list whose elements are only counted.
    Tools,
    /// A list of calls, or one call: whether there is any.
    Calls,
    /// One of them, or what it holds.
    Call,
}

/// Adds to `prompt` what the value at `level` holds.
struct Walk<'a> {
    level: Level,
    prompt: &'a mut Prompt,
    see: &'a mut dyn FnMut(&str),
}

impl Walk<'_> {
    fn at(&mut self, level: Level) -> Walk<'_> {
        Walk {
            level,
            prompt: self.prompt,
            see: self.see,
        }
    }

    fn add_text(&mut self, text: &str) {
        self.prompt.text_chars += text.chars().count() as u64;
        self.prompt.text_bytes += text.len() as u64;
        (self.see)(text);
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: Name, map: &mut A) -> Result<(), A::Error> {
        match (self.level, name) {
            (Level::Message, Name::Content | Name::Output | Name::Text)
            | (Level::Content, Name::Content | Name::Text | Name::Thinking | Name::Refusal) => {
                map.next_value_seed(self.at(Level::Content))
            }
            (Level::Content, Name::File) => {
                self.prompt.images += 1;
                map.next_value::<IgnoredAny>().map(drop)
            }
            (Level::Message, Name::ToolCalls) => map.next_value_seed(self.at(Level::Calls)),
            (Level::Message, Name::FunctionCall) => {
                if let Some(call) = map.next_value::<Option<&RawValue>>()? {
                    self.prompt.function_calls += 1;
                    self.prompt.tool_calls += 1;
                    self.prompt.call_bytes += call.get().len() as u64;
                }
                Ok(())
            }
            (Level::Calls | Level::Call, Name::Function) => {
                map.next_value_seed(self.at(Level::Call))
            }
            // Among the content they are Anthropic's `tool_use`, among the messages Responses' `function_call`.
            (_, Name::Arguments | Name::Input) => {
                self.prompt.call_bytes += map.next_value::<&RawValue>()?.get().len() as u64;
                Ok(())
            }
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }
}

/// The members of messages and parts that are counted.
#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    Content,
    /// A tool's result in a Responses `input`.
    Output,
    Text,
    Thinking,
    Refusal,
    ToolCalls,
    FunctionCall,
    Function,
    Arguments,
    Input,
    /// OpenAI's names for a file, then Anthropic's.
    #[serde(alias = "image_url", alias = "file_id", alias = "source")]
    File,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(mut self, text: &str) -> Result<(), E> {
        match self.level {
            Level::Conversation | Level::Message => {
                self.prompt.messages += 1;
                self.add_text(text);
            }
            Level::Content => self.add_text(text),
            Level::Tools | Level::Calls | Level::Call => {}
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let child = match self.level {
            Level::Conversation => Level::Message,
            // A list within the list is a prompt of tokens.
            Level::Message => {
                self.prompt.messages += 1;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    self.prompt.tokens += 1;
                }
                return Ok(());
            }
            Level::Content => Level::Content,
            Level::Tools => {
                while list.next_element::<IgnoredAny>()?.is_some() {
                    self.prompt.tools += 1;
                }
                return Ok(());
            }
            Level::Calls | Level::Call => {
                let mut calls = 0;
                while list.next_element_seed(self.at(Level::Call))?.is_some() {
                    calls += 1;
                }
                if self.level == Level::Calls && calls > 0 {
                    self.prompt.tool_calls += 1;
                }
                return Ok(());
            }
        };
        let tokens_before = self.prompt.tokens;
        while list.next_element_seed(self.at(child))?.is_some() {}
        // A flat list of tokens is one prompt.
        if self.level == Level::Conversation
            && self.prompt.messages == 0
            && self.prompt.tokens > tokens_before
        {
            self.prompt.messages = 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        match self.level {
            Level::Message => self.prompt.messages += 1,
            Level::Calls => self.prompt.tool_calls += 1,
            _ => {}
        }
        while let Some(name) = map.next_key::<Name>()? {
            self.member(name, &mut map)?;
        }
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        if self.level == Level::Message {
            self.prompt.tokens += 1;
        }
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
