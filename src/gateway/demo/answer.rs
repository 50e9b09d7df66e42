use serde_json::{Value, json};

use super::fields::Ask;

/// The longest echo of a message, in characters.
const MAX_ECHO: usize = 200;
/// How much of a tool call's arguments one delta carries, in characters.
const ARGUMENTS_PIECE: usize = 8;

/// What a model said, before it has the shape of any API.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) model: &'static str,
    /// In seconds since the Unix epoch.
    pub(super) created: u64,
    pub(super) choices: Vec<Choice>,
    /// In words.
    pub(super) prompt_tokens: u64,
}

#[derive(Debug)]
pub(super) struct Choice {
    pub(super) content: Content,
    pub(super) finish: &'static str,
}

#[derive(Debug)]
pub(super) enum Content {
    /// One piece per token; together they are the text.
    Text(Vec<String>),
    Call(ToolCall),
}

#[derive(Debug)]
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    /// One piece per token; together they are JSON, unless the answer was cut for length.
    pub(super) arguments: Vec<String>,
}

impl Answer {
    pub(super) fn new(
        ask: &Ask<'_>,
        prefix: &str,
        prompt_tokens: u64,
        choices: Vec<Choice>,
    ) -> Self {
        Self {
            id: format!("{prefix}{}", ask.hash),
            model: ask.model.id,
            created: ask.created,
            choices,
            prompt_tokens,
        }
    }

    pub(super) fn completion_tokens(&self) -> u64 {
        self.choices.iter().map(Choice::tokens).sum()
    }

    pub(super) fn usage(&self) -> Value {
        let completion = self.completion_tokens();
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens.saturating_add(completion),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
            },
        })
    }
}

impl Choice {
    /// A text of at most `cap` tokens.
    pub(super) fn text(text: &str, cap: usize) -> Self {
        let (pieces, finish) = capped(pieces(text), cap, "stop");
        Self {
            content: Content::Text(pieces),
            finish,
        }
    }

    /// A tool call of at most `cap` tokens, one of which is the name.
    pub(super) fn call(id: String, name: &str, arguments: &Value, cap: usize) -> Self {
        let characters: Vec<char> = arguments.to_string().chars().collect();
        let pieces = characters
            .chunks(ARGUMENTS_PIECE)
            .map(|piece| piece.iter().collect())
            .collect();
        let (arguments, finish) = capped(pieces, cap.saturating_sub(1), "tool_calls");
        Self {
            content: Content::Call(ToolCall {
                id,
                name: name.to_owned(),
                arguments,
            }),
            finish,
        }
    }

    fn tokens(&self) -> u64 {
        let pieces = match &self.content {
            Content::Text(pieces) => pieces.len(),
            Content::Call(call) => call.arguments.len().saturating_add(1),
        };
        u64::try_from(pieces).unwrap_or(u64::MAX)
    }
}

fn capped(
    mut pieces: Vec<String>,
    cap: usize,
    finish: &'static str,
) -> (Vec<String>, &'static str) {
    if pieces.len() <= cap {
        return (pieces, finish);
    }
    pieces.truncate(cap);
    (pieces, "length")
}

/// Words, each with the whitespace before it.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = vec![];
    let mut piece = String::new();
    for character in text.trim_end().chars() {
        let starts_next = character.is_whitespace() && piece.chars().any(|c| !c.is_whitespace());
        if starts_next {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.push(character);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The number of words.
pub(super) fn words(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}

/// The start of a text, with an ellipsis if there is more.
pub(super) fn echo(text: &str) -> String {
    let mut characters = text.trim().chars();
    let mut echo: String = characters.by_ref().take(MAX_ECHO).collect();
    if characters.next().is_some() {
        echo.push('…');
    }
    echo
}
