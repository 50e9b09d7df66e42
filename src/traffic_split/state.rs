//! Which target a key belongs to.

use crate::{message::ConfigError, random::draw, stats::Availability};

/// The largest weight.
pub(super) const MAX_WEIGHT: u32 = 1_000_000;

/// The weights that hold, one for each target: replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weights {
    pub(super) each: Box<[u32]>,
    /// Where all requests go, whatever the weights.
    pub(super) forced: Option<usize>,
    /// The only target that has a weight.
    only: Option<usize>,
}

impl Weights {
    /// # Errors
    ///
    /// When there is not one for each of `targets`, one is too large, or all are zero.
    pub(super) fn new(weights: &[u32], targets: usize) -> Result<Self, ConfigError> {
        let wrong = |reason: String| Err(ConfigError::new("weights", reason));
        if weights.len() != targets {
            return wrong(format!("must be {targets}, one for each target"));
        }
        if let Some(weight) = weights.iter().find(|weight| **weight > MAX_WEIGHT) {
            return wrong(format!("{weight} is more than {MAX_WEIGHT}"));
        }
        let mut weighted = (0..).zip(weights).filter(|(_, weight)| **weight > 0);
        let Some((first, _)) = weighted.next() else {
            return wrong("must not all be zero".to_owned());
        };
        Ok(Self {
            each: weights.into(),
            forced: None,
            only: weighted.next().is_none().then_some(first),
        })
    }

    pub(super) fn forced(&self, forced: Option<usize>) -> Self {
        Self {
            forced,
            ..self.clone()
        }
    }

    /// The target of a key, among those that `serves` allows, by weighted rendezvous.
    ///
    /// `number` says the key's number; it is not asked for where there is no choice.
    pub(super) fn place(
        &self,
        seeds: &[u64],
        serves: impl Fn(usize) -> bool,
        number: impl FnOnce() -> u64,
    ) -> Option<usize> {
        if let Some(only) = self.only {
            return serves(only).then_some(only);
        }
        rendezvous(number(), seeds, |place| match self.each.get(place) {
            Some(weight) if serves(place) => u64::from(*weight),
            _ => 0,
        })
    }

    /// As [`place`](Self::place), each target with the share that its availability leaves it.
    pub(super) fn place_available(
        &self,
        seeds: &[u64],
        serves: impl Fn(usize) -> bool,
        share: impl Fn(usize) -> u16,
        number: u64,
    ) -> Option<usize> {
        rendezvous(number, seeds, |place| match self.each.get(place) {
            Some(weight) if serves(place) => u64::from(*weight) * u64::from(share(place)),
            _ => 0,
        })
    }
}

/// The place whose [draw] wins; `None` when all weights are zero.
fn rendezvous(number: u64, seeds: &[u64], weight: impl Fn(usize) -> u64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (place, seed) in seeds.iter().enumerate() {
        let weight = weight(place);
        if weight == 0 {
            continue;
        }
        let draw = draw(number, *seed, weight);
        if best.is_none_or(|(_, least)| draw < least) {
            best = Some((place, draw));
        }
    }
    best.map(|(place, _)| place)
}

/// What is done with a request whose target may not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Whole,
    /// A probe, if nobody has sent one just now.
    Probe,
    Reduced,
}

impl Admission {
    pub(super) fn of(availability: Availability) -> Self {
        match availability {
            Availability::Available => Self::Whole,
            Availability::Probing => Self::Probe,
            Availability::Unavailable { .. } | Availability::SlowStart { .. } => Self::Reduced,
        }
    }
}
