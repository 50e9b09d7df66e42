//! What runs without a configuration.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::net::TcpListener;

use crate::gateway::{Config, InvalidConfig, demo::Demo};

const CONFIG: &str = include_str!("demo.toml");

/// The key that the demo upstreams want.
const KEY: &str = "demo-key";

/// The token that the demo's buttons want.
pub(super) const ADMIN_TOKEN: &str = "demo-token-demo-token";

/// Looks like a model at work.
const PACE: Duration = Duration::from_millis(15);

/// The demo upstreams, listening and not yet serving.
pub(super) struct Demos {
    exact: (TcpListener, SocketAddr),
    deviant: (TcpListener, SocketAddr),
}

impl Demos {
    pub(super) async fn bind() -> io::Result<Self> {
        let bind = || async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            io::Result::Ok((listener, address))
        };
        Ok(Self {
            exact: bind().await?,
            deviant: bind().await?,
        })
    }

    /// The configuration of a relay before them.
    pub(super) fn config(&self) -> Result<Config, InvalidConfig> {
        config(self.exact.1, self.deviant.1)
    }

    /// Serves until the future is dropped.
    pub(super) async fn serve(self) {
        let never = std::future::pending::<()>;
        let (exact, deviant) = (
            Demo::exact().key(KEY).pace(PACE),
            Demo::deviant().key(KEY).pace(PACE),
        );
        tokio::join!(
            exact.serve(self.exact.0, never()),
            deviant.serve(self.deviant.0, never())
        );
    }
}

/// The demo's key and token, under the names that its configuration has for them.
pub(super) fn env(name: &str) -> Option<String> {
    match name {
        "DEMO_KEY" => Some(KEY.to_owned()),
        "DEMO_ADMIN_TOKEN" => Some(ADMIN_TOKEN.to_owned()),
        _ => None,
    }
}

pub(super) fn config(exact: SocketAddr, deviant: SocketAddr) -> Result<Config, InvalidConfig> {
    let models: Vec<_> = Demo::deviant()
        .models()
        .iter()
        .map(|model| format!("{:?}", model.id))
        .collect();
    let text = CONFIG
        .replace("{demo}", &exact.to_string())
        .replace("{deviant}", &deviant.to_string())
        .replace("{deviant_models}", &models.join(", "));
    Config::from_toml(&text, "the demo's configuration")
}
