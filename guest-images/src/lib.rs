//! The project's guests: images to boot, what they write into RAM, and how to talk to them.

pub mod code;
pub mod protocol;
pub mod stamp;

/// The bare guest: a ROM that is its own firmware, for `-bios`. Its README.md says what it does.
pub const BARE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bare.bin"));
