use memchr::memmem;
use sha2::{Digest, Sha256};

use super::digest;

/// The longest header block of a part, and the longest purpose, in bytes.
const MAX_HEADERS: usize = 8 * 1024;
const MAX_PURPOSE: usize = 64;
/// RFC 2046, section 5.1.1.
const MAX_BOUNDARY: usize = 70;

/// Reads a `multipart/form-data` body (RFC 7578) piece by piece; of a file only the
/// length and the hash are kept.
#[derive(Debug)]
pub(super) struct Form {
    /// What ends a part: a line break, two dashes, and the boundary.
    delimiter: Vec<u8>,
    pending: Vec<u8>,
    state: State,
    purpose: Vec<u8>,
    name: Option<String>,
    bytes: u64,
    digest: Sha256,
}

/// The uploaded file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// The first 24 hexadecimal digits of the content's SHA-256.
    pub(super) hash: String,
}

#[derive(Debug)]
pub(super) struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Headers,
    Content(Part),
    AfterDelimiter,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    File,
    Purpose,
    Other,
}

impl Form {
    /// `None` if the content type is no multipart form with a valid boundary.
    pub(super) fn new(content_type: &str) -> Option<Self> {
        let mut parameters = content_type.split(';').map(str::trim);
        if !parameters
            .next()?
            .eq_ignore_ascii_case("multipart/form-data")
        {
            return None;
        }
        let boundary = parameters
            .find_map(|parameter| parameter.strip_prefix("boundary="))?
            .trim_matches('"');
        (1..=MAX_BOUNDARY).contains(&boundary.len()).then(|| Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            // The first delimiter needs no line break before it.
            pending: b"\r\n".to_vec(),
            state: State::Content(Part::Other),
            purpose: vec![],
            name: None,
            bytes: 0,
            digest: Sha256::new(),
        })
    }

    /// Takes the next bytes of the body, cut anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.pending.extend_from_slice(bytes);
        while self.step()? {}
        Ok(())
    }

    /// The file, once the form has ended properly.
    pub(super) fn finish(&mut self) -> Option<File> {
        if self.state != State::End {
            return None;
        }
        let hash = digest::id(std::mem::take(&mut self.digest));
        Some(File {
            name: self.name.take()?,
            bytes: self.bytes,
            hash,
        })
    }

    pub(super) fn purpose(&self) -> Option<&str> {
        std::str::from_utf8(&self.purpose).ok()
    }

    /// Whether there may be more to do with what is pending.
    fn step(&mut self) -> Result<bool, Malformed> {
        match self.state {
            State::Headers => {
                let Some(length) = memmem::find(&self.pending, b"\r\n\r\n") else {
                    return if self.pending.len() > MAX_HEADERS {
                        Err(Malformed)
                    } else {
                        Ok(false)
                    };
                };
                let headers: Vec<u8> = self.pending.drain(..length.saturating_add(4)).collect();
                self.state = State::Content(self.part(&String::from_utf8_lossy(&headers)));
                Ok(true)
            }
            State::Content(part) => {
                let found = memmem::find(&self.pending, &self.delimiter);
                // A delimiter may have begun in the last bytes.
                let open = self.delimiter.len().saturating_sub(1);
                let length = found.unwrap_or(self.pending.len().saturating_sub(open));
                let content = self.pending.get(..length).unwrap_or_default();
                match part {
                    Part::File => {
                        self.bytes = self
                            .bytes
                            .saturating_add(content.len().try_into().unwrap_or(u64::MAX));
                        self.digest.update(content);
                    }
                    Part::Purpose if self.purpose.len().saturating_add(length) > MAX_PURPOSE => {
                        return Err(Malformed);
                    }
                    Part::Purpose => self.purpose.extend_from_slice(content),
                    Part::Other => {}
                }
                let delimiter = if found.is_some() {
                    self.delimiter.len()
                } else {
                    0
                };
                self.pending.drain(..length.saturating_add(delimiter));
                if found.is_some() {
                    self.state = State::AfterDelimiter;
                }
                Ok(found.is_some())
            }
            State::AfterDelimiter => {
                let next = match self.pending.get(..2) {
                    None => return Ok(false),
                    Some(b"--") => State::End,
                    Some(b"\r\n") => State::Headers,
                    Some(_) => return Err(Malformed),
                };
                // The line break stays: a part without headers starts with an empty line.
                if next == State::End {
                    self.pending.clear();
                }
                self.state = next;
                Ok(true)
            }
            State::End => {
                self.pending.clear();
                Ok(false)
            }
        }
    }

    fn part(&mut self, headers: &str) -> Part {
        let disposition = headers.lines().find(|line| {
            line.to_ascii_lowercase()
                .starts_with("content-disposition:")
        });
        let parameter = |name: &str| {
            let mut parameters = disposition?.split(';').map(str::trim);
            let value =
                parameters.find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.trim_matches('"').to_owned())
        };
        match parameter("name").as_deref() {
            Some("file") if self.name.is_none() => {
                self.name = Some(parameter("filename").unwrap_or_default());
                Part::File
            }
            Some("purpose") => Part::Purpose,
            _ => Part::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(content: &[u8]) -> Vec<u8> {
        let mut body = b"--AaB\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--AaB\r\n\
            content-disposition: form-data; name=\"file\"; filename=\"a b.txt\"\r\nContent-Type: text/plain\r\n\r\n"
            .to_vec();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--AaB--\r\n");
        body
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_count_does_not_depend_on_where_the_body_is_cut(
            content in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'A'), any::<u8>()], 0..200),
            size in 1_usize..40,
        ) {
            prop_assume!(memmem::find(&content, b"\r\n--AaB").is_none());
            let mut form = Form::new("multipart/form-data; boundary=\"AaB\"").unwrap();
            for piece in body(&content).chunks(size) {
                form.push(piece).unwrap();
                prop_assert!(form.pending.len() < MAX_HEADERS + 40);
            }
            prop_assert_eq!(form.purpose(), Some("batch"));
            let file = form.finish().unwrap();
            prop_assert_eq!((file.name.as_str(), file.bytes), ("a b.txt", content.len() as u64));
        }
    }

    #[test]
    fn a_form_that_does_not_end_has_no_file() {
        let mut form = Form::new("multipart/form-data; boundary=AaB").unwrap();
        let body = body(b"hello");
        form.push(&body[..body.len() - 4]).unwrap();
        assert_eq!(form.finish(), None);
    }

    #[test]
    fn endless_part_headers_are_refused() {
        let mut form = Form::new("multipart/form-data; boundary=AaB").unwrap();
        form.push(b"--AaB\r\nx-long: ").unwrap();
        assert!((0..100).any(|_| form.push(&[b'x'; 1_000]).is_err()));
    }
}
