//! A buffered input that knows its offset and lends its bytes without copying them again.

use std::io::{ErrorKind, Read};

use crate::{Place, StreamError};

/// Bytes asked of the input at once; small enough to stay in a core's cache.
const BUFFER: usize = 256 * 1024;

pub(crate) struct Source<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl<R: Read> Source<R> {
    /// Reads `input`, whose first byte is the one at `offset` of the stream.
    pub(crate) fn new(input: R, offset: u64) -> Self {
        Source { input, buffer: vec![0; BUFFER], start: 0, end: 0, offset }
    }

    /// The stream offset of the next byte.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn place(&self) -> Place {
        Place::Stream(self.offset)
    }

    /// The next `count` bytes, left where they are; fewer only where the input ends.
    pub(crate) fn peek(&mut self, count: usize) -> Result<&[u8], StreamError> {
        let length = self.fill(count)?.min(count);
        Ok(&self.buffer[self.start..self.start + length])
    }

    /// The next `count` bytes, which may be no more than the buffer holds.
    pub(crate) fn take(&mut self, count: usize, expected: &str) -> Result<&[u8], StreamError> {
        let left = self.fill(count)?;
        if left < count {
            return Err(self.truncated(expected, count as u64, left as u64));
        }
        let taken = self.start..self.start + count;
        self.start += count;
        self.offset += count as u64;
        Ok(&self.buffer[taken])
    }

    pub(crate) fn u8(&mut self, expected: &str) -> Result<u8, StreamError> {
        Ok(self.take(1, expected)?[0])
    }

    pub(crate) fn u16(&mut self, expected: &str) -> Result<u16, StreamError> {
        Ok(u16::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u32(&mut self, expected: &str) -> Result<u32, StreamError> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn u64(&mut self, expected: &str) -> Result<u64, StreamError> {
        Ok(u64::from_be_bytes(self.array(expected)?))
    }

    pub(crate) fn array<const N: usize>(&mut self, expected: &str) -> Result<[u8; N], StreamError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N, expected)?);
        Ok(bytes)
    }

    /// A name behind its length in one byte, as all of QEMU's id strings are.
    pub(crate) fn name(&mut self, expected: &str) -> Result<String, StreamError> {
        let length = self.u8(expected)?;
        self.text(length.into(), expected)
    }

    /// A text of `length` bytes.
    pub(crate) fn text(&mut self, length: usize, expected: &str) -> Result<String, StreamError> {
        let place = self.place();
        let bytes = self.take(length, expected)?;
        match str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(StreamError::malformed(
                place,
                format!("{expected} in UTF-8"),
                bytes.escape_ascii().to_string(),
            )),
        }
    }

    /// Passes over `count` bytes, however many.
    pub(crate) fn skip(&mut self, count: u64, expected: &str) -> Result<(), StreamError> {
        let mut left = count;
        while left > 0 {
            let step = left.min(self.fill(1)? as u64);
            if step == 0 {
                return Err(self.truncated(expected, left, 0));
            }
            self.start += step as usize;
            self.offset += step;
            left -= step;
        }
        Ok(())
    }

    /// Everything up to the end of the input, if that is no more than `limit` bytes.
    pub(crate) fn rest(&mut self, limit: usize, what: &str) -> Result<Vec<u8>, StreamError> {
        let mut rest = self.buffer[self.start..self.end].to_vec();
        self.start = self.end;
        let more = limit.saturating_sub(rest.len()) as u64 + 1;
        let outcome = self.input.by_ref().take(more).read_to_end(&mut rest);
        let place = self.place();
        outcome.map_err(|error| failed(place, error))?;
        if rest.len() > limit {
            return Err(StreamError::unsupported(place, format!("{what} of over {limit} bytes")));
        }
        self.offset += rest.len() as u64;
        Ok(rest)
    }

    /// Has at least `count` bytes in the buffer, or all that there are, and says how many.
    fn fill(&mut self, count: usize) -> Result<usize, StreamError> {
        assert!(count <= BUFFER, "a piece of {count} bytes is longer than the buffer");
        if self.end < self.start + count {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end < self.start + count {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(self.place(), error)),
            }
        }
        Ok(self.end - self.start)
    }

    fn truncated(&self, expected: &str, wanted: u64, left: u64) -> StreamError {
        StreamError::Truncated { place: self.place(), expected: expected.into(), wanted, left }
    }
}

/// An input that is a snapshot of an image fails with an error that knows its own place.
fn failed(place: Place, error: std::io::Error) -> StreamError {
    match error.downcast::<StreamError>() {
        Ok(inner) => inner,
        Err(source) => StreamError::Io { place, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_that_lie_across_the_ends_of_buffers_are_whole() {
        let bytes: Vec<u8> = (0..3 * BUFFER).map(|at| (at / 251) as u8).collect();
        let mut source = Source::new(bytes.as_slice(), 0);
        for piece in bytes.chunks(BUFFER / 3 + 1) {
            assert_eq!(source.take(piece.len(), "a piece").unwrap(), piece);
        }
        assert!(source.take(1, "a byte").is_err());
    }

    #[test]
    fn a_byte_behind_a_buffer_that_was_read_to_its_end_is_there() {
        let bytes: Vec<u8> = (0..BUFFER + 2).map(|at| (at % 251) as u8).collect();
        let mut source = Source::new(bytes.as_slice(), 0);
        for &byte in &bytes {
            assert_eq!(source.u8("a byte").unwrap(), byte);
        }
        assert!(source.u8("a byte").is_err());
    }

    #[test]
    fn the_rest_may_be_as_long_as_the_limit() {
        let rest = |limit| {
            let mut source = Source::new(&b"0123456789"[..], 100);
            source.skip(4, "four bytes").unwrap();
            let rest = source.rest(limit, "digits");
            (rest.map_err(|error| error.to_string()), source.offset())
        };
        assert_eq!(rest(6), (Ok(b"456789".to_vec()), 110));
        let error = "byte 0x68 of the stream: digits of over 5 bytes: \
                     this reader does not support it";
        assert_eq!(rest(5), (Err(error.into()), 104));
    }
}
