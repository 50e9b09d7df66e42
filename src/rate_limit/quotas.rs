//! Which quota a key has.

use std::{collections::HashMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use http::Request;

use crate::{
    key::Key,
    message::{ModelPattern, RequestBody},
    reserve::Quota,
};

pub(super) type QuotaOf = Arc<dyn Fn(&Key, &Request<RequestBody>) -> Option<Quota> + Send + Sync>;

/// Quotas by key, changeable while requests flow.
pub(super) struct Quotas {
    default: ArcSwap<Quota>,
    keys: ArcSwap<HashMap<Key, Quota>>,
    /// Both as they were set at first.
    set: (Quota, HashMap<Key, Quota>),
    models: ByModel,
    custom: Option<QuotaOf>,
}

/// The closest pattern first.
#[derive(Debug, Default)]
pub(super) struct ByModel(Vec<(ModelPattern, Quota)>);

impl ByModel {
    pub(super) fn new(models: HashMap<ModelPattern, Quota>) -> Self {
        let mut models: Vec<_> = models.into_iter().collect();
        models.sort_by_key(|(pattern, _)| {
            std::cmp::Reverse((pattern.is_exact(), pattern.literal_len()))
        });
        Self(models)
    }

    fn of(&self, request: &Request<RequestBody>) -> Option<Quota> {
        if self.0.is_empty() {
            return None;
        }
        let model = request.body().model()?;
        let found = self.0.iter().find(|(pattern, _)| pattern.matches(&model));
        found.map(|(_, quota)| quota.clone())
    }
}

impl Quotas {
    pub(super) fn new(
        default: Quota,
        keys: HashMap<Key, Quota>,
        models: ByModel,
        custom: Option<QuotaOf>,
    ) -> Self {
        Self {
            default: ArcSwap::from_pointee(default.clone()),
            keys: ArcSwap::from_pointee(keys.clone()),
            set: (default, keys),
            models,
            custom,
        }
    }

    /// With what was changed since of others that were set the same.
    pub(super) fn continuing(self, before: &Self) -> Self {
        if self.set == before.set {
            self.default.store(before.default.load_full());
            self.keys.store(before.keys.load_full());
        }
        self
    }

    /// What `key` may use, of whom `request` is.
    pub(super) fn of(&self, key: &Key, request: &Request<RequestBody>) -> Quota {
        let custom = || self.custom.as_ref()?(key, request);
        self.own(key)
            .or_else(custom)
            .or_else(|| self.models.of(request))
            .unwrap_or_else(|| Quota::clone(&self.default.load()))
    }

    /// The same, as far as it can be told without a request.
    pub(super) fn known(&self, key: &Key) -> Quota {
        let by_model = || {
            let shown = key.to_string();
            let model = shown.strip_prefix("model:")?;
            let mut models = self.models.0.iter();
            let found = models.find(|(pattern, _)| pattern.matches(model))?;
            Some(found.1.clone())
        };
        self.own(key)
            .or_else(by_model)
            .unwrap_or_else(|| Quota::clone(&self.default.load()))
    }

    /// Whether the quota of `key` may be another for each request.
    pub(super) fn looks_up(&self, key: &Key) -> bool {
        self.custom.is_some() && self.own(key).is_none()
    }

    fn own(&self, key: &Key) -> Option<Quota> {
        let keys = self.keys.load();
        if keys.is_empty() {
            return None;
        }
        keys.get(key).cloned()
    }

    pub(super) fn set_default(&self, quota: Quota) {
        self.default.store(Arc::new(quota));
    }

    /// What was set at first holds for `key` again.
    pub(super) fn restore(&self, key: &Key) {
        self.set(key, self.set.1.get(key));
    }

    pub(super) fn set(&self, key: &Key, quota: Option<&Quota>) {
        self.keys.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            match quota {
                Some(quota) => keys.insert(key.clone(), quota.clone()),
                None => keys.remove(key),
            };
            keys
        });
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quotas")
            .field("default", &**self.default.load())
            .field("keys", &self.keys.load().len())
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}
