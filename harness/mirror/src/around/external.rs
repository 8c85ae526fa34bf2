//! External RAM, in migration/savevm.c and migration/options.c: what a stream says it lacks, and what
//! is refused.

use super::file::until_nul;
use super::{Guest, Settings};
use serde::{Deserialize, Serialize};

/// The bytes of a name in the list.
pub const NAME: usize = 256;

/// A capability, as far as somebody here asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// `x-ignore-shared`.
    XIgnoreShared,
    /// `x-colo`.
    XColo,
    /// `background-snapshot`.
    BackgroundSnapshot,
    /// `postcopy-ram`.
    PostcopyRam,
    /// `mapped-ram`.
    MappedRam,
    /// `xbzrle`.
    Xbzrle,
    /// `rdma-pin-all`.
    RdmaPinAll,
    /// `auto-converge`.
    AutoConverge,
    /// `zero-blocks`.
    ZeroBlocks,
    /// `compress`.
    Compress,
    /// `release-ram`.
    ReleaseRam,
    /// `return-path`.
    ReturnPath,
    /// `pause-before-switchover`.
    PauseBeforeSwitchover,
    /// `multifd`.
    Multifd,
    /// `dirty-bitmaps`.
    DirtyBitmaps,
    /// `postcopy-blocktime`.
    PostcopyBlocktime,
    /// `late-block-activate`.
    LateBlockActivate,
    /// `validate-uuid`.
    ValidateUuid,
    /// `zero-copy-send`.
    ZeroCopySend,
    /// `postcopy-preempt`.
    PostcopyPreempt,
    /// `switchover-ack`.
    SwitchoverAck,
    /// `dirty-limit`.
    DirtyLimit,
}

impl Capability {
    /// All of them: first those that external RAM or a configuration section asks for.
    pub const ALL: [Capability; 22] = [
        Capability::XIgnoreShared,
        Capability::XColo,
        Capability::BackgroundSnapshot,
        Capability::PostcopyRam,
        Capability::MappedRam,
        Capability::Xbzrle,
        Capability::RdmaPinAll,
        Capability::AutoConverge,
        Capability::ZeroBlocks,
        Capability::Compress,
        Capability::ReleaseRam,
        Capability::ReturnPath,
        Capability::PauseBeforeSwitchover,
        Capability::Multifd,
        Capability::DirtyBitmaps,
        Capability::PostcopyBlocktime,
        Capability::LateBlockActivate,
        Capability::ValidateUuid,
        Capability::ZeroCopySend,
        Capability::PostcopyPreempt,
        Capability::SwitchoverAck,
        Capability::DirtyLimit,
    ];

    /// Of each of them, whether it is among some.
    pub fn each(some: &[Capability]) -> [bool; Capability::ALL.len()] {
        Capability::ALL.map(|it| some.contains(&it))
    }

    /// Its name (`MigrationCapability_str`).
    pub fn name(self) -> &'static str {
        match self {
            Capability::XIgnoreShared => "x-ignore-shared",
            Capability::XColo => "x-colo",
            Capability::BackgroundSnapshot => "background-snapshot",
            Capability::PostcopyRam => "postcopy-ram",
            Capability::MappedRam => "mapped-ram",
            Capability::Xbzrle => "xbzrle",
            Capability::RdmaPinAll => "rdma-pin-all",
            Capability::AutoConverge => "auto-converge",
            Capability::ZeroBlocks => "zero-blocks",
            Capability::Compress => "compress",
            Capability::ReleaseRam => "release-ram",
            Capability::ReturnPath => "return-path",
            Capability::PauseBeforeSwitchover => "pause-before-switchover",
            Capability::Multifd => "multifd",
            Capability::DirtyBitmaps => "dirty-bitmaps",
            Capability::PostcopyBlocktime => "postcopy-blocktime",
            Capability::LateBlockActivate => "late-block-activate",
            Capability::ValidateUuid => "validate-uuid",
            Capability::ZeroCopySend => "zero-copy-send",
            Capability::PostcopyPreempt => "postcopy-preempt",
            Capability::SwitchoverAck => "switchover-ack",
            Capability::DirtyLimit => "dirty-limit",
        }
    }
}

