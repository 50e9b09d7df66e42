use std::{
    convert::Infallible,
    future::Ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Response;
use tokio::{runtime::Handle, time::Instant};

use super::{Report, Spend, StatusBuilder, savings::savings};
use crate::{
    ledger::Day,
    message::ResponseBody,
    server::admin::Access,
    wire::{clock, rfc3339},
};

/// For so long a report that was made for one reader serves others too.
const FRESH: Duration = Duration::from_millis(500);

/// Answers `GET /status` with a [`Report`] in JSON. Clones are one.
///
/// See the [module](super).
#[derive(Debug, Clone)]
pub struct Status(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: ArcSwap<StatusBuilder>,
    started: Instant,
    last: Mutex<Option<(Instant, Bytes)>>,
}

/// The future of [`Status`].
pub type StatusFuture = Ready<Result<Response<ResponseBody>, Infallible>>;

impl Status {
    /// What it is made of, to choose before [`build`](StatusBuilder::build).
    pub fn builder() -> StatusBuilder {
        StatusBuilder::default()
    }

    pub(super) fn new(parts: StatusBuilder) -> Self {
        Self(Arc::new(Shared {
            parts: ArcSwap::from_pointee(parts),
            started: Instant::now(),
            last: Mutex::new(None),
        }))
    }

    /// Reports what `parts` say from now on: as when a configuration replaces another. How long it has run is as it was.
    pub fn replace(&self, parts: StatusBuilder) {
        self.0.parts.store(Arc::new(parts));
        self.refresh();
    }

    pub(super) fn access(&self) -> Access {
        self.0.parts.load().access.clone()
    }

    /// How everything stands now.
    pub fn report(&self) -> Report {
        let parts = self.0.parts.load();
        let (now, wall) = (Instant::now(), clock::now());
        let spend = parts.facts.ledger.as_ref().map(|ledger| {
            let rows = ledger.snapshot();
            let baselines = parts.baselines.iter().map(String::as_str);
            let savings = savings(&rows, &parts.catalog, baselines);
            let spend = Spend::of(&rows, Day::of(wall));
            Spend { savings, ..spend }
        });
        Report {
            at: rfc3339::format(wall),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: now.saturating_duration_since(self.0.started).as_secs(),
            tasks: Handle::try_current()
                .ok()
                .map(|runtime| runtime.metrics().num_alive_tasks()),
            replica: parts.replica.clone(),
            traffic: parts.facts.stats.snapshot(now),
            spend,
            controls: parts.facts.controls.show(),
            refusals: parts.refusals.report(),
            changes: parts.changes.recent(),
        }
    }

    /// The report as JSON: one that is at most half a second old, so that many readers cost no more than one.
    pub fn json(&self) -> Bytes {
        let now = Instant::now();
        let last = || self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, json)) = &*last()
            && now.saturating_duration_since(*at) < FRESH
        {
            return json.clone();
        }
        // Not under the lock: two who come at once make two.
        let json = serde_json::to_vec(&self.report()).unwrap_or_default();
        let json = Bytes::from(json);
        *last() = Some((now, json.clone()));
        json
    }

    /// Forgets the report that was made last, as after a change that whoever made it wants to see.
    pub fn refresh(&self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
