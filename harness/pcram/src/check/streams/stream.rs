//! What one QEMU sent or saved, and how.

use super::before::Torn;
use super::beside::Kept;
use super::load::Loaded;
use crate::machine::guest::Found;
use pcram_stream::{Memory, StreamError, Summary};
use serde_json::Value;
use std::collections::BTreeMap;

/// A size that QEMU tells its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The bytes.
    pub bytes: u64,
    /// By how many bytes at most it was rounded.
    pub rounded: u64,
}

/// What one QEMU sent or saved, and how.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What the stream carries, on all its channels.
    pub summary: Summary,
    /// A hash of what the pages of each block hold in the end, but of the one that is to be left
    /// out. A page of zeros counts like one that is not there.
    pub content: BTreeMap<String, blake3::Hash>,
    /// The pages of RAM that the guest stamped before: none of them is left zero.
    pub stamped: u64,
    /// What the guest did while the stream was made; `None` where it was not to run meanwhile.
    pub load: Option<Loaded>,
    /// What the guest found of its stamps at the destination, where there was one.
    pub arrived: Option<Found>,
    /// What the stream has of a block beside RAM that the guest wrote.
    pub kept: Option<Kept>,
    /// What a try before this one sent.
    pub before: Option<Torn>,
    /// The size of a snapshot's VM state, as QEMU tells its user.
    pub saved: Option<Saved>,
    /// What `query-migrate` said meanwhile, and at last when it had completed.
    pub told: Vec<Value>,
}

impl Stream {
    /// Reads a whole stream that is on one channel. `block` is the one that is to be left out.
    pub fn read(block: &str, main: &[u8]) -> Result<Stream, StreamError> {
        Stream::read_all(block, main, &[]).map(|(stream, _)| stream)
    }

    /// Reads a whole stream, the channels of multifd too, and gives what its blocks hold as well.
    pub(in crate::check) fn read_all(
        block: &str,
        main: &[u8],
        channels: &[&[u8]],
    ) -> Result<(Stream, Memory), StreamError> {
        let mut summary = Summary::read(main)?;
        for &channel in channels {
            summary.add_channel(channel)?;
        }
        let memory = Memory::read(main, channels, |idstr| idstr != block)?;
        let content = memory.blocks().map(|idstr| (idstr.to_owned(), digest(&memory, idstr)));
        let stream = Stream {
            summary,
            content: content.collect(),
            stamped: 0,
            load: None,
            arrived: None,
            kept: None,
            before: None,
            saved: None,
            told: Vec::new(),
        };
        Ok((stream, memory))
    }
}

fn digest(memory: &Memory, idstr: &str) -> blake3::Hash {
    let mut digest = blake3::Hasher::new();
    for (offset, bytes) in memory.pages(idstr) {
        if bytes.iter().any(|&byte| byte != 0) {
            digest.update(&offset.0.to_be_bytes()).update(bytes);
        }
    }
    digest.finalize()
}
