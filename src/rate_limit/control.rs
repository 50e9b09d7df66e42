use serde::Deserialize;
use serde_json::{Value, json};

use super::RateLimitHandle;
use crate::{
    control::{Acting, Change, Control, ControlError, Parameters},
    key::Key,
    reserve::{Level, Quota},
};

/// The keys that are shown: those who have used the most of theirs.
const MAX_SHOWN: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    key: Option<Key>,
    /// With `null` the key has those of everyone again, or its own at first where there are none of everyone.
    // It must be there, so that nothing is taken away by a slip.
    #[serde(deserialize_with = "Option::deserialize")]
    limits: Option<Quota>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    key: Key,
}

impl RateLimitHandle {
    async fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        if action == "reset" {
            let key = with.read::<Reset>()?.key;
            let old = self.levels(&key).await;
            self.reset(&key).await;
            let new = self.levels(&key).await;
            return Ok(Change::new(levels(&old), levels(&new)));
        }
        let Set { key, limits } = with.read()?;
        let holds = self.holders().check(key.as_ref());
        holds.map_err(ControlError::Invalid)?;
        let whose = key.clone().unwrap_or_else(|| Key::named("", ""));
        let old = quota(&self.quota(&whose));
        match (&key, limits) {
            // Where nothing is for all there is only what the configuration said.
            (Some(key), None) if !self.holders().are_everyone() => self.restore(key),
            (Some(key), limits) => self.set_quota(key, limits.as_ref()),
            (None, Some(limits)) => self.set_default(limits),
            (None, None) => {
                let reason = "limits: cannot be null without a key".to_owned();
                return Err(ControlError::Invalid(reason));
            }
        }
        Ok(Change::new(old, quota(&self.quota(&whose))))
    }
}

fn quota(quota: &Quota) -> Value {
    quota.limits().iter().map(ToString::to_string).collect()
}

fn levels<'a>(levels: impl IntoIterator<Item = &'a Level>) -> Value {
    let level = |level: &Level| {
        json!({
            "limit": level.limit.to_string(),
            "used": level.used,
            "remaining": level.remaining,
            "burst": level.limit.burst(),
            "reset_seconds": level.reset.as_secs_f64(),
        })
    };
    levels.into_iter().map(level).collect()
}

impl Control for RateLimitHandle {
    fn kind(&self) -> &'static str {
        "limits"
    }

    /// The keys are those that are counted in this process; with a store elsewhere there are none to list.
    fn show(&self) -> Value {
        let local = self.local();
        let fullest = local.map(|local| local.fullest(MAX_SHOWN));
        let shown = fullest
            .iter()
            .flatten()
            .map(|(key, of_key)| json!({"key": key.to_string(), "levels": levels(of_key)}));
        json!({
            "limits": quota(&self.quota(&Key::named("", ""))),
            "keys": local.map(|local| local.keys().len()),
            "in_flight": self.in_flight(),
            "waiting": self.waiting(),
            "fullest": shown.collect::<Vec<_>>(),
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["quota", "reset"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        Box::pin(self.change(action, with))
    }
}
