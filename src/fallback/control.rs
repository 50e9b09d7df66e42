use serde_json::{Value, json};

use super::FallbackHandle;
use crate::control::{Acting, Change, Control, Parameters, acted};

impl Control for FallbackHandle {
    fn kind(&self) -> &'static str {
        "fallbacks"
    }

    fn show(&self) -> Value {
        let counts = self.counts();
        json!({
            "enabled": self.is_enabled(),
            "first": self.first(),
            "fell_back": counts.fell_back,
            "rescued": counts.rescued,
            "exhausted": counts.exhausted,
            "waiting": counts.waiting,
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["enable", "disable", "reset"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(with.none().map(|()| {
            if action == "reset" {
                let old = self.first();
                self.reset();
                return Change::new(old, self.first());
            }
            let old = self.is_enabled();
            self.set_enabled(action == "enable");
            Change::new(old, self.is_enabled())
        }))
    }
}
