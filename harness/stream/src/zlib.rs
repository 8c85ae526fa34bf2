//! Pages that the capability `compress` packed, from 2.4 to 9.0.

use crate::{Place, StreamError, StreamOffset};
use flate2::{Decompress, FlushDecompress, Status};

/// Unpacks a whole page, as `qemu_uncompress_data` of QEMU's `migration/ram.c` (later
/// `migration/ram-compress.c`) does; `packed` is what the record at `record` has.
pub fn unpack(page: &mut [u8], packed: &[u8], record: StreamOffset) -> Result<(), StreamError> {
    let mut zlib = Decompress::new(true);
    let found = match zlib.decompress(packed, page, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) if zlib.total_out() == page.len() as u64 => return Ok(()),
        Ok(_) => format!("{} bytes of {}", zlib.total_out(), page.len()),
        Err(error) => error.to_string(),
    };
    Err(StreamError::malformed(Place::Stream(record.0), "a page that zlib packed", found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut page = vec![0xee; 256];
        unpack(&mut page, packed, StreamOffset(0x10)).map_err(|error| error.to_string())?;
        Ok(page)
    }

    #[test]
    fn a_page_is_what_was_packed() {
        let page: Vec<u8> = (0..=255).collect();
        assert_eq!(unpacked(&packed(&page)).unwrap(), page);
    }

    #[test]
    fn what_is_no_whole_page_is_told_with_its_place() {
        let place = "byte 0x10 of the stream: expected a page that zlib packed, found ";
        assert_eq!(unpacked(&packed(&[1; 255])), Err(format!("{place}255 bytes of 256")));
        assert_eq!(unpacked(&packed(&[1; 257])), Err(format!("{place}256 bytes of 256")));
        let whole = packed(&[1; 256]);
        let (cut, sum) = (&whole[..whole.len() - 1], whole.len() - 1);
        assert!(unpacked(cut).unwrap_err().starts_with(place));
        let mut damaged = whole.clone();
        damaged[sum] ^= 1;
        assert!(unpacked(&damaged).unwrap_err().starts_with(place));
        assert!(unpacked(&[7, 8]).unwrap_err().starts_with(place));
    }
}
