use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use http::{Extensions, HeaderValue, Request};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tower_layer::Layer;

use super::{
    Shadow, ShadowBuilder,
    counters::{Counters, add, read},
    pair::{About, Both, Pair, Watch, Which},
    service::X_RELAY_SHADOW,
    worker::{self, Bounds, Copy},
};
use crate::{
    client::Target,
    message::{
        self, AllowedUpstreams, Deadline, Effects, Endpoint, RequestBody, RequestId, Shadowed,
        Tags, copy,
    },
    reserve::AttemptLimit,
    worker::Worker,
};

/// Sends copies of a share of requests to a second target, and compares the answers.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct ShadowLayer {
    shared: Arc<Shared>,
}

/// Changes the share of a running [`ShadowLayer`], and shows what it does.
#[derive(Debug, Clone)]
pub struct ShadowHandle {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(super) struct Shared {
    percent: Arc<AtomicU8>,
    /// As it was set at first.
    set: u8,
    model: Option<Box<str>>,
    deadline: Duration,
    max_text: usize,
    target: Target,
    room: Arc<Semaphore>,
    copies: mpsc::Sender<Copy>,
    done: mpsc::Sender<Both>,
    counters: Arc<Counters>,
}

impl ShadowLayer {
    /// Settings to choose before [`build`](ShadowBuilder::build).
    pub fn builder() -> ShadowBuilder {
        ShadowBuilder::default()
    }

    pub(super) fn of(builder: ShadowBuilder, target: Target) -> (Self, Worker) {
        let before = builder.before.as_ref().map(|before| &before.shared);
        let counters = before.map_or_else(Arc::default, |before| Arc::clone(&before.counters));
        let percent = before.filter(|before| before.set == builder.percent);
        let percent = percent.map_or_else(
            || Arc::new(AtomicU8::new(builder.percent)),
            |before| Arc::clone(&before.percent),
        );
        // As many as may be under way, so that there is always room for one that may be.
        let room = builder.concurrency.min(Semaphore::MAX_PERMITS);
        let (copies, copied) = mpsc::channel(room);
        let (done, ended) = mpsc::channel(room);
        let bounds = Bounds {
            max_body: builder.max_body,
            deadline: builder.deadline,
        };
        let max_text = usize::try_from(builder.max_text).unwrap_or(usize::MAX);
        let reader = worker::Reader {
            sink: builder.sink,
            similarity: builder.similarity,
            max_text,
            counters: Arc::clone(&counters),
        };
        let to = target.clone();
        let worker =
            Worker::new(|shutdown| worker::run(shutdown, copied, ended, to, bounds, reader));
        let shared = Shared {
            percent,
            set: builder.percent,
            model: builder.model.map(Box::from),
            deadline: builder.deadline,
            max_text,
            target,
            room: Arc::new(Semaphore::new(room)),
            copies,
            done,
            counters,
        };
        let layer = Self {
            shared: Arc::new(shared),
        };
        (layer, worker)
    }

