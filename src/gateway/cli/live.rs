//! Whether upstreams answer, and have the models that the configuration names.

use std::{
    collections::BTreeSet,
    error::Error,
    fmt::{self, Display, Formatter},
    iter,
    time::Duration,
};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower::ServiceExt;
use tower_layer::Layer;

use crate::{
    client::{Target, UpstreamLayer, Upstreams},
    gateway::{Config, CredentialConfig, UpstreamConfig, client::Client},
    message::{
        ApiError, ConfigError, ModelPattern, Outcome, Rejection, RequestBody, TransportError,
    },
};

/// How long an upstream may take to list its models.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest list that is read.
const MAX_LIST: usize = 8 << 20;

/// What was found, and what of it is wrong. Never shows a key, nor what an upstream says of one.
pub(super) struct Report {
    upstreams: Vec<(String, Found)>,
    missing: Vec<String>,
}

/// What an upstream answered.
enum Found {
    Models(BTreeSet<String>, Duration),
    /// It was not asked, or its answer is no list.
    Unknown(String),
    Failed(String),
}

/// An upstream that can be asked.
struct Asked {
    place: usize,
    layer: UpstreamLayer,
    client: Client,
    credential: CredentialConfig,
}

/// Asks every upstream of `config` for its models, all at a time.
pub(super) async fn look(
    config: &Config,
    targets: &Upstreams,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Report, ConfigError> {
    let mut asking = JoinSet::new();
    for (place, upstream) in config.upstreams.iter().enumerate() {
        let (layer, _) = upstream.layer(env)?;
        let client = upstream.client.build(&upstream.origin()?)?;
        let asked = Asked {
            place,
            layer,
            client,
            credential: upstream.credential.clone(),
        };
        asking.spawn(async move { (asked.place, asked.ask().await) });
    }
    let answered = asking.join_all().await;
    let mut found: Vec<_> = config.upstreams.iter().map(|_| None).collect();
    for (place, answer) in answered {
        if let Some(slot) = found.get_mut(place) {
            *slot = Some(answer);
        }
    }
    let names = config
        .upstreams
        .iter()
        .map(|upstream| upstream.name.clone());
    let upstreams: Vec<_> = names
        .zip(found)
        .filter_map(|(name, found)| Some((name, found?)))
        .collect();
    let missing = missing(config, targets, &upstreams);
    Ok(Report { upstreams, missing })
}

impl Asked {
    async fn ask(self) -> Found {
        if self.credential == CredentialConfig::Caller {
            return Found::Unknown("was not asked: callers bring their own keys".to_owned());
        }
        let began = Instant::now();
        let service = self.layer.layer(self.client);
        let request = Request::get("/v1/models").body(RequestBody::empty());
        let Ok(request) = request else {
            return Found::Failed("cannot be asked".to_owned());
        };
        let answer = async {
            let Ok(response) = service.oneshot(request).await;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_LIST).collect().await;
            (head, body.map(http_body_util::Collected::to_bytes))
        };
        let Ok((head, body)) = timeout(PATIENCE, answer).await else {
            return Found::Failed(format!("does not answer within {PATIENCE:?}"));
        };
        let Ok(body) = body else {
            return Found::Failed("breaks off its list of models".to_owned());
        };
        if let Some(error) = head.extensions.get::<TransportError>() {
            return Found::Failed(format!("cannot be reached: {}", causes(error)));
        }
        if head.extensions.get::<Outcome>() == Some(&Outcome::UpstreamAuth) {
            // The layer tells callers of it as of a failure of its own.
            return Found::Failed(format!("rejects {}", source(&self.credential)));
        }
        if head.extensions.get::<Rejection>().is_some() {
            // Nobody but this process has had a word in it.
            let error = ApiError::read(head.status, &head.headers, &body);
            return Found::Failed(error.message().to_owned());
        }
        let status = head.status;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Found::Failed(format!("{status}: rejects {}", source(&self.credential)))
            }
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => {
                Found::Unknown(format!("answers, but lists no models ({status})"))
            }
            _ if !status.is_success() => Found::Failed(format!("{status}")),
            _ => match listed(&body) {
                Some(models) => Found::Models(models, began.elapsed()),
                None => Found::Unknown("answers, but not with a list of models".to_owned()),
            },
        }
    }
}

