use bytes::{BufMut, Bytes, BytesMut};

use super::frame::Lines;

/// The frame that ends an OpenAI stream.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// One event as it goes on the wire, ended by its blank line.
///
/// `data` is split at its line ends (LF, CR or CRLF) into one `data:` line each, so a reader gets it back with LF between
/// the lines. Line ends in `name` are dropped: a name cannot carry one.
pub fn event(name: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + name.map_or(0, str::len) + 24);
    if let Some(name) = name {
        out.put_slice(b"event: ");
        out.extend(name.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        out.put_u8(b'\n');
    }
    for line in data_lines(data) {
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// The lines of an event's data, each of which is a field of its own: at least one.
pub(super) fn data_lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A final line end begins one more line, which is empty.
    let ends_in_one = matches!(data.last(), None | Some(b'\r' | b'\n'));
    Lines(data).chain(ends_in_one.then_some(&b""[..]))
}
