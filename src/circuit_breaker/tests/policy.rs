use super::*;
use crate::{message::Refusal, stats::Availability};

fn builder() -> CircuitBreakerBuilder {
    CircuitBreakerBuilder::default()
}

fn overloaded(secs: u64) -> Outcome {
    Outcome::Overloaded {
        retry_after: Some(Duration::from_secs(secs)),
    }
}

#[test]
fn failures_in_a_row_open_and_a_success_ends_the_row() {
    let mut bench = Bench::new(builder());
    for outcome in [BAD, BAD, BAD, BAD, GOOD, BAD, BAD, BAD, BAD] {
        bench.call(outcome);
    }
    assert_eq!(bench.is(), CircuitState::Closed);
    bench.call(BAD);
    assert_eq!(bench.open_for(), Some(secs(10)));
    assert_eq!(bench.admit(), Err(secs(10)));
}

#[test]
fn guide_c_takes_one_failure_off_for_each_success() {
    let mut bench = Bench::new(CircuitBreakerBuilder::guide_c());
    for _ in 0..9 {
        bench.call(BAD);
    }
    bench.call(GOOD);
    bench.call(BAD);
    assert_eq!(bench.is(), CircuitState::Closed);
    bench.call(BAD);
    assert_eq!(bench.open_for(), Some(secs(60)));
}

#[test]
fn guide_a_closes_at_one_success() {
    let mut bench = Bench::new(CircuitBreakerBuilder::guide_a());
    for _ in 0..5 {
        bench.call(BAD);
    }
    bench.wait(secs(60));
    bench.call(GOOD);
    assert_eq!(bench.is(), CircuitState::Closed);
}

#[test]
fn guide_d_opens_at_more_than_one_in_a_hundred() {
    let mut bench = Bench::new(CircuitBreakerBuilder::guide_d());
    bench.call(BAD);
    for _ in 0..98 {
        bench.call(GOOD);
    }
    bench.call(BAD);
    assert_eq!(bench.open_for(), Some(secs(60)));

    let mut bench = Bench::new(CircuitBreakerBuilder::guide_d());
    for _ in 0..199 {
        bench.call(GOOD);
    }
    bench.call(BAD);
    bench.call(BAD);
    assert_eq!(bench.is(), CircuitState::Closed);
}

#[test]
fn a_million_good_calls_do_not_hide_an_outage() {
    let mut bench = Bench::new(builder().consecutive_failures(0));
    for _ in 0..1_000_000 {
        bench.call(GOOD);
        bench.wait(Duration::from_micros(60));
    }
    // A tenth of the traffic goes on, and fails: what was good before leaves the window in time.
    let outage = bench.now;
    while bench.is() == CircuitState::Closed {
        bench.call(BAD);
        bench.wait(Duration::from_micros(600));
        assert!(bench.now - outage <= secs(30), "not within the window");
    }
}

#[test]
fn limits_count_apart() {
    let mut bench = Bench::new(builder());
    for _ in 0..10 {
        bench.call(LIMITED);
        bench.call(GOOD);
    }
    assert_eq!(
        bench.is(),
        CircuitState::Closed,
        "half is not more than half"
    );
    bench.call(LIMITED);
    assert_eq!(bench.open_for(), Some(secs(10)));
}

#[test]
fn a_failure_share_is_none_of_the_limits_business() {
    let mut bench = Bench::new(builder().rate_limited_rate(1.0).minimum_calls(1));
    for _ in 0..100 {
        bench.call(LIMITED);
    }
    assert_eq!(bench.is(), CircuitState::Closed);
}

#[test]
fn a_quota_opens_for_long_at_once() {
    let mut bench = Bench::new(builder());
    bench.call(Outcome::QuotaExhausted);
    assert_eq!(bench.open_for(), Some(secs(3600)));
}

#[test]
fn the_callers_own_faults_never_count() {
    let mut bench = Bench::new(builder().minimum_calls(1));
    for outcome in [
        Outcome::InvalidRequest,
        Outcome::ContextTooLong,
        Outcome::ContentFiltered,
        Outcome::UpstreamAuth,
        Outcome::ModelNotFound,
        Outcome::Cancelled,
        Outcome::Refused(Refusal::Tenant),
    ] {
        for _ in 0..50 {
            bench.call(outcome);
        }
    }
    assert_eq!(bench.is(), CircuitState::Closed);
}

#[test]
fn a_longer_wait_that_the_upstream_asks_for_holds_and_a_later_shorter_one_takes_nothing_off() {
    let mut bench = Bench::new(builder());
    let late: Vec<_> = (0..3).map(|_| bench.admit().unwrap()).collect();
    for _ in 0..4 {
        bench.call(BAD);
    }
    bench.call(overloaded(60));
    assert_eq!(bench.open_for(), Some(secs(60)));
    bench.settle(late[0], overloaded(5));
    assert_eq!(bench.open_for(), Some(secs(60)));
    bench.settle(late[1], overloaded(90));
    assert_eq!(bench.open_for(), Some(secs(90)));
    bench.settle(late[2], overloaded(1_000_000));
    assert_eq!(bench.open_for(), Some(secs(300)), "within bounds");
}

#[test]
fn it_stays_open_for_longer_each_time_until_it_has_been_well() {
    let mut bench = Bench::new(builder().slow_start(Duration::ZERO).probes(1));
    for _ in 0..5 {
        bench.call(BAD);
    }
    for expected in [10, 20, 40, 80, 160, 300, 300] {
        assert_eq!(bench.open_for(), Some(secs(expected)));
        bench.wait(secs(expected));
        assert_eq!(bench.is(), CircuitState::HalfOpen);
        bench.call(BAD);
    }
    for (well, expected) in [(29, 300), (30, 10)] {
        bench.wait(secs(300));
        bench.call(GOOD);
        bench.wait(secs(well));
        for _ in 0..5 {
            bench.call(BAD);
        }
        assert_eq!(bench.open_for(), Some(secs(expected)), "{well}");
    }
}

