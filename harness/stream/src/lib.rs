//! Reads QEMU migration streams, and finds them inside qcow2 snapshots.
//!
//! The crate does no I/O of its own: a stream is any `impl Read`, an image any `impl Read + Seek`.
//! [`Reader`] yields a stream record by record, [`Summary`] counts what they carry, and
//! [`qcow2::Image`] gives the VM state of a snapshot as a stream. Memory is bounded by the block
//! list, the pages seen and the device state, whatever the length of the stream.
//!
//! The format is that of QEMU's `migration/savevm.c` and `migration/ram.c` (in 1.0 `savevm.c` and
//! `arch_init.c`): streams of file version 3 whose "ram" section has version 4. All numbers in a
//! stream are big-endian. Pages that QEMU sends on channels of their own (multifd) are not in the
//! main stream, and so are not seen.

mod block_list;
mod configuration;
pub mod damage;
mod device;
mod error;
mod page_set;
pub mod qcow2;
mod ram;
mod reader;
mod record;
mod source;
mod summary;

pub use configuration::Configuration;
pub use device::{DeviceSection, DeviceState};
pub use error::{Place, StreamError};
pub use page_set::PageSet;
pub use reader::Reader;
pub use record::{
    BlockIndex, BlockOffset, MappedRam, PageContent, RamBlock, RamBlockList, Record, RecordKind,
    SectionHeader, StreamOffset,
};
pub use summary::{BlockSummary, RecordCounts, Summary};
