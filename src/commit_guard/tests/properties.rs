use bytes::Bytes;
use proptest::{prelude::*, sample::Index};

use super::harness::*;
use crate::message::{End, Failure};

/// Streams as providers send them, each with its path.
const STREAMS: &[(&str, &str)] = &[
    (
        "/v1/chat/completions",
        ": PROCESSING\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\"Größe \\\"error\\\"\"}}]}\n\n: ping\n\n\
         data: {\"choices\":[{\"delta\":{\"content\":\" 漢字\"}}]}\n\n\
         data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    ),
    (
        "/v1/chat/completions",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"},\
         \r\ndata: \"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\r\n\r\n",
    ),
    (
        "/v1/messages",
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n\
         event: ping\ndata: {\"type\":\"ping\"}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"hé\"}}\n\n\
         event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
         event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        "/v1/responses",
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"error\":null}}\n\n\
         event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"x\"}\n\n\
         event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n",
    ),
];

/// How the upstream hands a stream on: cut up at some places, with pauses in between, none of them longer than the end of a stream is
/// waited for.
fn pieces(text: &'static [u8], cuts: &[(Index, bool)]) -> Vec<Say> {
    let mut places: Vec<_> = cuts
        .iter()
        .map(|(at, wait)| (at.index(text.len() + 1), *wait))
        .collect();
    places.sort_unstable();
    // One pause a place at most.
    places.dedup_by_key(|(at, _)| *at);
    let mut script = Vec::new();
    let mut start = 0;
    for (at, wait) in places {
        script.push(Say::Data(Bytes::from_static(&text[start..at])));
        if wait {
            script.push(Wait(1));
        }
        start = at;
    }
    script.push(Say::Data(Bytes::from_static(&text[start..])));
    script
}

fn in_paused_time<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(test)
}

/// Whether `event` is one event by itself that a caller of `path` takes for an error.
fn is_error_event(path: &str, event: &str) -> bool {
    let lead = match path {
        "/v1/chat/completions" => "data: {\"error\":{\"message\":",
        "/v1/messages" => "event: error\ndata: {\"type\":\"error\",\"error\":{",
        _ => "event: error\ndata: {\"type\":\"error\",\"sequence_number\":",
    };
    let json = event.rsplit("data: ").next().unwrap();
    event.starts_with(lead)
        && event.find("\n\n") == Some(event.len() - 2)
        && serde_json::from_str::<serde_json::Value>(json).is_ok()
}

fn cuts() -> impl Strategy<Value = Vec<(Index, bool)>> {
    prop::collection::vec(any::<(Index, bool)>(), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_whole_stream_passes_byte_for_byte_however_it_is_cut_up(
        (path, text) in prop::sample::select(STREAMS),
        cuts in cuts(),
    ) {
        let exchange = exchange(EVENTS, pieces(text.as_bytes(), &cuts)).at(path);
        let got = in_paused_time(async { read(exchange.ask(builder()).await).await });
        prop_assert_eq!(&got.text, text);
        prop_assert!(!got.broken);
        prop_assert_eq!(got.end, End::Complete);
        prop_assert_eq!(exchange.end(), End::Complete);
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error_or_what_came_and_one_error_event(
        (path, text) in prop::sample::select(STREAMS),
        cuts in cuts(),
        end in any::<Index>(),
        last in prop::sample::select(vec![None, Some(Break), Some(Hang)]),
    ) {
        let cut: &'static [u8] = &text.as_bytes()[..end.index(text.len())];
        let mut script = pieces(cut, &cuts);
        script.extend(last);
        let exchange = exchange(EVENTS, script).at(path);
        let (status, got) = in_paused_time(async {
            let response = exchange.ask(builder()).await;
            (response.status(), read(response).await)
        });
        if status != 200 {
            prop_assert!(status == 502 || status == 504, "{}", status);
            prop_assert!(matches!(exchange.end(), End::Failed(_)));
            return Ok(());
        }
        prop_assert_eq!(got.end, exchange.end());
        if got.end == End::Complete {
            // The end was there, or as good as there.
            prop_assert_eq!(got.text.as_bytes(), cut);
            return Ok(());
        }
        prop_assert!(got.broken);
        prop_assert!(matches!(got.end, End::Failed(Failure::Truncated | Failure::Body | Failure::Deadline)));
        prop_assert!(!got.text.contains("[DONE]"));
        let ends = |at: &usize| {
            let before = &cut[..*at];
            ["\n\n", "\r\n\r\n", "\r\n\r"].iter().any(|end| before.ends_with(end.as_bytes()))
        };
        let whole = (0..=cut.len()).rev().find(ends).unwrap_or(0);
        // The event is whole with the CR of a CRLF, so an LF that comes later may be withheld.
        let without_lf = cut[..whole].strip_suffix(b"\n").filter(|rest| rest.ends_with(b"\r"));
        let is_told = |delivered: &[u8]| {
            let event = got.text.as_bytes().strip_prefix(delivered);
            let event = event.and_then(|event| std::str::from_utf8(event).ok());
            event.is_some_and(|event| is_error_event(path, event))
        };
        let is_told = is_told(&cut[..whole]) || without_lf.is_some_and(is_told);
        prop_assert!(is_told, "{:?} of {:?}", got.text, cut);
    }
}
