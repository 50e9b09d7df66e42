use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::message::{
    ConfigError,
    catalog::{ModelCatalog, ModelTable},
};

/// Where the facts about models come from: each table is laid over those before it ([`ModelTable::overlay`]).
///
/// They are shown in `/v1/models`, and are what `clamp_output` and `checks` go by.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CatalogConfig {
    /// First, the facts that the crate knows by itself: on by default.
    pub builtin: bool,
    /// Then these files, each LiteLLM's price list, as [`ModelTable::from_litellm_json`] reads it.
    pub litellm: Vec<PathBuf>,
    /// Then your own, as [`ModelTable::from_toml`] reads them.
    pub files: Vec<PathBuf>,
    /// Last, what stands in the configuration itself, in the same form.
    pub own: ModelTable,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self {
            builtin: true,
            litellm: Vec::new(),
            files: Vec::new(),
            own: ModelTable::default(),
        }
    }
}

impl CatalogConfig {
    /// Reads the files, each of at most 16 MiB.
    pub(crate) fn build(&self) -> Result<ModelCatalog, ConfigError> {
        let is_plain = self.litellm.is_empty() && self.files.is_empty() && self.own.is_empty();
        if is_plain && self.builtin {
            return Ok(ModelCatalog::builtin());
        }
        let mut table = if self.builtin {
            ModelTable::builtin()
        } else {
            ModelTable::default()
        };
        for path in &self.litellm {
            let read = |text: String| ModelTable::from_litellm_json(text.as_bytes());
            table = table.overlay(&load("litellm", path, read)?);
        }
        for path in &self.files {
            let read = |text: String| ModelTable::from_toml(&text);
            table = table.overlay(&load("files", path, read)?);
        }
        Ok(ModelCatalog::new(table.overlay(&self.own)))
    }
}

fn load(
    field: &'static str,
    path: &Path,
    read: impl FnOnce(String) -> Result<ModelTable, ConfigError>,
) -> Result<ModelTable, ConfigError> {
    const MAX: u64 = 16 << 20;
    let fail = |reason: &str| ConfigError::new(field, format!("{}: {reason}", path.display()));
    let about = fs::metadata(path).map_err(|error| fail(&error.to_string()))?;
    if about.len() > MAX {
        return Err(fail("is larger than 16 MiB"));
    }
    let text = fs::read_to_string(path).map_err(|error| fail(&error.to_string()))?;
    // A parser's picture of the place takes several lines.
    read(text).map_err(|error| {
        let lines = error.reason().lines().map(str::trim);
        let said: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        fail(&said.join(" "))
    })
}
