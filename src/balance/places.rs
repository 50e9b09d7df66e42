//! Sets of members.

/// The most members of a balancer: as many as one word has bits.
pub(super) const MAX_MEMBERS: usize = 64;

/// The places of some of the members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Places(u64);

impl Places {
    /// Those of `count` members that are `wanted`.
    pub(super) fn of(count: usize, wanted: impl Fn(usize) -> bool) -> Self {
        let places = (0..count.min(MAX_MEMBERS)).filter(|place| wanted(*place));
        places.fold(Self::default(), Self::with)
    }

    pub(super) fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place)
    }

    pub(super) fn without(self, place: usize) -> Self {
        Self(self.0 & !(1 << place))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            usize::try_from(place)
                .ok()
                .filter(|place| *place < MAX_MEMBERS)
        })
    }

    /// Those of them that are `wanted`.
    pub(super) fn filter(self, wanted: impl Fn(usize) -> bool) -> Self {
        let places = self.iter().filter(|place| wanted(*place));
        places.fold(Self::default(), Self::with)
    }

    /// Those that are `wanted`; all, where none is.
    pub(super) fn preferring(self, wanted: impl Fn(usize) -> bool) -> Self {
        let preferred = self.filter(wanted);
        if preferred.is_empty() {
            self
        } else {
            preferred
        }
    }

    #[cfg(test)]
    pub(super) fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    /// One of them by a number that is as good as random.
    pub(super) fn any(self, number: u64) -> Option<usize> {
        let len = u64::from(self.len());
        let nth = usize::try_from(number.checked_rem(len)?).unwrap_or(0);
        self.iter().nth(nth)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_into_it(wanted in prop::collection::btree_set(0_usize..64, 0..64), number: u64) {
            let places = Places::of(64, |place| wanted.contains(&place));
            prop_assert!(places.iter().eq(wanted.iter().copied()));
            prop_assert_eq!(places.len() as usize, wanted.len());
            prop_assert_eq!(places.any(number).is_some(), !wanted.is_empty());
            prop_assert!(places.any(number).is_none_or(|place| wanted.contains(&place)));
            let even = places.preferring(|place| place % 2 == 0);
            let has_even = wanted.iter().any(|place| place % 2 == 0);
            prop_assert_eq!(even == places, !has_even || wanted.iter().all(|place| place % 2 == 0));
        }
    }
}
