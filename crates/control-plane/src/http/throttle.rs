//! Throttling: so many calls a minute by one user of one API, and so many of one API by all. Each
//! call of the table of routes is an API. Both limits are the documents' and can be changed or
//! switched off by the environment.

use base::api_error::{ApiError, TOO_MANY_REQUESTS};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;

/// The documents' limit for one user.
const USER_PER_MINUTE: u32 = 60;

/// The documents' limit for one API.
const API_PER_MINUTE: u32 = 8_000;

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
    user: Option<DefaultKeyedRateLimiter<String>>,
    api: Option<DefaultKeyedRateLimiter<String>>,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limiter(user: {}, api: {})", self.user.is_some(), self.api.is_some())
    }
}

impl Limiter {
    /// Nothing was called yet.
    pub fn new(throttle: Throttle) -> Self {
        let limiter = |limit: NonZeroU32| RateLimiter::dashmap(Quota::per_minute(limit));
        Self {
            user: throttle.per_user_minute.map(limiter),
            api: throttle.per_api_minute.map(limiter),
        }
    }

    /// One call of this API by anybody.
    pub fn of_api(&self, operation: &str) -> Result<(), TooMany> {
        check(self.api.as_ref(), operation.to_owned())
    }

    /// One call of this API by this user.
    pub fn of_user(&self, user: &str, operation: &str) -> Result<(), TooMany> {
        check(self.user.as_ref(), format!("{user} {operation}"))
    }

    /// Forgets who has not called for a while; otherwise every caller would be remembered for ever.
    pub fn forget_idle(&self) {
        for limiter in [&self.user, &self.api].into_iter().flatten() {
            limiter.retain_recent();
        }
    }
}

fn check(limiter: Option<&DefaultKeyedRateLimiter<String>>, key: String) -> Result<(), TooMany> {
    let Some(limiter) = limiter else { return Ok(()) };
    limiter.check_key(&key).map_err(|early| {
        let wait = early.wait_time_from(DefaultClock::default().now());
        TooMany { retry_after_s: wait.as_secs() + 1 }
    })
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
                .is_err_and(|early| (1..=21).contains(&early.retry_after_s))
        );
        assert_eq!(limiter.of_user("b", "GET /x"), Ok(()));
        assert_eq!(limiter.of_user("a", "GET /y"), Ok(()));
        let passed = (0..10).filter(|_| limiter.of_api("GET /x").is_ok()).count();
        assert_eq!(passed, 5);
        limiter.forget_idle();
        assert!(limiter.of_api("GET /x").is_err(), "who called just now is not forgotten");
    }

    #[test]
    fn no_limit_is_no_limit() {
        let limiter = Limiter::new(Throttle::off());
        assert!(
            (0..10_000).all(|_| limiter.of_api("x").is_ok() && limiter.of_user("a", "x").is_ok())
        );
    }
}
