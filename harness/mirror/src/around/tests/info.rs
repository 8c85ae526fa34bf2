//! The table of blocks that a user reads.

use super::{SETTINGS, guest, today};
use crate::around::info::Host;
use crate::ram::Kind;

#[test]
fn a_table_names_the_file_of_a_block_that_has_one_where_the_host_tells_it() {
    let table = |external, links| {
        let guest = guest(today(external), SETTINGS, &[Kind::Plain, Kind::External]);
        let host = Host { base: 0x1000, links, readonly: Some(0) };
        String::from_utf8(guest.ram_block_format(&host)).unwrap()
    };
    let told = table(true, true);
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].ends_with("              Total File"), "{told}");
    assert!(lines[1].ends_with(" 0x0000000000002000"), "{told}");
    assert_eq!(
        lines[2],
        "                       b    4 KiB  0x0000000000002000 0x0000000000002000 \
         0x0000000000002000 /file 1"
    );
    assert!(!table(true, false).contains("/file") && !table(false, true).contains("/file"));
}
