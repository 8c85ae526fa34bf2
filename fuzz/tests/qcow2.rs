//! The reader of qcow2 images, on any bytes.

use pcram_stream::Summary;
use pcram_stream::qcow2::Image;
use std::io::{BufReader, Cursor, Read};

/// As much of a snapshot's state as is looked at: an image can say that it has many terabytes.
const MOST: u64 = 1 << 20;

#[test]
fn any_image_is_read_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok(mut image) = Image::open(Cursor::new(bytes)) else { return };
        let ids: Vec<_> = image.snapshots().iter().map(|it| it.id.clone()).collect();
        for id in ids {
            let Ok(state) = image.vm_state(&id) else { continue };
            let _ = Summary::read_as_far(BufReader::new(state.take(MOST)));
        }
    });
}
