//! A case around the loop in words.

use pcram_functions::around::case::{Block, Case, Name, Step};
use pcram_functions::around::sent::{
    CapsCheck, Configuration, Content, Damage, Entry, Header, Item, Listed, Packet, Section, Wrong,
};
use pcram_functions::around::story::tell;
use pcram_mirror::around::Settings;
use pcram_mirror::around::capabilities::Answer;
use pcram_mirror::around::external::Capability;
use pcram_mirror::around::snapshot::{Fails, Snapshot};
use pcram_mirror::ram::{Kind, Mode};

#[test]
fn a_story_names_what_its_steps_find() {
    let block =
        Block { kind: Kind::External, pages: 2, spare: 1, resizeable: true, huge: false, name: 0 };
    let page = |of| Item::Page { of, page: 1, beyond: false, content: Content::Same(7) };
    let listed = Entry {
        name: Name::Of(2),
        length: Some(4096),
        elsewhere: true,
        other_pages: false,
        header: Header::Ignored,
        pages: vec![1],
    };
    let case = Case {
        settings: Settings {
            mode: Mode::Normal,
            ignore_shared: false,
            mapped_ram: false,
            multifd: false,
            flush_each_section: false,
            postcopy_ram: false,
            postcopy_advised: false,
            send_configuration: true,
            vmdesc: false,
            restore_vm: false,
            running: false,
            others_fail: false,
            fast_thread: false,
        },
        blocks: vec![block, Block { kind: Kind::Plain, resizeable: false, ..block }],
        steps: vec![
            Step::Load {
                items: vec![Item::List(vec![listed]), page(Some(Name::Short(1))), page(None)],
                damage: Some(Damage::Cut(9)),
            },
            Step::Header {
                magic: None,
                version: Some(2),
                section: Section::Configuration(Configuration {
                    machine: Some("isapc".into()),
                    target_page_bits: Some(13),
                    capabilities: Some(vec![]),
                    external_ram: Listed::But {
                        without: Some(0),
                        with: vec![Name::Unknown(3)],
                        unended: false,
                    },
                    unknown: true,
                }),
                cut: None,
            },
            Step::Receive(Packet {
                name: Name::Of(1),
                unended: false,
                normal: vec![1],
                zero: vec![],
                damage: Some(Wrong::Normal(5)),
            }),
            Step::Snapshot(Snapshot {
                named: true,
                overwrite: true,
                replay: false,
                fails: Some(Fails::Open),
            }),
            Step::Format { links: false, readonly: Some(3) },
            Step::CapsCheck(CapsCheck {
                on: vec![Capability::Multifd],
                new: vec![Capability::XColo],
                answers: vec![Answer::Kvm],
            }),
        ],
    };
    let told = tell(&case);
    assert_eq!(told[0], "a migration of mode Normal, a configuration section");
    assert_eq!(told[1], "block0, of 6 letters: External, 2 pages and 1 spare, resizeable");
    assert_eq!(
        told[3..],
        [
            "a section is loaded, cut off at its byte 9: a list of block0 of 4096 bytes at another \
             address (its file has no pages) (in a file, pages [1]); page 1 of block1 less its last \
             letter, 0x07 all over; page 1 of the block of before, 0x07 all over",
            "the head of a stream comes, with the version 0x2, and a configuration section of machine \
             \"isapc\", with pages of 13 bits, with the capabilities [], with a subsection that nobody \
             knows, with this guest's list of external blocks without its entry 0 and a block of 3 \
             letters that is not there",
            "a packet comes with the pages [1] of block1, the zero ones [], with Normal(5)",
            "a snapshot is made with a name, over another, where Open goes wrong",
            "all blocks are printed, block1 ROM, on a host that names no files",
            "the capabilities [XColo] are set where [Multifd] are on, and there is [Kvm]",
        ]
    );
}
