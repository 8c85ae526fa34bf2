//! The bare guest's ROM, as far as it can be judged without running it.

use pcram_guests::BARE;

/// Where QEMU puts a ROM of this size: right below 4 GiB.
const ROM_BASE: u64 = (1 << 32) - BARE.len() as u64;
const GIB: u64 = 1 << 30;
const LARGE_PAGE: u64 = 2 << 20;

/// Bits of a page table's entry, by their names in the processor manuals.
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const PAGE_SIZE: u64 = 1 << 7;
const FLAGS: u64 = 0xfff;

fn rom(address: u64, size: usize) -> &'static [u8] {
    let offset = address.checked_sub(ROM_BASE).expect("an address in the ROM");
    &BARE[usize::try_from(offset).unwrap()..][..size]
}

/// The entry for `address` in the table at `table`, of which each entry covers `1 << shift` bytes.
fn entry(table: u64, address: u64, shift: u32) -> u64 {
    let bytes = rom(table + (address >> shift) % 512 * 8, 8);
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// The physical address that the page tables give `address`; every step has the bits preset that
/// the CPU would otherwise write.
fn translate(address: u64) -> Option<u64> {
    let mut table = ROM_BASE;
    for shift in [39, 30] {
        let entry = entry(table, address, shift);
        if entry == 0 {
            return None;
        }
        assert_eq!(entry & FLAGS, PRESENT | WRITABLE | ACCESSED, "{address:#x} by {shift}");
        table = entry & !FLAGS;
    }
    let entry = entry(table, address, 21);
    assert_eq!(entry & FLAGS, PRESENT | WRITABLE | ACCESSED | DIRTY | PAGE_SIZE, "{address:#x}");
    Some((entry & !FLAGS) + address % LARGE_PAGE)
}

#[test]
fn every_qemu_takes_a_rom_of_its_size() {
    // A multiple of 64 KiB: pc_memory_init in QEMU's hw/pc.c of 2011, x86_bios_rom_init today.
    assert_eq!(BARE.len(), 64 << 10);
}

#[test]
fn the_reset_vector_jumps_to_the_code() {
    const RESET: u64 = 0xffff_fff0;
    const JMP_REL16: u8 = 0xe9;
    const CLI: u8 = 0xfa;
    let [opcode, low, high] = rom(RESET, 3).try_into().unwrap();
    assert_eq!(opcode, JMP_REL16);
    let target = RESET + 3;
    let target = target.wrapping_add_signed(i16::from_le_bytes([low, high]).into());
    assert_eq!(rom(target, 1), [CLI]);
}

#[test]
fn the_first_12_gib_are_mapped_to_themselves_and_nothing_else_is() {
    for address in (0..12 * GIB).step_by(LARGE_PAGE as usize) {
        assert_eq!(translate(address), Some(address));
    }
    for address in (12 * GIB..512 * GIB).step_by(GIB as usize) {
        assert_eq!(translate(address), None);
    }
    assert_eq!(translate(512 * GIB), None);
}
