//! Tests that need a QEMU or other programs. They are one program, so that while one of them waits
//! another has the processor.

mod bad_days;
mod boot;
mod damage;
mod gate;
mod guests;
mod killed;
mod lifetime;
mod manual;
mod promises;
mod streams;
mod templates;
mod verify;
