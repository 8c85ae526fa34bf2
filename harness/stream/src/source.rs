//! An input that knows its offset and lends its bytes from where they are.

use std::io::{BufRead, ErrorKind, Read};

use crate::{Place, StreamError};

/// The longest piece that is lent as a whole, in bytes.
const LONGEST: usize = 256 * 1024;

pub(crate) struct Source<R> {
    input: R,
    /// How many bytes at the front of the input's buffer are lent: passed, and still there.
    lent: usize,
    /// Bytes out of the input's buffer, where a piece goes over its end, and how many are passed.
    across: Vec<u8>,
    passed: usize,
    offset: u64,
}

impl<R: BufRead> Source<R> {
    /// Reads `input`, whose first byte is the one at `offset` of the stream.
    pub(crate) fn new(input: R, offset: u64) -> Self {
        Source { input, lent: 0, across: Vec::new(), passed: 0, offset }
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
        let length = self.gather(count)?.min(count);
        self.gathered(length)
    }

    /// The next `count` bytes, of which there may be no more than [`LONGEST`].
    pub(crate) fn take(&mut self, count: usize, expected: &str) -> Result<&[u8], StreamError> {
        let left = self.gather(count)?;
        if left < count {
            return Err(self.truncated(expected, count as u64, left as u64));
        }
        self.offset += count as u64;
        if self.across.is_empty() {
            self.lent = count;
            return self.gathered(count);
        }
        self.passed += count;
        Ok(&self.across[self.passed - count..self.passed])
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
        // A copy: what is lent may lie in a file that somebody writes.
        let bytes = self.take(length, expected)?.to_vec();
        String::from_utf8(bytes).map_err(|error| {
            let found = error.as_bytes().escape_ascii().to_string();
            StreamError::malformed(place, format!("{expected} in UTF-8"), found)
        })
    }

    /// Passes over `count` bytes, however many; where they lie in memory, none is touched.
    pub(crate) fn skip(&mut self, count: u64, expected: &str) -> Result<(), StreamError> {
        let mut left = count;
        while left > 0 {
            let step = left.min(self.gather(1)? as u64);
            if step == 0 {
                return Err(self.truncated(expected, left, 0));
            }
            match self.across.is_empty() {
                true => self.lent = step as usize,
                false => self.passed += step as usize,
            }
            self.offset += step;
            left -= step;
        }
        Ok(())
    }

    /// Everything up to the end of the input, if that is no more than `limit` bytes.
    pub(crate) fn rest(&mut self, limit: usize, what: &str) -> Result<Vec<u8>, StreamError> {
        self.give_back();
        let mut rest = self.across.split_off(self.passed);
        self.across.clear();
        self.passed = 0;
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

    /// Has at least `count` bytes in one piece, or all that there are, and says how many: in the
    /// input's buffer where `across` is empty, in that otherwise.
    fn gather(&mut self, count: usize) -> Result<usize, StreamError> {
        assert!(count <= LONGEST, "{count} bytes are no piece");
        self.give_back();
        self.across.drain(..self.passed);
        self.passed = 0;
        if self.across.is_empty() {
            let there = self.look()?;
            if there >= count {
                return Ok(there);
            }
        }
        while self.across.len() < count {
            let there = self.look()?;
            if there == 0 {
                break;
            }
            let step = there.min(count - self.across.len());
            let place = self.place();
            let buffer = self.input.fill_buf().map_err(|error| failed(place, error))?;
            self.across.extend_from_slice(&buffer[..step]);
            self.input.consume(step);
        }
        Ok(self.across.len())
    }

    /// The first of what was gathered.
    fn gathered(&mut self, count: usize) -> Result<&[u8], StreamError> {
        if count == 0 {
            return Ok(&[]);
        }
        if !self.across.is_empty() {
            return Ok(&self.across[..count]);
        }
        let place = self.place();
        let buffer = self.input.fill_buf().map_err(|error| failed(place, error))?;
        Ok(&buffer[..count])
    }

    fn give_back(&mut self) {
        self.input.consume(self.lent);
        self.lent = 0;
    }

    /// How many bytes the input has at hand; none only at its end.
    fn look(&mut self) -> Result<usize, StreamError> {
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => return Ok(buffer.len()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(self.place(), error)),
            }
        }
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
    use std::io::BufReader;

    #[test]
    fn pieces_that_lie_across_the_ends_of_buffers_are_whole() {
        let bytes: Vec<u8> = (0..1000).map(|at| (at / 7) as u8).collect();
        for piece in 1..=100 {
            let mut source = Source::new(BufReader::with_capacity(64, bytes.as_slice()), 0);
            for (at, piece) in bytes.chunks(piece).enumerate() {
                if at % 5 == 4 {
                    assert!(source.peek(2 * piece.len()).unwrap().starts_with(piece));
                }
                match at % 3 {
                    0 => source.skip(piece.len() as u64, "a piece").unwrap(),
                    _ => assert_eq!(source.take(piece.len(), "a piece").unwrap(), piece),
                }
            }
            assert_eq!(source.offset(), 1000);
            assert!(source.take(1, "a byte").is_err());
        }
    }

    #[test]
    fn a_byte_behind_a_buffer_that_was_read_to_its_end_is_there() {
        let bytes: Vec<u8> = (0..66).collect();
        let mut source = Source::new(BufReader::with_capacity(64, bytes.as_slice()), 0);
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
