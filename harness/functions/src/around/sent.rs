//! What comes to a guest from somebody else, and what is wrong with it.

use super::case::Name;
use pcram_mirror::around::capabilities::Answer;
use pcram_mirror::around::external::Capability;
use serde::{Deserialize, Serialize};

/// What follows the version in a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// A configuration section.
    Configuration(Configuration),
    /// Something else.
    Other(u8),
}

/// A configuration section, where it is not the one that this guest would write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Its machine type.
    pub machine: Option<String>,
    /// The bits of an address within a page, which it tells.
    pub target_page_bits: Option<u32>,
    /// Its capabilities.
    pub capabilities: Option<Vec<Capability>>,
    /// Its list of external blocks.
    pub external_ram: Listed,
    /// It has a subsection that nobody knows.
    pub unknown: bool,
}

/// A list of external blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Listed {
    /// That of this guest, where it has one.
    #[default]
    Here,
    /// None at all.
    Nowhere,
    /// That of this guest, and:
    But {
        /// Without that one.
        without: Option<u8>,
        /// And with these.
        with: Vec<Name>,
        /// No NUL ends the last.
        unended: bool,
    },
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// It ends after so many bytes, modulo its length.
    Cut(u32),
    /// A byte of it, modulo its length, is another.
    Byte(u16, u8),
}

/// What a stream has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// The list of blocks, with their pages where the file is mapped.
    List(Vec<Entry>),
    /// A page.
    Page {
        /// Its block, or the last one.
        of: Option<Name>,
        /// Its number.
        page: u16,
        /// It lies behind the block's end.
        beyond: bool,
        /// What it holds.
        content: Content,
    },
    /// Anything at all.
    Flags(u16),
    /// The end of the section.
    End,
}

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The same byte everywhere.
    Same(u8),
    /// Bytes that begin with this one.
    Bytes(u8),
    /// What has changed.
    Difference,
}

/// A block in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Its length, where it is not that of the block.
    pub length: Option<u64>,
    /// It lies elsewhere.
    pub elsewhere: bool,
    /// Its pages have another size.
    pub other_pages: bool,
    /// Its header, where the file is mapped.
    pub header: Header,
    /// The pages that the file has, modulo those of the block.
    pub pages: Vec<u16>,
}

/// The header of a block in a file that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// As it is written.
    Fine,
    /// That of a block that the writer ignores.
    Ignored,
    /// Of another version.
    Version(u32),
    /// Of pages of other bytes.
    PageSize(u64),
    /// With the bitmap elsewhere.
    Bitmap(u64),
    /// With the pages elsewhere.
    Pages(u64),
}

/// A packet of multifd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packet {
    /// The block.
    pub name: Name,
    /// No NUL ends it.
    pub unended: bool,
    /// The pages that it has.
    pub normal: Vec<u16>,
    /// The pages that are zero.
    pub zero: Vec<u16>,
    /// What is wrong with it.
    pub damage: Option<Wrong>,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// Its magic.
    Magic(u32),
    /// Its version.
    Version(u32),
    /// The pages for which there is room.
    Room(u32),
    /// The number of pages.
    Normal(u32),
    /// Both of them.
    Longer(u32),
    /// The number of zero pages.
    Zero(u32),
    /// One of the offsets, modulo how many there are.
    Offset(u8, u64),
}

/// Capabilities that a user sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapsCheck {
    /// Those that are on.
    pub on: Vec<Capability>,
    /// Those that are to be on.
    pub new: Vec<Capability>,
    /// What the rest of QEMU says yes to.
    pub answers: Vec<Answer>,
}

impl CapsCheck {
    /// The same with one less of anything.
    pub(super) fn smaller(&self) -> Vec<CapsCheck> {
        let on = without_one(&self.on).map(|on| CapsCheck { on, ..self.clone() });
        let new = without_one(&self.new).map(|new| CapsCheck { new, ..self.clone() });
        let answers =
            without_one(&self.answers).map(|answers| CapsCheck { answers, ..self.clone() });
        on.chain(new).chain(answers).collect()
    }
}

fn without_one<T: Clone>(all: &[T]) -> impl Iterator<Item = Vec<T>> {
    (0..all.len()).map(|at| [&all[..at], &all[at + 1..]].concat())
}
