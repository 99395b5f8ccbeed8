//! Throttling: so many calls a minute by one user of one API, and so many of one API by all. Each
//! call of the table of routes is an API. Both limits are the documents' and can be changed or
//! switched off by the environment. Calls are counted exactly: within any sixty seconds no more than
//! the limit are let through, and those that were refused do not count.

use base::api_error::{ApiError, TOO_MANY_REQUESTS};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The documents' limit for one user.
const USER_PER_MINUTE: u32 = 60;

/// The documents' limit for one API.
const API_PER_MINUTE: u32 = 8_000;

/// The time in which calls are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Callers that are remembered at the same time. Only callers that log in from ever new addresses
/// can be so many; then new ones wait until others are forgotten.
const KEYS_MAX: usize = 100_000;

/// The environment variable of the limit for one user.
pub const USER_VARIABLE: &str = "DDM_API_CALLS_PER_MINUTE_USER";

/// The environment variable of the limit for one API.
pub const API_VARIABLE: &str = "DDM_API_CALLS_PER_MINUTE_API";

/// The limits; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Calls a minute of one API by one user.
    pub per_user_minute: Option<NonZeroU32>,
    /// Calls a minute of one API by all.
    pub per_api_minute: Option<NonZeroU32>,
}

/// A limit that is no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} must be a number of calls a minute, or 0 for no limit")]
pub struct BadThrottle {
    variable: &'static str,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::documented()
    }
}

impl Throttle {
    /// The documents' limits.
    pub fn documented() -> Self {
        Self {
            per_user_minute: NonZeroU32::new(USER_PER_MINUTE),
            per_api_minute: NonZeroU32::new(API_PER_MINUTE),
        }
    }

    /// No limits.
    pub fn off() -> Self {
        Self { per_user_minute: None, per_api_minute: None }
    }

    /// The documents' limits, unless the environment says otherwise.
    pub fn from_environment() -> Result<Self, BadThrottle> {
        let documented = Self::documented();
        Ok(Self {
            per_user_minute: limit(USER_VARIABLE, documented.per_user_minute)?,
            per_api_minute: limit(API_VARIABLE, documented.per_api_minute)?,
        })
    }
}

fn limit(
    variable: &'static str,
    default: Option<NonZeroU32>,
) -> Result<Option<NonZeroU32>, BadThrottle> {
    match std::env::var(variable) {
        Err(std::env::VarError::NotPresent) => Ok(default),
        Ok(text) => text.trim().parse().map(NonZeroU32::new).map_err(|_| BadThrottle { variable }),
        Err(std::env::VarError::NotUnicode(_)) => Err(BadThrottle { variable }),
    }
}

/// A call that came too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// Seconds after which it may come again.
    pub retry_after_s: u64,
}

impl From<TooMany> for ApiError {
    fn from(_: TooMany) -> Self {
        ApiError::new(TOO_MANY_REQUESTS)
    }
}

/// Counts calls.
pub struct Limiter {
    user: Option<Counter>,
    api: Option<Counter>,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limiter(user: {}, api: {})", self.user.is_some(), self.api.is_some())
    }
}

impl Limiter {
    /// Nothing was called yet.
    pub fn new(throttle: Throttle) -> Self {
        Self {
            user: throttle.per_user_minute.map(Counter::new),
            api: throttle.per_api_minute.map(Counter::new),
        }
    }

    /// One call of this API by anybody.
    pub fn of_api(&self, operation: &str) -> Result<(), TooMany> {
        check(self.api.as_ref(), || operation.to_owned())
    }

    /// One call of this API by this user.
    pub fn of_user(&self, user: &str, operation: &str) -> Result<(), TooMany> {
        check(self.user.as_ref(), || format!("{user} {operation}"))
    }

    /// Forgets who has not called for a while; otherwise every caller would be remembered for ever.
    pub fn forget_idle(&self) {
        for counter in [&self.user, &self.api].into_iter().flatten() {
            counter.forget_idle(Instant::now());
        }
    }
}

fn check(counter: Option<&Counter>, key: impl FnOnce() -> String) -> Result<(), TooMany> {
    let Some(counter) = counter else { return Ok(()) };
    counter
        .admit(key(), Instant::now())
        .map_err(|wait| TooMany { retry_after_s: wait.as_secs() + 1 })
}

/// The calls of the last minute by key. No key has more than `limit` of them.
struct Counter {
    limit: usize,
    calls: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Counter {
    fn new(limit: NonZeroU32) -> Self {
        let limit = usize::try_from(limit.get()).unwrap_or(usize::MAX);
        Self { limit, calls: Mutex::default() }
    }

    /// Counts one call, or says after what time there is room for it.
    fn admit(&self, key: String, now: Instant) -> Result<(), Duration> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= KEYS_MAX && !calls.contains_key(&key) {
            forget_idle(&mut calls, now);
            if calls.len() >= KEYS_MAX {
                return Err(WINDOW);
            }
        }
        let recent = calls.entry(key).or_default();
        while recent.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            recent.pop_front();
        }
        match recent.front() {
            Some(first) if recent.len() >= self.limit => {
                Err(WINDOW.saturating_sub(now.duration_since(*first)))
            }
            _ => {
                recent.push_back(now);
                Ok(())
            }
        }
    }

    fn forget_idle(&self, now: Instant) {
        forget_idle(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

fn forget_idle(calls: &mut HashMap<String, VecDeque<Instant>>, now: Instant) {
    calls.retain(|_, recent| recent.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_apis_are_counted_apart() {
        let limits =
            Throttle { per_user_minute: NonZeroU32::new(3), per_api_minute: NonZeroU32::new(5) };
        let limiter = Limiter::new(limits);
        for _ in 0..3 {
            assert_eq!(limiter.of_user("a", "GET /x"), Ok(()));
        }
        assert!(
            limiter
                .of_user("a", "GET /x")
                .is_err_and(|early| (1..=61).contains(&early.retry_after_s))
        );
        assert_eq!(limiter.of_user("b", "GET /x"), Ok(()));
        assert_eq!(limiter.of_user("a", "GET /y"), Ok(()));
        let passed = (0..10).filter(|_| limiter.of_api("GET /x").is_ok()).count();
        assert_eq!(passed, 5);
        limiter.forget_idle();
        assert!(limiter.of_api("GET /x").is_err(), "who called just now is not forgotten");
    }

    #[test]
    fn any_sixty_seconds_have_at_most_the_limit() {
        let counter = Counter::new(NonZeroU32::new(3).expect("3 is not 0"));
        let start = Instant::now();
        let call = |ms: u64| counter.admit("a".to_owned(), start + Duration::from_millis(ms));
        assert_eq!([call(0), call(20_000), call(59_000)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(call(59_500), Err(Duration::from_millis(500)));
        assert_eq!(call(60_000), Ok(()), "the first call is a minute ago");
        assert_eq!(call(60_001), Err(Duration::from_millis(19_999)), "refused calls do not count");
        assert_eq!([call(80_000), call(119_000)], [Ok(()), Ok(())]);
        counter.forget_idle(start + Duration::from_secs(180));
        assert!(counter.calls.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    }

    #[test]
    fn the_documents_limits_are_the_default() {
        let limits = Throttle::documented();
        assert_eq!(limits.per_user_minute, NonZeroU32::new(60));
        assert_eq!(limits.per_api_minute, NonZeroU32::new(8_000));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let limiter = Limiter::new(Throttle::off());
        assert!(
            (0..10_000).all(|_| limiter.of_api("x").is_ok() && limiter.of_user("a", "x").is_ok())
        );
    }
}
