//! Whether an answer is what OpenAI would have sent, told in one pass over its bytes.
//!
//! Nearly every answer is, so this is what normalising costs: no tree, no copy, no allocation. It says yes exactly where
//! [`head::repaired`](super::head::repaired) would change nothing; a property test holds the two together.

use super::{
    choices::{Choice, Choices},
    finish,
    head::TIERS,
    usage,
};
use crate::wire::json::{Cursor, Kind, Value};

/// What a conformant chunk says of its stream.
pub(super) struct Chunk<'a> {
    pub(super) id: Value<'a>,
    pub(super) model: Value<'a>,
    pub(super) created: u64,
    /// It states usage, and has no choices.
    pub(super) states_usage: bool,
    /// Groq's `x_groq`, in which usage may stand, too.
    pub(super) wrapper: Option<Value<'a>>,
}

/// What conforms depends on.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// OpenAI itself answers.
    pub(super) openai: bool,
    /// Usage may stand in a chunk of its own.
    pub(super) usage: bool,
}

/// Whether `text` is a chat completion as OpenAI sends it: all members that it always has, of the right kinds, and none of the
/// deviations that [`Repair`](super::Repair) names.
///
/// ```
/// use tower_relay::normalize::conforms;
///
/// let answer = br#"{"id":"chatcmpl-1","object":"chat.completion","created":1730000000,"model":"gpt-4o-mini","choices":
///     [{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null},"logprobs":null,"finish_reason":"stop"}]}"#;
/// assert!(conforms(answer));
/// assert!(!conforms(br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"eos"}]}"#));
/// ```
pub fn conforms(text: &[u8]) -> bool {
    body(text, false)
}

/// As [`conforms`]; `openai` if OpenAI itself answers.
pub(super) fn body(text: &[u8], openai: bool) -> bool {
    let rules = Rules {
        openai,
        usage: true,
    };
    answer(text, rules, None).is_some()
}

/// Whether the data of an event is a chunk as OpenAI sends it; `choices` has then learned from it, and is otherwise not to be
/// used.
pub(super) fn chunk<'a>(text: &'a [u8], rules: Rules, choices: &mut Choices) -> Option<Chunk<'a>> {
    answer(text, rules, Some(choices))
}

/// Members that were seen, a bit each.
#[derive(Default)]
struct Seen(u16);

impl Seen {
    /// `None` for a member that stands twice, of which readers see one or the other.
    fn once(&mut self, bit: u16) -> Option<()> {
        let is_new = self.0 & bit == 0;
        self.0 |= bit;
        is_new.then_some(())
    }

    fn has(&self, bits: u16) -> Option<()> {
        (self.0 & bits == bits).then_some(())
    }
}

/// Goes on if `holds`.
fn when(holds: bool) -> Option<()> {
    holds.then_some(())
}

fn answer<'a>(
    text: &'a [u8],
    rules: Rules,
    mut choices: Option<&mut Choices>,
) -> Option<Chunk<'a>> {
    const ID: u16 = 1;
    const OBJECT: u16 = 2;
    const CREATED: u16 = 4;
    const MODEL: u16 = 8;
    const CHOICES: u16 = 16;
    const USAGE: u16 = 32;
    const TIER: u16 = 64;
    const ERROR: u16 = 128;
    const ERROR_MESSAGE: u16 = 256;
    const TYPE: u16 = 512;

    let in_stream = choices.is_some();
    let object = if in_stream {
        "chat.completion.chunk"
    } else {
        "chat.completion"
    };
    let mut seen = Seen::default();
    let (mut id, mut model, mut created) = (None, None, None);
    let (mut count, mut states_usage, mut wrapper) = (0_usize, false, None);
    let mut cursor = Cursor::new(text)?;
    cursor.members(|cursor, name| match name {
        b"id" => {
            seen.once(ID)?;
            id = Some(named(cursor)?);
            Some(())
        }
        b"model" => {
            seen.once(MODEL)?;
            model = Some(named(cursor)?);
            Some(())
        }
        b"object" => {
            seen.once(OBJECT)?;
            when(cursor.value()?.is_text(object))
        }
        b"created" => {
            seen.once(CREATED)?;
            created = Some(cursor.value()?.as_u64()?);
            Some(())
        }
        b"choices" => {
            seen.once(CHOICES)?;
            cursor.items(|cursor| {
                count += 1;
                choice(cursor, rules, choices.as_deref_mut())
            })
        }
        b"usage" => {
            seen.once(USAGE)?;
            states_usage = cursor.peek()? == b'{';
            if states_usage {
                usage::conforms(cursor)
            } else {
                cursor.skip()
            }
        }
        b"service_tier" => {
            seen.once(TIER)?;
            let tier = cursor.value()?;
            when(tier.is_null() || TIERS.iter().any(|known| tier.is_text(known)))
        }
        b"error" => {
            seen.once(ERROR)?;
            when(cursor.value()?.is_null())
        }
        b"error_message" => {
            seen.once(ERROR_MESSAGE)?;
            when(cursor.value()?.is_null())
        }
        b"type" => {
            seen.once(TYPE)?;
            let kind = cursor.value()?;
            when(!matches!(kind.raw(), b"\"error\"" | b"\"response.failed\""))
        }
        b"x_groq" => {
            let stated = cursor.value()?;
            wrapper = Some(stated).filter(|stated| stated.kind() == Kind::Object);
            Some(())
        }
        _ => cursor.skip(),
    })?;
    seen.has(ID | OBJECT | CREATED | MODEL | CHOICES)?;
    when(cursor.is_at_end())?;
    if let Some(choices) = choices
        && states_usage
        && !rules.openai
    {
        when(rules.usage && count == 0 && choices.are_finished())?;
    }
    Some(Chunk {
        id: id?,
        model: model?,
        created: created?,
        states_usage,
        wrapper,
    })
}

