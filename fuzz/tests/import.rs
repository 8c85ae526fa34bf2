//! The reader of postings, on any bytes.

use pcram_posting::found::find;
use pcram_posting::letter::read;
use pcram_posting::repair::repair;
use pcram_posting::series::posting;

#[test]
fn any_posting_is_repaired_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let Ok((_, letters)) = read(bytes) else { return };
        for letter in &letters {
            let Ok(all) = find(&letter.lines) else { continue };
            for (at, found) in all.iter().enumerate() {
                let Ok(repaired) = repair(found, None, at + 1 == all.len()) else { continue };
                assert!(!repaired.diff.to_bytes().is_empty());
            }
        }
        let _ = posting(letters);
    });
}
