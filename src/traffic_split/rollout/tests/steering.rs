//! Stages, and what an operator does about them.

use super::super::{
    saved::Saved,
    status::{RolloutEvent, RolloutState},
};
use super::*;

/// Gives every target with a share `requests` good answers.
fn feed(machine: &mut Machine, requests: u32, now: Instant) {
    for _ in 0..requests {
        for (target, weight) in machine.weights().iter().enumerate() {
            if *weight > 0 {
                machine.record(target, &good(Duration::from_millis(100)), now);
            }
        }
    }
}

fn at(machine: &mut Machine, now: Instant) -> Box<[u32]> {
    machine.tick(now);
    machine.weights()
}

#[test]
fn a_stage_is_passed_when_its_time_is_over_and_its_requests_were_made() {
    let begin = Instant::now();
    let mut machine = machine(plan(), begin);
    feed(&mut machine, 1000, begin);
    assert_eq!(*at(&mut machine, begin + 29 * MINUTE), [90, 10]);
    assert_eq!(*at(&mut machine, begin + 30 * MINUTE), [70, 30]);
    feed(&mut machine, 999, begin + 31 * MINUTE);
    assert_eq!(*at(&mut machine, begin + 90 * MINUTE), [70, 30]);
    feed(&mut machine, 1, begin + 91 * MINUTE);
    assert_eq!(*at(&mut machine, begin + 91 * MINUTE), [30, 70]);
    // However long nobody looked, it is one stage at a time.
    feed(&mut machine, 1000, begin + 92 * MINUTE);
    assert_eq!(*at(&mut machine, begin + 900 * MINUTE), [0, 100]);
    assert_eq!(machine.state(), RolloutState::Active);
    feed(&mut machine, 1000, begin + 901 * MINUTE);
    machine.tick(begin + 930 * MINUTE);
    assert_eq!(machine.state(), RolloutState::Complete);
}

#[test]
fn a_stage_without_a_share_for_others_passes_by_time() {
    let begin = Instant::now();
    let first: [Box<[u32]>; 2] = [[100, 0].into(), [75, 25].into()];
    let mut machine = machine(
        Plan {
            stages: first.into(),
            ..plan()
        },
        begin,
    );
    assert_eq!(*at(&mut machine, begin + 30 * MINUTE), [75, 25]);
}

#[test]
fn a_stage_that_looks_bad_is_not_passed_until_it_looks_good() {
    let begin = Instant::now();
    let mut machine = machine(plan(), begin);
    feed(&mut machine, 500, begin);
    for _ in 0..12 {
        feed(&mut machine, 42, begin);
        machine.record(1, &bad(Answer::Failed), begin);
    }
    // 12 of 1,016 is more than 1 %, and no evidence of it.
    machine.take_events();
    assert_eq!(*at(&mut machine, begin + 30 * MINUTE), [90, 10]);
    machine.tick(begin + 31 * MINUTE);
    let events = machine.take_events();
    assert!(
        matches!(events[..], [RolloutEvent::Held { .. }]),
        "{events:?}"
    );
    feed(&mut machine, 400, begin + 32 * MINUTE);
    assert_eq!(*at(&mut machine, begin + 32 * MINUTE), [70, 30]);
}

#[test]
fn while_it_is_paused_no_time_passes_and_what_fails_is_still_rolled_back() {
    let begin = Instant::now();
    let mut machine = machine(plan(), begin);
    feed(&mut machine, 1000, begin);
    machine.tick(begin + 20 * MINUTE);
    machine.pause();
    assert_eq!(*at(&mut machine, begin + 60 * MINUTE), [90, 10]);
    machine.resume();
    assert_eq!(*at(&mut machine, begin + 69 * MINUTE), [90, 10]);
    assert_eq!(*at(&mut machine, begin + 70 * MINUTE), [70, 30]);
    machine.pause();
    for _ in 0..20 {
        machine.record(1, &bad(Answer::Failed), begin + 71 * MINUTE);
    }
    assert_eq!(machine.state(), RolloutState::RolledBack);
}

