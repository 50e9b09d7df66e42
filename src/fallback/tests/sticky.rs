//! A target that took over.

use super::*;
use crate::fallback::FallbackLayer;

#[tokio::test(start_paused = true)]
async fn a_target_that_took_over_is_asked_first_for_a_while_and_then_the_primary_again() {
    let a = Scripted::new(|call| answer(if call < 1 { 503 } else { 200 }, ""));
    let b = Scripted::status(200);
    let chain = FallbackLayer::builder()
        .sticky(Duration::from_secs(60))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&chain, chat()).await.0, 200);
    }
    assert_eq!((a.calls(), b.calls()), (1, 5));
    assert_eq!(
        (chain.handle().first(), chain.handle().counts().sticky),
        (1, 4)
    );
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(chain.handle().first(), 0);
    assert_eq!(ask(&chain, chat()).await.0, 200);
    assert_eq!((a.calls(), b.calls()), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_took_over_and_fails_gives_way_to_the_others() {
    let a = Scripted::new(|call| answer(if call == 1 { 200 } else { 503 }, format!("a {call}")));
    let b = Scripted::new(|call| answer(if call == 0 { 200 } else { 500 }, format!("b {call}")));
    let chain = FallbackLayer::builder()
        .sticky(Duration::from_secs(60))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    assert_eq!(ask(&chain, chat()).await.1, "b 0");
    // The primary takes over from the one that took over from it.
    assert_eq!(ask(&chain, chat()).await.1, "a 1");
    assert_eq!(chain.handle().first(), 0);
    // And where all fail it has the word.
    assert_eq!(ask(&chain, chat()).await.1, "a 2");
}

#[tokio::test(start_paused = true)]
async fn where_all_fail_the_primary_has_the_word_although_another_was_asked_first() {
    let a = Scripted::status(503);
    let b = Scripted::new(|call| answer(if call == 0 { 200 } else { 500 }, ""));
    let chain = FallbackLayer::builder()
        .sticky(Duration::from_secs(60))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    ask(&chain, chat()).await;
    let Ok(response) = chain.oneshot(chat()).await;
    assert_eq!(response.status(), 503);
    let headers = response.headers();
    assert_eq!(headers["x-relay-attempts"], "2");
    assert_eq!(headers["x-relay-failed-attempts"], "b server_error");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_one_request_moves_nobody_else() {
    let a = Scripted::new(|_| error(404, "model_not_found"));
    let b = Scripted::status(200);
    let chain = FallbackLayer::builder()
        .sticky(Duration::from_secs(60))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    assert_eq!(ask(&chain, chat()).await.0, 200);
    assert_eq!(chain.handle().first(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_begins_with_the_primary_again() {
    let [a, b] = [503, 200].map(Scripted::status);
    let chain = FallbackLayer::builder()
        .sticky(Duration::from_secs(60))
        .chain(&upstreams([&a, &b]))
        .unwrap();
    ask(&chain, chat()).await;
    assert_eq!(chain.handle().first(), 1);
    chain.handle().reset();
    ask(&chain, chat()).await;
    assert_eq!(a.calls(), 2);
}