/// What lies beneath an error, from the outside in.
fn causes(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |error| (*error).source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

fn source(credential: &CredentialConfig) -> String {
    match credential {
        CredentialConfig::None => "requests without a key".to_owned(),
        CredentialConfig::Env(name) => format!("the key from the environment's {name}"),
        CredentialConfig::File(path) => format!("the key from {}", path.display()),
        CredentialConfig::Caller | CredentialConfig::AsPresented => "the caller's key".to_owned(),
    }
}

/// The models of a list, as OpenAI and all who follow it write one, or Ollama and Gemini.
fn listed(body: &[u8]) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct List {
        #[serde(alias = "models")]
        data: Vec<Model>,
    }

    #[derive(Deserialize)]
    struct Model {
        #[serde(alias = "name")]
        id: String,
    }

    let list: List = serde_json::from_slice(body).ok()?;
    let names = list.data.into_iter().map(|model| model.id);
    let plain = |name: String| match name.strip_prefix("models/") {
        Some(rest) => rest.to_owned(),
        None => name,
    };
    Some(names.map(plain).collect())
}

/// What the configuration names and its upstream does not have.
fn missing(config: &Config, targets: &Upstreams, found: &[(String, Found)]) -> Vec<String> {
    let has = |upstream: &UpstreamConfig, model: &str| {
        let own = upstream.aliases.as_ref().and_then(|own| own.resolve(model));
        let own = own.as_deref().unwrap_or(model);
        let found = found.iter().find(|(name, _)| *name == upstream.name);
        match found {
            // Ollama's models are tagged, and a name without a tag is the latest.
            Some((_, Found::Models(models, _))) => (models.contains(own)
                || models.contains(&format!("{own}:latest")))
            .then_some(())
            .ok_or_else(|| own.to_owned()),
            _ => Ok(()),
        }
    };
    let mut missing = Vec::new();
    for upstream in &config.upstreams {
        let models = upstream.models.iter().flatten();
        for model in models
            .filter(|model| model.is_exact())
            .map(ModelPattern::to_string)
        {
            if let Err(own) = has(upstream, &model) {
                missing.push(format!(
                    "{} has no model {own:?}, which it is to serve",
                    upstream.name
                ));
            }
        }
    }
    let aliases = config
        .models
        .iter()
        .flat_map(|models| models.get_aliases().entries());
    for (name, target) in aliases.filter(|(_, target)| !target.contains('*')) {
        let serves = |of: &&Target| of.names_models() && of.serves_model(&target);
        let named = targets.iter().find(serves);
        let chosen = named.or_else(|| targets.iter().find(|of| !of.names_models()));
        let Some(chosen) = chosen else {
            missing.push(format!(
                "the alias {name:?} leads to {target:?}, which no upstream serves"
            ));
            continue;
        };
        let first = config.first_upstream(chosen.name());
        let upstream = config
            .upstreams
            .iter()
            .find(|upstream| upstream.name == first);
        // One that it is to serve was told above.
        let is_told = upstream.is_some_and(|upstream| {
            let models = upstream.models.iter().flatten();
            models
                .filter(|model| model.is_exact())
                .any(|model| model.matches(&target))
        });
        if let Some(upstream) = upstream.filter(|_| !is_told)
            && let Err(own) = has(upstream, &target)
        {
            missing.push(format!(
                "the alias {name:?} leads to {own:?}, which {first} does not have"
            ));
        }
    }
    missing
}

impl Report {
    /// Whether all is as the configuration says.
    pub(super) fn is_well(&self) -> bool {
        let failed = |(_, found): &(String, Found)| matches!(found, Found::Failed(_));
        self.missing.is_empty() && !self.upstreams.iter().any(failed)
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        writeln!(f)?;
        for (name, found) in &self.upstreams {
            match found {
                Found::Models(models, took) => {
                    let first: Vec<_> = models.iter().take(SHOWN).map(String::as_str).collect();
                    let more = if models.len() > SHOWN { ", ..." } else { "" };
                    let (count, took) = (models.len(), took.as_millis());
                    let plural = if count == 1 { "" } else { "s" };
                    writeln!(
                        f,
                        "ok      {name}  {count} model{plural} in {took} ms: {}{more}",
                        first.join(", ")
                    )?;
                }
                Found::Unknown(reason) => writeln!(f, "unknown {name}  {reason}")?,
                Found::Failed(reason) => writeln!(f, "FAILED  {name}  {reason}")?,
            }
        }
        for what in &self.missing {
            writeln!(f, "MISSING {what}")?;
        }
        Ok(())
    }
}
