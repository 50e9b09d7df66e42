use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::Full;
use proptest::{prelude::*, sample::Index};
use sse_stream::SseStream;

use super::{DONE, FrameError, Framer, event};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Event {
    name: Option<Vec<u8>>,
    data: Vec<u8>,
}

#[derive(Debug, Default)]
struct Seen {
    raws: Vec<Vec<u8>>,
    events: Vec<Event>,
    /// Frames that are neither an event, nor a comment, nor blank.
    others: usize,
    comments: usize,
}

impl Seen {
    fn add(&mut self, frame: super::Frame<'_>) {
        self.raws.push(frame.raw().to_vec());
        assert_eq!(frame.to_bytes(), frame.raw());
        match frame.data() {
            Some(data) => self.events.push(Event {
                name: frame.event().map(<[u8]>::to_vec),
                data: data.into_owned(),
            }),
            None if frame.is_comment() => self.comments += 1,
            None if frame.is_blank() => {}
            None => self.others += 1,
        }
    }
}

fn read_with<'a>(
    framer: &mut Framer,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Seen, FrameError> {
    let mut seen = Seen::default();
    for chunk in chunks {
        let chunk = Bytes::copy_from_slice(chunk);
        let mut frames = framer.push(&chunk);
        while let Some(frame) = frames.next()? {
            seen.add(frame);
        }
    }
    if let Some(frame) = framer.finish()? {
        seen.add(frame);
    }
    Ok(seen)
}

fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    read_with(&mut Framer::default(), chunks).unwrap()
}

fn data(stream: &str) -> Vec<String> {
    let seen = read([stream.as_bytes()]);
    seen.events
        .into_iter()
        .map(|event| String::from_utf8(event.data).unwrap())
        .collect()
}

fn split_at<'a>(bytes: &'a [u8], offsets: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut from = 0;
    for &to in offsets {
        let to = to.clamp(from, bytes.len());
        chunks.push(&bytes[from..to]);
        from = to;
    }
    chunks.push(&bytes[from..]);
    chunks
}

#[track_caller]
fn assert_same_for_every_split(bytes: &[u8], offsets: &[usize]) {
    let whole = read([bytes]);
    assert_eq!(whole.raws.concat(), bytes);
    for split in [read(bytes.chunks(1)), read(split_at(bytes, offsets))] {
        assert_eq!(split.raws.concat(), bytes);
        assert_eq!(split.events, whole.events);
        assert_eq!(
            (split.comments, split.others),
            (whole.comments, whole.others)
        );
    }
}

#[test]
fn lines_end_with_lf_cr_or_crlf_in_any_mixture() {
    assert_eq!(
        data("data: a\n\ndata: b\r\rdata: c\r\n\r\ndata: d\n\rdata: e\r\n\ndata: f\n\r\n"),
        ["a", "b", "c", "d", "e", "f"]
    );
}

