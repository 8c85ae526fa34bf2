//! Tests of the crate through its public face, on streams and images built by hand.

mod build;
mod damage;
mod device_state;
mod diff;
mod image;
mod malformed;
mod memory;
mod multifd;
mod properties;
mod qcow2;
mod records;
mod summary;
mod truncated;
