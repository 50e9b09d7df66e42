//! A whole answer as the stream that was asked for.

use bytes::{Bytes, BytesMut};

use super::{
    Reasoning,
    choice::{each, edited},
    events::Events,
    head::Answer,
};
use crate::{
    message::Edited,
    wire::{
        json::Index,
        sse::{DONE, event},
    },
};

/// The events of a stream that says all of `text`, a body as OpenAI would have sent it, in one chunk.
pub(super) fn unrolled(text: &[u8], answer: &Answer, wants_usage: bool) -> Bytes {
    let chunk = with_deltas(text).unwrap_or_else(|| Bytes::copy_from_slice(text));
    // A line of its own for each line of the body would be right, but not all clients read more than one; no string has a raw
    // line end in it.
    let line: Vec<_> = chunk
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let answer = Answer {
        // Thoughts are where they are wanted by now.
        reasoning: Reasoning::Keep,
        ..answer.clone()
    };
    let mut events = Events::new(answer, wants_usage);
    events.learn(&line);
    let (step, mut repairs) = events.step(&line, false);
    let mut stream = BytesMut::new();
    match step.own {
        Edited::Keep => stream.extend_from_slice(&event(None, &line)),
        Edited::Replace(chunk) => stream.extend_from_slice(&event(None, &chunk)),
        Edited::Drop => {}
    }
    stream.extend_from_slice(&events.closing(&mut repairs));
    stream.extend_from_slice(DONE);
    stream.freeze()
}

/// `text` with a `delta` in the place of each `message`.
fn with_deltas(text: &[u8]) -> Option<Bytes> {
    let index = Index::parse(text).ok()?;
    let members = index.members(text);
    let choices = each(members.get("choices")?.raw(), |_, choice| {
        let index = Index::parse(choice).ok()?;
        let members = index.members(choice);
        let mut edit = members.edit();
        edit.set("delta", members.get("message")?).remove("message");
        edited(edit)
    })?;
    let mut edit = members.edit();
    edit.set("choices", choices);
    Some(edit.into_text())
}
