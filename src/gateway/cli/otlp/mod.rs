//! Spans and metrics to a collector of OpenTelemetry, as the usual environment variables say.

mod encode;
mod metrics;
mod spans;

use std::{env, fmt};

use http::Uri;
use opentelemetry_sdk::Resource;

pub(super) use self::{
    metrics::metrics,
    spans::{Export, spans},
};
use crate::gateway::client::{Client, ClientConfig};

/// The most that a collector's answer may be, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What a variable says, if anything.
fn said(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What is said for one kind of signal, or else for all: the variable, whether it is of that kind alone, and what it says.
fn said_for(signal: &str, what: &str) -> Option<(String, bool, String)> {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
    let all = format!("OTEL_EXPORTER_OTLP_{what}");
    [(own, true), (all, false)]
        .into_iter()
        .find_map(|(name, is_own)| said(&name).map(|value| (name, is_own, value)))
}

/// Where signals of one kind are sent.
struct Collector {
    /// The variable that says so.
    variable: String,
    address: String,
    uri: Uri,
    /// Whether the address is of this kind of signal alone, and so the whole of it.
    is_own: bool,
}

impl Collector {
    /// The one that the environment names for `signal`; `None` where it names none, or another exporter than this.
    ///
    /// # Errors
    ///
    /// When the address is none, or the protocol is not HTTP with protobuf.
    fn find(signal: &str) -> Result<Option<Self>, String> {
        let is_off = said("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
        let exporter = said(&format!("OTEL_{signal}_EXPORTER"));
        let is_elsewhere = exporter.is_some_and(|exporters| {
            exporters
                .split(',')
                .all(|exporter| exporter.trim() != "otlp")
        });
        let found = said_for(signal, "ENDPOINT").filter(|_| !is_off && !is_elsewhere);
        let Some((variable, is_own, address)) = found else {
            return Ok(None);
        };
        if let Some((variable, _, protocol)) = said_for(signal, "PROTOCOL")
            && protocol != "http/protobuf"
        {
            return Err(format!(
                "{variable} {protocol:?}: only \"http/protobuf\" is spoken here"
            ));
        }
        match address.parse() {
            Ok(uri) => Ok(Some(Self {
                variable,
                address,
                uri,
                is_own,
            })),
            Err(error) => Err(format!("{variable} {address:?}: {error}")),
        }
    }

    fn wrong(&self, error: &dyn fmt::Display) -> String {
        format!("{} {:?}: {error}", self.variable, self.address)
    }

    fn client(&self) -> Result<Client, String> {
        let client = ClientConfig::default().build(&self.uri);
        client.map_err(|error| self.wrong(&error))
    }
}

/// Who sends it.
fn resource() -> Resource {
    let names_itself = said("OTEL_SERVICE_NAME").is_some()
        || said("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|all| all.contains("service.name="));
    let mut resource = Resource::builder();
    if !names_itself {
        resource = resource.with_service_name("tower-relay");
    }
    resource.build()
}
