use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use http::HeaderMap;

use super::{
    Caller, Tenant, TenantControl, TenantKey,
    book::{Book, Entry},
    state_file::{State, StateFile},
};
use crate::{
    key::presented_api_key,
    message::{ApiError, ConfigError},
    wire::clock,
};

/// Who may call, and by which keys. Clones share it: it is the handle, too, by which keys change while requests flow.
#[derive(Clone)]
pub struct Tenants(Arc<Shared>);

struct Shared {
    book: ArcSwap<Book>,
    /// Held by those who change keys, while they write the file: never on a request's path.
    changes: Mutex<Changes>,
}

struct Changes {
    state: State,
    file: Option<StateFile>,
}

/// Why keys could not be changed. Then everything is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// There is no such tenant, or it has no such key.
    #[error("there is no {0}")]
    Unknown(String),
    /// The key cannot be.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// The state file could not be written.
    #[error("the change could not be kept: {0}")]
    NotKept(#[from] io::Error),
}

impl Tenants {
    /// These tenants, with the keys that they were given.
    ///
    /// # Errors
    ///
    /// When a name cannot be one, or a tenant, a key's name or a key is there twice.
    pub fn new(tenants: impl IntoIterator<Item = Tenant>) -> Result<Self, ConfigError> {
        Self::build(tenants, None, None)
    }

    /// The same, with what was changed at run time of the keys of others whose place they take.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); and when a key that was changed is another's now.
    #[cfg(feature = "gateway")]
    pub(crate) fn continuing(
        tenants: impl IntoIterator<Item = Tenant>,
        before: &Self,
    ) -> Result<Self, ConfigError> {
        let changes = before.0.changes.lock();
        let changes = changes.unwrap_or_else(PoisonError::into_inner);
        let state = changes.state.clone();
        drop(changes);
        Self::build(tenants, None, Some(state))
    }

    /// The same, with what was changed of their keys at run time, which is kept in the file at `path`. There need not be such a file yet.
    ///
    /// One process keeps it: replicas need one each.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); and when the file cannot be read, or is broken.
    pub fn with_state_file(
        tenants: impl IntoIterator<Item = Tenant>,
        path: impl Into<PathBuf>,
    ) -> Result<Self, ConfigError> {
        Self::build(tenants, Some(StateFile::new(path.into())), None)
    }

    fn build(
        tenants: impl IntoIterator<Item = Tenant>,
        file: Option<StateFile>,
        changed: Option<State>,
    ) -> Result<Self, ConfigError> {
        let state = match &file {
            Some(file) => {
                let read = file.read();
                read.map_err(|reason| ConfigError::new("state_file", reason))?
            }
            None => changed.unwrap_or_default(),
        };
        let mut tenants: Vec<Tenant> = tenants.into_iter().collect();
        if let [only] = tenants.as_mut_slice() {
            // What upstreams keep is all its own.
            only.stored_objects.get_or_insert(true);
        }
        let mut entries: Vec<Entry> = tenants
            .into_iter()
            .map(|tenant| Entry {
                keys: tenant.keys.clone(),
                tenant: Arc::new(tenant),
            })
            .collect();
        // What the configuration says is checked by itself: what is wrong there has a place in it.
        let mut book = Book::new(entries.clone())?;
        if !state.tenants.is_empty() {
            for (name, changed) in &state.tenants {
                let entry = entries.iter_mut().find(|entry| entry.tenant.name() == name);
                if let Some(entry) = entry {
                    for key in changed {
                        put(&mut entry.keys, key);
                    }
                } else {
                    tracing::warn!(
                        tenant = name,
                        "keys of a tenant that is no more: they open nothing"
                    );
                }
            }
            let merged = Book::new(entries);
            book = merged.map_err(|error| ConfigError::new("state_file", error.to_string()))?;
        }
        Ok(Self(Arc::new(Shared {
            book: ArcSwap::from_pointee(book),
            changes: Mutex::new(Changes { state, file }),
        })))
    }

