use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use http::Request;
use serde::Deserialize;

use super::{
    EscalationBuilder, Keywords, ModelSelectLayer, Scorer, Size, ToolUse, Weighted, choose::Tier,
    layer::Served,
};
use crate::{
    message::{ConfigError, ModelPattern, RequestBody, catalog::ModelCatalog},
    wire::units,
};

/// How a [`ModelSelectLayer`] chooses; also its configuration.
///
/// Spans of time deserialize from text such as `"30m"`, and sizes from text such as `"1MiB"`.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct ModelSelectBuilder {
    pub(super) scorer: ScorerKind,
    pub(super) tiers: BTreeMap<String, Vec<String>>,
    pub(super) names: Vec<ModelPattern>,
    pub(super) flag: String,
    pub(super) always: bool,
    pub(super) cheapest: bool,
    #[serde(deserialize_with = "units::duration")]
    pub(super) sticky: Duration,
    pub(super) escalation: Option<EscalationBuilder>,
    #[serde(skip)]
    pub(super) own_scorer: Option<Arc<dyn Scorer>>,
    #[serde(skip)]
    pub(super) catalog: ModelCatalog,
    #[serde(skip)]
    pub(super) served: Option<Served>,
}

/// Which of the built-in scorers says how complex a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScorerKind {
    /// [`ToolUse`].
    ToolUse,
    /// [`Size`].
    #[default]
    Size,
    /// [`Keywords`].
    Keywords,
    /// [`Weighted`]: all of them together.
    Weighted(Weighted),
}

impl Default for ModelSelectBuilder {
    fn default() -> Self {
        Self {
            scorer: ScorerKind::default(),
            tiers: BTreeMap::new(),
            names: "auto".parse().into_iter().collect(),
            flag: "auto_model_select".to_owned(),
            always: false,
            cheapest: false,
            sticky: Duration::ZERO,
            escalation: None,
            own_scorer: None,
            catalog: ModelCatalog::default(),
            served: None,
        }
    }
}

impl ModelSelectBuilder {
    /// Guide A: [`ToolUse`], with llama-4-maverick, gpt-4.1 and claude-sonnet-4.
    pub fn guide_a() -> Self {
        Self::default().scorer(ScorerKind::ToolUse)
    }

    /// Guide C, which is also the default: [`Size`], with deepseek-v3.2, gemini-2.5-flash and gpt-4.1.
    pub fn guide_c() -> Self {
        Self::default().scorer(ScorerKind::Size)
    }

    /// Guide E: [`Keywords`], with deepseek-v3-2, gemini-2.5-flash, claude-sonnet-4.5 and gpt-4.1.
    pub fn guide_e() -> Self {
        Self::default().scorer(ScorerKind::Keywords)
    }

    /// Who says how complex a request is: [`Size`] by default.
    pub fn scorer(mut self, scorer: ScorerKind) -> Self {
        self.scorer = scorer;
        self
    }

    /// The same, by a scorer of one's own. Each of its tiers needs [models](Self::tier).
    pub fn own_scorer(mut self, scorer: impl Scorer + 'static) -> Self {
        self.own_scorer = Some(Arc::new(scorer));
        self
    }

    /// The models of a tier, the preferred first: those of the guides by default.
    pub fn tier<M: Into<String>>(
        mut self,
        name: &str,
        models: impl IntoIterator<Item = M>,
    ) -> Self {
        let models = models.into_iter().map(Into::into).collect();
        self.tiers.insert(name.to_owned(), models);
        self
    }

    /// The names of models that leave the choice to the layer: `auto` by default.
    pub fn names(mut self, names: impl IntoIterator<Item = ModelPattern>) -> Self {
        self.names = names.into_iter().collect();
        self
    }