#[test]
fn new_data_of_several_lines_is_read_back_as_it_was_put() {
    for (stream, whole) in [
        (
            "event: a\r\ndata: {\r\ndata: 1}\r\nid: 3\r\n\r\n",
            "event: a\r\ndata: {\r\ndata: 2}\r\nid: 3\r\n\r\n",
        ),
        // The last of a stream, which nothing ends.
        ("data: 1", "data: {\ndata: 2}"),
    ] {
        let mut framer = Framer::default();
        let chunk = Bytes::from_static(stream.as_bytes());
        let mut edited = None;
        let mut frames = framer.push(&chunk);
        while let Some(frame) = frames.next().unwrap() {
            edited = Some(frame.with_data(b"{\n2}"));
        }
        drop(frames);
        let last = framer.finish().unwrap();
        let edited = edited.or_else(|| last.map(|frame| frame.with_data(b"{\n2}")));
        let edited = edited.unwrap();
        assert_eq!(edited, whole);
        assert_eq!(data(whole), ["{\n2}"]);
    }
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start_of_the_stream() {
    assert_eq!(
        data("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: c\n\n"),
        ["a", "c"]
    );
    assert_same_for_every_split("\u{feff}\ndata: a\n\n".as_bytes(), &[1, 2]);
}

#[test]
fn one_space_after_the_colon_is_not_part_of_the_data() {
    assert_eq!(
        data("data:a\n\ndata: b\n\ndata:  c\n\ndata:\n\ndata\n\n"),
        ["a", "b", " c", "", ""]
    );
}

#[test]
fn fields_that_only_begin_like_data_are_not_data() {
    assert_eq!(
        data("database: a\nDATA: b\n data: c\n\n"),
        Vec::<String>::new()
    );
}

#[test]
fn several_data_lines_are_joined_by_lf_and_one_is_borrowed() {
    assert_eq!(data("data: a\nid: 1\ndata:b\r\ndata\n\n"), ["a\nb\n"]);
    let chunk = Bytes::from_static(b"event: x\ndata: a\n\n");
    let mut framer = Framer::default();
    let mut frames = framer.push(&chunk);
    assert!(matches!(
        frames.next().unwrap().unwrap().data(),
        Some(Cow::Borrowed(b"a"))
    ));
}

#[test]
fn the_last_event_name_wins_and_an_empty_one_is_none() {
    let seen = read([&b"event: a\nevent:b\ndata: 1\n\nevent: a\nevent\ndata: 2\n\n"[..]]);
    let names: Vec<_> = seen.events.into_iter().map(|event| event.name).collect();
    assert_eq!(names, [Some(b"b".to_vec()), None]);
}

#[test]
fn comments_and_lone_blank_lines_are_frames_without_data() {
    let seen =
        read([&b": OPENROUTER PROCESSING\n\n\n\r\n:\n\nid: 7\n\ndata: a\n: in passing\n\n"[..]]);
    assert_eq!((seen.comments, seen.others, seen.raws.len()), (2, 1, 6));
    assert_eq!(seen.events.len(), 1);
}

#[test]
fn a_last_frame_without_its_blank_line_is_kept() {
    assert_eq!(data("data: a\n\ndata: b\n"), ["a", "b"]);
    assert_eq!(data("data: a\n\ndata: b"), ["a", "b"]);
    let mut framer = Framer::default();
    assert!(framer.finish().unwrap().is_none());
}

#[test]
fn a_framer_that_finished_reads_another_stream() {
    let mut framer = Framer::default();
    let first = read_with(&mut framer, [&b"data: a\n"[..]]).unwrap();
    let second = read_with(&mut framer, ["\u{feff}data: b\n\n".as_bytes()]).unwrap();
    assert_eq!(
        (
            first.events[0].data.as_slice(),
            second.events[0].data.as_slice()
        ),
        (&b"a"[..], &b"b"[..])
    );
    assert_eq!(second.events.len(), 1);
}

#[test]
fn an_event_is_not_held_back_for_the_lf_that_may_follow_its_cr() {
    let mut framer = Framer::default();
    let chunk = Bytes::from_static(b"data: a\r\n\r");
    assert_eq!(
        framer.push(&chunk).next().unwrap().unwrap().raw(),
        &chunk[..]
    );

    let chunk = Bytes::from_static(b"\ndata: b\r\n\r\n");
    let mut frames = framer.push(&chunk);
    let frame = frames.next().unwrap().unwrap();
    assert_eq!(
        (frame.raw(), frame.data().as_deref()),
        (&chunk[..], Some(&b"b"[..]))
    );
    assert!(frames.next().unwrap().is_none());
}

#[test]
fn the_lf_of_a_split_crlf_makes_no_empty_event_at_the_end_of_the_stream() {
    let seen = read([&b"data: a\r\n\r"[..], b"", b"\n"]);
    assert_eq!(seen.raws, [&b"data: a\r\n\r"[..], b"\n"]);
    assert_eq!((seen.events.len(), seen.comments, seen.others), (1, 0, 0));
}

#[test]
fn a_frame_within_a_chunk_is_kept_without_a_copy() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\n");
    let mut framer = Framer::default();
    let mut frames = framer.push(&chunk);
    frames.next().unwrap();
    let kept = frames.next().unwrap().unwrap().to_bytes();
    assert_eq!(kept.as_ptr(), chunk[9..].as_ptr());
}

