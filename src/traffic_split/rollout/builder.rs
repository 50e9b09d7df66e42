use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{sync::mpsc, time::Instant};

#[cfg(feature = "redis")]
use super::replicas::{MAX_WAITING, Replicas};
use super::{
    Limits, Rollout, RolloutEvent,
    file::StateFile,
    limits::Metric,
    plan::Plan,
    shared::RolloutShared,
    state::Machine,
    worker::{self, Keep},
};
#[cfg(feature = "redis")]
use crate::reserve::RedisLimiter;
use crate::{
    message::ConfigError,
    traffic_split::{TrafficSplitHandle, state::Weights},
    wire::units,
    worker::Worker,
};

/// Events that wait for the worker at most. Beyond that they are in the log only.
const MAX_EVENTS: usize = 64;

/// The time in which latencies and rates of the baseline are compared with: the stage's, but within these.
const WINDOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60 * 60));

pub(super) type Alert = Arc<dyn Fn(&RolloutEvent) + Send + Sync>;

/// How a [`Rollout`] goes; also its configuration.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct RolloutBuilder {
    stages: Vec<Vec<u32>>,
    #[serde(deserialize_with = "units::duration")]
    stage_time: Duration,
    minimum_requests: u64,
    limits: Limits,
    false_alarms: f64,
    #[serde(deserialize_with = "units::duration")]
    rollback_step: Duration,
    file: Option<PathBuf>,
    #[cfg(feature = "redis")]
    #[serde(skip)]
    replicas: Option<(RedisLimiter, String)>,
    #[serde(skip)]
    judged_by: Vec<(String, String)>,
    #[serde(skip)]
    alert: Option<Alert>,
}

impl Default for RolloutBuilder {
    fn default() -> Self {
        let stages = [[90, 10], [70, 30], [30, 70], [0, 100]];
        Self {
            stages: stages.map(Vec::from).into(),
            stage_time: Duration::from_secs(30 * 60),
            minimum_requests: 1000,
            limits: Limits::default(),
            false_alarms: 0.001,
            rollback_step: Duration::from_secs(5 * 60),
            file: None,
            #[cfg(feature = "redis")]
            replicas: None,
            judged_by: Vec::new(),
            alert: None,
        }
    }
}

impl RolloutBuilder {
    /// The weights of each stage, one for each target of the split, the baseline first: 10, 30, 70 and 100 % for one other target by
    /// default.
    pub fn stages<W: IntoIterator<Item = u32>>(
        mut self,
        stages: impl IntoIterator<Item = W>,
    ) -> Self {
        let stages = stages.into_iter();
        self.stages = stages
            .map(|weights| weights.into_iter().collect())
            .collect();
        self
    }

    /// How long a stage takes at least: 30 minutes by default.
    pub fn stage_time(mut self, time: Duration) -> Self {
        self.stage_time = time;
        self
    }

    /// How many attempts each target that has a share must have had before a stage is passed: 1,000 by default. A rollback waits for none.
    pub fn minimum_requests(mut self, requests: u64) -> Self {
        self.minimum_requests = requests;
        self
    }

    /// What the targets must keep to: see [`Limits`] for the default.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The share of rollouts, 0 to 1, that are rolled back at most though every target keeps to every limit: 0.001 by default.
    pub fn false_alarms(mut self, share: f64) -> Self {
        self.false_alarms = share;
        self
    }

    /// How long each step of a gradual rollback takes: five minutes by default.
    pub fn rollback_step(mut self, step: Duration) -> Self {
        self.rollback_step = step;
        self
    }

    /// Makes it one rollout of all replicas that have the same `store` and `name`, in place of a [file](Self::file): what one of them does, or is told by
    /// an operator, all do within a second, and each target is judged by the attempts of all. See the [module](super#replicas).
    #[cfg(feature = "redis")]
    pub fn replicas(mut self, store: &RedisLimiter, name: impl Into<String>) -> Self {
        self.replicas = Some((store.scoped("rollouts"), name.into()));
        self
    }

    /// Whether it has a file.
    #[cfg(feature = "gateway")]
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The file in which the rollout is written down. None by default: then a restart begins again.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Judges `target` by the attempts at `upstream` alone, where it is a chain with other upstreams in it. By all attempts of its requests,
    /// unless it is said.
    pub fn judged_by(mut self, target: impl Into<String>, upstream: impl Into<String>) -> Self {
        self.judged_by.push((target.into(), upstream.into()));
        self
    }

    /// Told of everything that happens, by the worker.
    pub fn on_event(mut self, alert: impl Fn(&RolloutEvent) + Send + Sync + 'static) -> Self {
        self.alert = Some(Arc::new(alert));
        self
    }

    /// The settings that matter most, in words.
    #[cfg(feature = "gateway")]
    pub(crate) fn settings(&self) -> String {
        let file = match &self.file {
            Some(path) => format!(", kept in {}", path.display()),
            None => String::new(),
        };
        format!(
            "{} stages of {:?}{file}",
            self.stages.len(),
            self.stage_time
        )
    }

