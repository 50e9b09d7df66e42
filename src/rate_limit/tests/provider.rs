use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, StatusCode};

use super::*;
use crate::message::{Outcome, Refusal, Retry, classify};

/// Status and headers.
type Says = Arc<Mutex<(u16, Vec<(&'static str, &'static str)>)>>;

/// A layer of an upstream whose answers carry what stands in the mutex.
fn provider(
    builder: RateLimitBuilder,
) -> (
    RateLimitLayer,
    Says,
    impl Service<
        Request<RequestBody>,
        Response = Response<ResponseBody>,
        Error = Infallible,
        Future: Send,
    > + Clone,
) {
    let says = Says::new(Mutex::new((200, Vec::new())));
    let said = Arc::clone(&says);
    let layer = builder.provider().build().unwrap();
    let service = layer.layer(answering(move |_| {
        let mut response = answer(1, 1);
        let (status, headers) = &*said.lock().unwrap();
        *response.status_mut() = StatusCode::from_u16(*status).unwrap();
        *response.headers_mut() = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect::<HeaderMap>();
        response
    }));
    (layer, says, service)
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_is_left_is_all_that_passes_until_its_reset() {
    let (layer, says, service) = provider(RateLimitBuilder::default());
    says.lock().unwrap().1 = vec![
        ("x-ratelimit-limit-tokens", "10000"),
        ("x-ratelimit-remaining-tokens", "150"),
        ("x-ratelimit-reset-tokens", "12s"),
    ];
    let head = send(&service, chat(5_000)).await;
    assert_eq!(head.headers["x-ratelimit-remaining-tokens"], "150");
    says.lock().unwrap().1.clear();
    assert_eq!(send(&service, chat(100)).await.status, 200);

    let refused = service.clone().oneshot(chat(100)).await.unwrap();
    let refused = classify(refused).await;
    let wait = Duration::from_secs(12);
    let outcome = Outcome::of(&refused).unwrap();
    assert_eq!(
        outcome,
        Outcome::Refused(Refusal::ProviderLimit {
            retry_after: Some(wait)
        })
    );
    assert_eq!(outcome.retry(), Retry::After(wait));
    assert_eq!(refused.headers()["retry-after"], "12");
    let key = Key::named("model", "other");
    assert_eq!(layer.handle().held(&key), None);
    tokio::time::advance(wait).await;
    assert_eq!(send(&service, chat(100)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_429_closes_for_as_long_as_it_asks_in_its_headers_or_its_words() {
    for headers in [
        vec![("retry-after", "30")],
        vec![("retry-after-ms", "29500.5")],
        vec![
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "29.5s"),
        ],
        vec![
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("retry-after", "30"),
        ],
    ] {
        let (layer, says, service) = provider(RateLimitBuilder::default());
        *says.lock().unwrap() = (429, headers);
        assert_eq!(send(&service, chat(1)).await.status, 429);
        *says.lock().unwrap() = (200, Vec::new());
        let held = layer.handle().held(&Key::named("model", "other")).unwrap();
        assert!(held > Duration::from_secs(29), "{held:?}");
        assert!(held <= Duration::from_secs(30), "{held:?}");
        assert_eq!(send(&service, chat(1)).await.headers["retry-after"], "30");
        tokio::time::advance(held).await;
        assert_eq!(send(&service, chat(1)).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn models_are_kept_apart_and_unknown_ones_together() {
    let quota = |requests| Quota::new([Limit::requests(requests, MINUTE)]).unwrap();
    let builder = RateLimitBuilder::default()
        .quota(quota(1))
        .model("gpt-*".parse().unwrap(), quota(2));
    let (layer, _, service) = provider(builder);
    let asks = |model: &str| {
        let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
        Request::post("/v1/chat/completions")
            .body(RequestBody::json(body))
            .unwrap()
    };
    for (model, status) in [
        ("gpt-a", 200),
        ("gpt-a", 200),
        ("gpt-a", 429),
        ("gpt-b", 200),
        ("made-up-1", 200),
        ("made-up-2", 429),
    ] {
        assert_eq!(send(&service, asks(model)).await.status, status, "{model}");
    }
    let mut keys: Vec<_> = layer
        .handle()
        .local()
        .unwrap()
        .keys()
        .iter()
        .map(Key::to_string)
        .collect();
    keys.sort();
    assert_eq!(keys, ["model:gpt-a", "model:gpt-b", "model:other"]);
}

#[tokio::test(start_paused = true)]
async fn more_than_the_provider_ever_takes_at_once_goes_elsewhere() {
    let builder = RateLimitBuilder::default().quota(Quota::per_minute(10, 100).unwrap());
    let (_, _, service) = provider(builder);
    let refused = classify(service.oneshot(chat(101)).await.unwrap()).await;
    assert_eq!(Outcome::of(&refused), Some(Outcome::ContextTooLong));
    assert_eq!(refused.status(), 400);
}

/// A provider with a bucket of its own, as OpenAI's, that counts what it is sent.
#[tokio::test(start_paused = true)]
async fn a_fleet_stays_within_the_providers_limit_without_a_429() {
    const LIMIT: f64 = 20.0;
    let state = Arc::new(Mutex::new((
        LIMIT,
        tokio::time::Instant::now(),
        0_u32,
        0_u32,
    )));
    let bucket = Arc::clone(&state);
    let inner = tower::service_fn(move |_: Request<RequestBody>| {
        let bucket = Arc::clone(&bucket);
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let mut bucket = bucket.lock().unwrap();
            let now = tokio::time::Instant::now();
            let refill = (now - bucket.1).as_secs_f64() * LIMIT / 60.0;
            (bucket.0, bucket.1) = ((bucket.0 + refill).min(LIMIT), now);
            let mut response = answer(0, 1);
            if bucket.0 >= 1.0 {
                bucket.0 -= 1.0;
                bucket.2 += 1;
            } else {
                bucket.3 += 1;
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            }
            let reset = (LIMIT - bucket.0) * 60.0 / LIMIT;
            for (name, value) in [
                ("x-ratelimit-limit-requests", LIMIT.to_string()),
                (
                    "x-ratelimit-remaining-requests",
                    bucket.0.floor().to_string(),
                ),
                ("x-ratelimit-reset-requests", format!("{reset:.3}s")),
            ] {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let layer = RateLimitBuilder::default()
        .provider()
        .wait(MINUTE * 3)
        .build()
        .unwrap();
    let service = layer.layer(inner);
    // The first answer says what the limit is.
    send(&service, chat(1)).await;
    let callers = (0..60).map(|_| {
        let service = service.clone();
        tokio::spawn(async move { send(&service, chat(1)).await.status.as_u16() })
    });
    let mut refused_here = 0;
    for caller in callers.collect::<Vec<_>>() {
        refused_here += u32::from(caller.await.unwrap() == 429);
    }
    let (_, _, admitted, refused) = *state.lock().unwrap();
    println!("admitted {admitted}, refused by the provider {refused}, here {refused_here}");
    assert_eq!(refused, 0);
    assert!(admitted > 40, "{admitted}");
}
