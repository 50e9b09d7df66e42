//! What holds while the server, or a replica, is gone.

use super::*;

#[tokio::test]
async fn a_server_that_is_gone_leaves_each_replica_its_share_of_what_was_left() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let of = |policy| {
        let store = RedisLimiter::builder(server.url())
            .timeout(Duration::from_millis(500))
            .on_failure(policy)
            .replicas(2)
            .breaker(1, Duration::from_millis(20));
        Replica::of(store, BudgetLayer::builder().budget(team("0.05")))
    };
    let sharing = of(OnStoreFailure::Local);
    let [open, closed] = [OnStoreFailure::FailOpen, OnStoreFailure::FailClosed].map(of);
    for replica in [&sharing, &open, &closed] {
        let answered = replica.ask(1_000).await;
        assert_eq!(answered.status(), 200);
        read(answered).await;
    }
    server.stop();
    // 0.05 less some 0.0084 at least, and half of that: two of 0.008 fit, held at once.
    let mut held = Vec::new();
    for status in [200, 200, 429] {
        let answered = sharing.ask(1_000).await;
        assert_eq!(answered.status(), status);
        held.push(answered);
    }
    for _ in 0..10 {
        read(open.ask(1_000).await).await;
    }
    let refused = closed.ask(1_000).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(
        refusal(refused).await,
        (503, "budgets_unavailable".to_owned())
    );
    for answered in held {
        read(answered).await;
    }
    // Spent as it is, two more of these fit, one at a time.
    for status in [200, 200] {
        let answered = sharing.ask(1_000).await;
        assert_eq!(answered.status(), status);
        read(answered).await;
    }
    assert!(sharing.store.stood_in() >= 5 && open.store.uncounted() == 10);

    // What was spent without it is told when it is back, and nothing was lost of it.
    server.restart();
    for replica in [sharing, open] {
        let waited = async {
            while replica.store.queued() > 0 || replica.store.settled() == 0 {
                drop(replica.ask(0).await);
            }
        };
        timeout(Duration::from_secs(20), waited).await.unwrap();
        replica.settled().await;
    }
    let last = Replica::with(&server, team("1000"));
    drop(last.ask(1).await);
    // It came back empty: four and ten answers of 0.0028, and what was still to be told of the first ones, at most.
    let spent = last.level().spent;
    assert!(spent >= usd("0.0392"), "{spent}");
}

#[tokio::test]
async fn what_a_replica_reserved_that_is_gone_lapses_and_windows_go_with_their_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let (limiter, worker) = patient(&server).prefix("p").build().unwrap();
    tokio::spawn(worker);
    let budgets = limiter.budgets();
    let ends = crate::wire::clock::now() + Duration::from_secs(100);
    let ends = u64::try_from(ends.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let claims: Arc<[Claim]> = [Claim {
        account: "team/x".into(),
        window: "day 1".into(),
        ends,
        limit: Some(usd("1")),
    }]
    .into();
    let key = "p:{budgets}:team/x:day 1";
    let ttl = async |connection: &mut ::redis::aio::MultiplexedConnection| -> i64 {
        ::redis::cmd("PTTL")
            .arg(key)
            .query_async(connection)
            .await
            .unwrap()
    };
    let hour = 65 * 60 * 1_000;
    let reserved = budgets.reserve(Arc::clone(&claims), Some(usd("0.5"))).await;
    assert!(matches!(reserved, Reserved::Taken { .. }));
    assert!((hour - 5_000..=hour).contains(&ttl(&mut connection).await));
    // As if it had been reserved more than an hour ago.
    let fields: Vec<String> = ::redis::cmd("HKEYS")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap();
    let slot: u64 = fields[0].strip_prefix('r').unwrap().parse().unwrap();
    let value: Vec<u8> = ::redis::cmd("HGET")
        .arg(key)
        .arg(&fields[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    for (at, holds) in [(slot - 12, true), (slot - 13, false)] {
        let mut edit = ::redis::pipe();
        edit.del(key).hset(key, format!("r{at}"), &value);
        edit.exec_async(&mut connection).await.unwrap();
        let refused = budgets.reserve(Arc::clone(&claims), Some(usd("0.6"))).await;
        assert_eq!(matches!(refused, Reserved::Refused(_)), holds, "{at}");
    }
    let (told, answer) = tokio::sync::oneshot::channel();
    budgets.settle(Charge {
        claims,
        lease: None,
        reserved: Cost::ZERO,
        spent: Some(usd("0.1")),
        unpriced: 0,
        told: Box::new(|balances| drop(told.send(balances))),
    });
    assert_eq!(answer.await.unwrap()[0].spent, usd("0.1"));
    let left = ttl(&mut connection).await;
    assert!((hour + 90_000..=hour + 100_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_server_that_stalls_keeps_nobody_and_what_it_reserved_goes_back() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let wait = Duration::from_millis(50);
    let store = RedisLimiter::builder(server.url())
        .timeout(wait)
        .on_failure(OnStoreFailure::FailClosed)
        .breaker(100, wait);
    let replica = Replica::of(store, BudgetLayer::builder().budget(team("1")));
    let connected = async {
        while replica.store.answered() == 0 {
            drop(replica.ask(0).await);
        }
    };
    timeout(Duration::from_secs(20), connected).await.unwrap();

    let mut pause = ::redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(800).arg("WRITE");
    pause.exec_async(&mut connection).await.unwrap();
    let refused = timeout(Duration::from_millis(700), replica.ask(1_000)).await;
    assert_eq!(refused.unwrap().status(), 503);
    // One whose caller does not even wait so long.
    assert!(timeout(wait / 10, replica.ask(1_000)).await.is_err());
    replica.settled().await;
    let after = Replica::with(&server, team("1"));
    let answered = after.ask(1_000).await;
    let level = after.level();
    assert!(
        level.reserved < usd("0.009"),
        "its own alone: {}",
        level.reserved
    );
    drop(answered);
}