/// A string that is not empty.
fn named<'a>(cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
    let name = cursor.value()?;
    when(name.says_something())?;
    Some(name)
}

fn choice(cursor: &mut Cursor<'_>, rules: Rules, mut choices: Option<&mut Choices>) -> Option<()> {
    const INDEX: u16 = 1;
    const SAID: u16 = 2;
    const FINISH: u16 = 4;
    const LOGPROBS: u16 = 8;
    const ERROR: u16 = 16;

    let start = *cursor;
    let in_stream = choices.is_some();
    let mut own = Choice::default();
    let mut known = (!in_stream).then_some(&mut own);
    let mut seen = Seen::default();
    let mut finish = None;
    cursor.members(|cursor, name| match name {
        b"index" => {
            seen.once(INDEX)?;
            let index = cursor.value()?.as_u64()?;
            if let Some(choices) = choices.take() {
                known = Some(choices.get_mut(index)?);
            }
            Some(())
        }
        b"delta" if in_stream => {
            seen.once(SAID)?;
            // Who the tool calls of a chunk belong to must be known before they are read.
            if let Some(choices) = choices.take() {
                known = Some(choices.get_mut(index(start)?)?);
            }
            message(cursor, rules, true, known.as_deref_mut()?)
        }
        b"message" if !in_stream => {
            seen.once(SAID)?;
            message(cursor, rules, false, known.as_deref_mut()?)
        }
        b"delta" | b"message" => None,
        b"finish_reason" => {
            seen.once(FINISH)?;
            let word = cursor.value()?;
            if in_stream && word.is_null() {
                return Some(());
            }
            finish = Some(word.as_str()?);
            Some(())
        }
        b"usage" if in_stream => when(cursor.value()?.kind() != Kind::Object),
        b"logprobs" => {
            seen.once(LOGPROBS)?;
            logprobs(cursor)
        }
        b"error" => {
            seen.once(ERROR)?;
            when(cursor.value()?.is_null())
        }
        _ => cursor.skip(),
    })?;
    seen.has(INDEX | SAID | FINISH)?;
    if !in_stream && !rules.openai {
        seen.has(LOGPROBS)?;
    }
    if let Some(word) = finish {
        let known = known?;
        known.finished = true;
        when(finish::conforms(&word, known.tools > 0, rules.openai))?;
    }
    Some(())
}

/// The index of the choice that comes next, where it does not stand before what is said.
fn index(mut cursor: Cursor<'_>) -> Option<u64> {
    let mut index = None;
    // Stops where it is found.
    let _ = cursor.members(|cursor, name| {
        let value = cursor.value()?;
        if name == b"index" {
            index = value.as_u64();
            return None;
        }
        Some(())
    });
    index
}

fn logprobs(cursor: &mut Cursor<'_>) -> Option<()> {
    const CONTENT: u16 = 1;
    const REFUSAL: u16 = 2;

    if cursor.peek()? != b'{' {
        return when(cursor.value()?.is_null());
    }
    let mut seen = Seen::default();
    cursor.members(|cursor, name| {
        match name {
            b"content" => seen.once(CONTENT)?,
            b"refusal" => seen.once(REFUSAL)?,
            _ => {}
        }
        cursor.skip()
    })?;
    seen.has(CONTENT | REFUSAL)
}

