//! A configuration to look at.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    path::Path,
    process,
};

use super::Config;
use crate::{message::ConfigError, server::feedback::FeedbackBuilder, shadow::ShadowBuilder};

impl Config {
    /// The same without the files that a gateway of it begins to write, which are only tried: it can be built, and leaves nothing behind.
    pub(crate) fn without_files(mut self) -> Result<Self, ConfigError> {
        if let Some(audit) = self.audit.take() {
            audit.check().map_err(|error| error.within("audit"))?;
            tried(audit.path(), "audit.path")?;
        }
        let shadow = self.shadow.as_mut().and_then(ShadowBuilder::take_file);
        let feedback = self.feedback.as_mut().and_then(FeedbackBuilder::take_file);
        for (file, field) in [(shadow, "shadow.file"), (feedback, "feedback.file")] {
            if let Some(file) = file {
                tried(&file, field)?;
            }
        }
        Ok(self)
    }
}

/// Whether the file can be written, or made where it is not there yet.
fn tried(path: &Path, field: &'static str) -> Result<(), ConfigError> {
    let opened = match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Another is made beside it: somebody else might take this one for a file that stays.
            let mut name = OsString::from(".");
            name.push(path.file_name().unwrap_or_default());
            name.push(format!(".{}", process::id()));
            let beside = path.with_file_name(name);
            let made = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&beside);
            made.and_then(|_| fs::remove_file(&beside))
        }
        opened => opened.map(drop),
    };
    opened.map_err(|error| ConfigError::new(field, format!("{}: {error}", path.display())))
}