    /// Whether it goes as `other` does.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let settings = |of: &Self| {
            let Self {
                stages,
                stage_time,
                minimum_requests,
                limits,
                false_alarms,
                rollback_step,
                file,
                judged_by,
                alert: _,
                replicas,
            } = of.clone();
            let plan = (stages, stage_time, minimum_requests, limits, false_alarms);
            let shared_as = replicas.map(|(_, name)| name);
            (plan, rollback_step, file, judged_by, shared_as)
        };
        let is_told_alike = match (&self.alert, &other.alert) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        settings(self) == settings(other) && is_told_alike
    }

    /// Checks it for a split with so many targets.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build), but for the file.
    pub(crate) fn check(&self, targets: usize) -> Result<(), ConfigError> {
        let wrong =
            |field: &'static str, reason: &'static str| Err(ConfigError::new(field, reason));
        if self.stages.is_empty() {
            return wrong("stages", "must be at least one");
        }
        for (index, stage) in self.stages.iter().enumerate() {
            Weights::new(stage, targets).map_err(|error| {
                ConfigError::new(index.to_string(), error.reason().to_owned()).within("stages")
            })?;
        }
        if self.stage_time.is_zero() {
            return wrong("stage_time", "must be more than zero");
        }
        if self.rollback_step.is_zero() {
            return wrong("rollback_step", "must be more than zero");
        }
        if !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            return wrong("false_alarms", "must be between 0 and 1, as in 0.001");
        }
        self.limits.check().map_err(|error| error.within("limits"))
    }

    /// Begins to steer `split`, or goes on where its file says. Nothing moves while the worker is not polled, but a target that fails is
    /// rolled back even then.
    ///
    /// # Errors
    ///
    /// When a stage has not one weight for each target of the split, or all are zero; when there is no stage; when a time is zero; when
    /// a share is not between 0 and 1; when a target is named that is not there; and when the file cannot be read or is not of
    /// this rollout. A missing file is none: the rollout begins at its first stage.
    pub fn build(self, split: &TrafficSplitHandle) -> Result<(Rollout, Worker), ConfigError> {
        let targets: Vec<Arc<str>> = split.targets().cloned().collect();
        self.check(targets.len())?;
        let mut judged_by = vec![None; targets.len()];
        for (target, upstream) in &self.judged_by {
            let place = split
                .place_of(target)
                .map_err(|error| ConfigError::new("judged_by", error.reason().to_owned()))?;
            if let Some(judged_by) = judged_by.get_mut(place) {
                *judged_by = Some(upstream.as_str().into());
            }
        }
        let limited = Metric::ALL.into_iter();
        let limits = limited.filter(|metric| self.limits.has(*metric)).count();
        let tests = u32::try_from(limits * targets.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let plan = Arc::new(Plan {
            stages: self.stages.into_iter().map(Vec::into).collect(),
            stage_time: self.stage_time,
            minimum_requests: self.minimum_requests,
            limits: self.limits,
            // Bonferroni: together they are wrong no more often than the sum.
            alpha: self.false_alarms / f64::from(tests.max(1)),
            rollback_step: self.rollback_step,
            window: self.stage_time.clamp(WINDOW.0, WINDOW.1),
            targets,
        });
        let file = self.file.map(|path| StateFile::open(path, &plan));
        let file = file
            .transpose()
            .map_err(|reason| ConfigError::new("file", reason))?;
        let (file, saved) = file.unzip();
        #[allow(unused_mut, reason = "without Redis")]
        let mut machine = Machine::new(Arc::clone(&plan), saved.flatten().as_ref(), Instant::now());
        #[allow(unused_mut, reason = "without Redis")]
        let (mut keep, mut attempts) = (file.map_or(Keep::Nowhere, Keep::File), None);
        #[cfg(feature = "redis")]
        if let Some((store, name)) = self.replicas {
            let (tell, told) = mpsc::channel(MAX_WAITING);
            attempts = Some(tell);
            keep = Keep::Replicas(Box::new(Replicas::new(store.document(&name), told)));
            machine.wait();
        }
        let (sender, events) = mpsc::channel(MAX_EVENTS);
        let shared = RolloutShared::new(plan, machine, split, sender, judged_by, attempts);
        let shared = Arc::new(shared);
        split.attach(Arc::clone(&shared));
        shared.begin();
        let worker = worker::run(Arc::clone(&shared), events, keep, self.alert);
        Ok((Rollout::new(shared), worker))
    }
}

impl fmt::Debug for RolloutBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RolloutBuilder")
            .field("stages", &self.stages)
            .field("stage_time", &self.stage_time)
            .field("minimum_requests", &self.minimum_requests)
            .field("limits", &self.limits)
            .field("false_alarms", &self.false_alarms)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
