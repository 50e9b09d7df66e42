//! What replicas share.

use super::*;

/// How often the server was asked to do `command`, by its own count.
async fn calls(server: &Server, command: &str) -> u64 {
    let mut connection = server.connect().await;
    let info = ::redis::cmd("INFO").arg("commandstats").to_owned();
    let text: String = info.query_async(&mut connection).await.unwrap();
    let line = format!("cmdstat_{command}:calls=");
    let count = text
        .split_once(&line)
        .map(|(_, rest)| rest.split(',').next());
    count.flatten().map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_reservation_is_one_call_and_takes_of_all_limits_or_of_none() {
    let Some(server) = Server::start() else {
        return;
    };
    let replica = Replica::at(&server);
    let quota = slow(10, 100);
    let first = replica.reserve("a", &quota, 60).await.unwrap();
    let asked = calls(&server, "evalsha").await;
    let Err(Verdict::Full { limit: 1, .. }) = replica.reserve("a", &quota, 60).await else {
        panic!("there is no room for it")
    };
    let Err(Verdict::TooLarge { limit: 1 }) = replica.reserve("a", &quota, 101).await else {
        panic!("it never fits")
    };
    assert_eq!(calls(&server, "evalsha").await, asked + 2);
    assert_eq!(replica.used("a", &quota).await, [1, 60]);
    assert_eq!(replica.used("b", &quota).await, [0, 0]);
    // More than was reserved, as far as may be owed.
    first.settle(tokens_of(170));
    let handle = replica.limiter.handle();
    replica.settled().await;
    assert_eq!((handle.settled(), handle.unsettled()), (1, 0));
    assert_eq!(handle.forgiven(), 69);
    let replica = Replica::at(&server);
    assert_eq!(replica.used("a", &quota).await, [1, 101]);
    replica.limiter.reset(&account("a")).await;
    assert_eq!(replica.used("a", &quota).await, [0, 0]);
    assert_eq!(calls(&server, "eval").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_under_load_admit_what_one_limit_allows_and_no_more() {
    const EACH: u64 = 1_000;
    let Some(server) = Server::start() else {
        return;
    };
    let quota = slow(1_000_000, 10_000);
    let replicas = [(); 2].map(|()| Arc::new(Replica::at(&server)));
    let mut asking = tokio::task::JoinSet::new();
    for call in 0..2 * EACH {
        let (replica, quota) = (
            Arc::clone(&replicas[usize::from(call % 2 == 0)]),
            quota.clone(),
        );
        asking.spawn(async move {
            let size = 5 + call % 23;
            let Ok(reservation) = replica.reserve("a", &quota, size).await else {
                return 0;
            };
            // Estimates are wrong, and some leave.
            let used = [size, size - 4, 0][usize::try_from(call % 3).unwrap()];
            reservation.settle(tokens_of(used));
            used
        });
    }
    let settled: u64 = asking.join_all().await.into_iter().sum();
    for replica in replicas {
        let handle = replica.limiter.handle();
        assert_eq!((handle.failed(), handle.skipped()), (0, 0));
        Arc::into_inner(replica).unwrap().settled().await;
        assert_eq!((handle.unsettled(), handle.forgiven()), (0, 0));
    }
    let replica = Replica::at(&server);
    let used = replica.used("a", &quota).await[1];
    println!("limit 10,000, settled {settled}, used by the server's count {used}");
    assert_eq!(used, settled);
    assert!(settled <= 10_000, "{settled}");
}

/// Where the processes of the next test find the server.
const URL: &str = "TOWER_RELAY_TEST_REDIS";

#[tokio::test]
#[ignore = "one of the two processes that the next test starts"]
async fn one_process_of_two() {
    let Ok(url) = std::env::var(URL) else {
        println!("skipped: {URL} is not set");
        return;
    };
    let replica = Arc::new(Replica::of(
        RedisLimiter::builder(url).timeout(Duration::from_secs(10)),
    ));
    let quota = slow(1_000_000, 10_000);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..1_500 {
        let (replica, quota) = (Arc::clone(&replica), quota.clone());
        asking.spawn(async move {
            let reservation = replica.reserve("a", &quota, 7).await.ok()?;
            reservation.settle(tokens_of(7));
            Some(())
        });
    }
    let admitted = asking.join_all().await.into_iter().flatten().count();
    println!("admitted={admitted}.");
}

#[tokio::test]
async fn two_processes_share_one_limit_exactly() {
    let Some(server) = Server::start() else {
        return;
    };
    let start = || {
        let mut process = std::process::Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "--ignored", "--nocapture"]);
        process.arg("reserve::redis::tests::sharing::one_process_of_two");
        process.env(URL, server.url());
        process
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let processes = [start(), start()];
    let admitted = processes.map(|process| {
        let output = process.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let count = text.split_once("admitted=").unwrap().1;
        count.split_once('.').unwrap().0.parse::<u64>().unwrap()
    });
    println!("3,000 of 7 tokens at two processes, of 10,000: admitted {admitted:?}");
    assert_eq!(admitted.iter().sum::<u64>(), 10_000 / 7);
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let replica = Replica::at(&server);
    let quota = slow(10, 100);
    for _ in 0..3 {
        let held = replica.reserve("a", &quota, 60).await.unwrap();
        let flush = ::redis::cmd("SCRIPT").arg("FLUSH").to_owned();
        flush.exec_async(&mut connection).await.unwrap();
        held.settle(Amounts::request());
        // In the line before the next reservation.
        let settled = || replica.limiter.handle().settled();
        let before = settled();
        let waited =
            async { while settled() == before && replica.used("a", &quota).await[1] > 0 {} };
        timeout(Duration::from_secs(20), waited).await.unwrap();
    }
    let handle = replica.limiter.handle();
    replica.settled().await;
    assert_eq!((handle.failed(), handle.unsettled()), (0, 0));
}

#[tokio::test]
async fn accounts_expire_when_their_buckets_are_full_again() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut connection = server.connect().await;
    let replica = Replica::at(&server);
    let quota = Quota::per_minute(60, 600).unwrap();
    let held = replica.reserve("a", &quota, 300).await.unwrap();
    let key = replica.limiter.key(&account("a"));
    assert_eq!(key, "tower-relay:limits:{test:a}");
    let ttl = ::redis::cmd("PTTL").arg(&key).to_owned();
    let millis: u64 = ttl.query_async(&mut connection).await.unwrap();
    assert!((25_000..=31_000).contains(&millis), "{millis}");
    // Looking makes none.
    replica.used("b", &quota).await;
    drop(held);
    replica.settled().await;
    let size: u64 = ::redis::cmd("DBSIZE")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(size, 1);
}

#[tokio::test]
async fn all_that_is_kept_of_an_account_is_in_one_slot_of_a_cluster() {
    let Some(server) = Server::start_with(&["--cluster-enabled", "yes"]) else {
        return;
    };
    let mut connection = server.connect().await;
    let slots = ::redis::cmd("CLUSTER")
        .arg("ADDSLOTSRANGE")
        .arg(0)
        .arg(16_383)
        .to_owned();
    slots.exec_async(&mut connection).await.unwrap();
    let replica = Replica::at(&server);
    // The cluster needs a moment to find itself whole.
    let quota = slow(10, 100);
    let whole = async {
        let info = ::redis::cmd("CLUSTER").arg("INFO").to_owned();
        loop {
            let info: String = info.query_async(&mut connection).await.unwrap();
            if info.contains("cluster_state:ok") {
                break;
            }
        }
    };
    timeout(Duration::from_secs(20), whole).await.unwrap();
    for name in ["a", "b}{c", "{}", ""] {
        let mut found = Vec::new();
        for scope in ["callers", "upstream: {x}", "budget"] {
            let limiter = replica.limiter.scoped(scope);
            let decision = limiter.reserve(&account(name), &quota, tokens_of(60)).await;
            // Scopes do not take from each other.
            assert!(decision.is_admitted());
            let slot = ::redis::cmd("CLUSTER")
                .arg("KEYSLOT")
                .arg(limiter.key(&account(name)))
                .to_owned();
            found.push(slot.query_async::<u16>(&mut connection).await.unwrap());
        }
        assert!(found.iter().all(|slot| *slot == found[0]), "{found:?}");
    }
    assert_eq!(replica.limiter.handle().failed(), 0);
}

#[tokio::test]
async fn a_reservation_takes_about_a_round_trip() {
    let Some(server) = Server::start() else {
        return;
    };
    let replica = Replica::at(&server);
    let mut connection = server.connect().await;
    let quota = Quota::per_minute(1_000_000, 1_000_000_000).unwrap();
    let [mut pings, mut reserves, mut drops] = [const { Vec::new() }; 3];
    for _ in 0..1_000 {
        let start = tokio::time::Instant::now();
        ::redis::cmd("PING")
            .exec_async(&mut connection)
            .await
            .unwrap();
        pings.push(start.elapsed());
        let start = tokio::time::Instant::now();
        let held = replica.reserve("a", &quota, 500).await.unwrap();
        reserves.push(start.elapsed());
        let start = tokio::time::Instant::now();
        held.settle(tokens_of(400));
        drops.push(start.elapsed());
    }
    let [ping, reserve, settle] = [pings, reserves, drops].map(|mut all| {
        all.sort();
        (all[500], all[990])
    });
    println!("p50 and p99: PING {ping:?}, reserve {reserve:?}, settle {settle:?}");
    // The bound is for a busy machine.
    assert!(reserve.0 < ping.0 * 10 + Duration::from_millis(2));
    assert!(settle.0 < Duration::from_millis(1), "nobody waits for it");
}
