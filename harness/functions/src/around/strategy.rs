//! Cases of any kind: most of what they say is as it should be, and one thing is not.

use super::case::{Block, Case, LONGEST, MOST_BLOCKS, MOST_PAGES, Name, Step};
use super::sent::{
    CapsCheck, Configuration, Content, Damage, Entry, Header, Item, Listed, Packet, Section, Wrong,
};
use pcram_mirror::address::TARGET_PAGE_SIZE as PAGE;
use pcram_mirror::around::Settings;
use pcram_mirror::around::capabilities::Answer;
use pcram_mirror::around::configuration::{QEMU_VM_FILE_VERSION, QEMU_VM_FILE_VERSION_COMPAT};
use pcram_mirror::around::external::Capability;
use pcram_mirror::around::multifd::PAGES;
use pcram_mirror::around::snapshot::{Fails, Snapshot};
use pcram_mirror::ram::{Kind, Mode};
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// The most steps of a case.
const MOST_STEPS: usize = 12;

/// Cases of any kind. What there is many of is boxed: proptest moves its trees about, which are large.
pub fn cases() -> impl Strategy<Value = Case> {
    (settings(), vec(block().boxed(), 1..=MOST_BLOCKS), vec(step().boxed(), 0..MOST_STEPS))
        .prop_map(|(settings, blocks, steps)| Case { settings, blocks, steps })
}

fn settings() -> impl Strategy<Value = Settings> {
    let mode = prop_oneof![
        8 => Just(Mode::Normal),
        1 => Just(Mode::CprReboot),
        1 => Just(Mode::CprTransfer),
        1 => Just(Mode::CprExec),
    ];
    let even = || any::<bool>();
    let capabilities = (even(), even(), weighted(0.3), even(), even(), even());
    let others = (even(), even(), even(), weighted(0.9), weighted(0.15), even());
    (mode, capabilities, others).prop_map(|(mode, capabilities, others)| {
        let (ignore_shared, mapped_ram, multifd, flush_each_section, postcopy_ram, advised) =
            capabilities;
        let (send_configuration, vmdesc, restore_vm, running, others_fail, fast_thread) = others;
        Settings {
            mode,
            ignore_shared,
            mapped_ram,
            multifd,
            flush_each_section,
            postcopy_ram,
            postcopy_advised: advised,
            send_configuration,
            vmdesc,
            restore_vm,
            running,
            others_fail,
            fast_thread,
        }
    })
}

fn block() -> impl Strategy<Value = Block> {
    let kind = prop_oneof![
        5 => Just(Kind::Plain),
        1 => Just(Kind::NotMigratable),
        2 => Just(Kind::SharedFile),
        1 => Just(Kind::Shared),
        2 => Just(Kind::External),
    ];
    let pages = prop_oneof![
        12 => 1..=6_u16,
        2 => 30..=34_u16,
        1 => 60..=70_u16,
        1 => 120..=MOST_PAGES - 4,
    ];
    let name = prop_oneof![6 => Just(0), 1 => any::<u8>(), 1 => LONGEST - 1..=LONGEST];
    (kind, pages, 0..=3_u16, weighted(0.4), weighted(0.2), name).prop_map(
        |(kind, pages, spare, resizeable, huge, name)| Block {
            kind,
            pages,
            spare,
            resizeable,
            huge,
            name,
        },
    )
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        16 => any::<u8>().prop_map(Name::Of),
        1 => any::<u8>().prop_map(Name::Short),
        1 => any::<u8>().prop_map(Name::Long),
        1 => any::<u8>().prop_map(Name::Unknown),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let byte = any::<u8>;
    let number = any::<u16>;
    prop_oneof![
        1 => (1..=4_u8).prop_map(|stop| Step::Ask { stop }),
        2 => byte().prop_map(|block| Step::Setup { block }),
        2 => (byte(), number(), byte())
            .prop_map(|(block, page, pages)| Step::Mark { block, page, pages }),
        1 => Just(Step::SaveFileBmap),
        6 => (vec(item().boxed(), 0..6), damage())
            .prop_map(|(items, damage)| Step::Load { items, damage }),
        2 => hint(),
        2 => Just(Step::SaveHeader),
        5 => header(),
        2 => sample(),
        1 => (option::weighted(0.7, vec(capability(), 0..3)), name())
            .prop_map(|(caps, name)| Step::Caps { caps, name }),
        2 => snapshot(),
        1 => (weighted(0.7), option::weighted(0.5, byte()))
            .prop_map(|(links, readonly)| Step::Format { links, readonly }),
        4 => caps_check(),
        3 => packet().prop_map(Step::Receive),
        3 => (byte(), number()).prop_map(|(block, page)| Step::Queue { block: block % 2, page }),
    ]
}

