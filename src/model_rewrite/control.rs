use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Aliases, ModelRewriteHandle};
use crate::control::{Acting, Change, Control, ControlError, Parameters, acted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct All {
    aliases: BTreeMap<String, String>,
}

/// One alias; none with `null`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    name: String,
    // It must be there, so that nothing is removed by a slip.
    #[serde(deserialize_with = "Option::deserialize")]
    target: Option<String>,
}

impl ModelRewriteHandle {
    fn entries(&self) -> BTreeMap<String, String> {
        self.aliases().entries().into_iter().collect()
    }

    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        let old = self.entries();
        if action == "aliases" {
            self.set_aliases(Aliases::new(with.read::<All>()?.aliases)?);
            return Ok(Change::new(json!(old), json!(self.entries())));
        }
        let one: One = with.read()?;
        let mut entries = old;
        let before = match &one.target {
            Some(target) => entries.insert(one.name, target.clone()),
            None => match entries.remove(&one.name) {
                None => return Err(ControlError::Unknown(format!("alias {:?}", one.name))),
                removed => removed,
            },
        };
        self.set_aliases(Aliases::new(entries)?);
        Ok(Change::new(before, one.target))
    }
}

impl Control for ModelRewriteHandle {
    fn kind(&self) -> &'static str {
        "models"
    }

    fn show(&self) -> Value {
        json!({"aliases": self.entries()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["aliases", "alias"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(action, with))
    }
}