#[test]
fn frames_dropped_early_leave_the_framer_in_step() {
    let mut framer = Framer::default();
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\nda");
    framer.push(&chunk).next().unwrap();
    let seen = read_with(&mut framer, [&b"ta: c\n\n"[..]]).unwrap();
    assert_eq!(seen.raws, [b"data: c\n\n"]);
}

#[test]
fn a_frame_beyond_the_cap_fails_whole_or_split_and_stays_failed() {
    let stream = b"data: 1\n\ndata: 22\n\n";
    assert!(read_with(&mut Framer::with_cap(10), [&stream[..]]).is_ok());
    for size in [1, 4, stream.len()] {
        let mut framer = Framer::with_cap(9);
        assert_eq!(
            read_with(&mut framer, stream.chunks(size))
                .unwrap_err()
                .cap(),
            9
        );
        assert!(read_with(&mut framer, [&b"\n\n"[..]]).is_err());
        assert!(framer.finish().is_err());
        assert_eq!(framer.held(), 0);
    }
}

#[test]
fn the_memory_of_a_large_frame_is_given_back() {
    let mut framer = Framer::default();
    let large = event(None, &vec![b'x'; 900_000]);
    read_with(&mut framer, large.chunks(1000).chain([&b"data: a\n\n"[..]])).unwrap();
    assert!(framer.held() < 100_000);
}

#[test]
fn debug_shows_no_contents() {
    let chunk = Bytes::from_static(b"data: secret\n\n");
    let mut framer = Framer::default();
    let mut frames = framer.push(&chunk);
    assert!(!format!("{:?}", frames.next().unwrap().unwrap()).contains("secret"));
}

#[test]
fn an_encoded_event_cannot_be_broken_by_its_name_or_data() {
    assert_eq!(event(None, b"[DONE]"), DONE);
    assert_eq!(
        event(Some("er\r\nror"), b"a\r\nb\rc\n"),
        &b"event: error\ndata: a\ndata: b\ndata: c\ndata: \n\n"[..]
    );
    assert_eq!(event(None, b""), &b"data: \n\n"[..]);
}

/// Lines that look like an event stream, with every sort of line end.
fn streams() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => "data: ?[a-z {}é漢😀:]{0,8}",
        1 => "event:? ?[a-z]{0,5}",
        1 => ":[a-z ]{0,5}",
        1 => "(data|event|id|retry|x)(: ?[0-9]{1,3})?",
        4 => Just(String::new()),
    ];
    let end = prop_oneof![Just("\n"), Just("\r"), Just("\r\n")];
    let bom = prop_oneof![4 => Just(""), 1 => Just("\u{feff}")];
    (bom, prop::collection::vec((line, end), 0..24)).prop_map(|(bom, lines)| {
        lines
            .into_iter()
            .fold(bom.to_owned(), |stream, (line, end)| stream + &line + end)
    })
}

fn sorted_offsets(splits: &[Index], len: usize) -> Vec<usize> {
    let mut offsets: Vec<usize> = splits.iter().map(|split| split.index(len + 1)).collect();
    offsets.sort_unstable();
    offsets
}

/// What the crate `sse-stream` reads: blocks that have data and end with their blank line.
fn read_by_sse_stream(stream: &str) -> Vec<Event> {
    let mut task = tokio_test::task::spawn(SseStream::new(Full::new(Bytes::copy_from_slice(
        stream.as_bytes(),
    ))));
    let mut events = Vec::new();
    while let std::task::Poll::Ready(Some(block)) = task.poll_next() {
        let block = block.unwrap();
        if let Some(data) = block.data {
            let name = block.event.filter(|name| !name.is_empty());
            events.push(Event {
                name: name.map(String::into_bytes),
                data: data.into_bytes(),
            });
        }
    }
    events
}

