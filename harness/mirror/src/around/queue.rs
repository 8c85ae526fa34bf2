//! Pages that are sent together, in migration/multifd.c before 9.0: `multifd_queue_page`.

use super::{Guest, Undefined};

/// The pages that are about to be sent, and the empty ones that a channel has (`MultiFDPages_t`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// `multifd_send_state->pages`.
    pub pages: Pages,
    /// Those of the channel, which are sent, or were.
    pub sent: Pages,
}

/// Pages of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// Which block.
    pub block: Option<usize>,
    /// Where in it they are.
    pub offset: Vec<u64>,
}

/// Pages for which there is room, where they are queued; the real number is a matter of size alone.
pub const ALLOCATED: usize = 3;

impl Guest {
    /// Queues a page, and sends what was queued where it does not fit; gives 1, or -1 where nothing can
    /// be sent (`multifd_queue_page`, before 9.0).
    ///
    /// # Errors
    ///
    /// Where the queue is full already, since it could not be sent.
    pub fn multifd_queue_page(&mut self, block: usize, offset: u64) -> Result<i32, Undefined> {
        let pages = &mut self.queue.pages;
        let into = *pages.block.get_or_insert(block);
        let mut queued = false;
        if into == block {
            if pages.offset.len() == ALLOCATED {
                return Err(Undefined::Full);
            }
            pages.offset.push(offset);
            if pages.offset.len() < ALLOCATED {
                return Ok(1);
            }
            queued = true;
        }
        if !self.multifd_send_pages() {
            return Ok(-1);
        }
        // As released, it is asked whether what was sent is of another block; a thread that is done
        // with it has no block at all.
        let again = match self.tree.ram.external {
            true => !queued,
            false => self.queue.sent.block != Some(block),
        };
        if again { self.multifd_queue_page(block, offset) } else { Ok(1) }
    }

    /// `multifd_send_pages` is not mirrored: a channel takes the pages, and gives empty ones.
    fn multifd_send_pages(&mut self) -> bool {
        if self.settings.others_fail {
            return false;
        }
        let Pages { block, offset } = &self.queue.pages;
        let name = block.map(|block| self.blocks[block].idstr.clone()).unwrap_or_default();
        let pages: String = offset.iter().map(|offset| format!(" {offset:x}")).collect();
        self.say([b"(multifd send ", &name[..], pages.as_bytes(), b")"].concat());
        let sent = std::mem::take(&mut self.queue.pages);
        self.queue.sent = if self.settings.fast_thread { Pages::default() } else { sent };
        true
    }
}
