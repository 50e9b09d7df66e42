use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{BudgetHandle, BudgetLevel, Limits};
use crate::{
    control::{Acting, Change, Control, ControlError, Parameters, acted},
    key::Key,
    message::catalog::Cost,
    wire::rfc3339,
};

/// The keys that are shown: those who have used the most of theirs.
const MAX_SHOWN: usize = 50;

/// One budget, to be shown and changed: [`BudgetHandle::controls`].
#[derive(Debug, Clone)]
pub struct BudgetControl {
    handle: BudgetHandle,
    budget: Arc<str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    key: Option<Key>,
    hard: Cost,
    soft: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    key: Key,
}

impl BudgetControl {
    pub(super) fn new(handle: BudgetHandle, budget: Arc<str>) -> Self {
        Self { handle, budget }
    }

    fn level(&self, key: &Key) -> Result<BudgetLevel, ControlError> {
        let level = self.handle.level(&self.budget, key);
        level.ok_or_else(|| ControlError::Unknown(format!("budget {:?}", self.budget)))
    }

    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        if action == "reset" {
            let key = with.read::<Reset>()?.key;
            let old = self.level(&key)?.spent;
            self.handle.reset(&self.budget, &key);
            return Ok(Change::new(
                old.to_string(),
                self.level(&key)?.spent.to_string(),
            ));
        }
        let set: Set = with.read()?;
        let limits = Limits {
            hard: set.hard,
            soft: set.soft,
        };
        if set.soft.is_some_and(|soft| soft > set.hard) {
            let reason = "soft: must be at most the hard limit".to_owned();
            return Err(ControlError::Invalid(reason));
        }
        // Of everyone without limits of their own: such as nobody's key has.
        let whose = set.key.clone();
        let whose = whose.unwrap_or_else(|| Key::named("budget", "default"));
        let old = self.level(&whose)?.limits;
        match &set.key {
            Some(key) => self.handle.set_limits(&self.budget, key, Some(limits)),
            None => self.handle.set_default(&self.budget, limits),
        };
        Ok(Change::new(shown(&old), shown(&self.level(&whose)?.limits)))
    }
}

fn shown(limits: &Limits) -> Value {
    json!({"hard": limits.hard, "soft": limits.soft})
}

/// How much of the hard limit is spent or reserved, 0 to 1 and above.
fn used(level: &BudgetLevel) -> f64 {
    let hard = level.limits.hard.approx_usd();
    let taken = (level.spent + level.reserved).approx_usd();
    if hard > 0.0 { taken / hard } else { 1.0 }
}

impl Control for BudgetControl {
    fn kind(&self) -> &'static str {
        "budgets"
    }

    fn show(&self) -> Value {
        let mut levels = self.handle.levels(&self.budget);
        levels.sort_by(|a, b| used(b).total_cmp(&used(a)));
        let keys = levels.len();
        levels.truncate(MAX_SHOWN);
        let levels = levels.iter().map(|level| {
            json!({
                "key": level.key,
                "spent_usd": level.spent,
                "reserved_usd": level.reserved,
                "hard_usd": level.limits.hard,
                "soft_usd": level.limits.soft,
                "used": used(level),
                "unpriced": level.unpriced,
                "renewed_at": level.renewed_at.map(rfc3339::format),
            })
        });
        json!({"keys": keys, "levels": levels.collect::<Vec<_>>()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["limits", "reset"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(action, with))
    }
}
