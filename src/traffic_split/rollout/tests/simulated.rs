//! Whole rollouts, in simulated time.

use super::super::{
    limits::{ErrorLimit, Metric, TimeLimit},
    status::{RolloutEvent, RolloutState},
};
use super::*;

fn breach(machine: &mut Machine) -> Option<Metric> {
    machine
        .take_events()
        .into_iter()
        .find_map(|event| match event {
            RolloutEvent::Breached { metric, .. } => Some(metric),
            _ => None,
        })
}

#[test]
fn of_ten_thousand_healthy_rollouts_no_more_than_stated_are_rolled_back() {
    // At the very edge of what is allowed, which is the hardest: 1 % of errors. A latency like the baseline's.
    let edge = Upstream {
        errors: 0.01,
        ..HEALTHY
    };
    let random = Random::seeded(1);
    let mut alarms = 0;
    for _ in 0..10_000 {
        let mut now = Instant::now();
        let mut machine = machine(
            Plan {
                stages: vec![[50, 50].into(), [0, 100].into()],
                minimum_requests: 100,
                stage_time: MINUTE / 15,
                window: MINUTE,
                alpha: 0.01 / 3.0,
                ..plan()
            },
            now,
        );
        // As if all latencies were one of these: a log-normal number is slow to make ten million times.
        for request in 0..180 {
            now += Duration::from_millis(50);
            machine.tick(now);
            for target in 0..2 {
                if target == 0 && request % 2 == 0 {
                    continue;
                }
                let luck = chance(&random);
                let sample = if luck < edge.errors {
                    bad(Answer::Failed)
                } else {
                    good(Duration::from_millis(400).mul_f64(0.5 + luck))
                };
                machine.record(target, &sample, now);
            }
        }
        alarms += u32::from(machine.state() == RolloutState::RolledBack);
    }
    println!("10,000 healthy rollouts: {alarms} false alarms where 100 are stated");
    assert!(alarms <= 100, "{alarms} of 10,000");
}

#[test]
fn five_percent_of_errors_are_found_within_a_median_of_three_hundred_requests() {
    let random = Random::seeded(2);
    let sick = Upstream {
        errors: 0.05,
        ..HEALTHY
    };
    let mut found = Vec::new();
    for _ in 0..101 {
        let mut now = Instant::now();
        let mut machine = machine(plan(), now);
        let mut canary = 0;
        while machine.state() != RolloutState::RolledBack && canary < 3_000 {
            for _ in 0..9 {
                now += MINUTE / 600;
                machine.record(0, &HEALTHY.sample(&random), now);
            }
            machine.record(1, &sick.sample(&random), now);
            canary += 1;
        }
        assert_eq!(breach(&mut machine), Some(Metric::ErrorRate));
        found.push(canary);
    }
    found.sort_unstable();
    let median = found[found.len() / 2];
    println!(
        "5 % of errors: found after a median of {median} requests, at most {}",
        found[100]
    );
    assert!(median <= 300, "{median}");
}

#[test]
fn when_everything_fails_a_handful_of_requests_is_enough_and_two_never_are() {
    let mut now = Instant::now();
    let mut machine = machine(plan(), now);
    let random = Random::seeded(3);
    run(&mut machine, &mut now, &random, 200, MINUTE / 600, |_| {
        HEALTHY
    });
    for failures in 1.. {
        machine.record(1, &bad(Answer::Failed), now);
        if machine.state() == RolloutState::RolledBack {
            assert!((3..=8).contains(&failures), "{failures}");
            break;
        }
        assert!(failures < 10);
    }
    assert_eq!(*machine.weights(), [1, 0]);
    let mut fresh = super::machine(plan(), now);
    fresh.record(1, &bad(Answer::Failed), now);
    fresh.record(1, &bad(Answer::Failed), now);
    assert_eq!(fresh.state(), RolloutState::Active);
}

#[test]
fn an_upstream_that_takes_twice_as_long_is_found_by_its_latency() {
    let random = Random::seeded(4);
    let slow = Upstream {
        median: HEALTHY.median * 2,
        ..HEALTHY
    };
    let mut now = Instant::now();
    let mut machine = machine(plan(), now);
    let pace = MINUTE / 120;
    let behave = |target| if target == 1 { slow } else { HEALTHY };
    run(&mut machine, &mut now, &random, 3600, pace, behave);
    assert_eq!(machine.state(), RolloutState::RolledBack);
    assert_eq!(breach(&mut machine), Some(Metric::P95));
}

