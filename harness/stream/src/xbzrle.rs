//! XBZRLE: a page as its difference from what it was when it was last sent.

use crate::{Place, StreamError, StreamOffset};

/// Makes of `page` what it became, as `xbzrle_decode_buffer` of QEMU's `migration/xbzrle.c` does.
///
/// `encoded` is what the record at `record` has; it alternates between runs of bytes that stay
/// (a length) and of bytes that change (a length, and the bytes).
pub fn apply(page: &mut [u8], encoded: &[u8], record: StreamOffset) -> Result<(), StreamError> {
    let malformed = |expected: &str, at: usize| {
        let found = format!("{} of {} encoded bytes read", at, encoded.len());
        StreamError::malformed(Place::Stream(record.0), expected, found)
    };
    let (mut read, mut written) = (0, 0);
    while read < encoded.len() {
        let begins = read == 0;
        let stays = length(encoded, &mut read);
        let stays = stays.filter(|&stays| begins || stays > 0);
        let stays = stays.ok_or_else(|| malformed("the length of a run that stays", read))?;
        let changes = length(encoded, &mut read).filter(|&changes| changes > 0);
        let changes = changes.ok_or_else(|| malformed("the length of a changed run", read))?;
        let bytes = encoded.get(read..read + changes);
        let bytes = bytes.ok_or_else(|| malformed("the bytes of a changed run", read))?;
        let place = page.get_mut(written + stays..written + stays + changes);
        place.ok_or_else(|| malformed("runs that end in the page", read))?.copy_from_slice(bytes);
        read += changes;
        written += stays + changes;
    }
    Ok(())
}

/// A length in seven bits a byte, of one or two bytes (`uleb128_decode_small`).
fn length(encoded: &[u8], read: &mut usize) -> Option<usize> {
    let first = usize::from(*encoded.get(*read)?);
    *read += 1;
    if first & 0x80 == 0 {
        return Some(first);
    }
    let second = usize::from(*encoded.get(*read)?);
    *read += 1;
    (second & 0x80 == 0).then_some((first & 0x7f) + (second << 7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `xbzrle_encode_buffer` does, and no shorter than it must.
    fn encode(old: &[u8], new: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        let put = |length: usize| match length {
            0..0x80 => vec![length as u8],
            _ => vec![length as u8 & 0x7f | 0x80, (length >> 7) as u8],
        };
        let mut at = 0;
        while let Some(stays) = (at..new.len()).position(|it| old[it] != new[it]) {
            let start = at + stays;
            let changes = (start..new.len()).take_while(|&it| old[it] != new[it]).count();
            encoded.extend(put(stays));
            encoded.extend(put(changes));
            encoded.extend(&new[start..start + changes]);
            at = start + changes;
        }
        encoded
    }

    fn applied(page: &[u8], encoded: &[u8]) -> Result<Vec<u8>, String> {
        let mut page = page.to_vec();
        apply(&mut page, encoded, StreamOffset(0x10)).map_err(|error| error.to_string())?;
        Ok(page)
    }

    #[test]
    fn runs_stay_and_change() {
        assert_eq!(applied(&[1, 2, 3, 4], &[1, 2, 7, 8]).unwrap(), [1, 7, 8, 4]);
        assert_eq!(applied(&[1, 2, 3, 4], &[0, 1, 9, 2, 1, 9]).unwrap(), [9, 2, 3, 9]);
        assert_eq!(applied(&[0; 200], &[0xc7, 0x01, 1, 5]).unwrap()[199], 5);
        assert_eq!(applied(&[1, 2], &[]).unwrap(), [1, 2]);
    }

    #[test]
    fn what_qemu_refuses_is_refused_with_its_place() {
        let error = |encoded: &[u8]| applied(&[0; 4], encoded).unwrap_err();
        assert_eq!(
            error(&[1, 2, 7]),
            "byte 0x10 of the stream: expected the bytes of a changed run, \
             found 2 of 3 encoded bytes read"
        );
        assert!(error(&[1]).contains("the length of a changed run"));
        assert!(error(&[1, 0]).contains("the length of a changed run"));
        assert!(error(&[0, 1, 7, 0, 1, 7]).contains("the length of a run that stays"));
        assert!(error(&[0x80]).contains("the length of a run that stays"));
        assert!(error(&[0x80, 0x80]).contains("the length of a run that stays"));
        assert!(error(&[3, 2, 1, 1]).contains("runs that end in the page"));
    }

    proptest! {
        #[test]
        fn a_difference_makes_the_new_of_the_old(
            (old, new) in prop::collection::vec((0..3_u8, 0..3_u8), 1..600)
                .prop_map(|pairs| pairs.into_iter().unzip::<_, _, Vec<_>, Vec<_>>()),
        ) {
            prop_assert_eq!(applied(&old, &encode(&old, &new)), Ok(new));
        }

        #[test]
        fn nothing_makes_it_panic(
            mut page in prop::collection::vec(any::<u8>(), 0..64),
            encoded in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = apply(&mut page, &encoded, StreamOffset(0));
        }
    }
}
