//! The file, and the task that writes it.

use std::{
    fs::{self, File, OpenOptions},
    future::poll_fn,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, SystemTime},
};

use tokio::{sync::mpsc::Receiver, task::spawn_blocking, time::sleep};

use super::super::{Day, Record};
use crate::{
    wire::{clock, rfc3339},
    worker::Shutdown,
};

/// Records that are written at once.
const BATCH: usize = 1_024;

/// A disk that refuses is asked again so soon at first, and so late at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often a disk that refuses is asked again once the worker is to end.
const LAST_TRIES: u32 = 3;

/// The file that is written, and those before it.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    max_file: u64,
    keep_files: Option<usize>,
    file: File,
    len: u64,
    /// The day of what stands in the file.
    day: Day,
}

impl Writer {
    pub(super) fn open(
        path: PathBuf,
        max_file: u64,
        keep_files: Option<usize>,
    ) -> io::Result<Self> {
        let day = fs::metadata(&path)
            .and_then(|about| about.modified())
            .map_or_else(|_| Day::of(clock::now()), Day::of);
        let (file, len) = append_to(&path)?;
        Ok(Self {
            path,
            max_file,
            keep_files,
            file,
            len,
            day,
        })
    }

    /// Writes whole lines, or nothing: what a full disk took half of is taken back.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let today = Day::of(clock::now());
        if self.len > 0 && (self.len >= self.max_file || self.day != today) {
            self.rotate()?;
        }
        self.day = today;
        if let Err(error) = self.file.write_all(lines) {
            self.file.set_len(self.len)?;
            return Err(error);
        }
        self.len += lines.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // What is already there is never written over.
        let mut earlier = self.earlier_name(None);
        for number in 1.. {
            if !earlier.try_exists()? {
                break;
            }
            earlier = self.earlier_name(Some(number));
        }
        match fs::rename(&self.path, &earlier) {
            // Somebody has moved it away, or an earlier try came so far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        (self.file, self.len) = append_to(&self.path)?;
        if let Some(keep) = self.keep_files {
            let files = earlier_files(&self.path)?;
            let old = files.len().saturating_sub(keep);
            for path in files.iter().take(old) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn earlier_name(&self, number: Option<u32>) -> PathBuf {
        let (stem, extension) = parts(&self.path);
        let now = rfc3339::format(clock::now()).replace(':', "-");
        // Sorts after the name without one.
        let number = number.map_or_else(String::new, |number| format!("_{number:03}"));
        self.path
            .with_file_name(format!("{stem}.{now}{number}{extension}"))
    }
}

/// The file at `path` and those before it that were written at `since` or later, the oldest first.
pub(super) fn files_since(path: &Path, since: Option<SystemTime>) -> io::Result<Vec<PathBuf>> {
    let mut files = earlier_files(path)?;
    if path.try_exists()? {
        files.push(path.to_owned());
    }
    files.retain(|path| {
        let modified = fs::metadata(path).and_then(|about| about.modified());
        modified.map_or(true, |modified| since.is_none_or(|since| modified >= since))
    });
    Ok(files)
}

/// Earlier files, the oldest first: their names sort by time.
fn earlier_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (stem, extension) = parts(path);
    let begins = format!("{stem}.");
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let moment = name
            .to_str()
            .and_then(|name| name.strip_prefix(&begins))
            .and_then(|name| name.strip_suffix(&extension));
        if moment.is_some_and(|moment| moment.starts_with(|first: char| first.is_ascii_digit())) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// A file's name without its extension, and the extension with its dot.
fn parts(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension();
    let dotted = extension.map_or_else(String::new, |_| format!(".{}", text(extension)));
    (text(path.file_stem()), dotted)
}

/// The file at `path` with its length. A line that a crash has torn is ended, so that the next one stands by itself.
fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    let mut file = options.open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    if len == 0 {
        return Ok((file, 0));
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok((file, len));
    }
    file.write_all(b"\n")?;
    Ok((file, len + 1))
}

/// Writes what comes until the shutdown fires, and then what is there.
pub(super) async fn run(mut writer: Writer, mut records: Receiver<Record>, mut shutdown: Shutdown) {
    let mut batch = Vec::new();
    let mut stopping = false;
    loop {
        batch.clear();
        {
            let mut fired = pin!(shutdown.fired());
            poll_fn(|cx| {
                if !stopping && fired.as_mut().poll(cx).is_ready() {
                    stopping = true;
                    // What has room already may still come.
                    records.close();
                }
                records.poll_recv_many(cx, &mut batch, BATCH).map(drop)
            })
            .await;
        }
        if batch.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        for record in batch.drain(..) {
            let start = lines.len();
            match serde_json::to_writer(&mut lines, &record) {
                Ok(()) => lines.push(b'\n'),
                Err(_) => lines.truncate(start),
            }
        }
        let Some(back) = write(writer, lines, &mut shutdown).await else {
            return;
        };
        writer = back;
    }
}

/// Writes `lines`, again and again where the disk refuses; `None` where the worker is to end and it still does.
async fn write(mut writer: Writer, lines: Vec<u8>, shutdown: &mut Shutdown) -> Option<Writer> {
    let (mut wait, longest) = RETRY;
    let mut last_tries = 0;
    let mut lines = lines;
    loop {
        let task = spawn_blocking(move || {
            let written = writer.write(&lines);
            (writer, lines, written)
        });
        // The runtime is shutting down.
        let Ok((back, unwritten, written)) = task.await else {
            return None;
        };
        (writer, lines) = (back, unwritten);
        let Err(error) = written else {
            return Some(writer);
        };
        tracing::error!(path = %writer.path.display(), %error, "audit not written");
        if last_tries > 0 || shutdown.fired_within(wait).await {
            last_tries += 1;
            if last_tries > LAST_TRIES {
                return None;
            }
            sleep(RETRY.0).await;
        }
        wait = (wait * 2).min(longest);
    }
}
