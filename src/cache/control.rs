use serde::Deserialize;
use serde_json::{Value, json};

use super::{CacheHandle, Purge};
use crate::control::{Acting, Change, Control, ControlError, Parameters};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeOf {
    model: Option<Box<str>>,
}

impl CacheHandle {
    fn answers(&self) -> Option<u64> {
        self.size().map(|(answers, _)| answers)
    }

    async fn purge_of(&self, with: Parameters) -> Result<Change, ControlError> {
        let PurgeOf { model } = with.read()?;
        let purge = match model {
            Some(model) if model.is_empty() => {
                let reason = "model: must not be empty; leave it out to purge all".to_owned();
                return Err(ControlError::Invalid(reason));
            }
            Some(model) => Purge::Model(model),
            None => Purge::All,
        };
        let old = self.answers();
        self.purge(purge).await;
        Ok(Change::new(
            json!({"answers": old}),
            json!({"answers": self.answers()}),
        ))
    }
}

impl Control for CacheHandle {
    fn kind(&self) -> &'static str {
        "caches"
    }

    fn show(&self) -> Value {
        let counts = self.counts();
        let (answers, bytes) = self.size().unzip();
        json!({
            "answers": answers,
            "bytes": bytes,
            "in_flight": self.in_flight(),
            "hits": counts.hits,
            "stale": counts.stale,
            "shared": counts.shared,
            "misses": counts.misses,
            "kept": counts.kept,
            "saved_usd": counts.saved,
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["purge"]
    }

    fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
        Box::pin(self.purge_of(with))
    }
}
