//! What the guest says it does not need, in migration/ram.c: `qemu_guest_free_page_hint`.

use super::{Guest, PAGE, Undefined};

impl Guest {
    /// Takes free pages out of the bitmaps of dirty pages; `addr` is where they begin in the guest's
    /// memory, `len` how many bytes they have (`qemu_guest_free_page_hint`).
    ///
    /// # Errors
    ///
    /// Where a block has no bitmap.
    pub fn qemu_guest_free_page_hint(&mut self, addr: u64, len: u64) -> Result<(), Undefined> {
        if !self.settings.running {
            return Ok(());
        }
        let (mut addr, mut len) = (addr, len);
        while len > 0 {
            let holds = |block: &super::Block| addr.wrapping_sub(block.host) < block.max_length;
            let found = self.blocks.iter().position(holds);
            let inside = found.map(|block| (block, addr - self.blocks[block].host));
            let used = inside.filter(|&(block, offset)| offset < self.blocks[block].used_length);
            let Some((block, offset)) = used else {
                self.say("qemu_guest_free_page_hint unexpected error");
                return Ok(());
            };
            let used_len = len.min(self.blocks[block].used_length - offset);
            if !(self.tree.ram.external && self.is_ignored(block)) {
                self.clear_dirty(block, offset / PAGE, used_len / PAGE)?;
            }
            (addr, len) = (addr + used_len, len - used_len);
        }
        Ok(())
    }

    fn clear_dirty(&mut self, block: usize, start: u64, npages: u64) -> Result<(), Undefined> {
        if self.blocks[block].bmap.is_none() {
            return Err(Undefined::NoBitmap);
        }
        if self.tree.clears_region {
            self.say_of_block("(clear ", block, format!(" {start} {npages})"));
        }
        let bmap = self.blocks[block].bmap.as_mut().ok_or(Undefined::NoBitmap)?;
        let cleared = (start..start + npages).filter(|&page| bmap.clear(page)).count();
        self.dirty_pages = self.dirty_pages.wrapping_sub(cleared as u64);
        Ok(())
    }
}
