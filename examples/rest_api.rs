//! The same layers before a plain REST API, with no language model in sight: `cargo run --example rest_api`.
//!
//! Quotes come from a provider that has an outage, fall back to a second one, and are copied to a third that is on trial. A route says
//! by `Effects::Generate` that only an answer comes of it. Runs without a key and without a network.
#![allow(clippy::print_stdout, reason = "an example shows what came of it")]

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::Path, routing::get};
use http::StatusCode;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tower::ServiceBuilder;
use tower_relay::{
    circuit_breaker::CircuitBreakerLayer,
    client::{Credential, Relay, Target, UpstreamLayer, Upstreams},
    fallback::FallbackLayer,
    message::{ConfigError, Effects, RequestBody},
    rate_limit::RateLimitLayer,
    reserve::{Attempts, Limit, Quota},
    retry::{Backoff, RetryLayer},
    server::EdgeLayer,
    shadow::{Comparison, ShadowLayer},
};

const REQUESTS: usize = 20;

/// A provider of quotes, which fails during these calls.
async fn provider(outage: Range<u32>) -> std::io::Result<String> {
    let calls = Arc::new(AtomicU32::new(0));
    let quote = move |Path(symbol): Path<String>| {
        let fails = outage.contains(&calls.fetch_add(1, Ordering::Relaxed));
        async move {
            if fails {
                return Err(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Ok(Json(json!({"symbol": symbol, "price": "101.25"})))
        }
    };
    let app = Router::new().route("/v2/quotes/{symbol}", get(quote));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/v2", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok(base_url)
}

fn target(name: &'static str, base_url: &str) -> Result<Target, ConfigError> {
    let stack = ServiceBuilder::new()
        .layer(
            RetryLayer::builder()
                .attempts(2)
                .backoff(Backoff {
                    base: Duration::from_millis(5),
                    ..Backoff::default()
                })
                .build()?,
        )
        .layer(
            CircuitBreakerLayer::builder()
                .consecutive_failures(5)
                .build()?,
        )
        .layer(
            UpstreamLayer::builder(name)
                .base_url(base_url)
                .credential(Credential::none())
                .build()?,
        )
        .service(Client::builder(TokioExecutor::new()).build_http::<RequestBody>());
    Ok(Target::new(name, stack))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [flaky, steady, trial] = [
        provider(4..9).await?,
        provider(0..0).await?,
        provider(2..5).await?,
    ];
    let chain = Upstreams::builder()
        .add(target("flaky", &flaky)?)
        .add(target("steady", &steady)?)
        .build()?;
    let (told, mut comparisons) = mpsc::channel(REQUESTS);
    let (shadow, worker) = ShadowLayer::builder()
        .percent(100)
        .sink(move |comparison: &Comparison| drop(told.try_send(comparison.clone())))
        .build(target("trial", &trial)?)?;
    tokio::spawn(worker);
    let quota = Quota::new([Limit::requests(REQUESTS as u64, Duration::from_secs(60))])?;

    let quotes = Relay::new(
        ServiceBuilder::new()
            .layer(EdgeLayer::builder().guard_all(true).build()?)
            .layer(RateLimitLayer::builder().quota(quota).build()?)
            .layer(shadow)
            .service(FallbackLayer::builder().chain(&chain)?),
    );
    let quote = |symbol: &str| {
        let call = quotes.get(&format!("/quotes/{symbol}"));
        call.extension(Effects::Generate).send()
    };

    for _ in 0..REQUESTS {
        let answer = quote("ACME").await?;
        let from = answer.served().map(|served| served.upstream.to_string());
        let attempts = answer.extensions().get::<Attempts>();
        let failed = attempts.map_or(0, |attempts| attempts.failed().len());
        let quote: Value = answer.json().await?;
        println!(
            "{quote} from {}, after {failed} that failed",
            from.unwrap_or_default()
        );
    }
    let refused = quote("ACME").await.err().ok_or("it was answered")?;
    println!("the {}st: {refused}", REQUESTS + 1);
    assert_eq!(refused.status(), Some(StatusCode::TOO_MANY_REQUESTS));

    let mut failed = 0;
    for _ in 0..REQUESTS {
        let comparison = comparisons.recv().await.ok_or("the shadow ended")?;
        assert_eq!(comparison.primary.status, 200);
        failed += u32::from(comparison.shadow.status != 200);
    }
    println!("on trial: {failed} of {REQUESTS} copies failed");
    Ok(())
}
