use std::fmt::{self, Formatter, Write as _};

use super::{list, rewrite, write_about};
use crate::gateway::{CredentialConfig, UpstreamConfig, client::ClientConfig};

pub(super) fn write_upstream(
    f: &mut Formatter<'_>,
    upstream: &UpstreamConfig,
    indent: &str,
    is_last: bool,
    around: (bool, bool),
) -> fmt::Result {
    let (branch, below) = if is_last {
        ("└─", "   ")
    } else {
        ("├─", "│  ")
    };
    write!(f, "{indent}{branch} {}", upstream.name)?;
    write_about(
        f,
        upstream.label.as_deref(),
        upstream.models.as_deref(),
        upstream.endpoints.as_deref(),
    )?;

    let mut indent = format!("{indent}{below}");
    for (layer, settings) in layers(upstream, around) {
        let gap = if settings.is_empty() { "" } else { "  " };
        writeln!(f, "{indent}└─ {layer}{gap}{settings}")?;
        indent.push_str("   ");
    }
    let address = upstream.base_url.as_ref().or(upstream.template.as_ref());
    write!(
        f,
        "{indent}└─ Upstream  {}, ",
        address.map_or("", |address| address.trim())
    )?;
    match &upstream.credential {
        CredentialConfig::None => writeln!(f, "no key")?,
        CredentialConfig::Env(name) => writeln!(f, "key from the environment's {name}")?,
        CredentialConfig::File(path) => writeln!(f, "key from {}", path.display())?,
        CredentialConfig::Caller => writeln!(f, "the caller's own key")?,
        CredentialConfig::AsPresented => writeln!(f, "whatever key the caller presents")?,
    }
    writeln!(
        f,
        "{indent}   └─ client  {}",
        client(upstream, &upstream.client)
    )
}

/// The layers of one upstream, outermost first, and what is to be said of each; whether it is metered in any case, and judged.
fn layers(
    upstream: &UpstreamConfig,
    (metered, judged): (bool, bool),
) -> Vec<(&'static str, String)> {
    let meter = upstream.cost.is_some() || metered;
    let retry = upstream.retry.as_ref();
    let breaker = upstream.circuit_breaker.as_ref();
    let guard = upstream.commit_guard.as_ref();
    let timeout = upstream.timeout.as_ref();
    let limit = upstream.rate_limit.clone();
    let limit = limit.map(|limit| ("RateLimit", limit.provider().describe()));
    let models = upstream.rewrite();
    let normalize = upstream.normalize.as_ref();
    [
        retry.map(|retry| ("Retry", list(retry.settings()))),
        judged.then(|| ("RolloutObserver", String::new())),
        breaker.map(|breaker| ("CircuitBreaker", list(breaker.settings()))),
        guard.map(|guard| ("CommitGuard", list(guard.settings()))),
        timeout.map(|timeout| ("Timeout", list(timeout.settings()))),
        limit,
        meter.then(|| ("CostMeter", String::new())),
        models.map(|models| ("ModelRewrite", rewrite(&models))),
        normalize.map(|normalize| ("ResponseNormalize", list(normalize.settings()))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn client(upstream: &UpstreamConfig, config: &ClientConfig) -> String {
    let mut text = format!("HTTP {}", format!("{:?}", config.http).to_lowercase());
    let proxy = upstream
        .origin()
        .ok()
        .and_then(|origin| config.proxy.intercept(&origin).ok().flatten());
    if let Some(proxy) = proxy {
        // Writing to a string cannot fail.
        let _ = write!(text, ", through the proxy {}", proxy.uri());
    }
    if config.connections > 1 {
        let _ = write!(text, ", {} pools", config.connections);
    }
    if let Some(file) = &config.ca_file {
        let _ = write!(text, ", trusts {}", file.display());
    }
    text
}