fn message(
    cursor: &mut Cursor<'_>,
    rules: Rules,
    in_stream: bool,
    choice: &mut Choice,
) -> Option<()> {
    const ROLE: u16 = 1;
    const CONTENT: u16 = 2;
    const REFUSAL: u16 = 4;
    const TOOL_CALLS: u16 = 8;
    const FUNCTION_CALL: u16 = 16;
    const ANNOTATIONS: u16 = 32;
    const AUDIO: u16 = 64;

    let mut seen = Seen::default();
    cursor.members(|cursor, name| match name {
        b"role" => {
            seen.once(ROLE)?;
            when(cursor.value()?.is_text("assistant"))
        }
        b"content" => {
            seen.once(CONTENT)?;
            when(cursor.value()?.kind() != Kind::Array)
        }
        b"refusal" => {
            seen.once(REFUSAL)?;
            cursor.skip()
        }
        b"tool_calls" => {
            seen.once(TOOL_CALLS)?;
            if cursor.peek()? == b'[' {
                cursor.items(|cursor| tool_call(cursor, in_stream, choice))
            } else {
                when(!is_hollow(cursor.value()?))
            }
        }
        b"function_call" => {
            seen.once(FUNCTION_CALL)?;
            when(!is_hollow(cursor.value()?))
        }
        b"annotations" => {
            seen.once(ANNOTATIONS)?;
            if cursor.peek()? == b'[' {
                cursor.items(annotation)
            } else {
                when(!is_hollow(cursor.value()?))
            }
        }
        b"audio" => {
            seen.once(AUDIO)?;
            when(cursor.value()?.raw() != b"{}")
        }
        _ => cursor.skip(),
    })?;
    if !in_stream {
        seen.has(ROLE | CONTENT)?;
        if !rules.openai {
            seen.has(REFUSAL)?;
        }
    }
    Some(())
}

/// Whether a value only fills the place of a member that OpenAI leaves out.
pub(super) fn is_hollow(value: Value<'_>) -> bool {
    value.is_null() || value.raw() == b"{}"
}

fn annotation(cursor: &mut Cursor<'_>) -> Option<()> {
    const CITATION: u16 = 1;

    let mut seen = Seen::default();
    cursor.members(|cursor, name| {
        let value = cursor.value()?;
        if name == b"url_citation" {
            seen.once(CITATION)?;
            when(value.kind() == Kind::Object)?;
        }
        Some(())
    })?;
    seen.has(CITATION)
}

fn tool_call(cursor: &mut Cursor<'_>, in_stream: bool, choice: &mut Choice) -> Option<()> {
    const INDEX: u16 = 1;
    const ID: u16 = 2;
    const TYPE: u16 = 4;
    const FUNCTION: u16 = 8;

    let mut seen = Seen::default();
    let mut index = None;
    cursor.members(|cursor, name| match name {
        b"index" => {
            seen.once(INDEX)?;
            index = cursor.value()?.as_u64();
            Some(())
        }
        b"id" => {
            seen.once(ID)?;
            named(cursor).map(drop)
        }
        b"type" => {
            seen.once(TYPE)?;
            let kind = cursor.value()?;
            when(kind.is_text("function") || kind.is_text("custom"))
        }
        b"function" => {
            seen.once(FUNCTION)?;
            function(cursor, in_stream)
        }
        _ => cursor.skip(),
    })?;
    let begins = if in_stream {
        let at = index?;
        let begins = at >= choice.tools;
        choice.tools = choice.tools.max(at.saturating_add(1));
        begins
    } else {
        choice.tools = choice.tools.saturating_add(1);
        true
    };
    if begins {
        seen.has(ID | TYPE)
    } else {
        Some(())
    }
}

fn function(cursor: &mut Cursor<'_>, in_stream: bool) -> Option<()> {
    const NAME: u16 = 1;
    const ARGUMENTS: u16 = 2;

    if cursor.peek()? != b'{' {
        return when(!cursor.value()?.is_null());
    }
    let mut seen = Seen::default();
    cursor.members(|cursor, name| match name {
        b"name" => {
            seen.once(NAME)?;
            let name = cursor.text()?;
            when(!in_stream || !name.is_empty())
        }
        b"arguments" => {
            seen.once(ARGUMENTS)?;
            when(cursor.value()?.kind() == Kind::String)
        }
        _ => cursor.skip(),
    })?;
    if in_stream {
        Some(())
    } else {
        seen.has(ARGUMENTS)
    }
}
