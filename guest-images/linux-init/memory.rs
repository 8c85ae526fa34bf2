//! Pages of memory, stamped by where they lie.

use crate::kernel::Mapping;
use crate::stamp::{self, PAGE_SIZE};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bits of an entry in `/proc/self/pagemap` (the kernel's Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// Pages that this process has taken, and what it stamped them with.
#[derive(Default)]
pub struct Memory {
    mapping: Option<Mapping>,
    stamped_at: Vec<u64>,
    seed: u64,
    generation: u64,
}

impl Memory {
    /// Takes so many pages, and looks where they lie.
    pub fn take(pages: u64, seed: u64) -> io::Result<Self> {
        let size = usize::try_from(pages).ok().and_then(|pages| pages.checked_mul(PAGE_SIZE));
        let size = size.ok_or_else(|| io::Error::other("so many pages are not addressable"))?;
        let mut mapping = Mapping::new(size)?;
        // A page has no place before it was written to.
        mapping.bytes_mut().fill(1);
        let mut memory = Self { mapping: Some(mapping), seed, ..Self::default() };
        memory.stamped_at = memory.addresses()?;
        Ok(memory)
    }

    /// The guest-physical address of each page now.
    pub fn addresses(&self) -> io::Result<Vec<u64>> {
        let bytes = self.bytes();
        let mut entries = vec![0; bytes.len() / PAGE_SIZE * size_of::<u64>()];
        let first = bytes.as_ptr().addr() / PAGE_SIZE * size_of::<u64>();
        File::open("/proc/self/pagemap")?.read_exact_at(&mut entries, first as u64)?;
        let entries = entries.as_chunks().0.iter().map(|&entry| u64::from_le_bytes(entry));
        entries
            .map(|entry| match entry & FRAME {
                0 => Err(io::Error::other("the kernel does not tell where a page lies")),
                _ if entry & PRESENT == 0 => Err(io::Error::other("a page is not in memory")),
                frame => Ok(frame * PAGE_SIZE as u64),
            })
            .collect()
    }

    /// Where each page lay when it was taken, which is what it is stamped with.
    pub fn stamped_at(&self) -> &[u64] {
        &self.stamped_at
    }

    /// The generation of the last stamps.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Stamps each page.
    pub fn stamp(&mut self, generation: u64) {
        self.generation = generation;
        let Some(mapping) = &mut self.mapping else { return };
        let pages = mapping.bytes_mut().chunks_exact_mut(PAGE_SIZE);
        for (page, &address) in pages.zip(&self.stamped_at) {
            page.copy_from_slice(&stamp::page(address, self.seed, generation));
        }
    }

    /// How many pages there are, how many carry their stamp, and the address of the first that
    /// does not.
    pub fn find(&self) -> (u64, u64, Option<u64>) {
        let (mut matching, mut first) = (0, None);
        for (page, &address) in self.bytes().chunks_exact(PAGE_SIZE).zip(&self.stamped_at) {
            if stamp::matches(page, address, self.seed, self.generation) {
                matching += 1;
            } else {
                first = first.or(Some(address));
            }
        }
        (self.stamped_at.len() as u64, matching, first)
    }

    fn bytes(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&[], Mapping::bytes)
    }
}

/// Contiguous runs among addresses of pages: the first address and the number of pages of each.
pub fn runs(addresses: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &address in addresses {
        match runs.last_mut() {
            Some((first, pages)) if *first + *pages * PAGE_SIZE as u64 == address => *pages += 1,
            _ => runs.push((address, 1)),
        }
    }
    runs
}

/// An amount of `/proc/meminfo`, in bytes.
pub fn amount(text: &str, name: &str) -> io::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other(format!("no {name} in meminfo")))
}
