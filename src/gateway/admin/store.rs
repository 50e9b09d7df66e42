//! What replicas share their limits and budgets in, for operators to see.

use serde_json::{Value, json};

use crate::{
    control::{Acting, Control, ControlError, Parameters, acted},
    reserve::RedisHandle,
};

impl Control for RedisHandle {
    fn kind(&self) -> &'static str {
        "stores"
    }

    fn show(&self) -> Value {
        json!({
            "is_open": self.is_open(),
            "answered": self.answered(),
            "failed": self.failed(),
            "skipped": self.skipped(),
            "uncounted": self.uncounted(),
            "refused": self.refused(),
            "stood_in": self.stood_in(),
            "queued": self.queued(),
            "settled": self.settled(),
            "unsettled": self.unsettled(),
            "forgiven": self.forgiven(),
        })
    }

    /// None: it is the server's to be steered.
    fn actions(&self) -> &'static [&'static str] {
        &[]
    }

    fn act<'a>(&'a self, action: &'a str, _: Parameters) -> Acting<'a> {
        acted(Err(ControlError::unknown_action(action, &[])))
    }
}
