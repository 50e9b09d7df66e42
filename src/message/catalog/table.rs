//! Models by their names.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{
    ModelInfo,
    name::{Folded, is_same_spelling, makers_bare_name, provider_label, without_date},
};
use crate::message::ModelPattern;

/// What is known of a set of models. It does not change; [`ModelCatalog`](super::ModelCatalog) holds the one in use.
#[derive(Debug, Clone, Default)]
pub struct ModelTable {
    models: Vec<Arc<ModelInfo>>,
    /// Names as they are written.
    exact: HashMap<Box<str>, usize>,
    /// Names as they are compared.
    folded: HashMap<Box<[u8]>, Slot>,
    /// The closest first.
    patterns: Vec<(ModelPattern, usize)>,
}

#[derive(Debug, Clone)]
enum Slot {
    /// A model that is in the table under this name.
    Named { name: Box<str>, model: usize },
    /// A model that is in the table under `maker/name`.
    Bare { name: Box<str>, model: usize },
    /// Models of several makers.
    Ambiguous,
}

impl ModelTable {
    /// What is known of `name`. Tried in this order, of which the first that finds something counts:
    ///
    /// 1. The name as it is written.
    /// 2. Another spelling of it: case, and a dash for a dot between digits (`deepseek-v3.2` and `deepseek-v3-2`); the name
    ///    without its maker, or with it (`openai/gpt-4.1`, `google/gemini-2.5-flash`, `gemini-2.5-flash`). A bare name never
    ///    means the offer of a host that did not make the model, and a prefix never another provider's.
    /// 3. Both without the date of a snapshot, or without `latest`.
    /// 4. The pattern with the most literal text: `acme/*`.
    ///
    /// So what is found is the same model as was asked for, or what a pattern says of it.
    pub fn get(&self, name: &str) -> Option<&Arc<ModelInfo>> {
        let found = self
            .resolve(name)
            .or_else(|| self.resolve(without_date(name)?))
            .or_else(|| {
                Some(
                    self.patterns
                        .iter()
                        .find(|(pattern, _)| pattern.matches(name))?
                        .1,
                )
            });
        self.models.get(found?)
    }

    /// What is known of `name` at `provider`: `provider/name` where that is in the table (its snapshots and spellings too),
    /// else as [`get`](Self::get). Hosts of open models differ in prices and windows.
    pub fn get_at(&self, provider: &str, name: &str) -> Option<&Arc<ModelInfo>> {
        let at = |name: &str| self.fold_and_find(&[provider, "/", name]);
        match at(name).or_else(|| at(without_date(name)?)) {
            Some(model) => self.models.get(model),
            None => self.get(name),
        }
    }

