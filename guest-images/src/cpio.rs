//! An initramfs: files in the kernel's cpio format, `newc`.
//!
//! The kernel's Documentation/driver-api/early-userspace/buffer-format.rst describes it.

const MAGIC: &str = "070701";
const TRAILER: &str = "TRAILER!!!";
/// File types and permissions, as in `stat`.
const FILE: u32 = 0o100_755;
const FOLDER: u32 = 0o040_755;
const DEVICE: u32 = 0o020_600;

/// An archive in the making.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a folder. Each must be added before what lies in it.
    #[must_use]
    pub fn folder(self, path: &str) -> Self {
        self.entry(path, FOLDER, (0, 0), &[])
    }

    /// Adds an executable file.
    #[must_use]
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, FILE, (0, 0), content)
    }

    /// Adds a character device by its numbers.
    #[must_use]
    pub fn device(self, path: &str, major: u32, minor: u32) -> Self {
        self.entry(path, DEVICE, (major, minor), &[])
    }

    /// The archive with its end.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]).bytes
    }

    fn entry(mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) -> Self {
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("a file of less than 4 GiB");
        let name_size = u32::try_from(path.len() + 1).expect("a path of less than 4 GiB");
        // inode, mode, uid, gid, links, mtime, size, device, device of a node, name's size, sum
        let inode = self.entries;
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0]
            .map(|it| format!("{it:08x}"));
        self.bytes.extend(MAGIC.bytes().chain(fields.concat().bytes()).chain(path.bytes()));
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
        self
    }

    /// Every part begins at a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_header_a_name_and_its_content() {
        let bytes = Archive::default().folder("dev").device("dev/null", 1, 3).finish();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.len() % 4, 0);
        let node = &text[text.find("dev/null").unwrap() - 110..];
        let expected = "0707010000000200002180000000000000000000000001000000000000000000000000\
                        00000000000000010000000300000009\
                        00000000dev/null\0";
        assert!(node.starts_with(expected), "{node:?}");
        assert!(text.trim_end_matches('\0').ends_with(TRAILER));
    }

    #[test]
    fn content_is_padded_to_four_bytes() {
        let bytes = Archive::default().file("a", b"12345").finish();
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..120], b"12345\0\0\0");
        assert_eq!(&bytes[120..126], MAGIC.as_bytes());
    }
}
