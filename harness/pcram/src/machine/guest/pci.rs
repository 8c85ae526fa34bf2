//! PCI devices, set up through the bare guest: there is no firmware that does it.

use super::Guest;
use anyhow::{Context, Result, bail};
use pcram_guests::protocol::{Command, Report};
use pcram_guests::stamp::Span;

/// The ports of PCI configuration mechanism 1.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
/// Registers of the configuration header: vendor and device, command, class, the first base address, and where the
/// capabilities begin.
const IDENTITY: u8 = 0x00;
const COMMAND: u8 = 0x04;
const CLASS: u8 = 0x08;
const BASE_ADDRESS: u8 = 0x10;
const CAPABILITIES: u8 = 0x34;
/// The command register's bit that lets the device answer at its base addresses.
const MEMORY_SPACE: u32 = 1 << 1;
const DISPLAY: u32 = 0x03;
const VIRTIO: u32 = 0x1af4;
/// Addresses in the hole below 4 GiB that no board gives away.
const VIDEO_MEMORY: u32 = 0xf000_0000;
const VIRTIO_REGISTERS: u32 = 0xf800_0000;
/// The capability that is a vendor's own, and the one that says where virtio's common
/// configuration lies (virtio 1.0, 4.1.4).
const VENDORS_OWN: u32 = 0x09;
const COMMON_CONFIGURATION: u32 = 1;
/// From there to the eight bytes that have the device's status in the fifth. Before it stand the
/// interrupt vector, of which there is none, and a number that is only read.
const STATUS: u64 = 0x10;
const NO_VECTOR: u64 = 0xffff;
/// Acknowledged, with a driver, which has agreed on features and is ready.
const DRIVER_OK: u64 = 1 | 2 | 8 | 4;

impl Guest {
    /// Gives the memory of the VGA card on PCI bus 0 an address, and says where it lies now: pages
    /// of another block than RAM's, `vga.vram`, which QEMU has had since 1.0. `-device
    /// VGA,romfile=` adds such a card.
    pub fn map_video_memory(&mut self) -> Result<Span> {
        let card = self.pci_find(|class, _| class == DISPLAY)?;
        let card = card.context("no display device is on PCI bus 0")?;
        // A base address register shows the size of its memory by the bits that stay zero.
        self.pci_write(card, BASE_ADDRESS, u32::MAX)?;
        let size = (self.pci_read(card, BASE_ADDRESS)? & !0xf).wrapping_neg();
        self.pci_map(card, BASE_ADDRESS, VIDEO_MEMORY)?;
        let first = u64::from(VIDEO_MEMORY);
        Ok(Span::whole(first, first + u64::from(size)))
    }

    /// Tells the virtio device on PCI bus 0 that its driver is ready, though there is none and no
    /// queue: QEMU then starts the device's back end. It has done so when this returns.
    pub fn start_virtio(&mut self) -> Result<()> {
        let device = self.pci_find(|_, vendor| vendor == VIRTIO)?;
        let device = device.context("no virtio device is on PCI bus 0")?;
        let mut at = self.pci_read(device, CAPABILITIES)? as u8;
        while at != 0 {
            // Its kind, the next one, its length, virtio's kind; the base address; an offset.
            let head = self.pci_read(device, at)?;
            if head & 0xff == VENDORS_OWN && head >> 24 == COMMON_CONFIGURATION {
                let register = BASE_ADDRESS + 4 * self.pci_read(device, at + 4)? as u8;
                let offset = self.pci_read(device, at + 8)?;
                self.pci_map(device, register, VIRTIO_REGISTERS)?;
                let registers = u64::from(VIRTIO_REGISTERS) + u64::from(offset);
                return self.poke(registers + STATUS, DRIVER_OK << 32 | NO_VECTOR);
            }
            at = (head >> 8) as u8;
        }
        bail!("the virtio device has no registers of version 1.0")
    }

    /// The first device on bus 0 whose base class and vendor are `wanted`.
    fn pci_find(&mut self, wanted: impl Fn(u32, u32) -> bool) -> Result<Option<u8>> {
        for device in 0..32 {
            let (class, identity) =
                (self.pci_read(device, CLASS)?, self.pci_read(device, IDENTITY)?);
            if wanted(class >> 24, identity & 0xffff) {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }

    /// Gives what a base address register stands for an address below 4 GiB.
    fn pci_map(&mut self, device: u8, register: u8, address: u32) -> Result<()> {
        self.pci_write(device, register, address)?;
        let command = self.pci_read(device, COMMAND)?;
        self.pci_write(device, COMMAND, command | MEMORY_SPACE)
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
