//! Who answered which request, and what was thought of it: bounded.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::Arc,
};

use crate::stats::Mean;

/// An answer that a score may be given to.
#[derive(Debug, Clone)]
struct Answered {
    upstream: Arc<str>,
    score: Option<f64>,
}

/// The answers of late, and the scores of all. Requests stand in it as hashes.
#[derive(Debug)]
pub(super) struct Scores {
    max: usize,
    young: HashMap<u64, Answered>,
    old: HashMap<u64, Answered>,
    by_upstream: BTreeMap<Arc<str>, Mean>,
}

impl Scores {
    /// Remembers at least `max` answers, and at most twice as many.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            young: HashMap::new(),
            old: HashMap::new(),
            by_upstream: BTreeMap::new(),
        }
    }

    /// `upstream` has answered a request.
    pub(super) fn answered(&mut self, request: u64, upstream: Arc<str>) {
        if self.young.len() >= self.max && !self.young.contains_key(&request) {
            self.old = mem::take(&mut self.young);
        }
        let answered = Answered {
            upstream,
            score: None,
        };
        self.young.insert(request, answered);
    }

    /// Takes the score of an answer, in place of one that was given before; whose answer it was, if it is remembered.
    pub(super) fn score(&mut self, request: u64, score: f64) -> Option<Arc<str>> {
        let answered = self.young.get_mut(&request);
        let answered = answered.or_else(|| self.old.get_mut(&request))?;
        let upstream = Arc::clone(&answered.upstream);
        let mean = self.by_upstream.entry(Arc::clone(&upstream)).or_default();
        if let Some(before) = answered.score.replace(score) {
            mean.remove(before);
        }
        mean.add(score);
        Some(upstream)
    }

    pub(super) fn by_upstream(&self) -> impl Iterator<Item = (&Arc<str>, Mean)> {
        self.by_upstream.iter().map(|(name, mean)| (name, *mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_score_takes_the_place_of_the_first() {
        let mut scores = Scores::new(10);
        scores.answered(1, "old".into());
        scores.answered(2, "new".into());
        assert_eq!(scores.score(1, 0.0).as_deref(), Some("old"));
        assert_eq!(scores.score(1, 1.0).as_deref(), Some("old"));
        assert_eq!(scores.score(2, 0.5).as_deref(), Some("new"));
        assert_eq!(scores.score(3, 0.5), None);
        let means: Vec<_> = scores
            .by_upstream()
            .map(|(name, mean)| (&**name, mean.count(), mean.mean()))
            .collect();
        assert_eq!(means, [("new", 1, Some(0.5)), ("old", 1, Some(1.0))]);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest() {
        let mut scores = Scores::new(1_000);
        for request in 0..100_000 {
            scores.answered(request, "u".into());
            assert!(scores.young.len() + scores.old.len() <= 2_000);
        }
        assert!(scores.score(99_000, 1.0).is_some());
        assert!(scores.score(0, 1.0).is_none());
    }
}
