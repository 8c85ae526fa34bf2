//! Reports: consumers of the event stream, none of which knows more than an event says.

pub mod json;
pub mod terminal;
