//! What a conversation holds, counted without building it.

use super::estimate::Weight;
use crate::wire::json::{Cursor, Kind, Members, Value};

/// The deepest nesting that is looked into: each level is a call on the stack.
const MAX_DEPTH: u8 = 128;

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
            let mut walk = Walk {
                prompt: &mut prompt,
                see,
                depth: 0,
            };
            // The index has found the text to be JSON, which is all that could stop the walk.
            let _ = walk.value(&mut Cursor::of_bytes(value.raw()), level);
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

/// Adds to `prompt` what the values hold that it goes through.
struct Walk<'a> {
    prompt: &'a mut Prompt,
    see: &'a mut dyn FnMut(&str),
    depth: u8,
}

impl Walk<'_> {
    /// Takes the value that stands at `level`.
    fn value(&mut self, cursor: &mut Cursor<'_>, level: Level) -> Option<()> {
        match cursor.peek()? {
            b'[' | b'{' if self.depth == MAX_DEPTH => cursor.skip(),
            open @ (b'[' | b'{') => {
                self.depth += 1;
                let taken = match open {
                    b'[' => self.list(cursor, level),
                    _ => self.object(cursor, level),
                };
                self.depth -= 1;
                taken
            }
            b'"' => {
                let text = cursor.value()?.as_str();
                self.string(&text.unwrap_or_default(), level);
                Some(())
            }
            _ => {
                let is_token = cursor.value()?.raw().iter().all(u8::is_ascii_digit);
                self.prompt.tokens += u64::from(is_token && level == Level::Message);
                Some(())
            }
        }
    }

    fn string(&mut self, text: &str, level: Level) {
        match level {
            Level::Conversation | Level::Message => {
                self.prompt.messages += 1;
                self.add_text(text);
            }
            Level::Content => self.add_text(text),
            Level::Tools | Level::Calls | Level::Call => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        self.prompt.text_chars += text.chars().count() as u64;
        self.prompt.text_bytes += text.len() as u64;
        (self.see)(text);
    }

    fn list(&mut self, cursor: &mut Cursor<'_>, level: Level) -> Option<()> {
        match level {
            Level::Conversation => {
                let tokens_before = self.prompt.tokens;
                cursor.items(|cursor| self.value(cursor, Level::Message))?;
                // A flat list of tokens is one prompt.
                if self.prompt.messages == 0 && self.prompt.tokens > tokens_before {
                    self.prompt.messages = 1;
                }
            }
            // A list within the list is a prompt of tokens.
            Level::Message => {
                self.prompt.messages += 1;
                count_items(cursor, &mut self.prompt.tokens)?;
            }
            Level::Content => cursor.items(|cursor| self.value(cursor, Level::Content))?,
            Level::Tools => count_items(cursor, &mut self.prompt.tools)?,
            Level::Calls | Level::Call => {
                let mut calls = 0;
                cursor.items(|cursor| {
                    calls += 1;
                    self.value(cursor, Level::Call)
                })?;
                if level == Level::Calls && calls > 0 {
                    self.prompt.tool_calls += 1;
                }
            }
        }
        Some(())
    }

    fn object(&mut self, cursor: &mut Cursor<'_>, level: Level) -> Option<()> {
        match level {
            Level::Message => self.prompt.messages += 1,
            Level::Calls => self.prompt.tool_calls += 1,
            _ => {}
        }
        cursor.members(|cursor, name| self.member(cursor, level, name))
    }

    /// Takes the value of a member of a message, a part, or a call.
    fn member(&mut self, cursor: &mut Cursor<'_>, level: Level, name: &[u8]) -> Option<()> {
        match (level, name) {
            (Level::Message, b"content" | b"output" | b"text")
            | (Level::Content, b"content" | b"text" | b"thinking" | b"refusal") => {
                self.value(cursor, Level::Content)
            }
            // OpenAI's names for a file, then Anthropic's.
            (Level::Content, b"file" | b"image_url" | b"file_id" | b"source") => {
                self.prompt.images += 1;
                cursor.skip()
            }
            (Level::Message, b"tool_calls") => self.value(cursor, Level::Calls),
            (Level::Message, b"function_call") => {
                let call = cursor.value()?;
                if !call.is_null() {
                    self.prompt.function_calls += 1;
                    self.prompt.tool_calls += 1;
                    self.prompt.call_bytes += call.raw().len() as u64;
                }
                Some(())
            }
            (Level::Calls | Level::Call, b"function") => self.value(cursor, Level::Call),
            // Among the content they are Anthropic's `tool_use`, among the messages Responses' `function_call`.
            (_, b"arguments" | b"input") => {
                self.prompt.call_bytes += cursor.value()?.raw().len() as u64;
                Some(())
            }
            _ => cursor.skip(),
        }
    }
}

fn count_items(cursor: &mut Cursor<'_>, count: &mut u64) -> Option<()> {
    cursor.items(|cursor| {
        *count += 1;
        cursor.skip()
    })
}

#[cfg(test)]
mod tests;