#[test]
fn exactly_so_many_probes_pass_and_all_must_succeed() {
    let mut bench = Bench::new(builder());
    for _ in 0..5 {
        bench.call(BAD);
    }
    bench.wait(secs(10));
    let probes: Vec<_> = (0..3).map(|_| bench.admit().unwrap()).collect();
    assert!(bench.admit().is_err());
    bench.settle(probes[0], GOOD);
    bench.settle(probes[1], GOOD);
    assert!(bench.admit().is_err(), "the last verdict is awaited");
    bench.settle(probes[2], GOOD);
    assert_eq!(bench.is(), CircuitState::SlowStart);
}

#[test]
fn a_probe_that_says_nothing_frees_its_place() {
    let mut bench = Bench::new(builder().probes(1));
    for _ in 0..5 {
        bench.call(BAD);
    }
    bench.wait(secs(10));
    let probe = bench.admit().unwrap();
    bench.state.release(probe);
    for outcome in [Outcome::InvalidRequest, Outcome::Cancelled] {
        let probe = bench.admit().unwrap();
        assert!(bench.admit().is_err());
        bench.settle(probe, outcome);
    }
    // A second release of the same place gives no other one away.
    bench.admit().unwrap();
    bench.state.release(probe);
    assert!(bench.admit().is_err());
}

#[test]
fn a_probe_that_hangs_is_replaced_and_still_heard() {
    let mut bench = Bench::new(builder().probes(1).slow_start(Duration::ZERO));
    for _ in 0..5 {
        bench.call(BAD);
    }
    bench.wait(secs(10));
    let hung = bench.admit().unwrap();
    bench.wait(secs(59));
    assert_eq!(bench.admit(), Err(secs(1)));
    bench.wait(secs(1));
    let second = bench.admit().unwrap();
    bench.settle(hung, GOOD);
    assert_eq!(bench.is(), CircuitState::Closed);
    bench.settle(second, Outcome::QuotaExhausted);
    assert_eq!(bench.is(), CircuitState::Closed, "of a state that is past");
}

#[test]
fn a_call_admitted_while_closed_changes_nothing_in_half_open() {
    for outcome in [GOOD, BAD, LIMITED, Outcome::QuotaExhausted] {
        let mut bench = Bench::new(builder().probes(1));
        let late = bench.admit().unwrap();
        for _ in 0..5 {
            bench.call(BAD);
        }
        bench.wait(secs(10));
        bench.admit().unwrap();
        bench.settle(late, outcome);
        bench.state.release(late);
        assert_eq!(bench.is(), CircuitState::HalfOpen, "{outcome:?}");
        assert!(bench.admit().is_err(), "{outcome:?}");
    }
}

#[test]
fn a_slow_start_admits_the_share_that_it_publishes() {
    let mut bench = Bench::new(builder().probes(1).slow_start(secs(100)));
    for _ in 0..5 {
        bench.call(BAD);
    }
    bench.wait(secs(10));
    bench.call(GOOD);
    assert_eq!(
        bench.state.availability(&bench.policy),
        Availability::SlowStart {
            since: bench.now,
            over: secs(100),
            floor: 100,
        }
    );
    let mut admitted = Vec::new();
    for _ in 0..10 {
        let share = (0..1000).filter(|_| bench.admit().is_ok()).count();
        admitted.push(share);
        bench.wait(secs(10));
    }
    for (tenth, share) in admitted.into_iter().enumerate() {
        assert!(share.abs_diff(100 + 90 * tenth) <= 1, "{tenth}: {share}");
    }
    assert!((0..1000).all(|_| bench.admit().is_ok()));
    assert_eq!(bench.is(), CircuitState::Closed);
}

#[test]
fn what_is_forced_stays_until_it_is_reset() {
    let mut bench = Bench::new(builder());
    let before = bench.admit().unwrap();
    bench.state.force(true);
    bench.wait(secs(1_000_000));
    assert_eq!(bench.admit(), Err(secs(10)));
    bench.state.force(false);
    for _ in 0..100 {
        bench.call(Outcome::QuotaExhausted);
    }
    assert_eq!(bench.is(), CircuitState::ForcedClosed);
    bench.state.reset();
    bench.settle(before, Outcome::QuotaExhausted);
    assert_eq!(bench.is(), CircuitState::Closed);
}

#[test]
fn ten_thousand_callers_at_once_get_exactly_so_many_probes() {
    let policy = Arc::new(builder().probes(7));
    let now = Instant::now();
    let circuit = Arc::new(Circuit::new(Arc::clone(&policy), Arc::default(), now));
    for _ in 0..5 {
        Arc::clone(&circuit).admit(|| now).unwrap().settle(BAD, now);
    }
    let now = now + secs(10);
    for _ in 0..3 {
        let guards: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let circuit = &circuit;
                    scope.spawn(move || {
                        (0..1250)
                            .filter_map(|_| Arc::clone(circuit).admit(|| now).ok())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(guards.len(), 7);
        assert!(guards.iter().all(|guard| guard.admission().probe.is_some()));
        // Dropped without a verdict, all of them leave room for as many again.
    }
    assert_eq!(circuit.cell().get(), Availability::Probing);
}
