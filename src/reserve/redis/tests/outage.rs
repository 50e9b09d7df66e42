//! What holds while the server does not answer.

use tokio::time::Instant;

use super::*;

/// Where nobody listens.
const NOBODY: &str = "redis://127.0.0.1:1/";
const TIMEOUT: Duration = Duration::from_millis(50);
/// The timeout, and what a busy machine adds.
const SOON: Duration = Duration::from_millis(950);

fn builder(url: &str, policy: OnStoreFailure) -> RedisBuilder {
    RedisLimiter::builder(url)
        .timeout(TIMEOUT)
        .on_failure(policy)
        .replicas(4)
        .breaker(2, Duration::from_millis(20))
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(TIMEOUT + SOON, what)
        .await
        .expect("takes longer than it may")
}

#[tokio::test]
async fn who_fails_open_admits_all_and_counts_none() {
    let replica = Replica::of(builder(NOBODY, OnStoreFailure::FailOpen));
    let quota = slow(10, 100);
    for _ in 0..20 {
        soon(replica.reserve("a", &quota, 60))
            .await
            .unwrap()
            .settle(tokens_of(50));
    }
    let handle = replica.limiter.handle();
    assert_eq!(handle.uncounted(), 20);
    assert!(handle.is_open() && handle.skipped() > 0 && handle.failed() >= 2);
    assert_eq!((handle.answered(), handle.queued()), (0, 0));
}

#[tokio::test]
async fn who_fails_closed_refuses_all_and_says_when_to_come_again() {
    let replica = Replica::of(builder(NOBODY, OnStoreFailure::FailClosed));
    let quota = slow(10, 100);
    for _ in 0..5 {
        let Err(Verdict::Unavailable { wait }) = soon(replica.reserve("a", &quota, 1)).await else {
            panic!("nothing is admitted")
        };
        assert!(wait >= Duration::from_millis(20));
    }
    assert_eq!(replica.limiter.handle().refused(), 5);
}

#[tokio::test]
async fn each_replica_falls_back_to_its_share() {
    let replica = Replica::of(builder(NOBODY, OnStoreFailure::Local));
    let quota = slow(40, 400);
    let held = soon(replica.reserve("a", &quota, 60)).await.unwrap();
    // As if each of the four had used as much.
    assert_eq!(soon(replica.used("a", &quota)).await, [4, 240]);
    let Err(Verdict::Full { limit: 1, .. }) = soon(replica.reserve("a", &quota, 60)).await else {
        panic!("the share is used up")
    };
    // The limit would have room for it, and no share ever has.
    let Err(Verdict::Unavailable { .. }) = soon(replica.reserve("a", &quota, 200)).await else {
        panic!("it is more than a share")
    };
    let Err(Verdict::TooLarge { .. }) = soon(replica.reserve("a", &quota, 401)).await else {
        panic!("it is more than the limit")
    };
    held.settle(tokens_of(10));
    assert_eq!(soon(replica.used("a", &quota)).await, [4, 40]);
    let handle = replica.limiter.handle();
    assert_eq!(
        (handle.stood_in(), handle.refused(), handle.queued()),
        (2, 1, 0)
    );
}

#[tokio::test]
async fn who_has_used_up_a_share_is_told_that_the_limit_is_used_up() {
    let builder = builder(NOBODY, OnStoreFailure::Local).replicas(2);
    let replica = Replica::of(builder);
    // A share is one request, and 49 tokens.
    let quota = slow(3, 99);
    let held = soon(replica.reserve("a", &quota, 7)).await.unwrap();
    assert_eq!(soon(replica.used("a", &quota)).await, [3, 15]);
    let asked = replica.limiter.reserve(&account("a"), &quota, tokens_of(1));
    let refused = soon(asked).await;
    assert!(matches!(refused.verdict, Verdict::Full { limit: 0, .. }));
    let level = refused.levels.get(&quota, 0).unwrap();
    assert_eq!((level.used, level.remaining), (3, 0));
    drop(held);
    assert_eq!(soon(replica.used("a", &quota)).await, [0, 0]);
}

