//! The signals that reach a thread, as QEMU 5.2 and later begins one: util/qemu-thread-posix.c.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A signal that threads are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// `SIGILL`.
    Ill,
    /// `SIGBUS`.
    Bus,
    /// `SIGFPE`.
    Fpe,
    /// `SIGSEGV`.
    Segv,
    /// `SIGIO`.
    Io,
    /// `SIGALRM`.
    Alrm,
    /// `SIGUSR1`, which kicks a processor.
    Usr1,
    /// `SIGTERM`.
    Term,
}

impl Signal {
    /// Every signal; its place is its bit in C.
    pub const ALL: [Signal; 8] = [
        Signal::Ill,
        Signal::Bus,
        Signal::Fpe,
        Signal::Segv,
        Signal::Io,
        Signal::Alrm,
        Signal::Usr1,
        Signal::Term,
    ];
}

/// The signals that a thread has blocked.
pub type Mask = BTreeSet<Signal>;

/// A thread that is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Whether nobody waits for its end.
    pub detached: bool,
    /// What the host has no more room for.
    pub fails: Option<Fails>,
}

/// What fails as a thread is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fails {
    /// `pthread_attr_init`.
    Attribute,
    /// `pthread_create`.
    Create,
}

/// A thread that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Whether nobody waits for its end.
    pub detached: bool,
    /// What it has blocked.
    pub blocked: Mask,
}

impl Thread {
    /// Begins it; `mask` is what the caller has blocked, and has again (`qemu_thread_create`). All signals
    /// are the main thread's, but those that a fault of its own brings. As carried, SIGBUS is one.
    ///
    /// # Errors
    ///
    /// What is said before QEMU aborts. The caller then may still have the mask of the new thread.
    pub fn qemu_thread_create(self, mask: &mut Mask) -> Result<Begun, String> {
        let says = |why: &str| Err(format!("qemu: qemu_thread_create: {why}"));
        if self.fails == Some(Fails::Attribute) {
            return says("Cannot allocate memory");
        }
        let faults = [Signal::Segv, Signal::Fpe, Signal::Ill, Signal::Bus];
        let blocked: Mask = Signal::ALL.into_iter().filter(|it| !faults.contains(it)).collect();
        if self.fails == Some(Fails::Create) {
            *mask = blocked;
            return says("Resource temporarily unavailable");
        }
        Ok(Begun { detached: self.detached, blocked })
    }
}
