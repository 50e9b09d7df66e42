//! What must hold of what operators write: it is taken, or refused with a reason.

use tower_relay::{gateway::Config, message::catalog::ModelTable};

/// A table of prices, of both forms.
pub(crate) fn table(data: &[u8]) {
    let listed = ModelTable::from_litellm_json(data);
    let written = std::str::from_utf8(data).ok().map(ModelTable::from_toml);
    for table in std::iter::once(listed).chain(written) {
        match table {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(table) => {
                // What is listed is found by its name.
                for model in table.iter() {
                    assert_eq!(
                        table.get(&model.id).map(|found| &*found.id),
                        Some(&*model.id)
                    );
                }
                assert_eq!(table.iter().count(), table.len());
            }
        }
    }
}

/// A gateway's configuration. It is read, not built: what it names are files and addresses of this machine.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::from_toml(text, "fuzzed") {
        Ok(config) => assert!(!format!("{config:?}").is_empty()),
        Err(error) => assert!(error.to_string().starts_with("fuzzed"), "{error}"),
    }
}
