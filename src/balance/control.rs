use serde::Deserialize;
use serde_json::{Value, json};

use super::{BalanceHandle, MemberSnapshot};
use crate::control::{Acting, Change, Control, ControlError, Parameters, acted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    target: Box<str>,
}

impl BalanceHandle {
    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        let Which { target } = with.read()?;
        let old = self.drained();
        if action == "drain" {
            self.drain(&target)?;
        } else {
            self.restore(&target)?;
        }
        Ok(Change::new(old, self.drained()))
    }

    /// The names of those that are taken out.
    fn drained(&self) -> Value {
        let members = self.members().iter();
        let drained = members.filter(|member| member.is_drained());
        drained.map(|member| Value::from(&*member.name)).collect()
    }
}

fn shown(member: &MemberSnapshot) -> Value {
    let seconds = |span: Option<std::time::Duration>| span.map(|span| span.as_secs_f64());
    json!({
        "name": &*member.name,
        "in_flight": member.in_flight,
        "first_token_seconds": seconds(member.first_token),
        "whole_seconds": seconds(member.whole),
        "health": member.health,
        "admitted": member.admitted,
        "share": member.share,
        "requests": member.requests,
        "drained": member.is_drained,
    })
}

impl Control for BalanceHandle {
    fn kind(&self) -> &'static str {
        "balances"
    }

    fn show(&self) -> Value {
        let members: Vec<_> = self.snapshot().members.iter().map(shown).collect();
        json!({"members": members})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["drain", "restore"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(self.change(action, with))
    }
}
