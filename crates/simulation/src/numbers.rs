//! The one source of chance of a run: a generator whose numbers follow from the seed. Clones go on
//! where the others are, so that who asks first is a part of what follows from the seed, too.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Numbers that are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(Rc<Cell<u64>>);

impl Numbers {
    /// Those of a seed.
    pub fn of(seed: u64) -> Self {
        Self(Rc::new(Cell::new(seed)))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number from `from` on and below `to`.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }

    /// True once in so many times; never for 0.
    pub fn one_in(&self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }

    /// A time of so many milliseconds.
    pub fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }

    /// One of several.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}
