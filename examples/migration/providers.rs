//! The two providers: demo upstreams that take their time, and fail when they are told to.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use tokio::time::sleep;
use tower::service_fn;
use tower_relay::{
    gateway::demo::{Demo, DemoBody},
    message::RequestBody,
};
use tower_service::Service;

/// What is wrong with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Two requests in five fail, each in another way.
    Errors,
    /// All answers take two and a half times as long.
    Slow,
}

/// A provider. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    demo: Demo,
    median: Duration,
    fault: Arc<AtomicU8>,
    asked: Arc<AtomicU64>,
    seed: u64,
}

impl Provider {
    /// One that takes about so long.
    pub(crate) fn new(seed: u64, median: Duration) -> Self {
        Self {
            demo: Demo::exact().pace(Duration::from_millis(15)),
            median,
            fault: Arc::default(),
            asked: Arc::default(),
            seed,
        }
    }

    /// From now on it has this fault.
    pub(crate) fn set_fault(&self, fault: Fault) {
        self.fault.store(fault as u8, Relaxed);
    }

    fn fault(&self) -> Fault {
        let fault = self.fault.load(Relaxed);
        let mut all = [Fault::Errors, Fault::Slow].into_iter();
        all.find(|one| *one as u8 == fault).unwrap_or(Fault::None)
    }

    /// What stands in for a client that is connected to it.
    pub(crate) fn client(
        &self,
    ) -> impl Service<
        Request<RequestBody>,
        Response = Response<DemoBody>,
        Error = io::Error,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static {
        let provider = self.clone();
        service_fn(move |request| {
            let provider = provider.clone();
            async move { provider.answer(request).await }
        })
    }

    async fn answer(&self, mut request: Request<RequestBody>) -> io::Result<Response<DemoBody>> {
        let number = self.asked.fetch_add(1, Relaxed);
        let luck = |salt: u64| share(self.seed ^ salt, number);
        let fault = self.fault();
        let mut wait = self.median.mul_f64((normal(luck) * 0.3).exp());
        if fault == Fault::Slow {
            wait = wait.mul_f64(2.5);
        }
        if fault == Fault::Errors && luck(50) < 0.4 {
            wait /= 4;
            let (header, value) = match number % 5 {
                0 => ("x-demo-status", "500"),
                1 => ("x-demo-status", "503"),
                // Only streams have events before which something can go wrong.
                2 => ("x-demo-error-event", "0"),
                3 => ("x-demo-cut", "0"),
                _ => return Err(io::ErrorKind::ConnectionRefused.into()),
            };
            let value = HeaderValue::from_static(value);
            request.headers_mut().insert(header, value);
        }
        sleep(wait).await;
        Ok(self.demo.respond(request).await)
    }
}

/// A number between 0 and 1 that hangs on both and looks like chance (SplitMix64).
pub(crate) fn share(seed: u64, number: u64) -> f64 {
    let mut bits = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    let share = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

/// About normally distributed, with a mean of 0 and a variance of 1: the sum of twelve.
fn normal(luck: impl Fn(u64) -> f64) -> f64 {
    (1..=12).map(|salt| luck(salt << 32)).sum::<f64>() - 6.0
}