#[test]
fn a_gradual_rollback_takes_three_steps_and_never_gives_more_than_there_was() {
    let begin = Instant::now();
    let mut machine = machine(plan(), begin);
    let saved = |state, stage| Saved::new(&plan(), state, stage);
    machine.adopt(&saved(RolloutState::Active, 2));
    machine.rollback_gradually();
    assert_eq!(machine.state(), RolloutState::RollingBack);
    assert_eq!(*machine.weights(), [750_000, 250_000]);
    assert_eq!(*at(&mut machine, begin + 5 * MINUTE), [950_000, 50_000]);
    // Asking once more changes nothing.
    machine.rollback_gradually();
    assert_eq!(*at(&mut machine, begin + 9 * MINUTE), [950_000, 50_000]);
    assert_eq!(*at(&mut machine, begin + 10 * MINUTE), [1, 0]);
    assert_eq!(machine.state(), RolloutState::RolledBack);
    // From 10 % it is 5 % at once.
    machine.adopt(&saved(RolloutState::Active, 0));
    machine.rollback_gradually();
    assert_eq!(*machine.weights(), [950_000, 50_000]);
}

#[test]
fn what_several_targets_have_is_brought_down_in_proportion() {
    let four = Plan {
        targets: ["a", "b", "c", "d"].map(Into::into).into(),
        stages: vec![[45, 10, 20, 25].into()],
        ..plan()
    };
    assert_eq!(four.shifted(0), 550_000);
    let reduced = four.reduced(0, 25);
    assert_eq!(reduced.iter().sum::<u32>(), 1_000_000);
    assert_eq!(*reduced, [750_001, 45_454, 90_909, 113_636]);
}

#[test]
fn after_a_rollback_it_begins_again_with_a_clean_slate() {
    let begin = Instant::now();
    let mut machine = machine(plan(), begin);
    for _ in 0..50 {
        machine.record(1, &bad(Answer::Failed), begin);
    }
    assert_eq!(machine.state(), RolloutState::RolledBack);
    machine.resume();
    assert_eq!(*machine.weights(), [90, 10]);
    machine.record(1, &bad(Answer::Failed), begin);
    assert_eq!(machine.state(), RolloutState::Active);
}

#[test]
fn while_one_is_forced_nothing_moves_and_a_rollback_ends_it() {
    let begin = Instant::now();
    let mut machine = machine(plan(), begin);
    feed(&mut machine, 1000, begin);
    machine.force(Some(1));
    for _ in 0..50 {
        machine.record(1, &bad(Answer::Failed), begin);
    }
    assert_eq!(*at(&mut machine, begin + 60 * MINUTE), [90, 10]);
    assert_eq!(machine.forced(), Some(1));
    machine.rollback_now();
    assert_eq!(machine.forced(), None);
    assert_eq!(*machine.weights(), [1, 0]);
}

#[test]
fn what_is_written_down_goes_on_where_it_was() {
    let begin = Instant::now();
    let mut before = machine(plan(), begin);
    feed(&mut before, 1000, begin);
    before.tick(begin + 30 * MINUTE);
    feed(&mut before, 700, begin + 31 * MINUTE);
    before.tick(begin + 50 * MINUTE);
    let text = before.saved().to_text();
    let saved = Saved::parse(&text, &plan()).unwrap();
    let mut after = Machine::new(Arc::new(plan()), Some(&saved), begin);
    assert_eq!(
        after.saved().to_text().split("updated").next(),
        text.split("updated").next()
    );
    feed(&mut after, 300, begin);
    assert_eq!(*at(&mut after, begin + 9 * MINUTE), [70, 30]);
    assert_eq!(*at(&mut after, begin + 10 * MINUTE), [30, 70]);
}
