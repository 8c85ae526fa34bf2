//! The id of a blob tells whether a reading is what was sent.

use sha1::{Digest, Sha1};

/// The id that git gives to a blob of this text, in hex (SHA-1; see git-hash-object(1)).
pub fn blob_id(text: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", text.len()));
    hash.update(text);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether an id, shortened or not, stands for no blob at all.
pub(super) fn is_none(id: &str) -> bool {
    id.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_gits() {
        // `git hash-object -t blob /dev/null`, and of "a\n".
        assert_eq!(blob_id(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(blob_id(b"a\n"), "78981922613b2afb6025042ff6bd878ac1994e85");
        assert!(is_none("0000000") && !is_none("000000a"));
    }
}
