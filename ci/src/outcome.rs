//! What the closing lines of `cargo test` add up to.

use regex::Regex;
use std::sync::LazyLock;

static RESULT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
        .expect("the pattern is well-formed")
});

/// The tests of all binaries together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tests that passed, or that ended early after telling of a skip.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that are marked as ignored; there should be none.
    pub ignored: usize,
    succeeded: bool,
}

impl Outcome {
    /// Takes a line that `cargo test` printed.
    pub fn take(&mut self, line: &str) {
        if let Some(found) = RESULT.captures(line) {
            let number = |at: usize| found[at].parse().unwrap_or(0);
            self.passed += number(1);
            self.failed += number(2);
            self.ignored += number(3);
        }
    }

    /// Takes whether `cargo test` ended well, which it does not where a test did not compile.
    pub fn ended(&mut self, succeeded: bool) {
        self.succeeded = succeeded;
    }

    /// Whether tests ran, and all of them passed.
    pub fn is_good(&self) -> bool {
        self.succeeded && self.passed > 0 && self.failed == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_add_up_and_no_test_at_all_is_no_success() {
        let mut outcome = Outcome::default();
        outcome.ended(true);
        assert!(!outcome.is_good());
        outcome.take("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        outcome.take("test a_test ... ok");
        assert!(outcome.is_good());
        outcome.take("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered");
        assert_eq!((outcome.passed, outcome.failed, outcome.ignored), (5, 1, 1));
        assert!(!outcome.is_good());
    }
}
