//! Where the keys stand that were changed at run time.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::TenantKey;

/// Keys by tenant: those that were added, and those that were changed, as they are now. What is not there is as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: Version,
    pub(super) tenants: BTreeMap<String, Vec<TenantKey>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
struct Version;

impl TryFrom<u64> for Version {
    type Error = &'static str;

    fn try_from(version: u64) -> Result<Self, Self::Error> {
        match version {
            1 => Ok(Self),
            _ => Err("the version is not 1: a newer program has written it"),
        }
    }
}

impl From<Version> for u64 {
    fn from(_: Version) -> Self {
        1
    }
}

#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What stands in it; nothing, where there is no such file yet.
    pub(super) fn read(&self) -> Result<State, String> {
        const MAX: u64 = 64 << 20;
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", self.path.display());
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => return Err(about(&error)),
        };
        let mut text = String::new();
        let length = file.take(MAX + 1).read_to_string(&mut text);
        if length.map_err(|error| about(&error))? as u64 > MAX {
            return Err(about(&"is larger than 64 MiB"));
        }
        serde_json::from_str(&text).map_err(|error| about(&format!("is broken: {error}")))
    }

    /// Replaces it: whoever reads it, and a restart after a crash, finds the old or the new one whole.
    pub(super) fn write(&self, state: &State) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let beside = self.path.with_file_name(name);
        let written = write_whole(&beside, state).and_then(|()| fs::rename(&beside, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written?;
        self.sync_folder();
        Ok(())
    }

    /// The new name itself outlives a crash once its folder is written. Where that cannot be asked for, the change holds all the same.
    fn sync_folder(&self) {
        let folder = self.path.parent().filter(|path| *path != Path::new(""));
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            let _ = folder.sync_all();
        }
    }
}

fn write_whole(path: &Path, state: &State) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    serde_json::to_writer_pretty(&mut file, state)?;
    file.write_all(b"\n")?;
    file.sync_all()
}
