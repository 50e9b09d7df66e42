//! All series by upstream and model.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::{
    AvailabilityCell, OpenRequest, Outcomes, Requests, Series, Snapshot, series::Totals,
    snapshot::Sum,
};

/// The upstream and the model under which everything is counted that finds no place of its own.
pub const OTHER: &str = "other";

/// The statistics of every upstream and model. Clones share them.
///
/// A fixed number of pairs of upstream and model are counted apart. When all places are taken, a pair that nothing was recorded
/// for within a whole window gives its place up (looked for once in a tenth of the window); where there is none, the new pair
/// is counted under [`OTHER`]. So names that callers make up cannot fill the memory.
#[derive(Debug, Clone)]
pub struct Stats(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    window: Duration,
    max_series: usize,
    /// Copied as a whole when a name is added, which is rare; read without a lock.
    series: ArcSwap<Map<Map<Arc<Series>>>>,
    availability: ArcSwap<Map<Arc<AvailabilityCell>>>,
    other: Arc<Series>,
    requests: Requests,
    /// Taken by those who add names.
    adding: Mutex<Adding>,
}

type Map<T> = HashMap<Arc<str>, T>;

#[derive(Debug)]
struct Adding {
    /// When idle series may be looked for again.
    next_sweep: Instant,
}

impl Stats {
    /// The length of the windows by default.
    pub const WINDOW: Duration = Duration::from_secs(60);
    /// How many pairs of upstream and model are counted apart by default. A busy one takes up to 45 kB.
    pub const MAX_SERIES: usize = 256;

    /// Windows of this length, for this many pairs of upstream and model.
    pub fn new(window: Duration, max_series: usize) -> Self {
        let now = Instant::now();
        Self(Arc::new(Shared {
            window,
            max_series,
            series: ArcSwap::default(),
            availability: ArcSwap::default(),
            other: Arc::new(Series::new(now, window)),
            requests: Requests::new(now, window),
            adding: Mutex::new(Adding { next_sweep: now }),
        }))
    }

    /// The series of `model` at `upstream`. Hold it for an attempt rather than for ever: an idle one gives up its place, and
    /// what is recorded in it afterwards is seen by no one else.
    pub fn series(&self, upstream: &str, model: &str, now: Instant) -> Arc<Series> {
        match self.known(upstream, model) {
            Some(series) => series,
            None => self.0.add(upstream, model, now),
        }
    }

    /// Where `upstream` is said to be available or not. There are at most as many as there may be series; beyond that each caller
    /// gets a cell of its own.
    pub fn availability(&self, upstream: &str) -> Arc<AvailabilityCell> {
        let shared = &*self.0;
        let known = || shared.availability.load().get(upstream).cloned();
        if let Some(cell) = known() {
            return cell;
        }
        let _adding = shared.adding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = known() {
            return cell;
        }
        let cell = Arc::new(AvailabilityCell::new());
        let current = shared.availability.load();
        if current.len() < shared.max_series {
            let mut more = Map::clone(&current);
            more.insert(upstream.into(), Arc::clone(&cell));
            shared.availability.store(Arc::new(more));
        }
        cell
    }

    /// The span that this share of those of `model` at `upstream` within the window, 0 to 1, does not exceed; `None` where there are none.
    pub fn quantile(
        &self,
        (upstream, model): (&str, &str),
        now: Instant,
        latency: super::Latency,
        share: f64,
    ) -> Option<Duration> {
        self.known(upstream, model)?.quantile(now, latency, share)
    }

    /// Whether `upstream` may be sent requests at `now`; it may, where nothing says otherwise.
    pub fn admits(&self, upstream: &str, now: Instant) -> bool {
        let known = self.0.availability.load();
        known
            .get(upstream)
            .is_none_or(|cell| cell.get().admits(now))
    }

    /// What `upstream` did within the window with all its models.
    pub fn upstream_outcomes(&self, upstream: &str, now: Instant) -> Outcomes {
        let mut sum = Outcomes::default();
        for series in self
            .0
            .series
            .load()
            .get(upstream)
            .into_iter()
            .flat_map(HashMap::values)
        {
            sum.merge(&series.outcomes(now));
        }
        sum
    }

    /// Requests as their callers see them.
    pub fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// Counts a request that has come at `now`, until it has ended.
    pub fn open_request(&self, now: Instant) -> OpenRequest {
        OpenRequest::new(self.clone(), now)
    }

