//! What counts as load, and what is learned of it.

use http_body::Body as _;
use tokio_test::{assert_pending, task};

use super::*;

fn in_flight(balance: &Balance<Target>) -> u32 {
    let members = balance.handle().snapshot().members;
    members.iter().map(|member| member.in_flight).sum()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_load_until_its_answer_has_ended_or_was_dropped_wherever_that_happens() {
    let one = Upstream::new("a", 100, 100);
    let balance = balance(BalanceLayer::builder(), std::slice::from_ref(&one));
    let mut service = balance.clone();
    let unpolled = tower::Service::call(&mut service, chat());
    assert_eq!(in_flight(&balance), 1);
    drop(unpolled);
    assert_eq!(in_flight(&balance), 0);

    let (_, response) = ask(&balance, chat()).await;
    assert_eq!(in_flight(&balance), 1, "its head was only the beginning");
    drop(response);
    assert_eq!(in_flight(&balance), 0);

    let (_, response) = ask(&balance, chat()).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(in_flight(&balance), 1);
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream() || body.frame().await.is_none());
    assert_eq!(in_flight(&balance), 0);

    one.status.store(500, SeqCst);
    let (_, response) = ask(&balance, chat()).await;
    assert_eq!(in_flight(&balance), 1);
    drop(response);
    assert_eq!(in_flight(&balance), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_comes_is_let_go_of_with_its_caller_and_remembered() {
    let hangs = service_fn(|_: Request<RequestBody>| std::future::pending());
    let hangs: Target = Target::new("a", hangs);
    let upstreams = Upstreams::builder().add(hangs).build().unwrap();
    let balance = BalanceLayer::builder().balance(&upstreams).unwrap();
    let mut call = task::spawn(balance.clone().oneshot(chat()));
    assert_pending!(call.poll());
    assert_eq!(in_flight(&balance), 1);
    drop(call);
    assert_eq!(in_flight(&balance), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_token_is_measured_when_it_comes_and_not_at_the_end() {
    let one = Upstream::new("a", 300, 60_000);
    let balance = balance(BalanceLayer::builder(), &[one]);
    let (_, response) = ask(&balance, chat()).await;
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    let member = balance.handle().snapshot().members.remove(0);
    assert_eq!(member.first_token, Some(Duration::from_millis(300)));
    assert_eq!((member.whole, member.in_flight), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn streams_and_whole_answers_are_measured_apart() {
    let one = Upstream::new("a", 300, 700);
    let balance = balance(BalanceLayer::builder(), &[one]);
    whole(&balance, with_body(r#"{"model":"fast"}"#)).await;
    let member = balance.handle().snapshot().members.remove(0);
    assert_eq!(member.first_token, None);
    assert!(member.whole.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_left_before_the_first_token_shows_how_slow_it_is_and_no_failure() {
    let one = Upstream::new("a", 100, 0);
    let balance = balance(BalanceLayer::builder(), std::slice::from_ref(&one));
    whole(&balance, chat()).await;
    one.first_token.store(60_000, SeqCst);
    let (_, response) = ask(&balance, chat()).await;
    let waited = tokio::time::timeout(Duration::from_secs(5), response.into_body().collect());
    assert!(waited.await.is_err());
    let member = balance.handle().snapshot().members.remove(0);
    assert_eq!(member.first_token, Some(Duration::from_secs(5)));
    assert!(member.health > 0.999, "{}", member.health);
}
