//! Retries, breakers and chains within a chain.

use proptest::prelude::*;
use tower_layer::Layer;

use super::*;
use crate::{
    fallback::{FallbackBuilder, FallbackLayer},
    message::{Deadline, Phase, TransportError},
    reserve::AttemptLimit,
};

/// A refused connection, as `UpstreamLayer` makes an answer of it.
fn refused() -> Response<ResponseBody> {
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let error = TransportError::new(error);
    assert_eq!(error.phase(), Phase::Connect);
    error.into_response("it", Dialect::OpenAi)
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_a_target_of_another_chain() {
    let [a, b, c] = [500, 502, 200].map(Scripted::status);
    let inner = FallbackLayer::builder()
        .chain(&upstreams([&a, &b]))
        .unwrap();
    let targets = Upstreams::builder()
        .add(Target::new("both", inner))
        .add(Target::new("c", c.stack.clone()));
    let outer = FallbackLayer::builder()
        .chain(&targets.build().unwrap())
        .unwrap();
    let Ok(response) = outer.oneshot(chat()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["x-relay-failed-attempts"],
        "b server_error, both server_error"
    );
}

#[cfg(feature = "retry")]
mod retry {
    use super::*;
    use crate::retry::{Backoff, Jitter, RetryBuilder, RetryLayer};

    fn retry(attempts: u32) -> RetryBuilder {
        RetryLayer::builder().attempts(attempts).backoff(Backoff {
            base: Duration::from_secs(1),
            jitter: Jitter::None,
            ..Backoff::default()
        })
    }

    /// A chain of these, each behind retries.
    fn retried(
        builder: FallbackBuilder,
        attempts: u32,
        stacks: &[&Scripted],
    ) -> super::super::super::Fallback<Target> {
        let targets = ["a", "b", "c"].into_iter().zip(stacks);
        let targets = targets.map(|(name, scripted)| {
            let retry = retry(attempts).build().unwrap();
            Target::new(name, retry.layer(scripted.stack.clone()))
        });
        let targets = targets.fold(Upstreams::builder(), UpstreamsBuilder::add);
        builder.chain(&targets.build().unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_connection_reaches_the_backup_at_once_through_retries() {
        let a = Scripted::new(|_| refused());
        let b = Scripted::status(200);
        let chain = retried(FallbackLayer::builder(), 3, &[&a, &b]);
        assert_eq!(ask(&chain, chat()).await, (200, "answer 200".into(), 0));
        assert_eq!(a.calls(), 1);
        // Where there is nowhere else to go it is tried again: by the last target, and when fallback is off.
        let last = Scripted::new(|_| refused());
        let chain = retried(FallbackLayer::builder(), 3, &[&a, &last]);
        assert_eq!(ask(&chain, chat()).await.0, 502);
        assert_eq!((a.calls(), last.calls()), (2, 3));
        chain.handle().set_enabled(false);
        ask(&chain, chat()).await;
        assert_eq!(a.calls(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_asks_for_a_wait_leads_to_the_backup_at_once_through_retries() {
        let limited = |_| {
            let mut response = error(429, "rate_limit_exceeded");
            let headers = response.headers_mut();
            headers.insert("retry-after", "5".parse().unwrap());
            response
        };
        let a = Scripted::new(limited);
        let b = Scripted::status(200);
        let chain = retried(FallbackLayer::builder(), 3, &[&a, &b]);
        assert_eq!(ask(&chain, chat()).await, (200, "answer 200".into(), 0));
        assert_eq!(a.calls(), 1);
        // The last target has nowhere else to go, and waits.
        let last = Scripted::new(move |call| match call {
            0 => limited(0),
            _ => answer(200, "late"),
        });
        let chain = retried(FallbackLayer::builder(), 3, &[&a, &last]);
        assert_eq!(ask(&chain, chat()).await, (200, "late".into(), 5_000));
        assert_eq!((a.calls(), last.calls()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_leave_an_attempt_for_each_target() {
        let all = [503; 3].map(Scripted::status);
        let chain = retried(
            FallbackLayer::builder().attempts(4),
            9,
            &[&all[0], &all[1], &all[2]],
        );
        let Ok(response) = chain.oneshot(chat()).await;
        assert_eq!(all.each_ref().map(Scripted::calls), [3, 1, 0]);
        assert_eq!(response.headers()["x-relay-attempts"], "4");

        let all = [503; 2].map(Scripted::status);
        let chain = retried(FallbackLayer::builder(), 3, &[&all[0], &all[1]]);
        let Ok(response) = chain.oneshot(chat()).await;
        assert_eq!(all.each_ref().map(Scripted::calls), [3, 3]);
        assert_eq!(response.headers()["x-relay-attempts"], "6");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_nesting_makes_more_attempts_than_there_may_be_or_begins_one_after_the_deadline(
            within in 1_u32..5,
            around in proptest::option::of(1_u32..4),
            own in 1_u32..8,
            outer in proptest::option::of(1_u32..8),
            seconds in 1_u64..20,
            statuses in prop::collection::vec(prop::sample::select(vec![500_u16, 429, 503, 0, 1]), 1..20),
            chained: bool,
            sticky: bool,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let deadline = Deadline::after(Duration::from_secs(seconds));
                // Real attempts: what a breaker refuses is none.
                let (made, late) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
                let calls = Arc::new(AtomicU32::new(0));
                let statuses = Arc::new(statuses);
                let stack = {
                    let (made, late, statuses) = (Arc::clone(&made), Arc::clone(&late), Arc::clone(&statuses));
                    let calls = Arc::clone(&calls);
                    Scripted::new(move |_| {
                        let call = calls.fetch_add(1, SeqCst) as usize;
                        let status = statuses[call % statuses.len()];
                        if status == 0 {
                            return open(Duration::from_secs(1));
                        }
                        made.fetch_add(1, SeqCst);
                        late.fetch_add(u32::from(deadline.remaining().is_zero()), SeqCst);
                        if status == 1 { refused() } else { answer(status, "") }
                    })
                };
                let mut builder = FallbackBuilder::guide_e().attempts(own);
                if sticky {
                    builder = builder.sticky(Duration::from_secs(60));
                }
                let chain = retried(builder, within, &[&stack, &stack, &stack]);
                let service = if chained {
                    let targets = Upstreams::builder()
                        .add(Target::new("x", chain.clone()))
                        .add(Target::new("y", chain));
                    Target::new("z", FallbackLayer::builder().attempts(own).chain(&targets.build().unwrap()).unwrap())
                } else {
                    Target::new("z", chain)
                };
                let service = match around {
                    Some(attempts) => Target::new("r", retry(attempts).build().unwrap().layer(service)),
                    None => service,
                };
                for _ in 0..3 {
                    made.store(0, SeqCst);
                    let mut request = chat();
                    request.extensions_mut().insert(deadline);
                    if let Some(outer) = outer {
                        request.extensions_mut().insert(AttemptLimit::new(outer));
                    }
                    let Ok(_) = service.clone().oneshot(request).await;
                    // The outermost sets the limit.
                    let limit = outer.or(around).unwrap_or(own);
                    let made = made.load(SeqCst);
                    assert!(made <= limit, "{made} of {limit}");
                    assert_eq!(late.load(SeqCst), 0);
                }
            });
        }
    }
}

#[cfg(feature = "circuit-breaker")]
#[tokio::test(start_paused = true)]
async fn an_open_breaker_reaches_the_backup_at_once_and_costs_no_attempt() {
    use crate::circuit_breaker::CircuitBreakerLayer;

    let [a, b] = [500, 200].map(Scripted::status);
    let breaker = CircuitBreakerLayer::builder()
        .consecutive_failures(2)
        .build()
        .unwrap();
    let targets = Upstreams::builder()
        .add(Target::new("a", breaker.layer(a.stack.clone())))
        .add(Target::new("b", b.stack.clone()));
    let chain = FallbackLayer::builder()
        .chain(&targets.build().unwrap())
        .unwrap();
    for _ in 0..50 {
        let (status, _, elapsed) = ask(&chain, chat()).await;
        assert_eq!((status, elapsed), (200, 0));
    }
    assert_eq!((a.calls(), b.calls()), (2, 50));
}