    /// Everything at one moment. Each series agrees with itself; they are read one after the other.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let all = self.0.series.load();
        let named = all.iter().flat_map(|(upstream, models)| {
            let one = move |(model, series)| (upstream, model, series);
            models.iter().map(one)
        });
        let other = Arc::from(OTHER);
        let mut series = Vec::new();
        let mut sums: BTreeMap<Arc<str>, Sum> = BTreeMap::new();
        for (upstream, model, one) in named.chain([(&other, &other, &self.0.other)]) {
            let (one, latency) = one.snapshot(now, Arc::clone(upstream), Arc::clone(model));
            if one.totals == Totals::default() {
                continue;
            }
            let sum = sums.entry(Arc::clone(upstream)).or_default();
            sum.outcomes.merge(&one.outcomes);
            sum.totals.merge(&one.totals);
            for (sum, latency) in sum.latency.iter_mut().zip(&latency) {
                sum.merge(latency);
            }
            series.push(one);
        }
        series.sort_unstable_by(|a, b| (&a.upstream, &a.model).cmp(&(&b.upstream, &b.model)));
        for (upstream, cell) in &**self.0.availability.load() {
            let sum = sums.entry(Arc::clone(upstream)).or_default();
            sum.availability = Some(cell.get());
        }
        let upstreams = sums.into_iter();
        Snapshot {
            window: self.0.window,
            requests: self.0.requests.snapshot(now),
            upstreams: upstreams
                .map(|(name, sum)| sum.snapshot(name, now))
                .collect(),
            series,
        }
    }

    fn known(&self, upstream: &str, model: &str) -> Option<Arc<Series>> {
        self.0.series.load().get(upstream)?.get(model).cloned()
    }
}

impl Shared {
    fn add(&self, upstream: &str, model: &str, now: Instant) -> Arc<Series> {
        let mut adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.series.load();
        if let Some(series) = current.get(upstream).and_then(|models| models.get(model)) {
            return Arc::clone(series);
        }
        let is_full =
            |all: &Map<Map<_>>| all.values().map(HashMap::len).sum::<usize>() >= self.max_series;
        let mut more = None;
        if is_full(&current) {
            if now < adding.next_sweep {
                return Arc::clone(&self.other);
            }
            adding.next_sweep = now.checked_add(self.window / 10).unwrap_or(now);
            let mut fewer = Map::clone(&current);
            for models in fewer.values_mut() {
                models.retain(|_, series| {
                    now.saturating_duration_since(series.last_used()) <= self.window
                });
            }
            fewer.retain(|_, models| !models.is_empty());
            if is_full(&fewer) {
                return Arc::clone(&self.other);
            }
            more = Some(fewer);
        }
        let mut more = more.unwrap_or_else(|| Map::clone(&current));
        let series = Arc::new(Series::new(now, self.window));
        more.entry(upstream.into())
            .or_default()
            .insert(model.into(), Arc::clone(&series));
        self.series.store(Arc::new(more));
        series
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new(Self::WINDOW, Self::MAX_SERIES)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Availability, BreakerStatus, Verdict},
        *,
    };

    fn names(stats: &Stats, now: Instant) -> Vec<String> {
        stats
            .snapshot(now)
            .series
            .iter()
            .map(|series| format!("{}/{}", series.upstream, series.model))
            .collect()
    }

    #[test]
    fn made_up_names_share_one_series() {
        let now = Instant::now();
        let stats = Stats::new(Duration::from_secs(10), 2);
        for model in ["a", "b", "c", "d", "a"] {
            stats.series("up", model, now).record(now, Verdict::Success);
        }
        assert_eq!(names(&stats, now), ["other/other", "up/a", "up/b"]);
        assert_eq!(stats.snapshot(now).series[0].outcomes.success, 2);
        assert_eq!(stats.upstream_outcomes("up", now).success, 3);
    }

    #[test]
    fn an_idle_series_gives_up_its_place() {
        let now = Instant::now();
        let stats = Stats::new(Duration::from_secs(10), 2);
        stats
            .series("up", "idle", now)
            .record(now, Verdict::Success);
        let later = now + Duration::from_secs(6);
        stats
            .series("up", "busy", later)
            .record(later, Verdict::Success);
        let later = now + Duration::from_secs(11);
        stats
            .series("up", "new", later)
            .record(later, Verdict::Failure);
        assert_eq!(names(&stats, later), ["up/busy", "up/new"]);
    }

    #[test]
    fn clones_share_series_and_availability() {
        let now = Instant::now();
        let stats = Stats::default();
        let clone = stats.clone();
        assert!(Arc::ptr_eq(
            &stats.series("up", "m", now),
            &clone.series("up", "m", now)
        ));
        stats.availability("up").publish(Availability::Probing);
        assert_eq!(clone.availability("up").get(), Availability::Probing);
        let upstreams = clone.snapshot(now).upstreams;
        assert_eq!(upstreams[0].breaker, Some(BreakerStatus::HalfOpen));
    }

    #[test]
    fn threads_lose_no_attempt() {
        let now = Instant::now();
        let stats = Stats::new(Duration::from_secs(10), 8);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for at in 0..1_000 {
                        let model = (at % 20).to_string();
                        stats
                            .series("up", &model, now)
                            .record(now, Verdict::Success);
                    }
                });
            }
        });
        let total: u64 = stats
            .snapshot(now)
            .series
            .iter()
            .map(|series| series.outcomes.success)
            .sum();
        assert_eq!(total, 4_000);
        assert_eq!(stats.snapshot(now).series.len(), 9);
    }
}