impl Settings {
    /// The capabilities that are on (`MigrationState`).
    pub fn capabilities(&self) -> Vec<Capability> {
        let on = |capability: &Capability| match capability {
            Capability::XIgnoreShared => self.ignore_shared,
            Capability::PostcopyRam => self.postcopy_ram,
            Capability::MappedRam => self.mapped_ram,
            Capability::Multifd => self.multifd,
            _ => false,
        };
        Capability::ALL.into_iter().filter(on).collect()
    }
}

/// What relies on the stream for all pages of RAM, and why (`check_caps_external_ram`).
const CHECK_CAPS_EXTERNAL_RAM: [(Capability, &str); 3] = [
    (Capability::PostcopyRam, "the destination cannot request them from the source"),
    (Capability::BackgroundSnapshot, "they change while the snapshot is being written"),
    (Capability::XColo, "they are missing from its checkpoints"),
];

/// What follows a name that is external here, and whose pages are there.
const UNEXPECTED: &str = "', which is external here: -pcram-file was missing where it was made";

impl Guest {
    /// The names of the blocks whose pages the stream does not have (`external_ram_list`).
    pub fn external_ram_list(&self) -> Vec<[u8; NAME]> {
        let padded = |block: usize| {
            let (mut name, idstr) = ([0; NAME], &self.blocks[block].idstr);
            name[..idstr.len()].copy_from_slice(idstr);
            name
        };
        self.externals().into_iter().map(padded).collect()
    }

    fn externals(&self) -> Vec<usize> {
        (0..self.blocks.len()).filter(|&block| self.is_external(block)).collect()
    }

    /// Whether what the stream lacks is what is external here; ends each name in the list where it is
    /// ended for C (`configuration_validate_external_ram`).
    pub(super) fn configuration_validate_external_ram(&mut self) -> bool {
        let mut list = std::mem::take(&mut self.savevm_state.external_ram);
        let mut agrees = true;
        for name in &mut list {
            name[NAME - 1] = 0;
            let name = until_nul(name);
            if !self.by_name(name).is_some_and(|block| self.is_external(block)) {
                let after =
                    "', which is external where it was made: -pcram-file is needed here, too";
                self.say_of("The stream has no pages of RAM block '", name, after);
                agrees = false;
            }
        }
        for block in self.externals() {
            let listed = |name: &[u8; NAME]| until_nul(name) == self.blocks[block].idstr;
            if !list.iter().any(listed) {
                self.external_ram_report_unexpected_pages(block);
                agrees = false;
            }
        }
        self.savevm_state.external_ram = list;
        agrees
    }

    /// `external_ram_report_unexpected_pages`, in 10.2 `external_ram_unexpected_pages`.
    pub(super) fn external_ram_report_unexpected_pages(&mut self, block: usize) {
        self.say_of_block("The stream has the pages of RAM block '", block, UNEXPECTED);
    }

    /// Whether the configuration section has the list (`vmstate_external_ram_needed`).
    pub fn vmstate_external_ram_needed(&self) -> bool {
        self.ram_external_block().is_some()
    }

    /// Tells of each block that a snapshot does not have (`external_ram_warn`).
    pub fn external_ram_warn(&mut self, snapshot: &str) {
        for block in self.externals() {
            let rest =
                format!("' is not in snapshot '{snapshot}': copy it before the guest runs on");
            self.say_of_block("RAM block '", block, rest);
        }
    }

    /// Whether none of these capabilities is one that a block of this name does not go with
    /// (`caps_allow_external_ram`).
    pub fn caps_allow_external_ram(&mut self, caps: &[Capability], idstr: &str) -> bool {
        let asked = |cap| cap != Capability::BackgroundSnapshot || self.tree.background_snapshot;
        let refused =
            CHECK_CAPS_EXTERNAL_RAM.into_iter().find(|&(cap, _)| asked(cap) && caps.contains(&cap));
        let Some((cap, reason)) = refused else { return true };
        let name = cap.name();
        self.say(format!(
            "{name} cannot be used with RAM block '{idstr}', whose pages are not in the migration \
             stream: {reason}"
        ));
        false
    }

    /// Whether none of those that are on is one (`migrate_caps_allow_external_ram`).
    pub fn migrate_caps_allow_external_ram(&mut self, idstr: &str) -> bool {
        self.caps_allow_external_ram(&self.settings.capabilities(), idstr)
    }
}
