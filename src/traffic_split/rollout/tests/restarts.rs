//! What a rollout knows after a restart.

use super::{
    super::{saved::Saved, status::RolloutState},
    *,
};

/// The rollout as another process finds it.
fn restarted(machine: &Machine, now: Instant) -> Machine {
    let plan = Arc::new(plan());
    let saved = Saved::parse(&machine.saved().to_text(), &plan).unwrap();
    Machine::new(plan, Some(&saved), now)
}

#[test]
fn what_spoke_against_a_target_before_a_restart_still_does() {
    let now = Instant::now();
    let mut machine = machine(plan(), now);
    // Two are never enough.
    for _ in 0..2 {
        machine.record(1, &bad(Answer::Failed), now);
    }
    let mut again = restarted(&machine, now);
    assert_eq!(again.state(), RolloutState::Active);
    for failures in 1.. {
        again.record(1, &bad(Answer::Failed), now);
        if again.state() == RolloutState::RolledBack {
            assert!(failures <= 3, "{failures}");
            break;
        }
    }
    let mut fresh = super::machine(plan(), now);
    fresh.record(1, &bad(Answer::Failed), now);
    assert_eq!(fresh.state(), RolloutState::Active);
}

#[test]
fn many_restarts_are_no_alarm() {
    let random = Random::seeded(11);
    let mut now = Instant::now();
    let mut machine = machine(plan(), now);
    for _ in 0..200 {
        run(&mut machine, &mut now, &random, 50, MINUTE / 600, |_| {
            HEALTHY
        });
        machine = restarted(&machine, now);
    }
    assert_ne!(machine.state(), RolloutState::RolledBack);
}

#[test]
fn who_goes_on_after_a_rollback_by_hand_begins_with_a_clean_slate() {
    let now = Instant::now();
    let mut machine = machine(plan(), now);
    for _ in 0..20 {
        machine.record(1, &bad(Answer::Failed), now);
    }
    assert_eq!(machine.state(), RolloutState::RolledBack);
    let plan = Arc::new(plan());
    let text = machine.saved().to_text();
    let edited = text.replace("\"rolled_back\"", "\"active\"");
    assert_ne!(text, edited);
    let saved = Saved::parse(&edited, &plan).unwrap();
    let mut again = Machine::new(plan, Some(&saved), now);
    again.record(1, &bad(Answer::Failed), now);
    assert_eq!(again.state(), RolloutState::Active);
}
