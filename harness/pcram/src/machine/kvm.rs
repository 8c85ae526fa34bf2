//! Whether KVM can be used here, and what an error under it says.

use super::Machine;
use super::binary::Binary;
use super::launch::Launch;
use anyhow::{Result, ensure};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

/// Where the kernel offers KVM.
const DEVICE: &str = "/dev/kvm";
/// How many times the guest must report a higher count than before.
const TICKS: usize = 3;

/// Why KVM cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The kernel does not offer it, or not to this user.
    #[error("{DEVICE} cannot be opened: {0}")]
    Device(#[source] io::Error),
    /// It is offered, and a guest does not run under it.
    #[error("the bare guest did not count under KVM: {0}")]
    DidNotCount(String),
}

/// How fast the bare guest counts under an accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Additions in a second: 200 million under TCG on a machine of 2020.
    pub counts_per_second: u64,
}

impl Pace {
    /// Whether the accelerator interprets instruction by instruction, as a KVM without hardware
    /// under it does. That is enough for the bare guest; a kernel would take minutes to boot.
    pub fn is_interpreted(self) -> bool {
        // A hundredth of what TCG does on a slow machine, fifty times what such a KVM does.
        self.counts_per_second < 10_000_000
    }
}

/// Whether KVM is good for something: a device that exists is not enough, so the bare guest has to
/// count under it, on a QEMU that nobody doubts (the unpatched one). What the attempt leaves goes
/// to `folder`.
///
/// # Errors
/// Why it cannot be used. A check that wants KVM then has the reason why it was not tried.
pub fn usable(stock: &Binary, folder: &Path) -> Result<Pace, Unusable> {
    File::options().read(true).write(true).open(DEVICE).map_err(Unusable::Device)?;
    pace(stock, "kvm", folder).map_err(|error| Unusable::DidNotCount(format!("{error:#}")))
}

/// Has the bare guest count under an accelerator.
///
/// # Errors
/// Where it does not start, or its count does not rise.
pub fn pace(stock: &Binary, accel: &str, folder: &Path) -> Result<Pace> {
    // Where KVM interprets the guest's instructions, a large RAM takes long.
    let launch = Launch { accel: accel.into(), ram_mib: 2, ..Launch::default() };
    let mut machine = Machine::start(stock, &launch, folder)?;
    machine.guest.ready()?;
    machine.guest.count()?;
    let first = machine.guest.counting()?;
    let (start, mut last) = (Instant::now(), first);
    for _ in 0..TICKS {
        let count = machine.guest.counting()?;
        ensure!(count > last, "after {last} it reported {count}");
        last = count;
    }
    let counts_per_second = (last - first) as f64 / start.elapsed().as_secs_f64();
    machine.kill()?;
    Ok(Pace { counts_per_second: counts_per_second as u64 })
}

/// What came of something that was tried under KVM.
#[derive(Debug)]
pub enum Tried<T> {
    /// The patched QEMU came to its end.
    Done(T),
    /// It did not, and neither did stock: the reason for which the check is skipped.
    Skipped(String),
}

/// Tries something with the patched QEMU under KVM. An error there is KVM's, and a reason to skip,
/// only where stock shows one too, with the same thing to do.
///
/// # Errors
/// That of the patched QEMU, where stock has none.
pub fn tried<T>(
    patched: impl FnOnce() -> Result<T>,
    stock: impl FnOnce() -> Result<T>,
) -> Result<Tried<T>> {
    let error = match patched() {
        Ok(done) => return Ok(Tried::Done(done)),
        Err(error) => error,
    };
    match stock() {
        Ok(_) => Err(error),
        Err(too) => Ok(Tried::Skipped(format!("stock fails under KVM as well: {too:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn an_error_is_a_skip_only_where_stock_shows_one_too() {
        let done = tried(|| Ok(1), || unreachable!("nobody asks stock")).unwrap();
        assert!(matches!(done, Tried::Done(1)));
        let skipped = tried::<()>(|| Err(anyhow!("hung")), || Err(anyhow!("hung too"))).unwrap();
        assert!(matches!(skipped, Tried::Skipped(reason) if reason.ends_with(": hung too")));
        let failed = tried(|| Err(anyhow!("hung")), || Ok(())).unwrap_err();
        assert_eq!(failed.to_string(), "hung");
    }
}
