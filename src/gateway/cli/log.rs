//! What the program says of itself: lines on standard error, and spans to a collector.

use std::{env, io};

use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// What hands on what is still to be said, when the program ends.
#[must_use]
pub(super) struct Logging {
    #[cfg(feature = "otlp")]
    spans: Option<super::otlp::Export>,
}

/// Logs to standard error, as much as `RUST_LOG` says; sends spans to a collector where the environment names one. Within the runtime.
///
/// # Errors
///
/// When what the environment says of the collector cannot be.
pub(super) fn init() -> Result<Logging, String> {
    let level = env::var("RUST_LOG")
        .ok()
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let is_line = filter_fn(|metadata: &Metadata<'_>| metadata.is_event());
    // Whether the library can colour is for whoever else builds it to say; lines are for files and collectors too.
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(false);
    let lines = lines.with_filter(level);
    let lines = lines.with_filter(is_line);
    let registry = Registry::default().with(lines);
    #[cfg(feature = "otlp")]
    {
        let (spans, export) = super::otlp::spans()?.unzip();
        // Whoever calls `main` may have set one up already.
        let _ = registry.with(spans).try_init();
        Ok(Logging { spans: export })
    }
    #[cfg(not(feature = "otlp"))]
    {
        let _ = registry.try_init();
        Ok(Logging {})
    }
}

impl Logging {
    /// Sends what is left, within a few seconds. Within the runtime, on a thread that may block.
    pub(super) fn end(self) {
        #[cfg(feature = "otlp")]
        if let Some(spans) = self.spans {
            spans.end();
        }
    }
}
