//! Reports: consumers of the event stream, none of which knows more than an event says.

pub mod json;
pub mod junit;
pub mod stream;
pub mod terminal;
pub mod thread;

#[cfg(test)]
pub(crate) mod example;

use crate::event::Verdict;

/// A verdict as people read it; what asks for their attention stands out.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Failed => "FAILED",
        Verdict::Broken => "BROKEN",
        Verdict::Cannot => "cannot",
        Verdict::NotTried => "not tried",
    }
}
