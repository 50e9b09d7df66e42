//! From a configuration to layers.

mod caches;
mod outer;
mod parts;
mod upstream;

use std::{convert::Infallible, env, fmt::Display};

use http::{Request, Response};
use tower_service::Service;

pub(super) use self::parts::Parts;
use super::{Config, Gateway, Handles, InvalidConfig};
use crate::{
    client::Upstreams,
    message::{ConfigError, RequestBody, ResponseBody},
    worker::Worker,
};

/// What stands under a gateway's edge: any service over this crate's bodies that answers errors as responses.
pub trait Stack:
    Service<
        Request<RequestBody>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Stack for S where
    S: Service<
            Request<RequestBody>,
            Response = Response<ResponseBody>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

impl Config {
    /// The gateway that this configuration describes. Nothing is connected or spawned yet.
    ///
    /// # Errors
    ///
    /// Where a field's value cannot work: a URL that is none, an environment variable that is not set, a file that cannot
    /// be read.
    pub fn build(&self) -> Result<Gateway<impl Stack + use<>>, InvalidConfig> {
        self.build_with_env(&|name| env::var(name).ok())
    }

    /// The same, with `env` in place of the environment's variables: a store of secrets, say.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with_env(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Gateway<impl Stack + use<>>, InvalidConfig> {
        let make = |config: &Self, parts: Parts<'_>| config.generation(parts);
        Gateway::made(self, env, make).map_err(|error| self.locate(&error))
    }

    /// The routes and upstreams alone, to stand under layers of one's own, and what keeps the upstreams' keys current.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_upstreams(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Upstreams, Vec<Worker>), InvalidConfig> {
        let handles = Handles::default();
        Parts::without_audit(self, env, &handles, None)
            .and_then(|mut parts| Ok((self.upstreams(&mut parts)?, parts.into_workers())))
            .map_err(|error| self.locate(&error))
    }
}

/// Says in which table a field is.
fn within(outer: impl Display) -> impl FnOnce(ConfigError) -> ConfigError {
    move |error| error.within(&outer.to_string())
}
