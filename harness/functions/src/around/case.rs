//! A guest, how its migration was set up, and what is asked of it.

use super::sent::{CapsCheck, Configuration, Damage, Item, Packet, Section};
use crate::lockstep::{self, Changes};
use pcram_mirror::around::Settings;
use pcram_mirror::around::external::Capability;
use pcram_mirror::around::snapshot::Snapshot;
use pcram_mirror::ram::Kind;
use proptest::strategy::Strategy;
use serde::{Deserialize, Serialize};

/// The most pages that a block has, those that are spare among them.
pub const MOST_PAGES: u16 = 300;
/// The most blocks that a guest has.
pub const MOST_BLOCKS: usize = 6;
/// The longest name.
pub const LONGEST: u8 = 255;

/// A guest, and what is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// How the migration was set up.
    pub settings: Settings,
    /// The blocks, in the order of the list.
    pub blocks: Vec<Block>,
    /// What is asked.
    pub steps: Vec<Step>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        super::strategy::cases()
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.blocks.is_empty() || self.blocks.len() > MOST_BLOCKS {
            return Err("a guest has 1 to 6 blocks");
        }
        let fits = |block: &Block| {
            block.pages > 0 && block.pages.saturating_add(block.spare) <= MOST_PAGES
        };
        match self.blocks.iter().all(fits) {
            true => Ok(()),
            false => Err("a block has 1 to 300 pages, with those that are spare"),
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        for at in (0..self.steps.len()).rev() {
            all.add(|case| _ = case.steps.remove(at));
            match &self.steps[at] {
                Step::Load { items, .. } => (0..items.len()).rev().for_each(|item| {
                    all.add(|case| {
                        if let Step::Load { items, .. } = &mut case.steps[at] {
                            items.remove(item);
                        }
                    });
                }),
                Step::Header { section: Section::Configuration(_), .. } => all.add(|case| {
                    if let Step::Header { section, .. } = &mut case.steps[at] {
                        *section = Section::Configuration(Configuration::default());
                    }
                }),
                Step::CapsCheck(it) => it.smaller().into_iter().for_each(|it| {
                    all.add(|case| case.steps[at] = Step::CapsCheck(it.clone()));
                }),
                _ => {}
            }
        }
        for at in (0..self.blocks.len()).rev() {
            if self.blocks.len() > 1 {
                all.add(|case| _ = case.blocks.remove(at));
            }
            all.add(|case| case.blocks[at].pages = 1);
            all.add(|case| case.blocks[at].name = 0);
        }
        all.all()
    }
}

/// A RAM block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// What it is.
    pub kind: Kind,
    /// Its length in pages.
    pub pages: u16,
    /// The pages that it may become longer.
    pub spare: u16,
    /// Whether it may.
    pub resizeable: bool,
    /// Whether the host has it in huge pages.
    pub huge: bool,
    /// The bytes of its name, at least those of `block0`.
    pub name: u8,
}

/// The name of a block, as somebody else has it. A block is taken modulo how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// That of a block.
    Of(u8),
    /// Without its last byte.
    Short(u8),
    /// With one byte more.
    Long(u8),
    /// One that no block has, of so many bytes.
    Unknown(u8),
}

/// Something that is asked. A block is taken modulo how many there are, a page modulo the block's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// What each block is, and what comes before a given one among those that are not ignored.
    Ask {
        /// Which one.
        stop: u8,
    },
    /// `mapped_ram_setup_ramblock`.
    Setup {
        /// The block.
        block: u8,
    },
    /// Pages are in the file.
    Mark {
        /// The block.
        block: u8,
        /// The first.
        page: u16,
        /// How many.
        pages: u8,
    },
    /// `ram_save_file_bmap`.
    SaveFileBmap,
    /// `ram_load_precopy`.
    Load {
        /// What the stream has.
        items: Vec<Item>,
        /// What is wrong with it.
        damage: Option<Damage>,
    },
    /// `qemu_guest_free_page_hint`.
    Hint {
        /// The block.
        block: u8,
        /// Where in its memory, in bytes.
        offset: u32,
        /// How many bytes, which may go on in the next blocks.
        len: u32,
    },
    /// `qemu_savevm_state_header`.
    SaveHeader,
    /// `qemu_loadvm_state_header`.
    Header {
        /// A magic that is none.
        magic: Option<u32>,
        /// A version that is none.
        version: Option<u32>,
        /// What follows.
        section: Section,
        /// How many bytes there are.
        cut: Option<u16>,
    },
    /// `calculate_dirtyrate_sample_vm`.
    Sample {
        /// The pages of each GiB that are looked at.
        rate: u16,
        /// How long.
        seconds: u8,
        /// The pages that are written meanwhile, each with its block.
        written: Vec<(u8, u16)>,
        /// The block that loses a page meanwhile, where it has more than one.
        cut: Option<u8>,
    },
    /// `caps_allow_external_ram`.
    Caps {
        /// The capabilities; else those that are on (`migrate_caps_allow_external_ram`).
        caps: Option<Vec<Capability>>,
        /// The block.
        name: Name,
    },
    /// `save_snapshot`.
    Snapshot(Snapshot),
    /// `ram_block_format`.
    Format {
        /// The host tells which file is behind a descriptor.
        links: bool,
        /// The block that the guest only reads.
        readonly: Option<u8>,
    },
    /// `migrate_caps_check`.
    CapsCheck(CapsCheck),
    /// `multifd_recv_unfill_packet` and what it has become.
    Receive(Packet),
    /// `multifd_queue_page`.
    Queue {
        /// The block.
        block: u8,
        /// The page.
        page: u16,
    },
}

impl Case {
    /// The name of a block of this guest.
    pub fn idstr(&self, block: usize) -> Vec<u8> {
        let mut name = format!("block{block}").into_bytes();
        name.resize(name.len().max(self.blocks[block].name.into()), b'n');
        name
    }

    /// The block that a number stands for.
    pub fn block(&self, block: u8) -> usize {
        usize::from(block) % self.blocks.len()
    }

    /// The block that a name is about.
    pub fn named(&self, name: Name) -> Option<usize> {
        match name {
            Name::Of(block) | Name::Short(block) | Name::Long(block) => Some(self.block(block)),
            Name::Unknown(_) => None,
        }
    }

    /// The bytes of a name.
    pub fn name(&self, name: Name) -> Vec<u8> {
        let mut bytes = match (name, self.named(name)) {
            (Name::Unknown(length), _) => vec![b'u'; length.into()],
            (_, block) => self.idstr(block.unwrap_or(0)),
        };
        match name {
            Name::Short(_) => _ = bytes.pop(),
            Name::Long(_) => bytes.push(b'n'),
            Name::Of(_) | Name::Unknown(_) => {}
        }
        bytes
    }
}
