//! The bytes of the head of a stream, as a case says that somebody else has sent it.

use super::case::{Case, Step};
use super::sent::{Configuration, Listed, Section};
use super::stream;
use pcram_mirror::around::Guest;
use pcram_mirror::around::configuration::{
    CAPABILITIES_SUBSECTION, EXTERNAL_RAM_SUBSECTION, MACHINE, QEMU_VM_CONFIGURATION,
    QEMU_VM_FILE_MAGIC, QEMU_VM_FILE_VERSION, QEMU_VM_SUBSECTION, TARGET_PAGE_BITS_SUBSECTION,
};
use pcram_mirror::around::external::NAME;

/// The head of a stream.
pub fn header(case: &Case, guest: &Guest, step: &Step) -> Vec<u8> {
    let Step::Header { magic, version, section, cut } = step else { return Vec::new() };
    let mut to = magic.unwrap_or(QEMU_VM_FILE_MAGIC).to_be_bytes().to_vec();
    to.extend(version.unwrap_or(QEMU_VM_FILE_VERSION).to_be_bytes());
    match section {
        Section::Configuration(it) => {
            to.push(QEMU_VM_CONFIGURATION);
            configuration(case, guest, it, &mut to);
        }
        Section::Other(byte) => to.push(*byte),
    }
    to.truncate(cut.map_or(to.len(), usize::from));
    to
}

fn configuration(case: &Case, guest: &Guest, it: &Configuration, to: &mut Vec<u8>) {
    let machine = it.machine.as_deref().unwrap_or(MACHINE);
    put_be32(machine.len(), to);
    to.extend(machine.as_bytes());
    if let Some(bits) = it.target_page_bits {
        subsection(TARGET_PAGE_BITS_SUBSECTION, to);
        to.extend(bits.to_be_bytes());
    }
    let capabilities = it.capabilities.clone().unwrap_or(guest.validated_capabilities());
    if !capabilities.is_empty() {
        subsection(CAPABILITIES_SUBSECTION, to);
        put_be32(capabilities.len(), to);
        for capability in &capabilities {
            to.push(capability.name().len() as u8);
            to.extend(capability.name().as_bytes());
        }
    }
    if let Some(list) = external_ram(case, guest, &it.external_ram) {
        subsection(EXTERNAL_RAM_SUBSECTION, to);
        put_be32(list.len(), to);
        to.extend(list.as_flattened());
    }
    if it.unknown {
        subsection("configuration/none", to);
    }
}

/// The list of external blocks, where there is one.
fn external_ram(case: &Case, guest: &Guest, listed: &Listed) -> Option<Vec<[u8; NAME]>> {
    let mut list = guest.external_ram_list();
    match listed {
        Listed::Here if list.is_empty() => return None,
        Listed::Here => {}
        Listed::Nowhere => return None,
        Listed::But { without, with, unended } => {
            if let Some(at) = without.and_then(|at| usize::from(at).checked_rem(list.len())) {
                list.remove(at);
            }
            for (at, name) in with.iter().enumerate() {
                let unended = *unended && at + 1 == with.len();
                list.push(stream::name(&case.name(*name), unended));
            }
        }
    }
    Some(list)
}

fn subsection(name: &str, to: &mut Vec<u8>) {
    to.extend([QEMU_VM_SUBSECTION, name.len() as u8]);
    to.extend(name.as_bytes());
    to.extend(1_u32.to_be_bytes());
}

fn put_be32(length: usize, to: &mut Vec<u8>) {
    to.extend((length as u32).to_be_bytes());
}