    /// What changes the share while requests flow, and shows what is done.
    pub fn handle(&self) -> ShadowHandle {
        ShadowHandle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl ShadowHandle {
    /// Copies this share of requests from now on, in percent; more than 100 is taken as 100.
    pub fn set_percent(&self, percent: u8) {
        self.shared
            .percent
            .store(percent.min(100), Ordering::Relaxed);
    }

    /// The share of requests that are copied, in percent.
    pub fn percent(&self) -> u8 {
        self.shared.percent.load(Ordering::Relaxed)
    }

    /// How many requests were copied.
    pub fn sent(&self) -> u64 {
        read(self.shared.counters.sent())
    }

    /// How many were not, because as many were under way as may be.
    pub fn dropped(&self) -> u64 {
        read(self.shared.counters.dropped())
    }

    /// How many comparisons were made.
    pub fn compared(&self) -> u64 {
        read(self.shared.counters.compared())
    }
}

impl Shared {
    /// Copies `request`, where it is one to be copied; what is to watch its own answer.
    pub(super) fn copy(&self, request: &Request<RequestBody>) -> Option<Watch> {
        let percent = self.percent.load(Ordering::Relaxed);
        let endpoint = Endpoint::of(request);
        let extensions = request.extensions();
        if percent == 0 || endpoint == Endpoint::Models || extensions.get::<Shadowed>().is_some() {
            return None;
        }
        let id = extensions.get().cloned();
        let id = id
            .or_else(|| RequestId::from_headers(request.headers()))
            .unwrap_or_else(RequestId::generate);
        let allowed = extensions.get::<AllowedUpstreams>();
        if !is_sampled(id.as_str(), percent)
            || !self.target.serves_endpoint(endpoint)
            || allowed.is_some_and(|allowed| !self.target.is_allowed(allowed))
            || Effects::of(request) != Effects::Generate
        {
            return None;
        }
        let body = request.body().try_clone()?;
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            add(self.counters.dropped());
            return None;
        };
        let mut copy = copy(request, body);
        *copy.extensions_mut() = self.extensions(extensions, &id);
        copy.headers_mut()
            .insert(X_RELAY_SHADOW, HeaderValue::from_static("1"));
        if let Some(model) = &self.model {
            message::edit(&mut copy, |edit| {
                edit.set("model", &**model);
            })
            .ok()?;
        }
        let pair = Arc::new(Pair {
            about: About {
                request_id: id.as_str().into(),
                endpoint,
                stream: request.body().is_streaming(),
            },
            halves: Mutex::default(),
            done: self.done.clone(),
            _permit: permit,
        });
        let watch = |which| Watch::new(Arc::clone(&pair), which, self.max_text);
        let primary = watch(Which::Primary);
        let copy = Copy {
            request: copy,
            watch: watch(Which::Shadow),
        };
        // There is room, unless the worker is gone.
        if self.copies.try_send(copy).is_err() {
            add(self.counters.dropped());
            return None;
        }
        add(self.counters.sent());
        Some(primary)
    }

    /// What a copy takes along: nothing that is counted for the request itself, and no attempt but one.
    fn extensions(&self, of: &Extensions, id: &RequestId) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(Shadowed);
        extensions.insert(id.clone());
        extensions.insert(AttemptLimit::new(1));
        extensions.insert(Deadline::after(self.deadline));
        if let Some(endpoint) = of.get::<Endpoint>() {
            extensions.insert(*endpoint);
        }
        if let Some(tags) = of.get::<Tags>() {
            extensions.insert(tags.clone());
        }
        if let Some(allowed) = of.get::<AllowedUpstreams>() {
            extensions.insert(allowed.clone());
        }
        extensions
    }
}

/// Whether the request of this id is among so many percent: the same in every replica, and a larger share holds all of a smaller one.
fn is_sampled(id: &str, percent: u8) -> bool {
    let digest = Sha256::digest(id.as_bytes());
    let mut place = [0; 8];
    for (to, from) in place.iter_mut().zip(digest) {
        *to = from;
    }
    u128::from(u64::from_be_bytes(place)) * 100 < u128::from(percent) << 64
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("percent", &self.percent)
            .field("model", &self.model)
            .field("target", &self.target)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for ShadowLayer {
    type Service = Shadow<S>;

    fn layer(&self, inner: S) -> Shadow<S> {
        Shadow::new(inner, Arc::clone(&self.shared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_exact_and_a_larger_one_holds_the_smaller() {
        let ids: Vec<String> = (0..20_000).map(|number| format!("req-{number}")).collect();
        let sampled = |percent| ids.iter().filter(|id| is_sampled(id, percent)).count();
        assert_eq!((sampled(0), sampled(100)), (0, ids.len()));
        // Three standard deviations.
        assert!(sampled(5).abs_diff(1_000) < 93, "{}", sampled(5));
        for id in ids.iter().filter(|id| is_sampled(id, 5)) {
            assert!(is_sampled(id, 10));
        }
    }
}