    /// Every model, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ModelInfo>> {
        self.models.iter()
    }

    /// How many models and patterns it has.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// This table with `over` laid on it: of a model that both have, the facts of `over` count and this table's fill in what
    /// is unknown there, but for prices, which are taken whole ([`ModelInfo::or`]).
    ///
    /// Both have a model when `over` names one that this table finds by steps 1 and 2 of [`get`](Self::get); where each says
    /// whose it is, they must agree. A snapshot with an entry of its own (`gpt-4.1-2025-04-14`) stays as it is when
    /// `gpt-4.1` is overlaid.
    #[must_use]
    pub fn overlay(mut self, over: &Self) -> Self {
        for info in &over.models {
            let info = ModelInfo::clone(info);
            match self
                .same_model(&info)
                .and_then(|at| Some((at, self.models.get_mut(at)?)))
            {
                // What both tables name exactly is the same; other spellings of it in `over` are its own models.
                Some((at, below)) if below.id == info.id || !over.exact.contains_key(&below.id) => {
                    let name = info.id.clone();
                    *below = Arc::new(info.or(below));
                    self.add_name(name, at);
                }
                Some((_, below)) => {
                    let info = info.or(below);
                    self.add(info);
                }
                None => self.add(info),
            }
        }
        self
    }

    /// Adds a model, or lays it over the one of exactly its name. A name with a `*` is a pattern.
    fn add(&mut self, info: ModelInfo) {
        let name = info.id.clone();
        let known = self
            .exact
            .get(&name)
            .and_then(|at| Some((*at, self.models.get_mut(*at)?)));
        let at = if let Some((at, below)) = known {
            *below = Arc::new(info.or(below));
            at
        } else {
            self.models.push(Arc::new(info));
            self.models.len() - 1
        };
        self.add_name(name, at);
    }

    /// The model of this table that `info` is about.
    fn same_model(&self, info: &ModelInfo) -> Option<usize> {
        if let Some(at) = self.exact.get(&info.id) {
            return Some(*at);
        }
        let at = self.resolve(&info.id)?;
        let theirs = &self.models.get(at)?.provider;
        let agree = match (&info.provider, theirs) {
            (Some(ours), Some(theirs)) => provider_label(ours) == provider_label(theirs),
            _ => true,
        };
        agree.then_some(at)
    }

    fn add_name(&mut self, name: Box<str>, model: usize) {
        if name.contains('*') {
            self.add_pattern(name, model);
            return;
        }
        if let Some(bare) = makers_bare_name(&name)
            && let Some(folded) = Folded::new(&[bare])
        {
            match self.folded.entry(folded.as_bytes().into()) {
                Entry::Vacant(slot) => {
                    slot.insert(Slot::Bare {
                        name: bare.into(),
                        model,
                    });
                }
                Entry::Occupied(mut slot) => {
                    if matches!(slot.get(), Slot::Bare { model: other, .. } if *other != model) {
                        slot.insert(Slot::Ambiguous);
                    }
                }
            }
        }
        if let Some(folded) = Folded::new(&[&name]) {
            self.folded.insert(
                folded.as_bytes().into(),
                Slot::Named {
                    name: name.clone(),
                    model,
                },
            );
        }
        self.exact.insert(name, model);
    }

    fn add_pattern(&mut self, name: Box<str>, model: usize) {
        // With several stars it matches nothing, but it can be asked for by its name.
        if let Ok(pattern) = name.parse::<ModelPattern>()
            && !self.exact.contains_key(&name)
        {
            self.patterns.push((pattern, model));
            self.patterns.sort_by_key(|(pattern, _)| {
                let (prefix, suffix) = pattern.literal_len();
                Reverse((prefix + suffix, prefix))
            });
        }
        self.exact.insert(name, model);
    }

    /// Steps 1 and 2 of [`get`](Self::get).
    fn resolve(&self, name: &str) -> Option<usize> {
        if let Some(model) = self.exact.get(name) {
            return Some(*model);
        }
        if let Some(model) = self.fold_and_find(&[name]) {
            return Some(model);
        }
        let (prefix, rest) = name.split_once('/')?;
        let label = provider_label(prefix);
        if label != prefix
            && let Some(model) = self.fold_and_find(&[label, "/", rest])
        {
            return Some(model);
        }
        if rest.contains('/') {
            return None;
        }
        let model = self.fold_and_find(&[rest])?;
        let provider = self.models.get(model)?.provider.as_deref()?;
        provider_label(provider)
            .eq_ignore_ascii_case(label)
            .then_some(model)
    }

    fn fold_and_find(&self, parts: &[&str]) -> Option<usize> {
        match self.folded.get(Folded::new(parts)?.as_bytes())? {
            Slot::Named { name, model } | Slot::Bare { name, model } => {
                let asked = parts.iter().flat_map(|part| part.as_bytes());
                is_same_spelling(asked, name.as_bytes()).then_some(*model)
            }
            Slot::Ambiguous => None,
        }
    }
}

impl FromIterator<ModelInfo> for ModelTable {
    /// Of two models with exactly the same name, the later is laid over the earlier.
    fn from_iter<I: IntoIterator<Item = ModelInfo>>(models: I) -> Self {
        let mut table = Self::default();
        for info in models {
            table.add(info);
        }
        table
    }
}
