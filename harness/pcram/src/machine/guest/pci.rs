//! PCI devices, set up through the bare guest: there is no firmware that does it.

use super::Guest;
use anyhow::{Context, Result};
use pcram_guests::protocol::{Command, Report};
use pcram_guests::stamp::Span;

/// The ports of PCI configuration mechanism 1.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// Registers of the configuration header: command, class, and the first base address.
const COMMAND: u8 = 0x04;
const CLASS: u8 = 0x08;
const BASE_ADDRESS: u8 = 0x10;
/// The command register's bit that lets the device answer at its base addresses.
const MEMORY_SPACE: u32 = 1 << 1;
const DISPLAY: u32 = 0x03;
/// An address in the hole below 4 GiB that no board gives away.
const VIDEO_MEMORY: u32 = 0xf000_0000;

impl Guest {
    /// Gives the memory of the VGA card on PCI bus 0 an address, and says where it lies now: pages
    /// of another block than RAM's, `vga.vram`, which QEMU has had since 1.0. `-device
    /// VGA,romfile=` adds such a card.
    pub fn map_video_memory(&mut self) -> Result<Span> {
        let mut card = None;
        for device in 0..32 {
            if self.pci_read(device, CLASS)? >> 24 == DISPLAY {
                card = Some(device);
                break;
            }
        }
        let card = card.context("no display device is on PCI bus 0")?;
        // A base address register shows the size of its memory by the bits that stay zero.
        self.pci_write(card, BASE_ADDRESS, u32::MAX)?;
        let size = (self.pci_read(card, BASE_ADDRESS)? & !0xf).wrapping_neg();
        self.pci_write(card, BASE_ADDRESS, VIDEO_MEMORY)?;
        let command = self.pci_read(card, COMMAND)?;
        self.pci_write(card, COMMAND, command | MEMORY_SPACE)?;
        let first = u64::from(VIDEO_MEMORY);
        Ok(Span::whole(first, first + u64::from(size)))
    }

    /// Reads a register of a device on bus 0, function 0.
    pub fn pci_read(&mut self, device: u8, register: u8) -> Result<u32> {
        self.out(ADDRESS, select(device, register))?;
        self.tell(Command::In { port: DATA })?;
        self.answer("the guest to read an I/O port", |report| match report {
            Report::Received { value, .. } => Some(value),
            _ => None,
        })
    }

    /// Writes a register of a device on bus 0, function 0.
    pub fn pci_write(&mut self, device: u8, register: u8, value: u32) -> Result<()> {
        self.out(ADDRESS, select(device, register))?;
        self.out(DATA, value)
    }

    fn out(&mut self, port: u16, value: u32) -> Result<()> {
        self.tell(Command::Out { port, value })?;
        self.answer("the guest to write an I/O port", |report| match report {
            Report::Sent { .. } => Some(()),
            _ => None,
        })
    }
}

fn select(device: u8, register: u8) -> u32 {
    1 << 31 | u32::from(device) << 11 | u32::from(register)
}
