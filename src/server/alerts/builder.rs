use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Alerts, Notice, Rules, Webhook,
    deliver::{Outbox, outbox},
    notice::NoticeState,
    reader::Reader,
    state::Times,
};
use crate::{
    message::ConfigError,
    server::Facts,
    worker::{Shutdown, Worker},
};

type Callback = Arc<dyn Fn(&Notice) + Send + Sync>;

/// What is watched and who is told, to choose before [`build`](Self::build).
#[derive(Clone)]
#[must_use]
pub struct AlertsBuilder {
    enabled: bool,
    rules: Rules,
    every: Duration,
    hold: Duration,
    clear_after: Duration,
    baseline: Duration,
    minimum_requests: u64,
    relay: Arc<str>,
    facts: Facts,
    webhook: Option<Webhook>,
    callback: Option<Callback>,
}

impl Default for AlertsBuilder {
    fn default() -> Self {
        Self {
            enabled: true,
            rules: Rules::default(),
            every: Duration::from_secs(10),
            hold: Duration::from_secs(60),
            clear_after: Duration::from_secs(5 * 60),
            baseline: Duration::from_secs(60 * 60),
            minimum_requests: 20,
            relay: "tower-relay".into(),
            facts: Facts::default(),
            webhook: None,
            callback: None,
        }
    }
}

impl AlertsBuilder {
    /// Whether anything is watched from the start: it is by default. [`Alerts::set_enabled`] changes it.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// From where on what is wrong.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// How often everything is looked at: each 10 s by default.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// How long errors and latencies must be above their limits until an alert fires: a minute by default. The others fire at once.
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// How long a value must be back until its alert is over: five minutes by default. It is back a tenth below its limit, or of the way from
    /// that to its baseline.
    pub fn clear_after(mut self, clear: Duration) -> Self {
        self.clear_after = clear;
        self
    }

    /// How far baselines reach back: an hour by default.
    pub fn baseline(mut self, window: Duration) -> Self {
        self.baseline = window;
        self
    }

    /// How many attempts an upstream must have had within the [window](crate::stats::Stats::WINDOW) for its errors and latencies to say something: 20 by
    /// default.
    pub fn minimum_requests(mut self, least: u64) -> Self {
        self.minimum_requests = least;
        self
    }

    /// What notices call this relay.
    pub fn relay(mut self, name: impl Into<Arc<str>>) -> Self {
        self.relay = name.into();
        self
    }

    /// What is watched: errors, latencies and breakers by its statistics, budgets by its controls, unknown prices and rejected keys by its ledger.
    pub fn facts(mut self, facts: &Facts) -> Self {
        self.facts = facts.clone();
        self
    }

    /// Posts every notice there.
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhook = Some(webhook);
        self
    }

    /// Calls `callback` with every notice. It runs on the worker, and should not block.
    pub fn callback(mut self, callback: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        self.callback = Some(Arc::new(callback));
        self
    }

    /// The alerts, and what watches.
    ///
    /// # Errors
    ///
    /// When nothing would ever be looked at, or a share is none.
    pub fn build(self) -> Result<(Alerts, Worker), ConfigError> {
        if self.every < Duration::from_millis(100) {
            return Err(ConfigError::new("every", "must be at least 100ms"));
        }
        if self.baseline < self.every {
            return Err(ConfigError::new("baseline", "must be longer than every"));
        }
        self.rules.check().map_err(|error| error.within("rules"))?;
        let times = Times {
            hold: self.hold,
            clear: self.clear_after,
            baseline: self.baseline,
        };
        let alerts = Alerts::new(self.relay, self.rules, times, self.enabled);
        let (post, posting) = match self.webhook {
            Some(webhook) => {
                let (post, posting) = outbox(webhook, Arc::clone(alerts.counters()));
                (Some(post), Some(posting))
            }
            None => (None, None),
        };
        let watching = Watching {
            alerts: alerts.clone(),
            reader: Reader::new(self.facts, self.minimum_requests),
            every: self.every,
            callback: self.callback,
            post,
        };
        let worker = Worker::new(move |shutdown| async move {
            // Who watches drops the outbox at the end, and what is in it is still sent.
            let posting = async {
                if let Some(posting) = posting {
                    posting.await;
                }
            };
            let (mut watching, mut posting) = (pin!(watching.run(shutdown)), pin!(posting));
            let (mut has_watched, mut has_posted) = (false, false);
            // `tokio::join!` would want tokio's macros.
            poll_fn(|cx| {
                has_watched = has_watched || watching.as_mut().poll(cx).is_ready();
                has_posted = has_posted || posting.as_mut().poll(cx).is_ready();
                if has_watched && has_posted {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        });
        Ok((alerts, worker))
    }
}

struct Watching {
    alerts: Alerts,
    reader: Reader,
    every: Duration,
    callback: Option<Callback>,
    post: Option<Outbox>,
}

impl Watching {
    async fn run(mut self, mut shutdown: Shutdown) {
        while !shutdown.fired_within(self.every).await {
            let now = Instant::now();
            let readings = self.reader.read(now);
            for notice in self.alerts.observe(now, readings) {
                self.tell(notice);
            }
        }
    }

    fn tell(&self, notice: Notice) {
        let rule = notice.rule.as_str();
        if notice.state == NoticeState::Firing {
            tracing::warn!(rule, subject = %notice.subject, "alert: {}", notice.message);
        } else {
            tracing::info!(rule, subject = %notice.subject, "alert: {}", notice.message);
        }
        if let Some(callback) = &self.callback {
            callback(&notice);
        }
        if let Some(post) = &self.post {
            post.put(notice);
        }
    }
}

impl fmt::Debug for AlertsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertsBuilder")
            .field("enabled", &self.enabled)
            .field("rules", &self.rules)
            .field("every", &self.every)
            .field("for", &self.hold)
            .field("clear_after", &self.clear_after)
            .field("webhook", &self.webhook)
            .finish_non_exhaustive()
    }
}
