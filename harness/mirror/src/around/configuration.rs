//! The head of a stream, in migration/savevm.c: what both sides have to agree on before anything else
//! goes, and what the series adds there.
//!
//! The fields of the configuration section are read and written in the form of migration/vmstate.c,
//! whose own reports are left out.

use super::external::{Capability, NAME};
use super::file::{Input, Output};
use super::{EINVAL, ENOENT, ENOTSUP, Guest};
use crate::address::TARGET_PAGE_BITS;

/// `QEMU_VM_FILE_MAGIC`.
pub const QEMU_VM_FILE_MAGIC: u32 = 0x5145_564d;
/// `QEMU_VM_FILE_VERSION_COMPAT`.
pub const QEMU_VM_FILE_VERSION_COMPAT: u32 = 2;
/// `QEMU_VM_FILE_VERSION`.
pub const QEMU_VM_FILE_VERSION: u32 = 3;
/// `QEMU_VM_SUBSECTION`.
pub const QEMU_VM_SUBSECTION: u8 = 5;
/// `QEMU_VM_CONFIGURATION`.
pub const QEMU_VM_CONFIGURATION: u8 = 7;

/// The machine type of a guest of which nothing else is said.
pub const MACHINE: &str = "pc-q35";

/// The subsections.
pub const TARGET_PAGE_BITS_SUBSECTION: &str = "configuration/target-page-bits";
/// See [`TARGET_PAGE_BITS_SUBSECTION`].
pub const CAPABILITIES_SUBSECTION: &str = "configuration/capabilities";
/// See [`TARGET_PAGE_BITS_SUBSECTION`].
pub const EXTERNAL_RAM_SUBSECTION: &str = "configuration/external-ram";

/// What the configuration section has, as it was last written or read (`SaveState`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaveState {
    /// The bytes of the name.
    pub len: u32,
    /// The machine type.
    pub name: Option<Vec<u8>>,
    /// The bits of an address within a page.
    pub target_page_bits: u32,
    /// Capabilities that are on, of those that are compared.
    pub capabilities: Vec<Capability>,
    /// The blocks whose pages the stream does not have.
    pub external_ram: Vec<[u8; NAME]>,
}

impl Guest {
    /// Whether the stream has a configuration section (`configuration_is_needed`; as released,
    /// `send_configuration`).
    pub fn configuration_is_needed(&self) -> bool {
        self.settings.send_configuration || self.ram_external_block().is_some()
    }

    /// Whether both sides must have a capability on, or off (`should_validate_capability`).
    fn should_validate_capability(&self, capability: Capability) -> bool {
        match capability {
            Capability::XIgnoreShared => true,
            Capability::MappedRam => self.tree.mapped_ram,
            _ => false,
        }
    }

    /// Those that are on here, and compared (`get_validatable_capabilities_count` counts them).
    pub fn validated_capabilities(&self) -> Vec<Capability> {
        let set = self.settings.capabilities().into_iter();
        set.filter(|&capability| self.should_validate_capability(capability)).collect()
    }

    /// `configuration_pre_save`.
    fn configuration_pre_save(&mut self) {
        let state = SaveState {
            len: self.machine.len() as u32,
            name: Some(self.machine.clone().into_bytes()),
            target_page_bits: TARGET_PAGE_BITS,
            capabilities: self.validated_capabilities(),
            external_ram: self.external_ram_list(),
        };
        self.savevm_state = state;
    }

    /// `configuration_post_save`; before 6.0 there is none.
    fn configuration_post_save(&mut self) {
        if self.tree.post_save {
            self.savevm_state.capabilities.clear();
            self.savevm_state.external_ram.clear();
        }
    }

    /// `configuration_pre_load`.
    fn configuration_pre_load(&mut self) {
        self.savevm_state.target_page_bits = TARGET_PAGE_BITS;
        self.savevm_state.external_ram.clear();
    }

    /// `configuration_post_load`.
    fn configuration_post_load(&mut self) -> i32 {
        let agrees = self.machine_agrees()
            && self.configuration_validate_capabilities()
            && self.configuration_validate_external_ram();
        if self.tree.frees_loaded {
            let target_page_bits = self.savevm_state.target_page_bits;
            self.savevm_state = SaveState { target_page_bits, ..SaveState::default() };
        }
        if agrees { 0 } else { EINVAL }
    }

    /// Whether the machine type begins with what the stream says, and its pages are of one size.
    fn machine_agrees(&mut self) -> bool {
        let SaveState { name, target_page_bits, .. } = &self.savevm_state;
        let (name, bits) = (name.clone().unwrap_or_default(), *target_page_bits);
        if !self.machine.as_bytes().starts_with(&name) {
            let after = format!("' and local is '{}'", self.machine);
            self.say_of("Machine type received is '", &name, after);
            return false;
        }
        if bits != TARGET_PAGE_BITS {
            // Both are printed as if they had a sign.
            let bits = bits.cast_signed();
            self.say(format!(
                "Received TARGET_PAGE_BITS is {bits} but local is {TARGET_PAGE_BITS}"
            ));
            return false;
        }
        true
    }

