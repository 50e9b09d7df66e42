use serde::Deserialize;
use serde_json::{Value, json};

use super::{AdmissionHandle, Limits};
use crate::{
    control::{Acting, Change, Control, ControlError, Parameters, acted},
    key::Key,
};

#[derive(Deserialize)]
struct Set {
    key: Option<Key>,
    #[serde(flatten)]
    limits: Limits,
}

impl AdmissionHandle {
    fn change(&self, with: Parameters) -> Result<Change, ControlError> {
        let Set { key, limits } = with.read()?;
        let holds = self.holders().check(key.as_ref());
        holds.map_err(ControlError::Invalid)?;
        let limit = |key: Option<&Key>| self.state(key.unwrap_or(&Key::GLOBAL)).limit;
        let old = limit(key.as_ref());
        match &key {
            Some(key) => self.set_limits_for(key, Some(limits)),
            None => self.set_limits(limits),
        }
        Ok(Change::new(old, limit(key.as_ref())))
    }
}

impl Control for AdmissionHandle {
    fn kind(&self) -> &'static str {
        "admissions"
    }

    fn show(&self) -> Value {
        let counts = self.counts();
        let for_all = self.holders().are_everyone();
        json!({
            "in_flight": self.in_flight(),
            "waiting": self.waiting(),
            // Of each key, where there are several; `null` where each has its own.
            "max_in_flight": for_all.then(|| self.state(&Key::GLOBAL).limit),
            "keys": self.keys(),
            "admitted": counts.admitted,
            "shed": counts.shed_full + counts.shed_displaced + counts.shed_late,
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["limits"]
    }

    fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(with))
    }
}
