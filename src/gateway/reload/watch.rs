//! A configuration's file, and what becomes of its changes.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, task::spawn_blocking};

use super::Reloader;
use crate::{
    gateway::Config,
    worker::{Shutdown, Worker},
};

/// How often the file is looked at. A change is taken once it is the same a look later, so that no half of a file is read.
const EVERY: Duration = Duration::from_millis(500);

/// What is done to a configuration before it is built.
type Prepare = Arc<dyn Fn(&mut Config) + Send + Sync>;

/// Has a [watched](crate::gateway::Gateway::watch) file read again at once. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct ReloadSignal(Arc<Notify>);

impl ReloadSignal {
    /// Reads the file again, whether it has changed or not: what stands in other files or in the environment may have.
    pub fn reload(&self) {
        self.0.notify_one();
    }
}

/// By what a change is noticed: editors replace files, so that even one of the same size and time may be another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    changed: Option<SystemTime>,
    size: u64,
    #[cfg(unix)]
    file: (u64, u64),
}

impl Look {
    /// `None` where there is no file, as for a moment while one is replaced.
    fn at(path: &Path) -> Option<Self> {
        let about = fs::metadata(path).ok()?;
        Some(Self {
            changed: about.modified().ok(),
            size: about.len(),
            #[cfg(unix)]
            file: {
                use std::os::unix::fs::MetadataExt;
                (about.dev(), about.ino())
            },
        })
    }
}

#[derive(Clone)]
struct Watched {
    path: PathBuf,
    prepare: Prepare,
    reloader: Reloader,
}

/// Reloads the configuration at `path` when the file changes, and when `signal` says so.
pub(in crate::gateway) fn watch(
    path: PathBuf,
    prepare: impl Fn(&mut Config) + Send + Sync + 'static,
    reloader: Reloader,
    signal: ReloadSignal,
) -> Worker {
    let seen = Look::at(&path);
    let watched = Watched {
        path,
        prepare: Arc::new(prepare),
        reloader,
    };
    Worker::new(move |shutdown| run(watched, seen, signal, shutdown))
}

async fn run(
    watched: Watched,
    mut seen: Option<Look>,
    signal: ReloadSignal,
    mut shutdown: Shutdown,
) {
    let mut changing = None;
    loop {
        let is_told = tokio::select! {
            ends = shutdown.fired_within(EVERY) => {
                if ends {
                    return;
                }
                false
            }
            () = signal.0.notified() => true,
        };
        let path = watched.path.clone();
        // An error: the runtime is shutting down.
        let Ok(look) = spawn_blocking(move || Look::at(&path)).await else {
            return;
        };
        let is_new = look.is_some() && look != seen;
        if is_told || (is_new && look == changing) {
            seen = look;
            changing = None;
            let watched = watched.clone();
            if spawn_blocking(move || watched.reload()).await.is_err() {
                return;
            }
        } else {
            changing = look.filter(|_| is_new);
        }
    }
}

impl Watched {
    fn reload(&self) {
        let read = Config::from_file(&self.path).map(|mut config| {
            (self.prepare)(&mut config);
            config
        });
        match read.and_then(|config| self.reloader.reload(&config)) {
            Ok(reloaded) => {
                tracing::info!(file = %self.path.display(), "the configuration is in force");
                for field in reloaded.needs_restart {
                    tracing::warn!(field, "has changed, and holds only after a restart");
                }
            }
            Err(error) => {
                tracing::error!("the configuration cannot be used, the one before holds: {error}");
            }
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