    /// `configuration_validate_capabilities`.
    fn configuration_validate_capabilities(&mut self) -> bool {
        let (here, there) = (self.settings.capabilities(), &self.savevm_state.capabilities);
        let on_or_off = |on| if on { "on" } else { "off" };
        let compared =
            Capability::ALL.into_iter().filter(|&it| self.should_validate_capability(it));
        let differ = compared.filter(|it| here.contains(it) != there.contains(it));
        let told = |it: Capability| {
            let (name, here, there) = (it.name(), here.contains(&it), there.contains(&it));
            let (here, there) = (on_or_off(here), on_or_off(there));
            format!("Capability {name} is {here}, but received capability is {there}")
        };
        let told: Vec<_> = differ.map(told).collect();
        told.iter().for_each(|line| self.say(line));
        told.is_empty()
    }

    /// Writes the header of a stream (`qemu_savevm_state_header`).
    pub fn qemu_savevm_state_header(&mut self, f: &mut Output) {
        f.put_be32(QEMU_VM_FILE_MAGIC);
        f.put_be32(QEMU_VM_FILE_VERSION);
        if !self.configuration_is_needed() {
            return;
        }
        f.put_byte(QEMU_VM_CONFIGURATION);
        let describes = self.tree.describes && self.settings.vmdesc;
        if describes {
            self.say("(json {)");
            self.say("(json {configuration)");
        }
        if !self.vmstate_save_configuration(f) && self.tree.save_error {
            self.say("the section cannot be written");
        }
        if describes {
            self.say("(json })");
        }
    }

    /// Whether the section could be written (`vmstate_save_state`).
    fn vmstate_save_configuration(&mut self, f: &mut Output) -> bool {
        self.configuration_pre_save();
        let written = !self.settings.others_fail;
        if written {
            let state = &self.savevm_state;
            f.put_be32(state.len);
            f.put_buffer(state.name.as_deref().unwrap_or_default());
            if !state.capabilities.is_empty() {
                put_subsection(f, CAPABILITIES_SUBSECTION);
                f.put_be32(state.capabilities.len() as u32);
                for capability in &state.capabilities {
                    f.put_byte(capability.name().len() as u8);
                    f.put_buffer(capability.name().as_bytes());
                }
            }
            if self.vmstate_external_ram_needed() {
                put_subsection(f, EXTERNAL_RAM_SUBSECTION);
                f.put_be32(state.external_ram.len() as u32);
                state.external_ram.iter().for_each(|name| f.put_buffer(name));
            }
        }
        self.configuration_post_save();
        written
    }

    /// Reads the section: 0, or a negative errno (`vmstate_load_state`).
    fn vmstate_load_configuration(&mut self, f: &mut Input) -> i32 {
        self.configuration_pre_load();
        self.savevm_state.len = f.be32();
        if f.error != 0 {
            return f.error;
        }
        // What is missing of it is 0.
        let len = self.savevm_state.len;
        let mut name = f.get_buffer(len.into()).to_vec();
        name.resize(len as usize, 0);
        self.savevm_state.name = Some(name);
        let mut ret = f.error;
        while ret == 0 && f.peek_byte() == QEMU_VM_SUBSECTION {
            ret = self.vmstate_subsection_load(f);
        }
        if ret == 0 { self.configuration_post_load() } else { ret }
    }

    /// `vmstate_subsection_load`, of one.
    fn vmstate_subsection_load(&mut self, f: &mut Input) -> i32 {
        f.byte();
        let length = f.byte();
        let name = f.get_buffer(length.into());
        f.be32();
        if f.error != 0 {
            return f.error;
        }
        if name == TARGET_PAGE_BITS_SUBSECTION.as_bytes() {
            self.savevm_state.target_page_bits = f.be32();
            f.error
        } else if name == CAPABILITIES_SUBSECTION.as_bytes() {
            let loaded = capabilities(f);
            let ret = loaded.as_ref().err().copied().unwrap_or(0);
            self.savevm_state.capabilities = loaded.unwrap_or_default();
            ret
        } else if name == EXTERNAL_RAM_SUBSECTION.as_bytes() && self.tree.ram.external {
            let count = f.be32();
            let bytes = f.get_buffer(u64::from(count) * NAME as u64);
            let (names, _) = bytes.as_chunks();
            self.savevm_state.external_ram = if f.error == 0 { names.to_vec() } else { Vec::new() };
            f.error
        } else {
            ENOENT
        }
    }

    /// Reads the header of a stream (`qemu_loadvm_state_header`).
    pub fn qemu_loadvm_state_header(&mut self, f: &mut Input) -> i32 {
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
        let ret = self.configuration(f);
        if ret != 0 && self.tree.cleans_up {
            self.say("(cleanup)");
        }
        ret
    }

    /// What follows the version.
    fn configuration(&mut self, f: &mut Input) -> i32 {
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
            let ret = self.vmstate_load_configuration(f);
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
}

fn put_subsection(f: &mut Output, name: &str) {
    f.put_byte(QEMU_VM_SUBSECTION);
    f.put_byte(name.len() as u8);
    f.put_buffer(name.as_bytes());
    f.put_be32(1);
}

/// A list of capabilities by name, each of them known; else a negative errno.
fn capabilities(f: &mut Input) -> Result<Vec<Capability>, i32> {
    let count = f.be32();
    if count as usize > Capability::ALL.len() {
        return Err(EINVAL);
    }
    let capability = |_| {
        let length = f.byte();
        let name = f.get_buffer(length.into());
        let known = Capability::ALL.into_iter().find(|it| it.name().as_bytes() == name);
        known.ok_or(EINVAL)
    };
    let all: Result<Vec<_>, _> = (0..count).map(capability).collect();
    all.and_then(|all| if f.error == 0 { Ok(all) } else { Err(f.error) })
}
