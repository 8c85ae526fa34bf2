//! The user's terminal, lent to a QEMU that changes its settings, and given back as it was.

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::sync::{Mutex, PoisonError};

/// The settings of a terminal that is lent.
static LENT: Mutex<Option<Termios>> = Mutex::new(None);

/// Remembers the settings of the terminal, where standard input is one.
pub(super) fn lend() {
    *LENT.lock().unwrap_or_else(PoisonError::into_inner) = tcgetattr(stdin()).ok();
}

/// Sets the terminal back. QEMU does so where it ends by itself, not where it is killed.
pub fn give_back() {
    if let Some(settings) = LENT.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &settings);
    }
}
