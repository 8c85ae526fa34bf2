//! The memory of a guest, once for each side.

/// Of what it is full before anything is loaded.
const FILLED: u8 = 0x5a;

/// Bytes behind the last block: what is damaged may write there, and that is seen.
const BEHIND: u64 = 64 << 12;

/// The memory of both.
pub(super) struct Memory {
    /// That of the functions.
    pub(super) c: Vec<u8>,
    /// That of the mirror.
    pub(super) mirror: Vec<u8>,
}

impl Memory {
    /// So many bytes, all of them something.
    pub(super) fn new(length: u64) -> Memory {
        let full = vec![FILLED; (length + BEHIND) as usize];
        Memory { c: full.clone(), mirror: full }
    }

    /// The first byte that differs, and what each side has there.
    pub(super) fn differs(&self) -> Option<(usize, u8, u8)> {
        if self.c == self.mirror {
            return None;
        }
        let mut both = self.c.iter().zip(&self.mirror).enumerate();
        both.find(|(_, (c, mirror))| c != mirror).map(|(at, (&c, &mirror))| (at, c, mirror))
    }
}
