use bytes::Bytes;
use proptest::prelude::*;

use super::harness::{EVENTS, JSON, LINES, Seen, sent};

/// Streams of each API, with some of the oddities that were seen.
const STREAMS: [(&str, &str); 6] = [
    (
        EVENTS,
        "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"c\"}}\r\n\r\n: hi\r\n\r\nevent: ping\ndata: {\"type\": \"ping\"}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\u{e9}\"}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ),
    (
        EVENTS,
        ": early\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"},{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}]}}],\"responseId\":\"r\"}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0].b\",\"stringValue\":\"x\",\"willContinue\":true}],\"willContinue\":true}}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{}}]},\"finishReason\":1}],\"usageMetadata\":{\"promptTokenCount\":1,\"totalTokenCount\":1}}\r\n\r\n",
    ),
    (
        EVENTS,
        "event: message-start\ndata: {\"type\":\"message-start\",\"id\":\"1\"}\n\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"p\"}}}\n\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}}}}\n\ndata: {\"type\":\"tool-call-end\",\"index\":0}\n\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{\"tokens\":{\"input_tokens\":1,\"output_tokens\":2}}}}\n\ndata: [DONE]\n\n",
    ),
    (
        LINES,
        "{\"model\":\"q\",\"message\":{\"content\":\"a\\n\"},\"done\":false}\r\n{\"model\":\"q\",\"done\":true,\"response\":\"b\",\"eval_count\":2}",
    ),
    (
        LINES,
        "{\"is_finished\":false,\"event_type\":\"stream-start\",\"generation_id\":\"g\"}\n{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"a\"}\n{\"is_finished\":true,\"event_type\":\"stream-end\",\"response\":{\"tool_calls\":[{\"name\":\"f\",\"parameters\":{}}],\"finish_reason\":\"COMPLETE\"}}\n",
    ),
    (
        EVENTS,
        "data: {\"contentBlockStart\":{\"contentBlockIndex\":0,\"start\":{\"toolUse\":{\"toolUseId\":\"t\",\"name\":\"f\"}}}}\n\ndata: {\"contentBlockDelta\":{\"contentBlockIndex\":0,\"delta\":{\"toolUse\":{\"input\":\"{}\"}}}}\n\ndata: {\"messageStop\":{\"stopReason\":\"tool_use\"}}\n\ndata: {\"metadata\":{\"usage\":{\"inputTokens\":1,\"outputTokens\":2,\"totalTokens\":3}}}\n\n",
    ),
];

fn seen(media: &'static str, text: &[u8], size: usize, wants_usage: bool) -> Seen {
    let asked = format!(
        r#"{{"model":"m","stream":true,"stream_options":{{"include_usage":{wants_usage}}}}}"#
    );
    let pieces = text.chunks(size).map(Bytes::copy_from_slice).collect();
    sent(media, &asked, pieces, false)
}

/// Without the ids and times of our own, which differ from run to run.
fn named(seen: &Seen) -> String {
    let mut text = seen.text();
    for (before, end) in [("\"id\":\"chatcmpl-", '"'), ("\"created\":", ',')] {
        let mut parts = text.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| part.split_once(end).map_or("", |(_, rest)| rest));
        text = first + &rest.collect::<Vec<_>>().join("made");
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_gives_the_same_and_a_second_time_changes_nothing(
        (media, text) in prop::sample::select(STREAMS.to_vec()),
        size in 1_usize..60,
        wants_usage in any::<bool>(),
    ) {
        let whole = seen(media, text.as_bytes(), 1 << 20, wants_usage);
        prop_assert!(whole.is_done(), "{}", whole.text());
        let split = seen(media, text.as_bytes(), size, wants_usage);
        prop_assert_eq!(named(&split), named(&whole));
        let again = seen(EVENTS, whole.text().as_bytes(), size, wants_usage);
        prop_assert_eq!(again.text(), whole.text());
        prop_assert_eq!(again.repairs, []);
    }

    #[test]
    fn no_bytes_make_it_panic_or_end_as_if_whole_before_the_end(
        (media, text) in prop::sample::select(STREAMS.to_vec()),
        other in prop::sample::select(vec![EVENTS, LINES, JSON]),
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..12),
        gap in 0_usize..40,
        size in 1_usize..60,
    ) {
        let mut text = text.as_bytes().to_vec();
        let at = at.index(text.len());
        let cut = seen(media, &text[..at], size, true);
        let end = text.windows(4).position(|part| [b"stop", b"fini", b"done"].iter().any(|word| part == *word));
        if end.is_some_and(|end| at <= end) {
            prop_assert!(!cut.text().contains("[DONE]"), "{}", cut.text());
        }
        text.splice(at..(at + gap).min(text.len()), noise);
        for media in [media, other] {
            let seen = seen(media, &text, size, true);
            prop_assert!(seen.text().len() <= 64 * text.len() + 4096);
        }
    }
}

#[test]
fn an_endless_answer_is_neither_held_nor_gathered_without_bound() {
    let line = format!(
        "{{\"message\":{{\"content\":\"{}\"}},\"done\":false}}\n",
        "x".repeat(1 << 20)
    );
    let pieces = vec![Bytes::from(line); 20];
    let gathered = sent(LINES, r#"{"model":"m"}"#, pieces, false);
    assert!(gathered.error.is_some() && gathered.text().is_empty());

    let endless = vec![Bytes::from(vec![b'x'; 1 << 20]); 20];
    for media in [LINES, EVENTS] {
        let held = sent(
            media,
            r#"{"model":"m","stream":true}"#,
            endless.clone(),
            false,
        );
        assert!(held.error.is_some(), "{media}");
    }
}

#[test]
fn more_open_calls_than_are_kept_are_an_error() {
    let start = |at: usize| {
        format!(
            "data: {{\"type\":\"content_block_start\",\"index\":{at},\"content_block\":{{\"type\":\"tool_use\",\"name\":\"f\"}}}}\n\n"
        )
    };
    let text: String = (0..1100).map(start).collect();
    let seen = seen(EVENTS, text.as_bytes(), 1 << 20, true);
    assert!(seen.deltas().pop().unwrap().starts_with("error"));
}
