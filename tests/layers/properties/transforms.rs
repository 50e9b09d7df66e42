//! Stages in a row, against the same stages over the whole.

use std::task::Poll;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tokio_test::task;
use tower_relay::message::{BoxError, Output, ResponseBody, Transform};

use super::source::{Last, Source, Step, source, trailers};

/// A change of bytes that does not depend on how they are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// Each byte with its case swapped, as it comes.
    Swap,
    /// Each byte twice.
    Double,
    /// Nothing but the bytes below this.
    Below(u8),
    /// Everything at the end, backwards.
    Reverse,
    /// Everything, held until there are so many bytes of it.
    Hold(usize),
    /// Something before the end.
    Append,
}

pub(crate) fn stage() -> impl Strategy<Value = Stage> {
    prop_oneof![
        Just(Stage::Swap),
        Just(Stage::Double),
        any::<u8>().prop_map(Stage::Below),
        Just(Stage::Reverse),
        (1_usize..20).prop_map(Stage::Hold),
        Just(Stage::Append),
    ]
}

impl Stage {
    pub(crate) fn apply(body: ResponseBody, stage: Self) -> ResponseBody {
        body.transform(Running {
            stage,
            held: Vec::new(),
        })
    }

    fn on_whole(self, mut whole: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Swap => whole.iter_mut().for_each(|byte| *byte ^= 0x20),
            Self::Double => whole = whole.into_iter().flat_map(|byte| [byte; 2]).collect(),
            Self::Below(limit) => whole.retain(|byte| *byte < limit),
            Self::Reverse => whole.reverse(),
            Self::Hold(_) => {}
            Self::Append => whole.extend_from_slice(b"end"),
        }
        whole
    }
}

struct Running {
    stage: Stage,
    held: Vec<u8>,
}

impl Transform for Running {
    fn data(&mut self, data: Bytes, output: &mut Output<'_>) -> Result<(), BoxError> {
        match self.stage {
            Stage::Swap | Stage::Double | Stage::Below(_) => {
                output.push(self.stage.on_whole(data.to_vec()).into())
            }
            Stage::Append => output.push(data),
            Stage::Reverse => {
                self.held.extend_from_slice(&data);
                Ok(())
            }
            Stage::Hold(size) => {
                self.held.extend_from_slice(&data);
                if self.held.len() < size {
                    Ok(())
                } else {
                    output.push(std::mem::take(&mut self.held).into())
                }
            }
        }
    }

    fn end(&mut self, output: &mut Output<'_>) -> Result<(), BoxError> {
        let held = std::mem::take(&mut self.held);
        match self.stage {
            Stage::Append => output.push(Bytes::from_static(b"end")),
            Stage::Reverse => output.push(self.stage.on_whole(held).into()),
            _ => output.push(held.into()),
        }
    }

    fn keeps_length(&self) -> bool {
        matches!(self.stage, Stage::Swap | Stage::Reverse | Stage::Hold(_))
    }
}

/// Everything that comes of `body`, and what it said beforehand, at each step.
fn read(mut body: ResponseBody) -> Result<(Vec<u8>, bool), TestCaseError> {
    let mut read: Vec<u8> = Vec::new();
    let mut hints = Vec::new();
    let mut trailers_seen = false;
    loop {
        let ended = body.is_end_stream();
        hints.push((read.len() as u64, body.size_hint()));
        let mut next = task::spawn(body.frame());
        let Poll::Ready(frame) = next.poll() else {
            prop_assert!(next.is_woken(), "nobody will wake this body");
            continue;
        };
        let Some(frame) = frame else { break };
        prop_assert!(!ended, "said that it had ended");
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            Ok(Err(frame)) => trailers_seen = frame.into_trailers().unwrap() == trailers(),
            // What a broken body declared need not come.
            Err(_) => return Ok((read, trailers_seen)),
        }
    }
    let total = read.len() as u64;
    for (before, hint) in hints {
        let rest = total - before;
        prop_assert!(hint.lower() <= rest, "{hint:?} before {rest}");
        prop_assert!(
            hint.upper().is_none_or(|upper| rest <= upper),
            "{hint:?} before {rest}"
        );
    }
    Ok((read, trailers_seen))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn stages_in_a_row_do_what_they_do_on_the_whole(
        source in source(),
        stages in prop::collection::vec(stage(), 0..4),
    ) {
        let mut expected = source.whole();
        let last = source.last;
        let body = stages.iter().copied().fold(ResponseBody::new(source), Stage::apply);
        let (read, trailers_seen) = read(body)?;
        if last != Last::Error {
            expected = stages.iter().fold(expected, |whole, stage| stage.on_whole(whole));
            prop_assert_eq!(read, expected);
        }
        prop_assert_eq!(trailers_seen, last == Last::Trailers);
    }

    #[test]
    fn a_watched_body_passes_what_comes(source in source()) {
        let (expected, last) = (source.whole(), source.last);
        let (read, trailers_seen) = read(ResponseBody::new(source).on_end(|_| {}))?;
        prop_assert_eq!(read, expected);
        prop_assert_eq!(trailers_seen, last == Last::Trailers);
    }

    #[test]
    fn a_body_in_memory_is_a_body_like_any_other(
        text in prop::collection::vec(any::<u8>(), 0..20),
        stages in prop::collection::vec(stage(), 0..3),
    ) {
        let expected = stages.iter().fold(text.clone(), |whole, stage| stage.on_whole(whole));
        let body = stages.into_iter().fold(ResponseBody::from(text), Stage::apply);
        prop_assert_eq!(read(body)?.0, expected);
    }
}

#[test]
fn an_empty_frame_is_no_end() {
    let steps = ["", "a", "", "b", ""].map(|data| Step::Data(Bytes::from_static(data.as_bytes())));
    let body = ResponseBody::new(Source::new(steps, Last::End, false, true));
    assert_eq!(read(body).unwrap().0, b"ab");
}
