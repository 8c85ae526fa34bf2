//! Tests of the crate through its public face: a crate's own tests would compile all of it once more.

mod extract;
mod readable;
mod search;
mod story_1_0;
mod story_around;
