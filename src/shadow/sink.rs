//! Where comparisons go.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::Comparison;

/// Takes comparisons. It is called beside the requests, on a thread that may block.
///
/// Any function of one is one.
pub trait ComparisonSink: Send + Sync {
    /// Takes one.
    fn record(&self, comparison: &Comparison);
}

impl<F: Fn(&Comparison) + Send + Sync> ComparisonSink for F {
    fn record(&self, comparison: &Comparison) {
        self(comparison);
    }
}

/// Appends each comparison to a file, as a line of JSON.
#[derive(Debug)]
pub struct JsonlSink(Mutex<File>);

impl JsonlSink {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(file)))
    }
}

impl ComparisonSink for JsonlSink {
    fn record(&self, comparison: &Comparison) {
        let Ok(mut line) = serde_json::to_vec(comparison) else {
            return;
        };
        line.push(b'\n');
        // One call, so that a line is whole or not there.
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&line) {
            tracing::warn!(%error, "a comparison could not be written");
        }
    }
}
