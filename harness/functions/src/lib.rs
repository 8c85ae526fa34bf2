//! The functions of a QEMU tree beside their mirror, call by call.

pub mod extract;
mod readable;
pub mod unit;
pub mod v1_0;
