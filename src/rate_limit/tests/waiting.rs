use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready, task};

use super::*;
use crate::{
    message::Deadline,
    reserve::{Account, Amounts, Answer, Decision, Levels, Limiter, LocalLimiter, Settlement},
};

#[tokio::test(start_paused = true)]
async fn who_waits_is_admitted_in_turn_as_soon_as_there_is_room() {
    let layer = limited(60, 1_000_000).wait(MINUTE).build().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let service = layer.layer(using(1, 1));
    for _ in 0..60 {
        send(&service, chat(1)).await;
    }
    let start = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (service, order) = (service.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            assert_eq!(send(&service, chat(1)).await.status, 200);
            let waited = start.elapsed().as_secs_f64().round();
            order.lock().unwrap().push((number, waited));
        }));
        tokio::task::yield_now().await;
    }
    assert_eq!(layer.handle().waiting(), 10);
    for task in tasks {
        task.await.unwrap();
    }
    let order = order.lock().unwrap();
    let expected: Vec<_> = (0..10).map(|n| (n, f64::from(n + 1))).collect();
    assert_eq!(*order, expected);
    assert_eq!(layer.handle().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_goes_to_who_waits() {
    let layer = limited(60, 100).wait(MINUTE).build().unwrap();
    let service = layer.layer(using(0, 1));
    let held = service.clone().oneshot(chat(100)).await.unwrap();
    let mut waiting = task::spawn(service.clone().oneshot(chat(90)));
    assert_pending!(waiting.poll());
    // Nobody overtakes, even where there would be room for it.
    let mut small = task::spawn(service.clone().oneshot(chat(0)));
    assert_pending!(small.poll());
    crate::testing::read(held).await;
    assert!(waiting.is_woken());
    assert_eq!(assert_ready!(waiting.poll()).unwrap().status(), 200);
    assert!(small.is_woken());
    assert_eq!(assert_ready!(small.poll()).unwrap().status(), 200);
}

/// A limiter that does something just before it settles, as another thread might.
#[derive(Default)]
struct Before {
    limiter: LocalLimiter,
    settling: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Before {
    fn settling(&self) -> MutexGuard<'_, Option<Box<dyn FnOnce() + Send>>> {
        self.settling.lock().unwrap()
    }
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Before")
    }
}

impl Limiter for Before {
    fn reserve(&self, account: &Account, quota: &Quota, amounts: Amounts) -> Answer<Decision> {
        self.limiter.reserve(account, quota, amounts)
    }

    fn settle(&self, settlement: &Settlement<'_>) {
        if let Some(first) = self.settling().take() {
            first();
        }
        self.limiter.settle(settlement);
    }

    fn levels(&self, account: &Account, quota: &Quota) -> Answer<Levels> {
        self.limiter.levels(account, quota)
    }

    fn reset(&self, account: &Account) -> Answer<()> {
        self.limiter.reset(account)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_goes_to_who_came_at_the_last_moment() {
    let limiter = Arc::new(Before::default());
    let builder = limited(60, 100).limiter(Arc::clone(&limiter) as _);
    let service = builder.wait(MINUTE).build().unwrap().layer(using(0, 1));
    let held = service.clone().oneshot(chat(100)).await.unwrap();
    let waiting = Arc::new(Mutex::new(task::spawn(service.oneshot(chat(90)))));
    let comes = Arc::clone(&waiting);
    *limiter.settling() = Some(Box::new(move || {
        assert_pending!(comes.lock().unwrap().poll());
    }));
    crate::testing::read(held).await;
    let mut waiting = waiting.lock().unwrap();
    assert!(waiting.is_woken());
    assert_eq!(assert_ready!(waiting.poll()).unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_its_deadline_and_at_the_requests() {
    let layer = limited(1, 100).wait(MINUTE / 6).build().unwrap();
    let service = layer.layer(using(0, 1));
    assert_eq!(send(&service, chat(1)).await.status, 200);
    let start = Instant::now();
    assert_eq!(send(&service, chat(1)).await.status, 429);
    assert_eq!(start.elapsed().as_secs(), 10);
    let mut hurried = chat(1);
    hurried
        .extensions_mut()
        .insert(Deadline::after(Duration::from_secs(2)));
    let start = Instant::now();
    let refused = send(&service, hurried).await;
    assert_eq!(
        (refused.status.as_u16(), start.elapsed().as_secs()),
        (429, 2)
    );
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded_and_who_leaves_it_leaves_no_trace() {
    let builder = limited(1, 1_000).wait(MINUTE * 2).max_waiting(10, 2);
    let layer = builder.build().unwrap();
    let service = layer.layer(using(0, 1));
    send(&service, chat(1)).await;
    let mut waiting: Vec<_> = (0..2)
        .map(|_| task::spawn(service.clone().oneshot(chat(1))))
        .collect();
    for waiter in &mut waiting {
        assert_pending!(waiter.poll());
    }
    assert_eq!(send(&service, chat(1)).await.status, 429);
    drop(waiting.remove(0));
    tokio::time::sleep(MINUTE).await;
    assert!(waiting[0].is_woken());
    assert_eq!(assert_ready!(waiting[0].poll()).unwrap().status(), 200);
    drop(waiting);
    assert_eq!(layer.handle().waiting(), 0);
    assert_eq!(used(&layer.handle()).await[0], 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_does_not_keep_others_waiting() {
    let layer = RateLimitBuilder::per_minute(1, 1_000)
        .wait(MINUTE)
        .build()
        .unwrap();
    let service = layer.layer(using(0, 1));
    let of = |key: &str| {
        let mut request = chat(1);
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        request
    };
    send(&service, of("a")).await;
    let mut waiting = task::spawn(service.clone().oneshot(of("a")));
    assert_pending!(waiting.poll());
    let mut other = task::spawn(service.clone().oneshot(of("b")));
    assert_ready!(other.poll()).unwrap();
}