fn hint() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![
        4 => (0..8_u32).prop_map(|page| page * PAGE as u32),
        1 => 0..1_u32 << 20,
    ];
    let len = prop_oneof![
        4 => (1..16_u32).prop_map(|pages| pages * PAGE as u32),
        1 => 0..1_u32 << 20,
    ];
    (any::<u8>(), offset, len).prop_map(|(block, offset, len)| Step::Hint { block, offset, len })
}

fn header() -> impl Strategy<Value = Step> {
    let version = prop_oneof![
        2 => Just(QEMU_VM_FILE_VERSION_COMPAT),
        1 => Just(QEMU_VM_FILE_VERSION + 1),
        1 => any::<u32>(),
    ];
    let section = prop_oneof![
        8 => configuration().prop_map(Section::Configuration),
        3 => any::<u8>().prop_map(Section::Other),
    ];
    let cut = option::weighted(0.15, prop_oneof![0..10_u16, 0..100_u16, 0..600_u16]);
    let magic = option::weighted(0.1, any::<u32>());
    (magic, option::weighted(0.2, version), section, cut)
        .prop_map(|(magic, version, section, cut)| Step::Header { magic, version, section, cut })
}

fn sample() -> impl Strategy<Value = Step> {
    let rate = select(&[128_u16, 1024, 4096, 16384][..]);
    let page = prop_oneof![1 => (0..6_u16).prop_map(|at| at * 61), 1 => any::<u16>()];
    let written = vec((any::<u8>(), page), 0..6);
    (rate, 1..=3_u8, written, option::weighted(0.2, any::<u8>()))
        .prop_map(|(rate, seconds, written, cut)| Step::Sample { rate, seconds, written, cut })
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let machine = select(&["", "pc", "pc-q35-", "isapc"][..]).prop_map(str::to_owned);
    let changed = (option::weighted(0.3, any::<u8>()), vec(name(), 0..3), weighted(0.1));
    let external_ram = prop_oneof![
        4 => Just(Listed::Here),
        1 => Just(Listed::Nowhere),
        3 => changed.prop_map(|(without, with, unended)| Listed::But { without, with, unended }),
    ];
    let machine = option::weighted(0.15, machine);
    let bits = option::weighted(0.15, prop_oneof![Just(12), Just(13), any::<u32>()]);
    // One more than there are is too many.
    let most = Capability::ALL.len();
    let listed =
        prop_oneof![9 => vec(capability(), 0..=5), 1 => vec(capability(), most..=most + 1)];
    let capabilities = option::weighted(0.2, listed);
    (machine, bits, capabilities, external_ram, weighted(0.05)).prop_map(
        |(machine, target_page_bits, capabilities, external_ram, unknown)| Configuration {
            machine,
            target_page_bits,
            capabilities,
            external_ram,
            unknown,
        },
    )
}

/// A capability, more often one that external RAM or a section asks for.
fn capability() -> impl Strategy<Value = Capability> {
    prop_oneof![3 => select(&Capability::ALL[..5]), 1 => select(&Capability::ALL[..])]
}

fn snapshot() -> impl Strategy<Value = Step> {
    let fails = option::weighted(0.7, select(&Fails::ALL[..]));
    (weighted(0.8), any::<bool>(), weighted(0.2), fails).prop_map(
        |(named, overwrite, replay, fails)| {
            Step::Snapshot(Snapshot { named, overwrite, replay, fails })
        },
    )
}

