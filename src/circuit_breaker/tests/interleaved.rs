//! Every order in which threads may meet at a circuit: `RUSTC_WORKSPACE_WRAPPER=.ci/loom cargo test --lib loom_`.

use loom::{
    model::{self, model},
    thread,
};

use super::*;
use crate::circuit_breaker::circuit::Guard;

/// A circuit that opens at the first failure and closes at the first probe.
fn circuit(probes: u32, now: Instant) -> Arc<Circuit> {
    let policy = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .probes(probes)
        .slow_start(Duration::ZERO);
    Arc::new(Circuit::new(Arc::new(policy), Arc::default(), now))
}

/// One that is half-open at the moment that is returned.
fn half_open(probes: u32) -> (Arc<Circuit>, Instant) {
    let now = Instant::now();
    let circuit = circuit(probes, now);
    Arc::clone(&circuit).admit(|| now).unwrap().settle(BAD, now);
    (circuit, now + secs(10))
}

fn spawn<T: Send + 'static>(
    circuit: &Arc<Circuit>,
    call: impl FnOnce(&Arc<Circuit>) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let circuit = Arc::clone(circuit);
    thread::spawn(move || call(&circuit))
}

#[test]
fn loom_half_open_admits_exactly_its_probes() {
    for probes in [1, 2] {
        let mut all = model::Builder::new();
        // Three threads meet in more ways than can be gone through; no known fault takes more than two preemptions.
        all.preemption_bound = Some(2);
        all.check(move || {
            let (circuit, now) = half_open(probes);
            let callers = [(); 2]
                .map(|()| spawn(&circuit, move |circuit| Arc::clone(&circuit).admit(|| now)));
            let mine = Arc::clone(&circuit).admit(|| now);
            let all = callers.map(|caller| caller.join().unwrap());
            let passed = all.iter().chain([&mine]).flatten().count();
            assert_eq!(passed, probes as usize);
        });
    }
}

#[test]
fn loom_a_probe_that_is_dropped_leaves_its_place_to_one_other() {
    model(|| {
        let (circuit, now) = half_open(1);
        let probe = Arc::clone(&circuit).admit(|| now).unwrap();
        let dropping = thread::spawn(move || drop(probe));
        let other = spawn(&circuit, move |circuit| Arc::clone(&circuit).admit(|| now));
        let mine: Option<Guard> = Arc::clone(&circuit).admit(|| now).ok();
        dropping.join().unwrap();
        let other = other.join().unwrap().ok();
        assert!(mine.is_none() || other.is_none(), "two probes");
        drop((mine, other));
        assert!(
            Arc::clone(&circuit).admit(|| now).is_ok(),
            "a place is lost"
        );
    });
}

#[test]
fn loom_once_it_has_opened_nobody_passes() {
    model(|| {
        let now = Instant::now();
        let circuit = circuit(1, now);
        let failing = spawn(&circuit, move |circuit| {
            Arc::clone(&circuit).admit(|| now).unwrap().settle(BAD, now);
        });
        // Before, or after; a success says nothing of a circuit that has opened meanwhile.
        if let Ok(call) = Arc::clone(&circuit).admit(|| now) {
            call.settle(GOOD, now);
        }
        failing.join().unwrap();
        assert!(Arc::clone(&circuit).admit(|| now).is_err());
        assert!(matches!(circuit.state(now), CircuitState::Open { .. }));
    });
}

#[test]
fn loom_a_call_of_before_changes_nothing_in_half_open() {
    model(|| {
        let now = Instant::now();
        let circuit = circuit(1, now);
        let straggler = Arc::clone(&circuit).admit(|| now).unwrap();
        Arc::clone(&circuit).admit(|| now).unwrap().settle(BAD, now);
        let later = now + secs(10);
        let settling = thread::spawn(move || straggler.settle(BAD, later));
        let probe = Arc::clone(&circuit).admit(|| later).unwrap();
        settling.join().unwrap();
        assert_eq!(circuit.state(later), CircuitState::HalfOpen);
        probe.settle(GOOD, later);
        assert_eq!(circuit.state(later), CircuitState::Closed);
    });
}
