//! A mirror of QEMU's RAM block logic: what the C decides, decided again in Rust, without I/O.
//!
//! [`address`] says where guest-physical memory lies in the block `pc.ram`; [`ram_list`] says
//! which blocks a migration stream of today lists and which pages of them its sweeps must carry;
//! [`ram`] is the save loop of today, [`dirty`] how written pages come to it, [`around`] what is done with blocks around it, [`foretell`] the
//! RAM section of a guest that stands still; [`option`] is what `-pcram-file` takes and refuses, [`loader`] what a reset writes;
//! [`v1_0`] is the list, the save loop and the load path of QEMU 1.0. Names are QEMU's own, so that a
//! reader of the C finds the Rust beside it.

pub mod address;
pub mod around;
pub mod dirty;
pub mod foretell;
pub mod loader;
pub mod option;
pub mod ram;
pub mod ram_list;
pub mod v1_0;
