//! The failures that a caller decides by, and the exit codes they end in.
//!
//! Anything that goes wrong for a reason a user can act on is a [`Failure`] at the bottom of the
//! `anyhow` chain; context above it says what was being done and on what. Whatever carries no
//! `Failure` is a bug of ours and ends in [`Exit::Internal`].

use std::fmt;

/// How a run of the tool ends, as its process exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// What was asked for was done, and every promise that was tried holds.
    AllHeld = 0,
    /// At least one check of a promise failed.
    PromiseFailed = 1,
    /// The command line is wrong (clap's own code, too).
    BadUsage = 2,
    /// Something the run needs is missing: a package, a source, space, a permission.
    PrerequisiteMissing = 3,
    /// The series does not apply to the source.
    DidNotApply = 4,
    /// The tree did not configure or compile.
    DidNotBuild = 5,
    /// A QEMU did not start, its guest did not answer, or a wait reached its limit.
    DidNotBoot = 6,
    /// A bug in this tool.
    Internal = 70,
    /// Ended by Ctrl-C or a termination signal.
    Interrupted = 130,
}

impl Exit {
    /// Every code, in the order of the documented table.
    pub const ALL: [Exit; 9] = [
        Exit::AllHeld,
        Exit::PromiseFailed,
        Exit::BadUsage,
        Exit::PrerequisiteMissing,
        Exit::DidNotApply,
        Exit::DidNotBuild,
        Exit::DidNotBoot,
        Exit::Internal,
        Exit::Interrupted,
    ];

    /// The numeric exit code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What the code means, in the words of the documented table.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::AllHeld => "all held",
            Exit::PromiseFailed => "a promise failed",
            Exit::BadUsage => "bad usage",
            Exit::PrerequisiteMissing => "a prerequisite is missing",
            Exit::DidNotApply => "the series did not apply",
            Exit::DidNotBuild => "QEMU did not build",
            Exit::DidNotBoot => "a QEMU did not boot, or a wait timed out",
            Exit::Internal => "a bug in pcram",
            Exit::Interrupted => "interrupted",
        }
    }

    /// The code that an error ends in: that of the [`Failure`] in its chain, else `Internal`.
    pub fn of(error: &anyhow::Error) -> Exit {
        error
            .chain()
            .find_map(|cause| cause.downcast_ref::<Failure>())
            .map_or(Exit::Internal, Failure::exit)
    }
}

/// A failure with a kind that a caller decides by and a text for people: what was found, and what
/// to do next.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    /// A failure that ends the run with `exit`.
    pub fn new(exit: Exit, text: impl Into<String>) -> Failure {
        Failure { exit, text: text.into() }
    }

    /// The command line or a file that it names is wrong.
    pub fn usage(text: impl Into<String>) -> Failure {
        Failure::new(Exit::BadUsage, text)
    }

    /// Something that the run needs is not there.
    pub fn missing(text: impl Into<String>) -> Failure {
        Failure::new(Exit::PrerequisiteMissing, text)
    }

    /// The exit code this failure ends in.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_failure_keeps_its_exit_code_under_any_context() {
        let error =
            Err::<(), _>(Failure::missing("no ninja")).context("while building").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::PrerequisiteMissing);
        assert_eq!(Exit::of(&anyhow::anyhow!("surprise")), Exit::Internal);
    }
}
