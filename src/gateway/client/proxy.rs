use std::{fmt, net::IpAddr};

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use serde::{Deserialize, Deserializer, de};

use crate::message::ConfigError;

/// Through which proxy an upstream is reached. Deserializes from `"environment"`, `"none"` or a URL.
///
/// The URL is `http://` or `https://`, with the proxy's user name and password where it wants them; `Debug` does not show
/// it.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyConfig {
    /// As the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, in capitals or not, as curl reads
    /// them; but never to reach this machine itself.
    #[default]
    Environment,
    /// None.
    None,
    /// This one.
    Url(String),
}

impl ProxyConfig {
    /// The proxy to use for `origin`.
    pub(crate) fn intercept(&self, origin: &Uri) -> Result<Option<Intercept>, ConfigError> {
        let intercept = match self {
            Self::None => None,
            Self::Environment if is_loopback(origin) => None,
            Self::Environment => Matcher::from_env().intercept(origin),
            Self::Url(url) => {
                let intercept = Matcher::builder()
                    .all(url.as_str())
                    .build()
                    .intercept(origin);
                // What the matcher cannot read it takes as no proxy, which is not what was asked for.
                Some(intercept.ok_or_else(|| {
                    ConfigError::new(
                        "proxy",
                        "must be a URL that begins with http:// or https://",
                    )
                })?)
            }
        };
        match intercept
            .as_ref()
            .and_then(|proxy| proxy.uri().scheme_str())
        {
            None | Some("http" | "https") => Ok(intercept),
            Some(scheme) => {
                let reason = format!(
                    "a proxy of the kind {scheme:?} cannot be used: there are \"http\" and \"https\""
                );
                Err(ConfigError::new("proxy", reason))
            }
        }
    }
}

/// Whether `origin` is on this machine, where no proxy can reach it.
fn is_loopback(origin: &Uri) -> bool {
    let host = origin.host().unwrap_or_default();
    let ip = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

impl<'de> Deserialize<'de> for ProxyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ProxyConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"environment\", \"none\" or a URL")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ProxyConfig, E> {
                match text {
                    "environment" => Ok(ProxyConfig::Environment),
                    "none" => Ok(ProxyConfig::None),
                    url if url.starts_with("http://") || url.starts_with("https://") => {
                        Ok(ProxyConfig::Url(url.to_owned()))
                    }
                    // It may hold a password.
                    _ => Err(E::custom(
                        "must be \"environment\", \"none\" or a URL that begins with http:// or https://",
                    )),
                }
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::None => "None",
            Self::Url(_) => "Url(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_never_reached_through_the_environments_proxy() {
        for (origin, loopback) in [
            ("http://127.0.0.1:11434", true),
            ("http://localhost:11434", true),
            ("http://[::1]:11434", true),
            ("https://api.openai.com", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&origin.parse().unwrap()), loopback, "{origin}");
        }
    }

    #[test]
    fn a_proxy_of_its_own_is_used_for_every_scheme_and_its_password_is_not_shown() {
        let proxy = ProxyConfig::Url("http://user:secret@proxy:3128".to_owned());
        for origin in ["http://upstream.test", "https://upstream.test"] {
            let intercept = proxy.intercept(&origin.parse().unwrap()).unwrap().unwrap();
            assert_eq!(intercept.uri().to_string(), "http://proxy:3128/");
            assert!(intercept.basic_auth().is_some());
        }
        assert!(!format!("{proxy:?}").contains("secret"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_and_not_no_proxy() {
        let origin = "https://upstream.test".parse().unwrap();
        for (url, reason) in [
            (
                "socks5://proxy:1080",
                "a proxy of the kind \"socks5\" cannot be used: there are \"http\" and \"https\"",
            ),
            (
                "http://pro xy",
                "must be a URL that begins with http:// or https://",
            ),
        ] {
            let error = ProxyConfig::Url(url.to_owned())
                .intercept(&origin)
                .unwrap_err();
            assert_eq!(error.reason(), reason);
        }
    }
}