    /// Who sends a request with these headers.
    ///
    /// # Errors
    ///
    /// What they are to be told, 401, who present no key, or one that is unknown, revoked or expired. The key is not shown.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let key = presented_api_key(headers).ok_or_else(ApiError::missing_api_key)?;
        self.0.book.load().caller(key, clock::now())
    }

    /// The tenants.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Tenant>> {
        let book = self.0.book.load_full();
        let tenants: Vec<_> = book
            .tenants()
            .iter()
            .map(|entry| Arc::clone(&entry.tenant))
            .collect();
        tenants.into_iter()
    }

    /// Who may call: all tenants, each by a key of its own, or by one without a name where it has none.
    #[cfg(feature = "gateway")]
    pub(crate) fn callers(&self) -> impl Iterator<Item = Caller> {
        self.iter().map(|tenant| Caller::new(&tenant, ""))
    }

    /// The keys of `tenant` as they are now.
    pub fn keys(&self, tenant: &str) -> Option<Vec<TenantKey>> {
        let book = self.0.book.load();
        let mut entries = book.tenants().iter();
        let entry = entries.find(|entry| entry.tenant.name() == tenant)?;
        Some(entry.keys.clone())
    }

    /// The keys of `tenant`, for operators to see and change.
    pub fn control(&self, tenant: &str) -> TenantControl {
        TenantControl::new(self.clone(), tenant.to_owned())
    }

    /// Gives `tenant` a key, or changes the one of the same name. Its others stay: while a key is replaced by another, both are taken.
    ///
    /// It writes the state file, if there is one, before the change holds: call it where one may block.
    ///
    /// # Errors
    ///
    /// When there is no such tenant, the key is another's, its name cannot be one, or the file cannot be written.
    pub fn set_key(&self, tenant: &str, key: TenantKey) -> Result<(), ChangeError> {
        self.change(tenant, |_| Ok(key))
    }

    /// Takes a key of `tenant` no longer, from now on. As [`set_key`](Self::set_key).
    ///
    /// # Errors
    ///
    /// As [`set_key`](Self::set_key), and when there is no such key.
    pub fn revoke(&self, tenant: &str, id: &str) -> Result<(), ChangeError> {
        self.change(tenant, |keys| {
            let mut key = find(keys, tenant, id)?;
            key.revoked = true;
            Ok(key)
        })
    }

    /// Takes a key of `tenant` until `moment`, or for good. As [`set_key`](Self::set_key).
    ///
    /// # Errors
    ///
    /// As [`set_key`](Self::set_key), and when there is no such key.
    pub fn set_expiry(
        &self,
        tenant: &str,
        id: &str,
        moment: Option<SystemTime>,
    ) -> Result<(), ChangeError> {
        self.change(tenant, |keys| {
            let mut key = find(keys, tenant, id)?;
            key.expires = moment;
            Ok(key)
        })
    }

    fn change(
        &self,
        tenant: &str,
        change: impl FnOnce(&[TenantKey]) -> Result<TenantKey, ChangeError>,
    ) -> Result<(), ChangeError> {
        let mut changes = self
            .0
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.0.book.load().tenants().to_vec();
        let entry = entries
            .iter_mut()
            .find(|entry| entry.tenant.name() == tenant);
        let entry = entry.ok_or_else(|| ChangeError::Unknown(format!("tenant {tenant:?}")))?;
        let key = change(&entry.keys)?;
        put(&mut entry.keys, &key);
        let book = Book::new(entries)?;

        let mut state = changes.state.clone();
        put(state.tenants.entry(tenant.to_owned()).or_default(), &key);
        if let Some(file) = &changes.file {
            file.write(&state)?;
        }
        changes.state = state;
        self.0.book.store(Arc::new(book));
        Ok(())
    }
}

fn put(keys: &mut Vec<TenantKey>, key: &TenantKey) {
    match keys.iter_mut().find(|other| other.id == key.id) {
        Some(other) => *other = key.clone(),
        None => keys.push(key.clone()),
    }
}

fn find(keys: &[TenantKey], tenant: &str, id: &str) -> Result<TenantKey, ChangeError> {
    let key = keys.iter().find(|key| key.id == id).cloned();
    key.ok_or_else(|| ChangeError::Unknown(format!("key {id:?} of tenant {tenant:?}")))
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.0.book.load();
        let names = book.tenants().iter().map(|entry| entry.tenant.name());
        f.debug_list().entries(names).finish()
    }
}
