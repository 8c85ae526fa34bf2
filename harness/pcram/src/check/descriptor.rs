//! A RAM file that QEMU inherits open instead of finding it in a file system.

use super::trial::Trial;
use super::{Finding, ram_file, sampled};
use crate::machine::launch::Inherited;
use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use serde::Deserialize;
use std::fs::File;
use std::path::PathBuf;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Descriptor {
    /// Which kind of descriptor.
    via: Via,
}

/// A kind of descriptor, and how QEMU is told of it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// A memfd, as `/proc/self/fd/N`.
    Memfd,
    /// A file in a set of `-add-fd`, as `/dev/fdset/N`.
    Fdset,
}

impl Descriptor {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let (inherited, host) = match self.via {
            Via::Memfd => {
                let memfd = memfd_create("ram", MemfdFlags::CLOEXEC).context("making a memfd")?;
                ftruncate(&memfd, trial.ram()).context("giving a memfd its size")?;
                let inherited = Inherited::new(memfd);
                // This process has it under the number that QEMU has it under.
                let path = inherited.path();
                (inherited, path)
            }
            Via::Fdset => {
                let path = trial.folder.join(ram_file::NAME);
                ram_file::create(&path, trial.ram())?;
                let file = File::options().read(true).write(true).open(&path)?;
                (Inherited::new(file), path)
            }
        };
        let mut launch = trial.launch();
        let path = match self.via {
            Via::Memfd => inherited.path(),
            Via::Fdset => {
                let set = format!("fd={},set=7", inherited.number());
                launch.extra.extend(["-add-fd".to_owned(), set]);
                PathBuf::from("/dev/fdset/7")
            }
        };
        launch.extra.extend(trial.ram_file_args(&path));
        launch.inherited.push(inherited);
        let mut machine = trial.start(trial.patched(), &launch)?;
        let finding = sampled::measure(&mut machine, &host, &trial.layout()?)?;
        Ok(finding.with("path", path.display()))
    }
}
