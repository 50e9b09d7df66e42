//! Whether an event stream has said that it is complete.

use bytes::Bytes;
use memchr::memmem;

use crate::wire::sse::{Frame, FrameError, Framer};

/// Looks for the terminal event of a stream: `[DONE]`, Anthropic's `message_stop`, the last event of a Responses stream,
/// or a finish reason that the end follows.
#[derive(Debug, Default)]
pub(super) struct TerminalScan {
    framer: Framer,
    terminal: bool,
    finish_reason: bool,
}

impl TerminalScan {
    /// Looks at the next bytes; whether the stream is complete by now.
    pub(super) fn push(&mut self, data: &Bytes) -> Result<bool, FrameError> {
        let mut frames = self.framer.push(data);
        while let Some(frame) = frames.next()? {
            self.terminal |= is_terminal(&frame);
            self.finish_reason |= has_finish_reason(&frame);
        }
        Ok(self.terminal)
    }

    /// The stream has ended; whether it is complete.
    pub(super) fn finish(&mut self) -> bool {
        if let Ok(Some(frame)) = self.framer.finish() {
            self.terminal |= is_terminal(&frame);
            self.finish_reason |= has_finish_reason(&frame);
        }
        self.terminal || self.finish_reason
    }
}

fn is_terminal(frame: &Frame<'_>) -> bool {
    match frame.event() {
        Some(b"message_stop" | b"response.completed" | b"response.incomplete") => true,
        Some(_) => false,
        None => frame.data().is_some_and(|data| data.starts_with(b"[DONE]")),
    }
}

/// Whether a chat chunk finishes a choice: `"finish_reason":"…"`, not `null`.
fn has_finish_reason(frame: &Frame<'_>) -> bool {
    const NAME: &[u8] = br#""finish_reason""#;
    let raw = frame.raw();
    memmem::find_iter(raw, NAME).any(|at| {
        let rest = raw.get(at + NAME.len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
    })
}
