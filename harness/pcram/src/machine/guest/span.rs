//! The bare guest's work on some pages only: a sample of RAM, or pages of another block.

use super::{Found, Guest};
use anyhow::Result;
use pcram_guests::protocol::{Command, Report};
use pcram_guests::stamp::Span;

impl Guest {
    /// Has the pages of the spans stamped with the seed and generation as they are, and gives how
    /// many these are. [`pcram_guests::stamp::sparse`] gives the spans that sample all RAM.
    pub fn stamp_spans(&mut self, spans: &[Span]) -> Result<u64> {
        let mut stamped = 0;
        for &span in spans {
            self.tell(Command::StampSpan(span))?;
            stamped += self.answer("the guest to stamp some pages", |report| match report {
                Report::Stamped { pages, .. } => Some(pages),
                _ => None,
            })?;
        }
        Ok(stamped)
    }

    /// Has the pages of the spans compared with their stamps of the current generation.
    pub fn find_spans(&mut self, spans: &[Span]) -> Result<Found> {
        let mut found = Found { pages: 0, matching: 0, first_bad: None };
        for &span in spans {
            self.tell(Command::FindSpan(span))?;
            let answer = self.answer("the guest to look at some pages", |report| match report {
                Report::Found { pages, matching, first } => Some((pages, matching, first)),
                _ => None,
            });
            let (pages, matching, first) = answer?;
            found.pages += pages;
            found.matching += matching;
            found.first_bad = found.first_bad.or(first);
        }
        Ok(found)
    }

    /// Has the guest stamp the pages of a span over and over, until [`Guest::halt`], and no other
    /// page: what dirties a DIMM or video memory, and leaves RAM alone.
    pub fn dirty_span(&mut self, span: Span) -> Result<()> {
        self.tell(Command::DirtySpan(span))
    }

    /// The same, of pages that stay in the guest's TLB meanwhile: it is never emptied.
    pub fn dirty_cached_span(&mut self, span: Span) -> Result<()> {
        self.tell(Command::DirtyCachedSpan(span))
    }
}
