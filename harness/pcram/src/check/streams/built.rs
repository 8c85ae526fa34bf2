//! Streams that QEMU could have written, built for tests.

pub(in crate::check) const PAGE: u64 = 4096;
const BLOCKS: [(&str, u64); 3] = [("pc.ram", 4), ("vga", 2), ("rom", 1)];

fn be(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn name(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// What comes before the block list, with or without the capability mapped-ram.
pub(in crate::check) fn head(mapped: bool) -> Vec<u8> {
    let mut head = [&b"QEVM\0\0\0\x03"[..], b"\x07\0\0\0\x02pc"].concat();
    if mapped {
        head.extend([&[5][..], &name("configuration/capabilities"), &[0, 0, 0, 1]].concat());
        head.extend([&[0, 0, 0, 1][..], &name("mapped-ram")].concat());
    }
    head.extend([&b"\x01\0\0\0\x02"[..], &name("ram"), b"\0\0\0\0\0\0\0\x04"].concat());
    let total: u64 = BLOCKS.iter().map(|(_, pages)| pages * PAGE).sum();
    [head, be(&[total | 4])].concat()
}

/// What comes behind the last page.
pub(in crate::check) fn tail() -> Vec<u8> {
    let footer = [0x7e, 0, 0, 0, 2];
    let description = br#"{"page_size": 4096, "devices": []}"#;
    let end = [&[3, 0, 0, 0, 2][..], &be(&[0x10]), &footer, &[0, 6, 0, 0, 0]].concat();
    [be(&[0x10]), footer.to_vec(), end, vec![description.len() as u8], description.to_vec()]
        .concat()
}

/// A whole stream with the pages of all blocks but those `left_out`.
pub(in crate::check) fn plain(left_out: &[&str]) -> Vec<u8> {
    let list = BLOCKS.iter().map(|(idstr, pages)| [name(idstr), be(&[pages * PAGE])].concat());
    let mut stream = [head(false), list.collect::<Vec<_>>().concat()].concat();
    for (idstr, pages) in BLOCKS.iter().filter(|(idstr, _)| !left_out.contains(idstr)) {
        for page in 0..*pages {
            stream.extend([be(&[(page * PAGE) | 8]), name(idstr), vec![1; PAGE as usize]].concat());
        }
    }
    [stream, tail()].concat()
}

/// A mapped-ram file with the pages of all blocks but those `left_out`, whose pages have their
/// place all the same.
pub(in crate::check) fn mapped(left_out: &[&str]) -> Vec<u8> {
    let mut file = head(true);
    for (idstr, pages) in BLOCKS {
        let sent = !left_out.contains(&idstr);
        file.extend([name(idstr), be(&[pages * PAGE])].concat());
        let bitmap = file.len() as u64 + 28;
        file.extend([&[0, 0, 0, 1][..], &be(&[PAGE, bitmap, bitmap + 8])].concat());
        let present: u64 = if sent { (1 << pages) - 1 } else { 0 };
        file.extend(present.to_le_bytes());
        file.extend(vec![u8::from(sent); (pages * PAGE) as usize]);
    }
    [file, tail()].concat()
}
