//! A subscriber that keeps what it is told.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// The spans that have closed, in that order.
#[derive(Clone, Default)]
pub(super) struct Recorded(Arc<Mutex<Vec<Closed>>>);

#[derive(Debug, Clone, Default)]
pub(super) struct Closed {
    pub(super) name: &'static str,
    pub(super) parent: Option<&'static str>,
    pub(super) fields: BTreeMap<&'static str, String>,
}

impl Recorded {
    /// Listens on this thread, until the guard is dropped.
    pub(super) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::registry().with(self.clone());
        tracing::subscriber::set_default(subscriber)
    }

    pub(super) fn spans(&self) -> Vec<Closed> {
        self.0.lock().unwrap().clone()
    }

    /// The only span of this name.
    pub(super) fn one(&self, name: &str) -> Closed {
        let mut found = self.spans();
        found.retain(|span| span.name == name);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}

impl Closed {
    pub(super) fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(|value| &**value)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorded {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut closed = Closed {
            name: attributes.metadata().name(),
            parent: span.parent().map(|parent| parent.name()),
            ..Closed::default()
        };
        attributes.record(&mut closed);
        span.extensions_mut().insert(closed);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        record.record(span.extensions_mut().get_mut::<Closed>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let closed = context
            .span(&id)
            .unwrap()
            .extensions_mut()
            .remove::<Closed>();
        self.0.lock().unwrap().extend(closed);
    }
}

impl Visit for Closed {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}
