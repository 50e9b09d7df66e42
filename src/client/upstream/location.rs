use http::{
    HeaderValue, Request, Uri,
    uri::{self, Authority, PathAndQuery, Scheme},
};

use crate::{
    message::{ApiError, ConfigError, RequestBody},
    wire::path::{is_version, percent_decode},
};

/// Where an upstream is: how a caller's path becomes its URI.
#[derive(Debug, Clone)]
pub(super) struct Location {
    origin: Origin,
    path: PathRule,
}

#[derive(Debug, Clone)]
struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
}

#[derive(Debug, Clone)]
enum PathRule {
    /// The base URL's path before the caller's.
    Prefix {
        prefix: String,
        /// The base names a version (`/v1`, `/v1beta/openai`), so the caller's is dropped.
        has_version: bool,
    },
    /// The pieces of a template's path and query.
    Template(Vec<Piece>),
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    /// The model that the request names, percent-encoded.
    Model,
    /// The caller's path without its version and its first slash.
    Path,
}

impl Location {
    /// A base URL such as `https://api.openai.com/v1`, as providers give it to OpenAI's client.
    pub(super) fn base(url: &str) -> Result<Self, ConfigError> {
        let fail = |reason: String| ConfigError::new("base_url", reason);
        let uri: Uri = url
            .trim()
            .parse()
            .map_err(|error| fail(format!("{error}")))?;
        let origin = Origin::of(&uri).map_err(fail)?;
        if uri.query().is_some() {
            return Err(fail("a query belongs into a template".to_owned()));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let has_version = prefix.split('/').any(is_version);
        Ok(Self {
            origin,
            path: PathRule::Prefix {
                prefix,
                has_version,
            },
        })
    }

    /// A template such as `https://me.openai.azure.com/openai/deployments/{model}/{path}?api-version=2024-10-21`.
    pub(super) fn template(template: &str) -> Result<Self, ConfigError> {
        let fail = |reason: String| ConfigError::new("template", reason);
        let template = template.trim();
        let start = template.find("://").map(|at| at + 3).unwrap_or_default();
        let rest = template.get(start..).unwrap_or_default();
        let path_at = rest
            .find(['/', '?'])
            .map_or(template.len(), |at| start + at);
        let (root, path) = template.split_at(path_at);
        if root.contains('{') {
            return Err(fail("a placeholder may not choose the host".to_owned()));
        }
        let uri: Uri = root.parse().map_err(|error| fail(format!("{error}")))?;
        let origin = Origin::of(&uri).map_err(fail)?;
        let pieces = pieces(path).map_err(fail)?;
        // What cannot fail later fails now: the text must be a path when the placeholders are filled in.
        let sample = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Model | Piece::Path => "x",
        });
        sample
            .collect::<String>()
            .parse::<PathAndQuery>()
            .map_err(|error| fail(format!("{error}")))?;
        Ok(Self {
            origin,
            path: PathRule::Template(pieces),
        })
    }

    /// The `host` header of every request: the authority without its scheme's own port. Clients would make it anew each time.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.origin.host
    }

    /// The upstream's URI for `request`.
    pub(super) fn uri(&self, request: &Request<RequestBody>) -> Result<Uri, ApiError> {
        let path = request.uri().path();
        // `OPTIONS *` asks about a server, not about anything on it.
        if !path.starts_with('/') {
            return Err(
                ApiError::invalid_request("the path does not begin with \"/\"")
                    .with_code("invalid_path"),
            );
        }
        if has_dot_segment(path) {
            return Err(
                ApiError::invalid_request("the path has a \".\" or \"..\" segment")
                    .with_code("invalid_path"),
            );
        }
        let query = request
            .uri()
            .query()
            .map(without_keys)
            .filter(|query| !query.is_empty());
        let path_and_query = match &self.path {
            PathRule::Prefix {
                prefix,
                has_version,
            } => {
                let path = if *has_version {
                    without_version(path)
                } else {
                    path
                };
                let unchanged = prefix.is_empty() && query.as_deref() == request.uri().query();
                match (unchanged, request.uri().path_and_query(), query) {
                    (true, Some(same), _) => Ok(same.clone()),
                    (_, _, None) => PathAndQuery::try_from([prefix, path].concat()),
                    (_, _, Some(query)) => {
                        PathAndQuery::try_from([prefix, path, "?", &query].concat())
                    }
                }
            }
            PathRule::Template(pieces) => {
                let mut text = fill(pieces, path, request.body())?;
                if let Some(query) = query {
                    text.push(if text.contains('?') { '&' } else { '?' });
                    text.push_str(&query);
                }
                PathAndQuery::try_from(text)
            }
        };
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.origin.scheme.clone());
        parts.authority = Some(self.origin.authority.clone());
        parts.path_and_query = path_and_query.ok();
        Uri::from_parts(parts).map_err(|_| {
            ApiError::invalid_request("the path cannot be sent to the upstream")
                .with_code("invalid_path")
        })
    }
}

