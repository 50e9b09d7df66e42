use std::{ffi::OsString, mem, net::SocketAddr, path::PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use crate::gateway::Config;

pub(super) const HELP: &str = "\
A relay for LLM APIs.

Usage: tower-relay [OPTIONS]
       tower-relay ctl COMMAND, which steers one that runs: tower-relay ctl --help

Without a configuration it runs before embedded demo upstreams: no key, no network.

Options:
      --config FILE   What to run, in TOML; examples/gateway.toml documents every option
      --listen ADDR   Where to listen, in place of what the configuration says [default: 127.0.0.1:8080]
      --redis URL     Share limits through this Redis or Valkey server, in place of what the configuration says
      --hash-key      Read a key from standard input and print its SHA-256, as [[tenants]] takes it
      --observe       Pass every request on as it is, once, and only write it down: for the time before anything is changed
      --check         Check the configuration, print the stack that it describes, and end
      --live          With --check: ask every upstream for its models, and find aliases that lead to none
      --schema        Print the JSON Schema of a configuration, for editors
  -h, --help          Print this
  -V, --version       Print the version

Environment:
  RUST_LOG            How much to log to standard error: off, error, warn, info, debug or trace [default: info]

The file is read again when it changes, and at SIGHUP. One that cannot be used is logged, and the one before holds.

Exit codes: 0 after a shutdown (SIGINT, SIGTERM), 1 where --live finds something wrong, 2 for wrong options, a
wrong configuration or an address in use.
";

/// What the command line asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) config: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) redis: Option<String>,
    pub(super) observe: bool,
    pub(super) live: bool,
    pub(super) action: Action,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Action {
    #[default]
    Serve,
    Check,
    Schema,
    HashKey,
    Help,
    Version,
}

impl Options {
    pub(super) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, lexopt::Error> {
        let mut options = Self::default();
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("config") => options.config = Some(parser.value()?.into()),
                Arg::Long("listen") => options.listen = Some(parser.value()?.parse()?),
                Arg::Long("redis") => options.redis = Some(parser.value()?.string()?),
                Arg::Long("check") => options.action = Action::Check,
                Arg::Long("observe") => options.observe = true,
                Arg::Long("live") => options.live = true,
                Arg::Long("schema") => options.action = Action::Schema,
                Arg::Long("hash-key") => options.action = Action::HashKey,
                Arg::Short('h') | Arg::Long("help") => {
                    return Ok(Self {
                        action: Action::Help,
                        ..options
                    });
                }
                Arg::Short('V') | Arg::Long("version") => {
                    return Ok(Self {
                        action: Action::Version,
                        ..options
                    });
                }
                _ => return Err(argument.unexpected()),
            }
        }
        if options.live && options.action != Action::Check {
            return Err("--live goes with --check".to_owned().into());
        }
        Ok(options)
    }

    /// Puts what they say in place of what `config` does.
    pub(super) fn apply(&self, config: &mut Config) {
        config.listen = self.listen.unwrap_or(config.listen);
        if let Some(url) = &self.redis {
            let redis = config.store.redis.take().unwrap_or_default();
            config.store.redis = Some(redis.url(url));
            config.said_by_flag("store.redis.url", "--redis");
        }
        if self.observe {
            *config = mem::take(config).observing();
        }
    }
}
