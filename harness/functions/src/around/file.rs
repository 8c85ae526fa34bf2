//! A stream in memory, as the compiled functions have it.

/// `QEMUFile` of before.h: a stream in memory.
#[repr(C)]
pub(super) struct File {
    pub(super) out: *mut u8,
    pub(super) out_len: u64,
    pub(super) out_cap: u64,
    pub(super) out_at: u64,
    pub(super) input: *const u8,
    pub(super) in_len: u64,
    pub(super) in_at: u64,
    pub(super) error: i32,
}

impl File {
    /// A stream to be read.
    pub(super) fn of(input: &[u8]) -> File {
        File {
            out: std::ptr::null_mut(),
            out_len: 0,
            out_cap: 0,
            out_at: 0,
            input: input.as_ptr(),
            in_len: input.len() as u64,
            in_at: 0,
            error: 0,
        }
    }
}

/// What was written: where each piece goes, and the piece.
pub(super) fn pieces(mut rest: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut pieces = Vec::new();
    while let Some((at, behind)) = rest.split_first_chunk()
        && let Some((length, behind)) = behind.split_first_chunk()
    {
        let (piece, behind) = behind.split_at(u64::from_ne_bytes(*length) as usize);
        pieces.push((u64::from_ne_bytes(*at), piece.to_vec()));
        rest = behind;
    }
    pieces
}
