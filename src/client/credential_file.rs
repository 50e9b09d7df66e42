//! A key in a file that is read again when it changes.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::task::spawn_blocking;

use super::{Credential, credential::Key};
use crate::{message::ConfigError, worker::Worker};

/// A key that stands in a file, as secret stores mount it, and changes there.
///
/// ```no_run
/// use tower_relay::client::CredentialFile;
///
/// # async fn example() -> Result<(), tower_relay::message::ConfigError> {
/// let (credential, worker) = CredentialFile::new("/run/secrets/openai").required_prefix("sk-").build()?;
/// tokio::spawn(worker);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
    prefix: String,
    every: Duration,
}

impl CredentialFile {
    /// The key in the file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            prefix: String::new(),
            every: Duration::from_secs(1),
        }
    }

    /// Requires the key to begin with `prefix`.
    pub fn required_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often the file is looked at: every second by default.
    pub fn check_every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// The credential, and the worker that keeps it current while it is polled. A file that is missing, empty or
    /// wrong later on leaves the last good key in force, with a warning.
    ///
    /// # Errors
    ///
    /// When the file cannot be read now, or holds no such key.
    pub fn build(self) -> Result<(Credential, Worker), ConfigError> {
        if self.every.is_zero() {
            return Err(ConfigError::new("check_every", "must be longer than zero"));
        }
        let key = self
            .read()
            .map_err(|reason| ConfigError::new("credential", reason))?;
        let current = Arc::new(ArcSwap::from_pointee(key));
        let credential = Credential::swapped(Arc::clone(&current));
        let worker = Worker::new(move |mut shutdown| async move {
            let file = Arc::new(self);
            let mut warned = false;
            while !shutdown.fired_within(file.every).await {
                let reader = Arc::clone(&file);
                match spawn_blocking(move || reader.read()).await {
                    Ok(Ok(key)) => {
                        warned = false;
                        if **current.load() != key {
                            current.store(Arc::new(key));
                            tracing::info!(path = %file.path.display(), "credential changed");
                        }
                    }
                    Ok(Err(reason)) if !warned => {
                        warned = true;
                        tracing::warn!(path = %file.path.display(), %reason, "credential not readable: the last one stays");
                    }
                    Ok(Err(_)) => {}
                    // The runtime is shutting down.
                    Err(_) => break,
                }
            }
        });
        Ok((credential, worker))
    }

    fn read(&self) -> Result<Key, String> {
        let text = read_bounded(&self.path)
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        Key::parse(&text, &self.prefix)
    }
}

/// A key is short: a file that is not is some other file, and may have no end.
fn read_bounded(path: &Path) -> io::Result<String> {
    const MAX: u64 = 64 * 1024;
    let mut text = String::new();
    let length = fs::File::open(path)?
        .take(MAX + 1)
        .read_to_string(&mut text)?;
    if length as u64 > MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "too long for a key",
        ));
    }
    Ok(text)
}