#[test]
fn an_upstream_that_refuses_what_the_baseline_takes_is_found() {
    let random = Random::seeded(5);
    let picky = Upstream {
        rejected: 1.0,
        errors: 0.0,
        ..HEALTHY
    };
    let mut now = Instant::now();
    let mut machine = machine(plan(), now);
    let behave = |target| if target == 1 { picky } else { HEALTHY };
    run(&mut machine, &mut now, &random, 1000, MINUTE / 600, behave);
    assert_eq!(breach(&mut machine), Some(Metric::Rejected));
}

#[test]
fn an_outage_that_all_share_is_held_against_nobody() {
    let random = Random::seeded(6);
    let out = Upstream {
        errors: 0.6,
        ..HEALTHY
    };
    let mut now = Instant::now();
    let mut machine = machine(plan(), now);
    let pace = MINUTE / 600;
    run(&mut machine, &mut now, &random, 2_000, pace, |_| HEALTHY);
    // It begins with the baseline, which has most of the requests.
    run(&mut machine, &mut now, &random, 10, pace, |target| {
        if target == 0 { out } else { HEALTHY }
    });
    run(&mut machine, &mut now, &random, 3_000, pace, |_| out);
    run(&mut machine, &mut now, &random, 3_000, pace, |_| HEALTHY);
    assert_eq!(machine.state(), RolloutState::Active);
}

#[test]
fn two_weeks_pass_in_no_time() {
    let random = Random::seeded(7);
    let mut now = Instant::now();
    let begin = now;
    let mut machine = machine(
        Plan {
            stage_time: 84 * 60 * MINUTE,
            window: 60 * MINUTE,
            minimum_requests: 100,
            ..plan()
        },
        now,
    );
    let real = Instant::now();
    // One request in five minutes.
    while machine.state() == RolloutState::Active {
        run(&mut machine, &mut now, &random, 10, 5 * MINUTE, |_| HEALTHY);
        assert!(now - begin < 30 * 24 * 60 * MINUTE, "it does not end");
    }
    let stages: Vec<_> = machine.take_events();
    assert_eq!(stages.len(), 4, "three more stages and the end: {stages:?}");
    assert_eq!(machine.state(), RolloutState::Complete);
    assert_eq!(*machine.weights(), [0, 100]);
    assert!(now - begin >= 14 * 24 * 60 * MINUTE);
    println!("two weeks took {:?}", real.elapsed());
}

#[test]
fn of_four_models_each_is_judged_alone() {
    let random = Random::seeded(8);
    let four = || Plan {
        targets: ["gpt", "deepseek", "gemini", "claude"]
            .map(Into::into)
            .into(),
        stages: vec![[45, 10, 20, 25].into(), [20, 20, 30, 30].into()],
        limits: Limits::none()
            .error_rate(ErrorLimit::AtMost(0.05))
            .p99(TimeLimit::AtMost(Duration::from_secs(20))),
        ..plan()
    };
    let sick = Upstream {
        errors: 0.25,
        ..HEALTHY
    };
    let mut now = Instant::now();
    let mut machine = machine(four(), now);
    let behave = |target| if target == 2 { sick } else { HEALTHY };
    run(&mut machine, &mut now, &random, 2_000, MINUTE / 600, behave);
    assert_eq!(machine.state(), RolloutState::RolledBack);
    let breached = machine
        .take_events()
        .into_iter()
        .find_map(|event| match event {
            RolloutEvent::Breached { target, .. } => Some(target),
            _ => None,
        });
    assert_eq!(breached.as_deref(), Some("gemini"));
    // Which is as many errors as the whole may have, if they were all counted together.
    let mut healthy = super::machine(four(), now);
    run(&mut healthy, &mut now, &random, 2_000, MINUTE / 600, |_| {
        HEALTHY
    });
    assert_eq!(healthy.state(), RolloutState::Active);
}
