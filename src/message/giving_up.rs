//! Why an attempt is dropped.
//!
//! Who drops a future cannot tell it why: a layer whose deadline passes drops what it waits for just as a server does whose caller
//! has left. What settles when it is dropped looks here, since dropping happens at once and on one thread.

use std::cell::Cell;

use super::Outcome;

thread_local! {
    static WHY: Cell<Option<Outcome>> = const { Cell::new(None) };
}

/// Drops what `let_go` drops, because of `outcome` and not because a caller has left.
pub(crate) fn give_up(outcome: Outcome, let_go: impl FnOnce()) {
    struct Restore(Option<Outcome>);

    impl Drop for Restore {
        fn drop(&mut self) {
            WHY.set(self.0);
        }
    }

    let _restore = Restore(WHY.replace(Some(outcome)));
    let_go();
}

/// What whatever is being dropped right now is [given up](give_up) for; `None` where its caller has left.
pub(crate) fn given_up_for() -> Option<Outcome> {
    WHY.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Phase;

    struct Asks<'a>(&'a Cell<Option<Outcome>>);

    impl Drop for Asks<'_> {
        fn drop(&mut self) {
            self.0.set(given_up_for());
        }
    }

    #[test]
    fn what_is_dropped_knows_why_and_nothing_after_it_does() {
        let seen = Cell::new(None);
        let late = Outcome::Timeout { phase: Phase::Head };
        give_up(late, || drop(Asks(&seen)));
        assert_eq!(seen.get(), Some(late));
        drop(Asks(&seen));
        assert_eq!(seen.get(), None);
    }
}
