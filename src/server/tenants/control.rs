use std::time::SystemTime;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

use super::{ChangeError, TenantKey, Tenants};
use crate::{
    control::{Acting, Change, Control, ControlError, Parameters},
    wire::rfc3339,
};

/// The keys of one tenant, to be shown and changed: [`Tenants::control`].
#[derive(Debug, Clone)]
pub struct TenantControl {
    tenants: Tenants,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    id: String,
    #[serde(deserialize_with = "moment")]
    at: Option<SystemTime>,
}

fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else {
        return Ok(None);
    };
    let moment = rfc3339::parse(&text);
    let wrong = || de::Error::custom("is not a moment, such as \"2027-01-01T00:00:00Z\"");
    moment.map(Some).ok_or_else(wrong)
}

impl TenantControl {
    pub(super) fn new(tenants: Tenants, name: String) -> Self {
        Self { tenants, name }
    }

    fn keys(&self) -> Vec<TenantKey> {
        self.tenants.keys(&self.name).unwrap_or_default()
    }

    fn key(&self, id: &str) -> Value {
        let keys = self.keys();
        let key = keys.iter().find(|key| key.id == id);
        key.map_or(Value::Null, shown)
    }

    fn change(&self, action: &str, with: Parameters) -> Result<Change, ControlError> {
        let changed = |id: &str, change: &dyn Fn() -> Result<(), ChangeError>| {
            let old = self.key(id);
            change()?;
            Ok(Change::new(old, self.key(id)))
        };
        match action {
            "set_key" => {
                let key: TenantKey = with.read()?;
                changed(&key.id, &|| self.tenants.set_key(&self.name, key.clone()))
            }
            "revoke_key" => {
                let Revoke { id } = with.read()?;
                changed(&id, &|| self.tenants.revoke(&self.name, &id))
            }
            _ => {
                let Expire { id, at } = with.read()?;
                changed(&id, &|| self.tenants.set_expiry(&self.name, &id, at))
            }
        }
    }
}

/// Without its hash: that opens nothing, and tells nothing either.
fn shown(key: &TenantKey) -> Value {
    json!({"id": key.id, "expires": key.expires.map(rfc3339::format), "revoked": key.revoked})
}

impl From<ChangeError> for ControlError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(what) => Self::Unknown(what),
            ChangeError::Invalid(error) => error.into(),
            ChangeError::NotKept(_) => Self::Failed(error.to_string()),
        }
    }
}

impl Control for TenantControl {
    fn kind(&self) -> &'static str {
        "tenants"
    }

    fn show(&self) -> Value {
        json!({"keys": self.keys().iter().map(shown).collect::<Vec<_>>()})
    }

    fn actions(&self) -> &'static [&'static str] {
        &["set_key", "revoke_key", "expire_key"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        // A change is written to a file before it holds, which may block.
        let (this, action) = (self.clone(), action.to_owned());
        let changing = tokio::task::spawn_blocking(move || this.change(&action, with));
        Box::pin(async move {
            let ended = changing.await;
            ended.unwrap_or_else(|error| Err(ControlError::Failed(error.to_string())))
        })
    }
}
