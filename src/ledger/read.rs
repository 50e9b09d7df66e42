//! Reading an audit back.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::Record;

/// The longest line that is read, in bytes; a longer one is skipped.
const MAX_LINE: u64 = 1 << 20;

/// The records of one or several files, in their order. Memory does not grow with the files.
///
/// A line that is no record is skipped and [counted](Self::skipped): one that a crash has torn, for one.
#[derive(Debug)]
pub struct Records {
    files: VecDeque<PathBuf>,
    current: Option<BufReader<File>>,
    line: Vec<u8>,
    skipped: u64,
}

/// Reads these files.
pub fn read_files(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Records {
    Records {
        files: files
            .into_iter()
            .map(|path| path.as_ref().to_owned())
            .collect(),
        current: None,
        line: Vec::new(),
        skipped: 0,
    }
}

impl Records {
    /// How many lines were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next line, without its end; `None` after the last of the current file.
    fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(file) = &mut self.current else {
            return Ok(None);
        };
        self.line.clear();
        let read = file.take(MAX_LINE).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        if !self.line.ends_with(b"\n") && read as u64 == MAX_LINE {
            self.line.clear();
            skip_line(file)?;
        }
        Ok(Some(self.line.trim_ascii()))
    }
}

fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let piece = file.fill_buf()?;
        let end = memchr::memchr(b'\n', piece);
        let used = end.map_or(piece.len(), |end| end + 1);
        let done = end.is_some() || piece.is_empty();
        file.consume(used);
        if done {
            return Ok(());
        }
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<io::Result<Record>> {
        loop {
            match self.next_line() {
                Ok(Some(line)) => match serde_json::from_slice(line) {
                    Ok(record) => return Some(Ok(record)),
                    Err(_) => self.skipped += 1,
                },
                Ok(None) => {
                    self.current = None;
                    let path = self.files.pop_front()?;
                    match File::open(&path) {
                        Ok(file) => self.current = Some(BufReader::new(file)),
                        Err(error) => {
                            let named = format!("{}: {error}", path.display());
                            return Some(Err(io::Error::new(error.kind(), named)));
                        }
                    }
                }
                Err(error) => {
                    self.current = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::UNIX_EPOCH};

    use super::*;

    fn line(id: &str) -> String {
        serde_json::to_string(&Record::new(UNIX_EPOCH, id, "u".into())).unwrap()
    }

    #[test]
    fn torn_foreign_and_endless_lines_are_skipped_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("1"), dir.path().join("2"));
        let endless = "x".repeat(3 << 20);
        let torn = line("torn").split_off(40);
        fs::write(
            &first,
            format!("{}\n{endless}\n{}\n{torn}", line("a"), line("b")),
        )
        .unwrap();
        fs::write(&second, format!("[]\n{}", line("c"))).unwrap();

        let mut records = read_files([&first, &second]);
        let ids: Vec<_> = records
            .by_ref()
            .map(|record| record.unwrap().request_id)
            .collect();
        assert_eq!(ids, ["a", "b", "c"].map(Box::from));
        assert_eq!(records.skipped(), 3);
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_with_its_name() {
        let error = read_files(["/nowhere/audit.jsonl"])
            .next()
            .unwrap()
            .unwrap_err();
        assert!(error.to_string().contains("/nowhere/audit.jsonl"));
    }
}
