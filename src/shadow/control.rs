use serde::Deserialize;
use serde_json::{Value, json};

use super::ShadowHandle;
use crate::control::{Acting, Change, Control, ControlError, Parameters, acted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Share {
    percent: u8,
}

impl ShadowHandle {
    fn change(&self, with: Parameters) -> Result<Change, ControlError> {
        let Share { percent } = with.read()?;
        if percent > 100 {
            return Err(ControlError::Invalid("percent: must be at most 100".into()));
        }
        let old = self.percent();
        self.set_percent(percent);
        Ok(Change::new(old, percent))
    }
}

impl Control for ShadowHandle {
    fn kind(&self) -> &'static str {
        "shadows"
    }

    fn show(&self) -> Value {
        json!({
            "percent": self.percent(),
            "sent": self.sent(),
            "dropped": self.dropped(),
            "compared": self.compared(),
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["percent"]
    }

    fn act<'a>(&'a self, _: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(with))
    }
}
