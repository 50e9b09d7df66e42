use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Notice, WebhookCounts,
    deliver::Counters,
    notice::{NoticeState, message},
    state::{Event, Machine, Reading, Times},
};
use crate::{
    control::{Acting, Change, Control, Parameters, acted},
    server::alerts::Rules,
    wire::{clock, rfc3339},
};

/// The notices that are shown.
const MAX_RECENT: usize = 20;

/// Alerts that run: shows them, and switches them on and off. Clones are one.
#[derive(Clone)]
pub struct Alerts(Arc<Shared>);

struct Shared {
    relay: Arc<str>,
    rules: Rules,
    times: Times,
    counters: Arc<Counters>,
    watch: Mutex<Watch>,
}

struct Watch {
    is_enabled: bool,
    machine: Machine,
    recent: VecDeque<Notice>,
}

impl Alerts {
    pub(super) fn new(relay: Arc<str>, rules: Rules, times: Times, is_enabled: bool) -> Self {
        Self(Arc::new(Shared {
            relay,
            rules,
            times,
            counters: Arc::default(),
            watch: Mutex::new(Watch {
                is_enabled,
                machine: Machine::default(),
                recent: VecDeque::new(),
            }),
        }))
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.0.counters
    }

    /// Whether anything is watched.
    pub fn is_enabled(&self) -> bool {
        self.lock().is_enabled
    }

    /// Watches, or no longer. What was seen is forgotten either way: what still fires is told again.
    pub fn set_enabled(&self, enabled: bool) {
        let mut watch = self.lock();
        watch.is_enabled = enabled;
        watch.machine = Machine::default();
    }

    /// What fires now, in words.
    pub fn firing(&self) -> Vec<String> {
        let watch = self.lock();
        let firing = watch.machine.firing();
        firing
            .map(|(reading, ..)| format!("{} {}", reading.rule.as_str(), reading.subject))
            .collect()
    }

    /// What became of the webhook's notices.
    pub fn webhook_counts(&self) -> WebhookCounts {
        self.0.counters.counts()
    }

    /// Looks at what is read at `now`, and says what somebody should hear of.
    pub(super) fn observe(&self, now: Instant, readings: Vec<Reading>) -> Vec<Notice> {
        let Shared { rules, times, .. } = &*self.0;
        let mut watch = self.lock();
        if !watch.is_enabled {
            return Vec::new();
        }
        let events = watch.machine.observe(now, rules, *times, readings);
        let notices: Vec<_> = events.iter().map(|event| self.notice(now, event)).collect();
        for notice in &notices {
            watch.recent.push_front(notice.clone());
        }
        watch.recent.truncate(MAX_RECENT);
        notices
    }

    fn notice(&self, now: Instant, event: &Event) -> Notice {
        let at = clock::now();
        let ago = now.saturating_duration_since(event.since);
        Notice {
            version: 1,
            relay: Arc::clone(&self.0.relay),
            state: if event.is_firing {
                NoticeState::Firing
            } else {
                NoticeState::Resolved
            },
            rule: event.reading.rule,
            subject: Arc::clone(&event.reading.subject),
            value: event.reading.value,
            limit: event.limit,
            baseline: event.baseline,
            since: rfc3339::format(at.checked_sub(ago).unwrap_or(at)),
            at: rfc3339::format(at),
            message: message(event),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        // Each of its parts holds by itself.
        self.0.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control for Alerts {
    fn kind(&self) -> &'static str {
        "alerts"
    }

    fn show(&self) -> Value {
        let now = Instant::now();
        let watch = self.lock();
        let firing = watch.machine.firing().map(|(reading, limit, since)| {
            json!({
                "rule": reading.rule,
                "subject": reading.subject,
                "value": reading.value,
                "limit": limit,
                "for_seconds": now.saturating_duration_since(since).as_secs(),
            })
        });
        json!({
            "enabled": watch.is_enabled,
            "firing": firing.collect::<Vec<_>>(),
            "recent": watch.recent,
            "webhook": self.0.counters.counts(),
        })
    }

    fn actions(&self) -> &'static [&'static str] {
        &["enable", "disable"]
    }

    fn act<'a>(&'a self, action: &'a str, with: Parameters) -> Acting<'a> {
        acted(with.none().map(|()| {
            let old = self.is_enabled();
            self.set_enabled(action == "enable");
            Change::new(old, self.is_enabled())
        }))
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("rules", &self.0.rules)
            .field("firing", &self.firing())
            .finish_non_exhaustive()
    }
}
