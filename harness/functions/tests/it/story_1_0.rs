//! A case of 1.0 in words.

use pcram_functions::v1_0::case::{Block, Call, Case, Damage, Step};
use pcram_functions::v1_0::story::tell;
use pcram_mirror::v1_0::Variant;

#[test]
fn a_story_names_what_its_steps_find() {
    let case = Case {
        blocks: vec![Block { pages: 1, left_out: true }, Block { pages: 3, left_out: false }],
        steps: vec![
            Step::SaveLive(Call { limit: 0, ..Call::free(1) }),
            Step::Write { block: 3, page: 4, byte: 7, filled: true },
            Step::Touch { block: 0, page: 9 },
            Step::Plug(Block { pages: 2, left_out: false }),
            Step::Unplug { block: 2 },
            Step::SaveLive(Call { fail_in: 2, sync_fails: true, ..Call::free(3) }),
            Step::SaveLive(Call::free(-1)),
            Step::Load { version: 4, damage: Some(Damage::Add(5, 6)) },
            Step::ExternalList { lost: false, damage: Some(Damage::Cut(7)) },
            Step::ExternalList { lost: true, damage: None },
        ],
    };
    assert_eq!(
        tell(Variant::Posted, &case),
        [
            "a guest with block0 of 1 page, left out, block1 of 3 pages",
            "the migration begins; after 0 bytes it is enough",
            "the guest writes 0x07 all over to page 1 of block1",
            "page 0 of block0 is looked up: the block moves to the front",
            "block2 of 2 pages is plugged in",
            "block2 is taken out",
            "the guest is stopped, and the migration ends; the file fails when it is asked for \
             the 2. time; dirty pages cannot be had",
            "the migration is given up",
            "the stream is loaded as version 4, 6 added to its byte 5",
            "the list of external blocks is written and loaded, cut off at its byte 7",
            "a stream without a list is loaded",
        ]
    );
    let stock = tell(Variant::Stock, &case);
    assert_eq!(stock[0], "a guest with block0 of 1 page, block1 of 3 pages");
}
