#![doc = include_str!("../docs/cache.md")]

mod answers;
mod ask;
mod build;
mod builder;
mod canonical;
mod control;
mod directives;
mod entry;
mod flight;
mod flights;
mod form;
mod future;
mod handle;
mod head;
mod headers;
mod key;
mod layer;
mod log;
mod member;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod replay;
mod said;
mod service;
mod state;
mod store;
#[cfg(test)]
mod tests;

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use self::{
    builder::{CacheBuilder, CacheScope},
    entry::Entry,
    future::CacheFuture,
    handle::{CacheCounts, CacheHandle},
    headers::{X_RELAY_CACHE, X_RELAY_CACHE_SAVED_USD},
    key::CacheKey,
    layer::CacheLayer,
    memory::MemoryStore,
    service::CacheService,
    state::Cacheable,
    store::{CacheStore, Purge},
};
