//! A configuration as the stack that it describes.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::{
    gateway::{Config, CredentialConfig, UpstreamConfig, client::ClientConfig},
    message::ModelPattern,
    model_rewrite::ModelRewriteBuilder,
};

/// Prints a configuration as a tree, the outermost layer first.
pub(super) struct Tree<'a> {
    pub(super) config: &'a Config,
    /// Whether there are names to list: otherwise a request for the list is one like any other.
    pub(super) lists_models: bool,
}

impl Display for Tree<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Config {
            listen,
            server,
            rate_limit,
            models,
            upstreams,
            ..
        } = self.config;
        let versions = if server.http2 {
            "HTTP/1.1 and HTTP/2"
        } else {
            "HTTP/1.1"
        };
        writeln!(
            f,
            "{listen}  {versions}, at most {} connections",
            server.max_connections
        )?;
        if server.cors.enabled {
            writeln!(f, "├─ CORS for {}", server.cors.origins.join(", "))?;
        }
        writeln!(f, "├─ GET /health")?;
        if self.lists_models {
            writeln!(f, "├─ GET /v1/models")?;
        }
        writeln!(f, "└─ Edge")?;
        let mut indent = String::from("   ");
        if let Some(limit) = rate_limit {
            writeln!(f, "{indent}└─ RateLimit  {}", limit.describe())?;
            indent.push_str("   ");
        }
        if let Some(models) = models {
            writeln!(f, "{indent}└─ ModelRewrite  {}", rewrite(models))?;
            indent.push_str("   ");
        }
        writeln!(f, "{indent}└─ ModelRoute")?;
        indent.push_str("   ");
        for (index, upstream) in upstreams.iter().enumerate() {
            let is_last = index + 1 == upstreams.len();
            write_upstream(f, upstream, &indent, is_last)?;
        }
        Ok(())
    }
}

fn write_upstream(
    f: &mut Formatter<'_>,
    upstream: &UpstreamConfig,
    indent: &str,
    is_last: bool,
) -> fmt::Result {
    let (branch, below) = if is_last {
        ("└─", "   ")
    } else {
        ("├─", "│  ")
    };
    write!(f, "{indent}{branch} {}", upstream.name)?;
    if let Some(label) = &upstream.label {
        write!(f, " ({label})")?;
    }
    if let Some(models) = &upstream.models {
        write!(
            f,
            "  serves {}",
            list(models.iter().map(ModelPattern::to_string))
        )?;
    }
    if let Some(endpoints) = &upstream.endpoints {
        write!(
            f,
            "  at {}",
            list(endpoints.iter().map(|endpoint| endpoint.as_str()))
        )?;
    }
    writeln!(f)?;

    let mut indent = format!("{indent}{below}");
    if let Some(limit) = &upstream.rate_limit {
        let limit = limit.clone().provider();
        writeln!(f, "{indent}└─ RateLimit  {}", limit.describe())?;
        indent.push_str("   ");
    }
    if let Some(models) = upstream.rewrite() {
        writeln!(f, "{indent}└─ ModelRewrite  {}", rewrite(&models))?;
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
    }
    writeln!(
        f,
        "{indent}   └─ client  {}",
        client(upstream, &upstream.client)
    )
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

fn rewrite(models: &ModelRewriteBuilder) -> String {
    let arrows = models
        .get_aliases()
        .entries()
        .into_iter()
        .map(|(name, target)| format!("{name} → {target}"));
    list(arrows.chain(models.settings()))
}

fn list<T: Into<String>>(items: impl Iterator<Item = T>) -> String {
    items.map(Into::into).collect::<Vec<String>>().join(", ")
}
