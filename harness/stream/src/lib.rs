//! Reads QEMU migration streams, and finds them inside qcow2 snapshots.
//!
//! The crate does no I/O of its own: a stream is any `impl BufRead`, whose bytes are not
//! copied, an image any `impl Read + Seek`.
//! [`Reader`] yields a stream record by record, [`multifd::Reader`] a channel beside it, [`Summary`]
//! counts what they carry, [`load::load`] brings their pages to where they go as a destination does,
//! [`Memory`] has what they hold in the end, and [`qcow2::Image`] gives the VM state of a snapshot as a
//! stream. A reader's memory is bounded by the block list, the pages
//! seen and the device state, whatever the length of the stream.
//!
//! The format is that of QEMU's `migration/savevm.c` and `migration/ram.c` (in 1.0 `savevm.c` and
//! `arch_init.c`): streams of file version 3 whose "ram" section has version 4. All numbers in a
//! stream are big-endian.

mod block_list;
mod configuration;
pub mod damage;
mod device;
pub mod diff;
mod error;
pub mod load;
mod memory;
pub mod multifd;
mod page_set;
pub mod qcow2;
mod ram;
mod reader;
mod record;
mod source;
mod summary;
mod xbzrle;
mod zlib;

pub use configuration::Configuration;
pub use device::{DeviceSection, DeviceState};
pub use error::{Place, StreamError};
pub use memory::Memory;
pub use page_set::PageSet;
pub use reader::Reader;
pub use record::{
    BlockIndex, BlockOffset, MappedRam, PageContent, RamBlock, RamBlockList, Record, RecordKind,
    SectionHeader, StreamOffset,
};
pub use summary::{BlockSummary, ChannelSummary, RecordCounts, Summary};
