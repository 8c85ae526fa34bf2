//! External RAM, in migration/savevm.c and migration/options.c: what a stream says it lacks, and what
//! is refused. And the header of a stream, which both sides need for that.

use super::file::{Input, until_nul};
use super::{EINVAL, ENOTSUP, Guest};
use serde::{Deserialize, Serialize};

/// The bytes of a name in the list.
pub const NAME: usize = 256;

/// `QEMU_VM_FILE_MAGIC`.
pub const QEMU_VM_FILE_MAGIC: u32 = 0x5145_564d;
/// `QEMU_VM_FILE_VERSION_COMPAT`.
pub const QEMU_VM_FILE_VERSION_COMPAT: u32 = 2;
/// `QEMU_VM_FILE_VERSION`.
pub const QEMU_VM_FILE_VERSION: u32 = 3;
/// `QEMU_VM_CONFIGURATION`.
pub const QEMU_VM_CONFIGURATION: u8 = 7;

/// A capability, as far as external RAM asks, and one that it does not.
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
}

/// What relies on the stream for all pages of RAM, and why (`check_caps_external_ram`).
const CHECK_CAPS_EXTERNAL_RAM: [(Capability, &str, &str); 3] = [
    (
        Capability::PostcopyRam,
        "postcopy-ram",
        "the destination cannot request them from the source",
    ),
    (
        Capability::BackgroundSnapshot,
        "background-snapshot",
        "they change while the snapshot is being written",
    ),
    (Capability::XColo, "x-colo", "they are missing from its checkpoints"),
];

/// What follows a name that is external here, and whose pages are there.
const UNEXPECTED: &str = "', which is external here: -pcram-file was missing where it was made";

impl Guest {
    /// Lists the blocks whose pages the stream does not have (`external_ram_list`).
    pub fn external_ram_list(&mut self) {
        self.external_ram_reset();
        for block in self.externals() {
            let mut name = [0; NAME];
            let idstr = &self.blocks[block].idstr;
            name[..idstr.len()].copy_from_slice(idstr);
            self.external_ram.push(name);
        }
    }

    fn externals(&self) -> Vec<usize> {
        (0..self.blocks.len()).filter(|&block| self.is_external(block)).collect()
    }

    /// Forgets the list (`external_ram_reset`).
    pub fn external_ram_reset(&mut self) {
        self.external_ram.clear();
    }

    /// Whether what the stream lacks is what is external here; ends each name in the list where it is
    /// ended for C (`configuration_validate_external_ram`).
    pub fn configuration_validate_external_ram(&mut self) -> bool {
        let mut agrees = true;
        for at in 0..self.external_ram.len() {
            self.external_ram[at][NAME - 1] = 0;
            let name = self.external_ram[at];
            let name = until_nul(&name);
            if !self.by_name(name).is_some_and(|block| self.is_external(block)) {
                let after =
                    "', which is external where it was made: -pcram-file is needed here, too";
                self.say_of("The stream has no pages of RAM block '", name, after);
                agrees = false;
            }
        }
        for block in self.externals() {
            let listed = |name: &[u8; NAME]| until_nul(name) == self.blocks[block].idstr;
            if !self.external_ram.iter().any(listed) {
                self.external_ram_report_unexpected_pages(block);
                agrees = false;
            }
        }
        agrees
    }

    /// `external_ram_report_unexpected_pages`, in 10.2 `external_ram_unexpected_pages`.
    fn external_ram_report_unexpected_pages(&mut self, block: usize) {
        self.say_of_block("The stream has the pages of RAM block '", block, UNEXPECTED);
    }

    /// Whether the stream has a configuration section (`configuration_is_needed`).
    pub fn configuration_is_needed(&self) -> bool {
        self.settings.send_configuration || self.ram_external_block().is_some()
    }

    /// Whether it has the list (`vmstate_external_ram_needed`).
    pub fn vmstate_external_ram_needed(&self) -> bool {
        self.ram_external_block().is_some()
    }

    /// Reads the header of a stream; what a configuration section has is read by `section`, which
    /// gives 0 or a negative errno (`qemu_loadvm_state_header`).
    pub fn qemu_loadvm_state_header(
        &mut self,
        f: &mut Input,
        section: impl FnOnce(&mut Input) -> i32,
    ) -> i32 {
        let tells = self.tree.header_error;
        let v = f.be32();
        if v != QEMU_VM_FILE_MAGIC {
            let magic = format!(", magic: {v:x} != {QEMU_VM_FILE_MAGIC:x}");
            self.say_of("Not a migration stream", b"", if tells { magic.as_str() } else { "" });
            return EINVAL;
        }
        let v = f.be32();
        if v == QEMU_VM_FILE_VERSION_COMPAT {
            let why = if tells { "no longer supported" } else { "don't work anymore" };
            self.say(format!("SaveVM v2 format is obsolete and {why}"));
            return ENOTSUP;
        }
        if v != QEMU_VM_FILE_VERSION {
            let version = format!(", file version {v:x} != {QEMU_VM_FILE_VERSION:x}");
            let version = if tells { version.as_str() } else { "" };
            self.say_of("Unsupported migration stream version", b"", version);
            return ENOTSUP;
        }
        let ret = self.configuration(f, section);
        if ret != 0 && self.tree.cleans_up {
            self.say("(cleanup)");
        }
        ret
    }

    /// What follows the version.
    fn configuration(&mut self, f: &mut Input, section: impl FnOnce(&mut Input) -> i32) -> i32 {
        let needed = self.configuration_is_needed();
        // As released, a section that is not expected is left to whoever reads on.
        if !self.tree.ram.external && !needed {
            return 0;
        }
        let v = f.peek_byte();
        if v == QEMU_VM_CONFIGURATION || !self.tree.ram.external {
            f.byte();
        }
        if v == QEMU_VM_CONFIGURATION {
            let ret = section(f);
            if ret != 0 || needed {
                return ret;
            }
            self.say("Unexpected configuration section");
            return EINVAL;
        }
        if !needed {
            return 0;
        }
        match self.ram_external_block() {
            Some(block) => self.external_ram_report_unexpected_pages(block),
            None => {
                let bytes = format!(", {v:x} != {QEMU_VM_CONFIGURATION:x}");
                let bytes = if self.tree.header_error { bytes.as_str() } else { "" };
                self.say_of("Configuration section missing", b"", bytes);
            }
        }
        EINVAL
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
        let refused = CHECK_CAPS_EXTERNAL_RAM
            .into_iter()
            .find(|&(cap, ..)| asked(cap) && caps.contains(&cap));
        let Some((_, name, reason)) = refused else { return true };
        self.say(format!(
            "{name} cannot be used with RAM block '{idstr}', whose pages are not in the migration \
             stream: {reason}"
        ));
        false
    }
}