#[tokio::test]
async fn a_server_that_is_stopped_and_comes_back_is_used_again() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let replica = Replica::of(builder(&server.url(), OnStoreFailure::Local));
    let handle = replica.limiter.handle();
    let quota = slow(400, 4_000);
    let answered = async {
        while handle.answered() == 0 {
            drop(replica.reserve("x", &quota, 1).await);
        }
    };
    timeout(Duration::from_secs(20), answered).await.unwrap();
    // On a busy machine even a server that is well may be late once.
    let held = async {
        loop {
            let stood_in = handle.stood_in();
            let held = replica.reserve("a", &quota, 600).await.unwrap();
            if handle.stood_in() == stood_in {
                break held;
            }
        }
    };
    let held = timeout(Duration::from_secs(20), held).await.unwrap();

    server.stop();
    let mut alone = 0;
    for _ in 0..100 {
        let started = Instant::now();
        if let Ok(reservation) = replica.reserve("a", &quota, 20).await {
            reservation.settle(tokens_of(20));
            alone += 20;
        }
        assert!(started.elapsed() < TIMEOUT + SOON);
    }
    assert_eq!(alone, 1_000, "the share of one of four");
    // Waits in the queue for the server.
    held.settle(tokens_of(700));

    server.restart();
    let before = handle.answered();
    let back = async {
        while handle.answered() == before || handle.settled() == 0 {
            soon(replica.used("b", &quota)).await;
        }
    };
    timeout(Duration::from_secs(20), back).await.unwrap();
    assert!(!handle.is_open());
    replica.settled().await;
    let replica = Replica::at(&server);
    // It had forgotten what was reserved, and was told what was owed.
    assert_eq!(replica.used("a", &quota).await, [0, 100]);
}

#[tokio::test]
async fn a_server_that_stalls_keeps_nobody_and_what_it_took_goes_back() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let builder = builder(&server.url(), OnStoreFailure::FailClosed).breaker(100, TIMEOUT);
    let replica = Replica::of(builder);
    let quota = slow(10, 100);
    let handle = replica.limiter.handle();
    let connected = async {
        while handle.answered() == 0 {
            replica.used("a", &quota).await;
        }
    };
    timeout(Duration::from_secs(20), connected).await.unwrap();

    let pause = ::redis::cmd("CLIENT")
        .arg("PAUSE")
        .arg(800)
        .arg("WRITE")
        .to_owned();
    pause.exec_async(&mut connection).await.unwrap();
    let failed = handle.failed();
    let started = Instant::now();
    let Err(Verdict::Unavailable { .. }) = replica.reserve("a", &quota, 60).await else {
        panic!("it cannot know")
    };
    assert!((TIMEOUT..TIMEOUT + SOON).contains(&started.elapsed()));
    assert_eq!(handle.failed(), failed + 1);
    // One whose caller does not even wait so long.
    let gone = replica.reserve("a", &quota, 30);
    assert!(timeout(Duration::from_millis(5), gone).await.is_err());
    replica.settled().await;
    assert_eq!((handle.settled(), handle.unsettled()), (2, 0));
    assert_eq!(Replica::at(&server).used("a", &quota).await, [0, 0]);
}

#[tokio::test]
async fn settlements_that_find_no_room_are_counted() {
    let (limiter, worker) = builder(NOBODY, OnStoreFailure::FailOpen)
        .queue(1)
        .build()
        .unwrap();
    let quota = slow(10, 100);
    for _ in 0..3 {
        let limiter = Arc::new(limiter.clone());
        let place = Place::Own;
        drop(Reservation::new(
            limiter,
            account("a"),
            quota.clone(),
            tokens_of(1),
            place,
        ));
    }
    let handle = limiter.handle();
    assert_eq!((handle.queued(), handle.unsettled()), (1, 2));
    // At the end it is tried once more, and no longer.
    worker.shutdown_handle().shutdown();
    timeout(Duration::from_secs(5), worker).await.unwrap();
    assert_eq!((handle.queued(), handle.unsettled()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_holds_up_the_end_once_and_not_for_each_settlement() {
    // Its connections are accepted by the kernel, and answered by nobody.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", silent.local_addr().unwrap());
    let (limiter, worker) = builder(&url, OnStoreFailure::FailOpen).build().unwrap();
    for _ in 0..1_000 {
        let limiter = Arc::new(limiter.clone());
        let (quota, place) = (slow(10, 100), Place::Own);
        drop(Reservation::new(
            limiter,
            account("a"),
            quota,
            tokens_of(1),
            place,
        ));
    }
    let began = Instant::now();
    worker.shutdown_handle().shutdown();
    worker.await;
    let took = began.elapsed();
    assert!(took <= Duration::from_millis(2_100), "{took:?}");
    let handle = limiter.handle();
    assert_eq!(
        (handle.queued(), handle.settled(), handle.unsettled()),
        (0, 0, 1_000)
    );
}