    /// The member of the body that, set to `true`, leaves the choice to the layer whatever model is named: `auto_model_select` by default,
    /// none where it is empty. It is not sent on.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flag = flag.into();
        self
    }

    /// Whether the layer chooses for every request. Off by default.
    pub fn always(mut self, always: bool) -> Self {
        self.always = always;
        self
    }

    /// Whether of a tier's models the cheapest that takes the request is chosen, by the catalog's prices, rather than the first that does. Off
    /// by default. Models without a price come last.
    pub fn cheapest(mut self, cheapest: bool) -> Self {
        self.cheapest = cheapest;
        self
    }

    /// For how long after each of its requests a conversation keeps its model, as long as that takes them: not at all by default, which
    /// is zero. At most 20,000 conversations are remembered.
    pub fn sticky(mut self, span: Duration) -> Self {
        self.sticky = span;
        self
    }

    /// When another model is tried after the first: never by default.
    pub fn escalation(mut self, escalation: EscalationBuilder) -> Self {
        self.escalation = Some(escalation);
        self
    }

    /// What is known of models: [`ModelCatalog::builtin`] by default.
    pub fn catalog(mut self, catalog: ModelCatalog) -> Self {
        self.catalog = catalog;
        self
    }

    /// Leaves out models for which a request would not be `served`: for want of an upstream that it may be
    /// [sent](crate::message::AllowedUpstreams) to, say. None, unless it is said.
    pub fn served(
        mut self,
        served: impl Fn(&str, &Request<RequestBody>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.served = Some(Arc::new(served));
        self
    }

    /// The layer.
    ///
    /// # Errors
    ///
    /// When a tier has no models or is none of the scorer's, a model's name is empty or one that leaves the choice to the layer, the weights are all
    /// zero, the scores of [`Weighted`] are out of order, or a bound is zero.
    pub fn build(self) -> Result<ModelSelectLayer, ConfigError> {
        let scorer = self.made_scorer()?;
        let tiers = self.made_tiers(&*scorer)?;
        if let Some(escalation) = &self.escalation {
            escalation
                .validate()
                .map_err(|error| error.within("escalation"))?;
        }
        Ok(ModelSelectLayer::of(self, scorer, tiers))
    }

    fn made_scorer(&self) -> Result<Arc<dyn Scorer>, ConfigError> {
        if let Some(own) = &self.own_scorer {
            return Ok(Arc::clone(own));
        }
        Ok(match self.scorer {
            ScorerKind::ToolUse => Arc::new(ToolUse),
            ScorerKind::Size => Arc::new(Size),
            ScorerKind::Keywords => Arc::new(Keywords),
            ScorerKind::Weighted(weighted) => {
                let wrong = |field: &'static str, reason: &'static str| {
                    let error = ConfigError::new(field, reason);
                    Err(error.within("weighted").within("scorer"))
                };
                if [weighted.tool_use, weighted.size, weighted.keywords] == [0; 3] {
                    return wrong("keywords", "one of the weights must not be zero");
                }
                if weighted.medium > weighted.high || weighted.high > 100 {
                    return wrong("high", "must be at least `medium` and at most 100");
                }
                Arc::new(weighted)
            }
        })
    }

    fn made_tiers(&self, scorer: &dyn Scorer) -> Result<Vec<Tier>, ConfigError> {
        let names = scorer.tiers();
        let wrong = |tier: &str, reason: String| {
            Err(ConfigError::new(tier.to_owned(), reason).within("tiers"))
        };
        if let Some(unknown) = self.tiers.keys().find(|tier| !names.contains(&&***tier)) {
            let reason = format!("is no tier of this scorer, which has {}", names.join(", "));
            return wrong(unknown, reason);
        }
        let mut tiers = Vec::with_capacity(names.len());
        for (place, name) in names.iter().copied().enumerate() {
            let default = || Some(vec![(*self.defaults().get(place)?).to_owned()]);
            let models = self.tiers.get(name).cloned().or_else(default);
            let models = models.unwrap_or_default();
            if models.is_empty() {
                return wrong(name, "must name a model".to_owned());
            }
            for model in &models {
                if model.trim().is_empty() {
                    return wrong(name, "has a model without a name".to_owned());
                }
                if self.names.iter().any(|pattern| pattern.matches(model)) {
                    return wrong(name, format!("{model:?} is no model: it asks for a choice"));
                }
            }
            tiers.push(Tier {
                name,
                models: models.into_iter().map(Arc::from).collect(),
            });
        }
        if tiers.is_empty() {
            return Err(ConfigError::new("scorer", "has no tiers"));
        }
        Ok(tiers)
    }

    /// The models of the guides, one a tier.
    fn defaults(&self) -> &'static [&'static str] {
        match self.scorer {
            _ if self.own_scorer.is_some() => &[],
            ScorerKind::ToolUse => &["llama-4-maverick", "gpt-4.1", "claude-sonnet-4"],
            ScorerKind::Size | ScorerKind::Weighted(_) => {
                &["deepseek-v3.2", "gemini-2.5-flash", "gpt-4.1"]
            }
            ScorerKind::Keywords => &[
                "deepseek-v3-2",
                "gemini-2.5-flash",
                "claude-sonnet-4.5",
                "gpt-4.1",
            ],
        }
    }

    /// What it does, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn describe(&self) -> String {
        let tiers = self.made_scorer().and_then(|s| self.made_tiers(&*s));
        let tiers = tiers.unwrap_or_default().into_iter();
        let tiers = tiers.map(|tier| format!("{} → {}", tier.name, tier.models.join(" or ")));
        let escalates = self.escalation.is_some().then(|| "escalates".to_owned());
        let sticky = (!self.sticky.is_zero()).then(|| "sticky".to_owned());
        let parts: Vec<String> = tiers.chain(escalates).chain(sticky).collect();
        parts.join(", ")
    }
}

impl fmt::Debug for ModelSelectBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSelectBuilder")
            .field("scorer", &self.scorer)
            .field("tiers", &self.tiers)
            .field("names", &self.names)
            .field("flag", &self.flag)
            .field("always", &self.always)
            .field("cheapest", &self.cheapest)
            .field("sticky", &self.sticky)
            .field("escalation", &self.escalation)
            .finish_non_exhaustive()
    }
}
