use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{
    Admission, AdmissionBuilder, AdmissionHandle, Limits, PriorityBy,
    gates::{Bounds, Gates, Settings},
};
use crate::key::{Holders, KeyBy};

/// Lets so many requests in at a time, and the others wait in line.
///
/// See the [module](super) for what it does and where it belongs.
#[derive(Debug, Clone)]
pub struct AdmissionLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) by: KeyBy,
    pub(super) priority: Option<PriorityBy>,
    pub(super) gates: Arc<Gates>,
    /// Whom an operator can change limits for.
    pub(super) holders: Holders,
    pub(super) max_wait: Duration,
    pub(super) retry_after: Duration,
    /// What is to hold at gates that were another layer's.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(dead_code, reason = "no layer takes another's place")
    )]
    next: Option<Settings>,
}

impl AdmissionLayer {
    /// Settings to choose before [`build`](AdmissionBuilder::build).
    pub fn builder() -> AdmissionBuilder {
        AdmissionBuilder::default()
    }

    pub(super) fn of(builder: AdmissionBuilder, priority: Option<PriorityBy>) -> Self {
        let settings = Settings::new(
            Limits::new(builder.max_in_flight, builder.max_pending),
            builder.keys,
            builder.limits_of.0,
        );
        let bounds = Bounds {
            adaptive: builder.adaptive,
            max_keys: builder.max_keys,
            max_waiting: builder.max_pending_in_all,
        };
        let before = builder.before.as_ref().map(AdmissionHandle::gates);
        let (gates, next) = match before.filter(|gates| *gates.bounds() == bounds) {
            Some(gates) => (Arc::clone(gates), Some(settings)),
            None => (Arc::new(Gates::new(settings, bounds)), None),
        };
        Self {
            shared: Arc::new(Shared {
                by: builder.by.unwrap_or_else(KeyBy::global),
                priority,
                gates,
                holders: builder.holders,
                max_wait: builder.max_wait,
                retry_after: builder.retry_after,
                next,
            }),
        }
    }

    /// Puts its limits in force for those whom it has from [another layer](AdmissionBuilder::continuing).
    #[cfg(feature = "gateway")]
    pub(crate) fn take_over(&self) -> impl FnOnce() + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            if let Some(next) = &shared.next {
                shared.gates.refit(next);
            }
        }
    }

    /// What shows who is in flight and waits, and changes limits while requests flow.
    pub fn handle(&self) -> AdmissionHandle {
        AdmissionHandle::new(Arc::clone(&self.shared))
    }
}

impl Default for AdmissionLayer {
    /// One with the defaults of [`AdmissionBuilder`].
    fn default() -> Self {
        Self::of(AdmissionBuilder::default(), None)
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission::new(inner, Arc::clone(&self.shared))
    }
}