impl Origin {
    fn of(uri: &Uri) -> Result<Self, String> {
        let scheme = uri
            .scheme()
            .filter(|scheme| **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS);
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err("must begin with http:// or https:// and a host".to_owned());
        };
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or password".to_owned());
        }
        let own_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = match authority.port_u16() {
            Some(port) if port != own_port => authority.as_str(),
            _ => authority.host(),
        };
        Ok(Self {
            scheme: scheme.clone(),
            authority: authority.clone(),
            host: HeaderValue::from_str(host).map_err(|error| error.to_string())?,
        })
    }
}

fn pieces(mut text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    while let Some((before, after)) = text.split_once('{') {
        let (name, rest) = after.split_once('}').ok_or("a \"{\" is never closed")?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(match name {
            "model" => Piece::Model,
            "path" => Piece::Path,
            _ => {
                return Err(format!(
                    "unknown placeholder {{{name}}}: there are {{model}} and {{path}}"
                ));
            }
        });
        text = rest;
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(pieces)
}

fn fill(pieces: &[Piece], path: &str, body: &RequestBody) -> Result<String, ApiError> {
    let mut text = String::with_capacity(128);
    for piece in pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Path => text.push_str(without_version(path).trim_start_matches('/')),
            Piece::Model => {
                let model = body.model().ok_or_else(ApiError::missing_model)?;
                percent_encode(&model, &mut text);
            }
        }
    }
    Ok(text)
}

/// Everything but RFC 3986's unreserved characters, so that a model's name stays one path segment.
fn percent_encode(text: &str, to: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && text != "." && text != "..")
        {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.extend(
                [byte >> 4, byte & 0xf]
                    .iter()
                    .filter_map(|nibble| HEX.get(usize::from(*nibble))),
            );
        }
    }
}

/// `/chat/completions` of `/v1/chat/completions`.
fn without_version(path: &str) -> &str {
    let Some(inner) = path.strip_prefix('/') else {
        return path;
    };
    match inner.find('/') {
        Some(end) if inner.get(..end).is_some_and(is_version) => inner.get(end..).unwrap_or(path),
        _ => path,
    }
}

/// A base URL's prefix must hold: an upstream might resolve what looks like a way out of it, after it has decoded escapes, taken backslashes
/// for slashes, or left out the parameters of a segment (`..;x=y`), as servers of several kinds do.
fn has_dot_segment(path: &str) -> bool {
    if memchr::memchr2(b'.', b'%', path.as_bytes()).is_none() {
        return false;
    }
    let path = percent_decode(path);
    path.split(|byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| {
            let name = segment.split(|byte| *byte == b';').next();
            matches!(name, Some(b"." | b".."))
        })
}

/// The query without the parameters in which some APIs take a key: the caller's is not the upstream's.
fn without_keys(query: &str) -> std::borrow::Cow<'_, str> {
    const KEYS: [&str; 4] = ["key", "api_key", "api-key", "access_token"];
    let is_key = |pair: &&str| KEYS.contains(&pair.split('=').next().unwrap_or_default());
    if query.split('&').any(|pair| is_key(&pair)) {
        query
            .split('&')
            .filter(|pair| !is_key(pair))
            .collect::<Vec<_>>()
            .join("&")
            .into()
    } else {
        query.into()
    }
}

#[cfg(test)]
mod tests;
