//! Which answers are given again: the gateway's own, or a route's in their place.

use std::{
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use super::{Parts, within};
use crate::{
    cache::{CacheBuilder, CacheLayer, RedisStore},
    client::{ModelRoute, Upstreams},
    gateway::{Config, config::RouteCache, routes::at, tenants},
    message::{ConfigError, RequestBody, ResponseBody},
    model_rewrite::Aliases,
    reserve::RedisBuilder,
};

/// The cache of each request, by the route that it is going to be given to.
#[derive(Debug, Clone)]
pub(super) struct CachesLayer {
    all: Option<CacheLayer>,
    own: Arc<[OfRoute]>,
    route: ModelRoute,
}

/// What a route has in place of the cache of all.
#[derive(Debug)]
struct OfRoute {
    name: Box<str>,
    cache: Option<CacheLayer>,
}

impl Config {
    /// What answers again, if anything does; the same as before where nothing is said differently, so that no answer is lost.
    pub(super) fn caches(
        &self,
        upstreams: &Upstreams,
        parts: &mut Parts<'_>,
    ) -> Result<Option<CachesLayer>, ConfigError> {
        let mut all = None;
        if let Some(cache) = &self.cache {
            let redis = self.store.redis.clone();
            let cache = self.build_cache(cache, "", redis, parts);
            let cache = cache.map_err(within("cache"))?;
            parts.layers.cache = Some(cache.handle());
            all = Some(cache);
        }
        let mut own = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            let cache = match &route.cache {
                None => continue,
                Some(RouteCache::Off) => None,
                Some(RouteCache::Own(cache)) => {
                    let redis = self.store.redis.clone();
                    // Apart from those of all, so that neither is purged with the other.
                    let redis = redis.map(|redis| redis.under(&route.name));
                    let cache = self.build_cache(cache, &route.name, redis, parts);
                    let cache = cache.map_err(|error| at(index, within("cache")(error)))?;
                    let handles = &mut parts.layers.caches;
                    handles.insert(route.name.clone(), cache.handle());
                    Some(cache)
                }
            };
            own.push(OfRoute {
                name: route.name.as_str().into(),
                cache,
            });
        }
        let is_any = all.is_some() || own.iter().any(|own| own.cache.is_some());
        Ok(is_any.then(|| CachesLayer {
            all,
            own: own.into(),
            route: ModelRoute::new(upstreams.clone()),
        }))
    }

    fn build_cache(
        &self,
        cache: &CacheBuilder,
        route: &str,
        redis: Option<RedisBuilder>,
        parts: &mut Parts<'_>,
    ) -> Result<CacheLayer, ConfigError> {
        let env = parts.env;
        let redis = redis.filter(|_| cache.is_in_redis());
        // The address may stand in a variable that says something else by now.
        let address = redis.as_ref().map(|redis| redis.address(env)).transpose()?;
        let set = self.upstream_set();
        let made_of = (cache.clone(), redis.clone(), address, set.clone());
        let build = || {
            let cache = cache.clone().by(tenants::answered_by());
            let mut cache = cache.default_namespace(|| set);
            let mut workers = Vec::new();
            if let Some(redis) = redis {
                let (store, worker) = RedisStore::with_env(&redis, env)?;
                workers.push(worker);
                cache = cache.store(Arc::new(store));
            }
            Ok((cache.build()?, workers))
        };
        parts.keep("cache", route, made_of, build)
    }

    /// What may answer, in words: another set than that of an earlier run, or of another gateway, has answers of its own.
    fn upstream_set(&self) -> String {
        let mut set = String::new();
        for upstream in &self.upstreams {
            let address = upstream.base_url.as_ref().or(upstream.template.as_ref());
            let names = upstream.aliases.as_ref().map(Aliases::entries);
            // Writing to a string cannot fail.
            let _ = writeln!(
                set,
                "{:?} {address:?} {:?} {:?} {names:?}",
                upstream.name, upstream.models, upstream.endpoints
            );
        }
        for route in &self.routes {
            let _ = writeln!(
                set,
                "{:?} {:?} {:?}",
                route.name,
                route.models,
                route.targets()
            );
        }
        set
    }
}

impl<S: Clone> Layer<S> for CachesLayer {
    type Service = Caches<S>;

    fn layer(&self, inner: S) -> Caches<S> {
        Caches {
            caches: self.clone(),
            inner,
        }
    }
}

/// The service of [`CachesLayer`].
#[derive(Debug, Clone)]
pub(super) struct Caches<S> {
    inner: S,
    caches: CachesLayer,
}

impl CachesLayer {
    /// The cache of this request, where it has one.
    fn of(&self, request: &Request<RequestBody>) -> Option<&CacheLayer> {
        match self.own_of(request) {
            Some(own) => own.cache.as_ref(),
            None => self.all.as_ref(),
        }
    }

    /// What the route of this request has in place of the cache of all.
    fn own_of(&self, request: &Request<RequestBody>) -> Option<&OfRoute> {
        if self.own.is_empty() {
            return None;
        }
        let target = self.route.target_of(request)?;
        self.own.iter().find(|own| *own.name == **target.name())
    }
}

impl<S> Service<Request<RequestBody>> for Caches<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;
    /// Boxed: by types alone what lies under all layers of a gateway is deeper than compilers follow.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    /// Always ready, as a cache is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let inner = self.inner.clone();
        match self.caches.of(&request) {
            Some(cache) => Box::pin(cache.layer(inner).call(request)),
            None => Box::pin(inner.oneshot(request)),
        }
    }
}
