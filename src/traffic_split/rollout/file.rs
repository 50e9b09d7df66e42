//! The file in which a rollout is written down.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::{plan::Plan, saved::Saved};

/// The largest file that is read, in bytes.
const MAX: u64 = 1 << 20;

/// A rollout's file, and what it was known to hold.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// What was last read or written, for better or worse.
    known: Option<String>,
}

/// What was found in the file.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// What it was known to hold.
    Known,
    /// No file.
    Missing,
    /// Somebody has written this.
    Edited(Box<Saved>),
    /// What somebody has written cannot hold. Said once.
    Broken(String),
}

impl StateFile {
    /// The file at `path` and what it holds: nothing, if it is not there.
    pub(super) fn open(path: PathBuf, plan: &Plan) -> Result<(Self, Option<Saved>), String> {
        let mut file = Self { path, known: None };
        let path = file.path.display().to_string();
        match file.look(plan) {
            Ok(Found::Edited(saved)) => Ok((file, Some(*saved))),
            Ok(Found::Broken(reason)) => Err(format!("{path}: {reason}")),
            Ok(Found::Missing | Found::Known) => Ok((file, None)),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// What is in the file now.
    pub(super) fn look(&mut self, plan: &Plan) -> io::Result<Found> {
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(error),
        };
        if self.known.as_ref() == Some(&text) {
            return Ok(Found::Known);
        }
        let found = match Saved::parse(&text, plan) {
            Ok(saved) => Found::Edited(Box::new(saved)),
            Err(reason) => Found::Broken(reason),
        };
        self.known = Some(text);
        Ok(found)
    }

    /// Puts `saved` in the file's place: whoever reads sees all of it or all of what was before, whenever the process or the machine
    /// dies.
    pub(super) fn write(&mut self, saved: &Saved) -> io::Result<()> {
        let text = saved.to_text();
        replace(&self.path, text.as_bytes(), &mut |_| Ok(()))?;
        self.known = Some(text);
        Ok(())
    }
}

/// A state; a file that is longer than any is another.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MAX + 1).read_to_string(&mut text)?;
    if length as u64 > MAX {
        let reason = "too long for the state of a rollout";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(text)
}

/// A moment at which a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Created,
    Written,
    Synced,
    Renamed,
}

/// Writes beside the file and renames. `step` is called after each step, and stands for the death of the process where it fails.
fn replace(
    path: &Path,
    text: &[u8],
    step: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside)?;
    step(Step::Created)?;
    for part in text.chunks(64) {
        file.write_all(part)?;
        step(Step::Written)?;
    }
    file.sync_all()?;
    step(Step::Synced)?;
    fs::rename(&beside, path)?;
    step(Step::Renamed)?;
    // So that the new name survives too. Where a folder cannot be opened it need not be.
    let folder = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new("."))) {
        Ok(folder) => folder.sync_all(),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{limits::Limits, status::RolloutState},
        *,
    };

    fn plan() -> Plan {
        Plan {
            targets: vec!["old".into(), "new".into()],
            stages: vec![[90, 10].into(), [0, 100].into()],
            stage_time: Duration::from_secs(60),
            minimum_requests: 1,
            limits: Limits::default(),
            alpha: 0.001,
            rollback_step: Duration::from_secs(60),
            window: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_process_that_dies_at_any_moment_of_writing_leaves_the_old_state_or_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollout.json");
        let plan = plan();
        let before = Saved::new(&plan, RolloutState::Active, 0);
        let after = Saved::new(&plan, RolloutState::RolledBack, 1);
        let mut steps = 0;
        replace(&path, after.to_text().as_bytes(), &mut |_| {
            steps += 1;
            Ok(())
        })
        .unwrap();
        assert!(steps > 6, "{steps}");
        for last in 0..steps {
            replace(&path, before.to_text().as_bytes(), &mut |_| Ok(())).unwrap();
            let (mut step, mut renamed) = (0, false);
            let died = replace(&path, after.to_text().as_bytes(), &mut |at| {
                renamed |= at == Step::Renamed;
                step += 1;
                if step > last {
                    return Err(io::Error::other("killed"));
                }
                Ok(())
            });
            assert!(died.is_err());
            let (_, saved) = StateFile::open(path.clone(), &plan).unwrap();
            let expected = if renamed { &after } else { &before };
            assert_eq!(saved.as_ref(), Some(expected), "killed after step {last}");
        }
        // What was left beside it does not stand in the way.
        let (mut file, _) = StateFile::open(path, &plan).unwrap();
        file.write(&before).unwrap();
        assert_eq!(file.look(&plan).unwrap(), Found::Known);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_file_is_a_beginning_and_a_broken_one_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollout.json");
        let plan = plan();
        let open = || StateFile::open(path.clone(), &plan);
        assert_eq!(open().unwrap().1, None);
        let good = Saved::new(&plan, RolloutState::Paused, 1).to_text();
        for (from, to, word) in [
            ("", "", ""),
            (good.as_str(), "{", "EOF"),
            ("\"schema\": 1", "\"schema\": 2", "schema 2"),
            ("\"stage\": 1", "\"stage\": 2", "stage 2"),
            ("\"stage\": 1", "\"stage\": -1", "-1"),
            ("paused", "dancing", "dancing"),
            ("\"new\"", "\"other\"", "other"),
            ("\"force\": null", "\"force\": \"gone\"", "gone"),
            ("\"force\": null", "\"unheard\": 1", "unheard"),
        ] {
            fs::write(&path, good.replace(from, to)).unwrap();
            match open() {
                Ok((_, saved)) => assert!(word.is_empty() && saved.is_some(), "{to}"),
                Err(reason) => assert!(reason.contains(word) && !word.is_empty(), "{reason}"),
            }
        }
        fs::write(&path, "x".repeat((1 << 20) + 1)).unwrap();
        assert!(open().unwrap_err().contains("too long"));
        fs::write(&path, "").unwrap();
        assert!(open().is_err());
    }
}
