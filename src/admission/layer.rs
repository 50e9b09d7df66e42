use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{Admission, AdmissionBuilder, AdmissionHandle, Limits, PriorityBy, gates::Gates};
use crate::key::KeyBy;

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
    pub(super) gates: Gates,
    pub(super) max_wait: Duration,
    pub(super) retry_after: Duration,
}

impl AdmissionLayer {
    /// Settings to choose before [`build`](AdmissionBuilder::build).
    pub fn builder() -> AdmissionBuilder {
        AdmissionBuilder::default()
    }

    pub(super) fn of(builder: AdmissionBuilder, priority: Option<PriorityBy>) -> Self {
        let gates = Gates::new(
            Limits::new(builder.max_in_flight, builder.max_pending),
            builder.keys,
            builder.limits_of.0,
            builder.adaptive,
            builder.max_keys,
            builder.max_pending_in_all,
        );
        Self {
            shared: Arc::new(Shared {
                by: builder.by.unwrap_or_else(KeyBy::global),
                priority,
                gates,
                max_wait: builder.max_wait,
                retry_after: builder.retry_after,
            }),
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