proptest! {
    #[test]
    fn any_split_gives_the_events_of_the_whole(stream in streams(), splits in prop::collection::vec(any::<Index>(), 0..12)) {
        assert_same_for_every_split(stream.as_bytes(), &sorted_offsets(&splits, stream.len()));
    }

    #[test]
    fn events_are_those_that_sse_stream_reads(stream in streams()) {
        // Without this the last frame may lack its blank line, which `sse-stream` then discards.
        let stream = stream + "\n\n";
        prop_assert_eq!(read([stream.as_bytes()]).events, read_by_sse_stream(&stream));
    }

    #[test]
    fn random_bytes_come_out_as_they_went_in(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n:data"[..])], 0..300),
        splits in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        assert_same_for_every_split(&bytes, &sorted_offsets(&splits, bytes.len()));
    }

    #[test]
    fn random_bytes_never_hold_more_than_the_cap(
        chunks in prop::collection::vec(prop::collection::vec(prop_oneof![20 => any::<u8>(), 1 => Just(b'\n')], 0..200), 0..12),
        cap in 0_usize..800,
    ) {
        let mut framer = Framer::with_cap(cap);
        for chunk in chunks {
            let chunk = Bytes::from(chunk);
            let mut frames = framer.push(&chunk);
            while let Ok(Some(frame)) = frames.next() {
                prop_assert!(frame.raw().len() <= cap);
            }
            drop(frames);
            prop_assert!(framer.held() <= cap);
        }
    }

    #[test]
    fn an_encoded_event_reads_back_with_lf_between_its_lines(name in "[a-z_.]{1,12}", data in "[a-z \\r\\n:é]{0,40}") {
        let encoded = event(Some(&name), data.as_bytes());
        let expected = Event { name: Some(name.into_bytes()), data: data.replace("\r\n", "\n").replace('\r', "\n").into_bytes() };
        prop_assert_eq!(read([&encoded[..]]).events, [expected]);
    }
}

#[derive(serde::Deserialize)]
struct Record {
    id: String,
    response: Response,
    source: Source,
}

#[derive(serde::Deserialize)]
struct Response {
    #[serde(default)]
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    body: serde_json::Value,
}

#[derive(serde::Deserialize)]
struct Source {
    fidelity: String,
    #[serde(default)]
    chunk_end_offsets: Vec<usize>,
}

impl Record {
    /// The recorded stream, where its framing was kept.
    fn stream(&self) -> Option<&str> {
        let content_type = self
            .response
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))?
            .1;
        let is_stream = content_type.to_string().contains("text/event-stream");
        let is_framed = !self.source.fidelity.starts_with("one-event-json-per-line");
        self.response
            .body
            .as_str()
            .filter(|_| is_stream && is_framed)
    }
}

#[test]
fn recorded_streams_give_the_same_events_for_every_split() {
    let folder = std::env::var("RELAY_CORPUS").unwrap_or_else(|_| "../shared/corpus".into());
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("no recordings at {folder}: skipped");
        return;
    };
    let (mut streams, mut events, mut at_network_reads) = (0, 0, 0);
    for file in files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
    {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let record: Record = serde_json::from_str(line).unwrap();
            let Some(stream) = record.stream() else {
                continue;
            };
            assert_same_for_every_split(stream.as_bytes(), &record.source.chunk_end_offsets);
            let ours = read([stream.as_bytes()]).events;
            let theirs = read_by_sse_stream(stream);
            assert!(
                ours.starts_with(&theirs) && ours.len() <= theirs.len() + 1,
                "{}",
                record.id
            );
            assert!(!ours.is_empty(), "{}", record.id);
            streams += 1;
            events += ours.len();
            at_network_reads += usize::from(!record.source.chunk_end_offsets.is_empty());
        }
    }
    println!(
        "{streams} recorded streams, {events} events, {at_network_reads} streams split as the network split them"
    );
    assert!(streams > 0);
}
