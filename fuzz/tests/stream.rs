//! The reader of migration streams, on any bytes.

use pcram_stream::{StreamError, Summary, multifd};
use std::io::{BufReader, Read};

/// Gives one byte at a time, as a slow socket may.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let few = to.len().min(1);
        self.0.read(&mut to[..few])
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let (summary, came) = Summary::read_as_far(bytes);
        let (drip, drip_came) = Summary::read_as_far(BufReader::new(Drip(bytes)));
        // What is read does not depend on how it arrives.
        assert_eq!(format!("{summary:?}"), format!("{drip:?}"));
        assert_eq!(format!("{came:?}"), format!("{drip_came:?}"));
        if let Err(StreamError::Truncated { wanted, left, .. }) = came {
            assert!(left < wanted && left <= bytes.len() as u64);
        }
        for block in &summary.blocks {
            // A bitmap of mapped-ram has a bit for a page, all else takes more.
            assert!(block.records.total() <= 8 * bytes.len() as u64, "more pages than bits");
        }
    });
}

#[test]
fn any_bytes_of_a_channel_are_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut channel = multifd::Reader::new(bytes, 4096);
        while let Ok(Some(_)) = channel.next_record() {}
        assert!(channel.offset().0 <= bytes.len() as u64);
    });
}
