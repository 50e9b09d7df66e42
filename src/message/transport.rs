//! What went wrong between the relay and an upstream.

use std::{error::Error, fmt, io, sync::Arc};

use http::{Response, StatusCode};

use super::{ApiError, BoxError, Dialect, Phase, ResponseBody};

/// An error of the client, as it stands in the extensions of the 502 or 504 that was made of it.
#[derive(Clone)]
pub struct TransportError {
    phase: Phase,
    timeout: bool,
    source: Arc<dyn Error + Send + Sync>,
}

impl TransportError {
    /// Reads a client's error.
    ///
    /// Where the client is hyper-util's (feature `gateway`) or reqwest (feature `reqwest`) it says whether the
    /// connection was made; otherwise the kinds of [`io::Error`] in its chain of sources do. What is not known to have
    /// failed while connecting counts as [`Phase::Head`]: it may have been sent.
    pub fn new(error: impl Into<BoxError>) -> Self {
        let source: Arc<dyn Error + Send + Sync> = Arc::from(error.into());
        let mut seen = Seen::default();
        let mut link: Option<&(dyn Error + 'static)> = Some(&*source);
        // A chain of sources is short; the bound is for one that is not.
        for _ in 0..32 {
            let Some(error) = link else { break };
            seen.look_at(error);
            link = error.source();
        }
        let phase = if seen.connect {
            Phase::Connect
        } else {
            Phase::Head
        };
        Self {
            phase,
            timeout: seen.timeout,
            source,
        }
    }

    /// Where it happened: [`Phase::Connect`] means that nothing was sent.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it was a wait that ran out.
    pub fn is_timeout(&self) -> bool {
        self.timeout
    }

    /// The response that tells the caller: 504 for a wait that ran out, 502 otherwise. The client's own text, which may
    /// name hosts, stays in the extensions and in a `tracing` event.
    pub fn into_response(self, who: &str, dialect: Dialect) -> Response<ResponseBody> {
        tracing::warn!(who, phase = self.phase.as_str(), error = %Chain(&*self.source), "upstream unreachable");
        let (status, code, what) = match (self.timeout, self.phase) {
            (true, _) => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_timeout",
                "did not answer in time",
            ),
            (false, Phase::Connect) => (
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                "could not be reached",
            ),
            (false, _) => (
                StatusCode::BAD_GATEWAY,
                "upstream_error",
                "broke the connection before it answered",
            ),
        };
        let message = format!("{who} {what} (phase: {})", self.phase.as_str());
        let mut response = ApiError::new(status, "upstream_error", message)
            .with_code(code)
            .to_response(dialect);
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Default)]
struct Seen {
    connect: bool,
    timeout: bool,
}

impl Seen {
    fn look_at(&mut self, error: &(dyn Error + 'static)) {
        #[cfg(feature = "gateway")]
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            self.connect |= error.is_connect();
        }
        #[cfg(feature = "gateway")]
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            self.timeout |= error.is_timeout();
        }
        #[cfg(feature = "reqwest")]
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            self.connect |= error.is_connect();
            self.timeout |= error.is_timeout();
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            self.connect |= matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::AddrNotAvailable
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            );
            self.timeout |= error.kind() == io::ErrorKind::TimedOut;
        }
        self.timeout |= error.is::<tokio::time::error::Elapsed>();
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the upstream failed in phase \"{}\"",
            self.phase.as_str()
        )
    }
}

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("phase", &self.phase)
            .field("timeout", &self.timeout)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// An error with all its causes on one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut link = self.0.source();
        while let Some(error) = link {
            write!(f, ": {error}")?;
            link = error.source();
        }
        Ok(())
    }
}
