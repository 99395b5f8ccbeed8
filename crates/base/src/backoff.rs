//! Exponential back-off as plain arithmetic, so that whoever waits (and whoever simulates waiting)
//! decides how.

use std::time::Duration;

/// Doubling waits between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer than this.
    pub most: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (0 counts as none: no wait).
    pub fn delay(&self, failures: u32) -> Duration {
        if failures == 0 {
            return Duration::ZERO;
        }
        let doubled = self.first.saturating_mul(2u32.saturating_pow(failures - 1));
        doubled.min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let delays: Vec<u128> = (0..7).map(|n| backoff.delay(n).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.delay(u32::MAX), Duration::from_secs(1));
    }
}
