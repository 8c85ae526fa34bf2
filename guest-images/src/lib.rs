//! The project's guests: images to boot, what they write into RAM, and how to talk to them.

pub mod code;
pub mod cpio;
pub mod line;
pub mod linux;
pub mod protocol;
pub mod stamp;

/// The bare guest: a ROM that is its own firmware, for `-bios`. Its README.md says what it does.
pub const BARE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bare.bin"));

/// The init of the Linux guest: a program that needs no library and no other file.
pub const LINUX_INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/linux-init"));