fn caps_check() -> impl Strategy<Value = Step> {
    let some = |most| subsequence(Capability::ALL.to_vec(), 0..=most);
    let answers = subsequence(Answer::ALL.to_vec(), 0..=Answer::ALL.len());
    (some(4), some(7), answers)
        .prop_map(|(on, new, answers)| Step::CapsCheck(CapsCheck { on, new, answers }))
}

fn damage() -> impl Strategy<Value = Option<Damage>> {
    let damage = prop_oneof![
        1 => (0..200_u32).prop_map(Damage::Cut),
        1 => any::<u32>().prop_map(Damage::Cut),
        1 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at % 64, byte)),
        1 => (any::<u16>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
    ];
    option::weighted(0.1, damage)
}

fn item() -> impl Strategy<Value = Item> {
    let byte = any::<u8>;
    let content = prop_oneof![
        5 => Just(Content::Same(0)),
        1 => byte().prop_map(Content::Same),
        5 => byte().prop_map(Content::Bytes),
        1 => Just(Content::Difference),
    ];
    let flags = prop_oneof![
        3 => (0..12_u16).prop_map(|bit| 1 << bit),
        1 => any::<u16>(),
    ];
    let page = (option::weighted(0.7, name()), any::<u16>(), weighted(0.05), content);
    prop_oneof![
        4 => vec(entry().boxed(), 0..4).prop_map(Item::List),
        6 => page.prop_map(|(of, page, beyond, content)| Item::Page { of, page, beyond, content }),
        1 => flags.prop_map(Item::Flags),
        2 => Just(Item::End),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let length = prop_oneof![
        6 => (0..8_u64).prop_map(|pages| pages * PAGE),
        1 => 0..10 * PAGE,
        1 => any::<u64>(),
    ];
    let header = prop_oneof![
        20 => Just(Header::Fine),
        4 => Just(Header::Ignored),
        1 => prop_oneof![1 => 0..3_u32, 1 => any::<u32>()].prop_map(Header::Version),
        2 => prop_oneof![
            1 => Just(0),
            1 => Just(1),
            6 => Just(PAGE / 2),
            1 => Just(2 * PAGE),
            1 => any::<u64>(),
        ]
            .prop_map(Header::PageSize),
        1 => prop_oneof![0..4 * PAGE, any::<u64>()].prop_map(Header::Bitmap),
        2 => prop_oneof![
            (0..4_u64).prop_map(|page| page * PAGE),
            0..4 * PAGE,
            any::<u64>(),
            any::<u64>().prop_map(|at| at & !(PAGE - 1)),
        ].prop_map(Header::Pages),
    ];
    let pages = prop_oneof![1 => Just(Vec::new()), 3 => vec(any::<u16>(), 1..5)];
    let other = (weighted(0.1), weighted(0.1));
    (name(), option::weighted(0.1, length), other, header, pages).prop_map(
        |(name, length, (elsewhere, other_pages), header, pages)| Entry {
            name,
            length,
            elsewhere,
            other_pages,
            header,
            pages,
        },
    )
}

fn packet() -> impl Strategy<Value = Packet> {
    let count = || prop_oneof![0..6_u32, 120..140_u32, any::<u32>()];
    let room = prop_oneof![
        0..10_u32,
        PAGES as u32 - 2..PAGES as u32 + 3,
        100 * PAGES as u32 - 2..100 * PAGES as u32 + 3,
        any::<u32>(),
    ];
    let offset = prop_oneof![0..10 * PAGE, any::<u64>()];
    let wrong = prop_oneof![
        any::<u32>().prop_map(Wrong::Magic),
        any::<u32>().prop_map(Wrong::Version),
        room.prop_map(Wrong::Room),
        count().prop_map(Wrong::Normal),
        count().prop_map(Wrong::Longer),
        count().prop_map(Wrong::Zero),
        (any::<u8>(), offset).prop_map(|(at, offset)| Wrong::Offset(at, offset)),
    ];
    let pages = || vec(any::<u16>(), 0..5);
    (name(), weighted(0.05), pages(), pages(), option::weighted(0.3, wrong)).prop_map(
        |(name, unended, normal, zero, damage)| Packet { name, unended, normal, zero, damage },
    )
}
