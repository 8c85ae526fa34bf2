//! One processor for a thread and all that it starts, so that what is measured there does not depend
//! on how fast one processor wakes another.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

/// While it lives, the thread that made it keeps to the processor it was on, and so does all that the
/// thread starts meanwhile, for as long as that lives.
pub struct OneProcessor {
    before: CpuSet,
}

impl OneProcessor {
    /// Keeps the calling thread to the processor that it is on.
    pub fn keep_to() -> Result<OneProcessor> {
        let before = sched_getaffinity(None).context("cannot tell which processors may be used")?;
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).context("cannot keep to one processor")?;
        Ok(OneProcessor { before })
    }
}

impl Drop for OneProcessor {
    fn drop(&mut self) {
        // It was in force before, so it can be again; where not, the thread keeps to its one.
        let _ = sched_setaffinity(None, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_has_one_processor_and_the_thread_has_all_of_its_own_again() {
        let processors = || {
            let output = Command::new("nproc").env_remove("OMP_NUM_THREADS").output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
        };
        let before = processors();
        let one = OneProcessor::keep_to().unwrap();
        assert_eq!(processors(), 1);
        drop(one);
        assert_eq!(processors(), before);
    }
}
