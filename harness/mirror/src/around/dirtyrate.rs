//! The dirty rate of migration/dirtyrate.c, measured by pages that are looked at twice.

use super::{Guest, PAGE};

/// What a measure comes to (`DirtyStat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyStat {
    /// In MiB a second, or -1 where there is none.
    pub dirty_rate: i64,
    /// Sampled pages that were dirtied.
    pub total_dirty_samples: u64,
    /// Sampled pages.
    pub total_sample_count: u64,
    /// What they stand for, in MiB.
    pub total_block_mem_mb: u64,
}

/// The samples of a block (`RamblockDirtyInfo`).
struct RamblockDirtyInfo {
    block: usize,
    /// Its pages.
    ramblock_pages: u64,
    /// Each page that is looked at, as it was.
    samples: Vec<(u64, Vec<u8>)>,
}

impl Guest {
    /// Whether the dirty rate is measured without a block (`skip_sample_ramblock`).
    pub fn skip_sample_ramblock(&self, block: usize) -> bool {
        self.is_external(block) || self.blocks[block].used_length < super::MIN_RAMBLOCK_SIZE
    }

    /// Blocks that are sampled.
    fn sampled_blocks(&self) -> Vec<usize> {
        let sampled =
            |&block: &usize| self.is_migratable(block) && !self.skip_sample_ramblock(block);
        (0..self.blocks.len()).filter(sampled).collect()
    }

    /// Measures by `rate` pages of each GiB, over `msec` milliseconds, what `meanwhile` does to the guest
    /// and its memory. `page` chooses a block's n-th page of so many (`calculate_dirtyrate_sample_vm`;
    /// in 5.2 `calculate_dirtyrate`).
    pub fn calculate_dirtyrate_sample_vm(
        &mut self,
        rate: u64,
        msec: u64,
        memory: &mut [u8],
        page: impl Fn(u64, u64) -> u64,
        meanwhile: impl FnOnce(&mut Guest, &mut [u8]),
    ) -> DirtyStat {
        let infos = self.record_ramblock_hash_info(rate, memory, page);
        // As released, nothing to sample is no memory to do so.
        if infos.is_empty() && !self.tree.ram.external {
            return DirtyStat::none();
        }
        meanwhile(self, memory);
        let mut stat = self.compare_page_hash_info(&infos, memory);
        if stat.total_sample_count > 0 {
            let dirty = stat.total_dirty_samples * stat.total_block_mem_mb * 1000;
            stat.dirty_rate = (dirty / (stat.total_sample_count * msec)) as i64;
        } else if self.ram_external_block().is_some() && !has_samples(&infos) {
            stat.dirty_rate = 0;
        }
        stat
    }

    fn record_ramblock_hash_info(
        &self,
        rate: u64,
        memory: &[u8],
        page: impl Fn(u64, u64) -> u64,
    ) -> Vec<RamblockDirtyInfo> {
        let info = |block: usize| {
            let ramblock_pages = self.blocks[block].used_length / PAGE;
            let sample_pages_count = (self.blocks[block].used_length * rate) >> 30;
            // The last page is never chosen.
            let pages = (0..sample_pages_count).map(|at| page(at, ramblock_pages - 1));
            let samples = pages.map(|page| (page, self.page(block, page, memory).to_vec()));
            RamblockDirtyInfo { block, ramblock_pages, samples: samples.collect() }
        };
        self.sampled_blocks().into_iter().map(info).collect()
    }

    /// Counts what differs, in blocks that are as long as they were.
    fn compare_page_hash_info(&self, infos: &[RamblockDirtyInfo], memory: &[u8]) -> DirtyStat {
        let mut stat = DirtyStat::none();
        for block in self.sampled_blocks() {
            let Some(info) = infos.iter().find(|info| info.block == block) else { continue };
            if info.ramblock_pages != self.blocks[block].used_length / PAGE {
                continue;
            }
            let dirty =
                info.samples.iter().filter(|(page, was)| self.page(block, *page, memory) != was);
            stat.total_dirty_samples += dirty.count() as u64;
            stat.total_sample_count += info.samples.len() as u64;
            stat.total_block_mem_mb += (info.ramblock_pages * PAGE) >> 20;
        }
        stat
    }

    fn page<'a>(&self, block: usize, page: u64, memory: &'a [u8]) -> &'a [u8] {
        &memory[(self.blocks[block].host + page * PAGE) as usize..][..PAGE as usize]
    }
}

impl DirtyStat {
    fn none() -> DirtyStat {
        DirtyStat {
            dirty_rate: -1,
            total_dirty_samples: 0,
            total_sample_count: 0,
            total_block_mem_mb: 0,
        }
    }
}

fn has_samples(infos: &[RamblockDirtyInfo]) -> bool {
    infos.iter().any(|info| !info.samples.is_empty())
}
