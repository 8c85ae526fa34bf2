//! A limit on a wait that knows what it waits for.

use crate::failure::{Exit, Failure};
use std::time::{Duration, Instant};

/// The moment a wait ends, and what is being waited for.
#[derive(Clone, Debug)]
pub struct Deadline {
    end: Instant,
    limit: Duration,
    what: String,
}

impl Deadline {
    /// A wait for `what` that ends `limit` from now. `what` is a fragment that fits after
    /// "waited for", e.g. `the guest to report that it is ready`.
    pub fn after(limit: Duration, what: impl Into<String>) -> Deadline {
        Deadline { end: Instant::now() + limit, limit, what: what.into() }
    }

    /// The time that is left; an error that ends in [`Exit::DidNotBoot`] where none is.
    pub fn left(&self) -> Result<Duration, Failure> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(self.expired()) } else { Ok(left) }
    }

    /// The error of a wait that has reached its limit.
    pub fn expired(&self) -> Failure {
        let seconds = self.limit.as_secs_f64();
        Failure::new(Exit::DidNotBoot, format!("waited {seconds:.0} s in vain for {}", self.what))
    }

    /// The error of a wait whose other side went away: `how` it did.
    pub fn forsaken(&self, how: &str) -> Failure {
        Failure::new(Exit::DidNotBoot, format!("{how} while waiting for {}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_wait_says_how_long_and_for_what() {
        let deadline = Deadline::after(Duration::ZERO, "the greeting");
        let failure = deadline.left().unwrap_err();
        assert_eq!(failure.to_string(), "waited 0 s in vain for the greeting");
        assert_eq!(failure.exit(), Exit::DidNotBoot);
    }
}
