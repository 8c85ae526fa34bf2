//! The stream, as migration/qemu-file.c gives it: read out of a slice, written as a list of pieces.

use super::{EFAULT, EIO, Undefined};

/// A stream that is read, from a file that has all of it.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    bytes: &'a [u8],
    /// Where it is read.
    pub at: u64,
    /// Its error, a negative errno, or 0.
    pub error: i32,
    /// How often it went back.
    turns: u32,
}

/// How often a stream may go back before it is said to do so for ever.
pub(super) const TURNS: u32 = 100;

impl<'a> Input<'a> {
    /// A stream from its beginning.
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { bytes, at: 0, error: 0, turns: 0 }
    }

    /// The next bytes, as many as there are; at the end, there is an error from then on
    /// (`qemu_get_buffer`).
    pub fn get_buffer(&mut self, size: u64) -> &'a [u8] {
        let left = self.bytes.get(self.at as usize..).unwrap_or_default();
        let got = &left[..left.len().min(size as usize)];
        if (got.len() as u64) < size {
            self.set_error(EIO);
        }
        self.at += got.len() as u64;
        got
    }

    /// Bytes from elsewhere in the file, all or none (`qemu_get_buffer_at`).
    pub fn get_buffer_at(&mut self, size: u64, at: u64) -> &'a [u8] {
        if self.error != 0 || size == 0 {
            return &[];
        }
        let end = at.checked_add(size).filter(|&end| end <= self.bytes.len() as u64);
        match end {
            Some(end) => &self.bytes[at as usize..end as usize],
            None => {
                self.set_error(EIO);
                &[]
            }
        }
    }

    /// Goes on elsewhere (`qemu_set_offset`).
    ///
    /// # Errors
    ///
    /// Where it has gone back too often.
    pub fn set_offset(&mut self, at: u64) -> Result<(), Undefined> {
        if i64::try_from(at).is_err() {
            self.set_error(EIO);
            return Ok(());
        }
        self.turns += u32::from(at < self.at);
        self.at = at;
        if self.turns > TURNS { Err(Undefined::Endless) } else { Ok(()) }
    }

    /// The first error stays (`qemu_file_set_error`).
    pub fn set_error(&mut self, error: i32) {
        if self.error == 0 {
            self.error = error;
        }
    }

    /// A byte, 0 at the end (`qemu_get_byte`).
    pub fn byte(&mut self) -> u8 {
        self.get_buffer(1).first().copied().unwrap_or(0)
    }

    /// The next byte, which stays the next; 0 at the end (`qemu_peek_byte`).
    pub fn peek_byte(&mut self) -> u8 {
        let at = self.at;
        let byte = self.byte();
        self.at = at;
        byte
    }

    /// A number, with 0 for what is not there (`qemu_get_be32`).
    pub fn be32(&mut self) -> u32 {
        (0..4).fold(0, |number, _| number << 8 | u32::from(self.byte()))
    }

    /// A number, with 0 for what is not there (`qemu_get_be64`).
    pub fn be64(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// The name of a block, as C reads it: up to its first NUL.
    ///
    /// # Errors
    ///
    /// Where the stream ends within it.
    pub fn idstr(&mut self) -> Result<&'a [u8], Undefined> {
        let length = self.byte().into();
        let id = self.get_buffer(length);
        match (id.len() as u64) < length {
            true => Err(Undefined::Unread),
            false => Ok(until_nul(id)),
        }
    }
}

/// Bytes up to the first that is 0.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// A stream that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// What was written, in order: where, and what.
    pub pieces: Vec<(u64, Vec<u8>)>,
    /// Where the next piece goes.
    pub at: u64,
    /// Its error, a negative errno, or 0.
    pub error: i32,
}

impl Output {
    /// Writes (`qemu_put_buffer`).
    pub fn put_buffer(&mut self, bytes: &[u8]) {
        if self.error == 0 {
            self.pieces.push((self.at, bytes.to_vec()));
            self.at += bytes.len() as u64;
        }
    }

    /// Writes a byte (`qemu_put_byte`).
    pub fn put_byte(&mut self, byte: u8) {
        self.put_buffer(&[byte]);
    }

    /// Writes a number (`qemu_put_be32`).
    pub fn put_be32(&mut self, number: u32) {
        self.put_buffer(&number.to_be_bytes());
    }

    /// Writes elsewhere; there may be nothing to write from (`qemu_put_buffer_at`).
    pub fn put_buffer_at(&mut self, bytes: Option<&[u8]>, at: u64) {
        match bytes {
            _ if self.error != 0 => {}
            Some(bytes) => self.pieces.push((at, bytes.to_vec())),
            None => self.error = EFAULT,
        }
    }
}
