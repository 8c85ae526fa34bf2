//! One start, through the mirror and, where they are at hand, through the functions.

use super::case::{Case, FILES, Fault};
use super::ffi::{Did, Functions};
use crate::lockstep::{Difference, Outcome, Room, same};
use pcram_mirror::option::sigbus::Sigbus;
use pcram_mirror::option::{Came, Code, File, Setting, Start, posted, today, v1_0};
use rustix::fs::{FileType, Mode, OFlags, fstat, ftruncate, mkdirat, mknodat, open, openat};
use rustix::io::Result;
use std::os::fd::{AsFd, OwnedFd};
use tempfile::TempDir;

/// The longest name that a file has.
const LONGEST: usize = 255;
/// A folder with what paths lead to; it ends with the rig.
pub struct Rig {
    folder: OwnedFd,
    files: Vec<OwnedFd>,
    _room: TempDir,
}

impl Room for Rig {
    /// A folder with the files that cases name.
    fn new() -> std::io::Result<Rig> {
        let room = tempfile::tempdir()?;
        let folder = open(room.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let own = Mode::RUSR | Mode::WUSR;
        let made = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        mkdirat(&folder, "d", own | Mode::XUSR)?;
        mknodat(&folder, "f", FileType::Fifo, own, 0)?;
        let files = FILES.iter().map(|name| openat(&folder, *name, made, own));
        let files = files.collect::<Result<_>>()?;
        Ok(Rig { folder, files, _room: room })
    }
}

impl Rig {
    /// Runs a case. Without functions, only the mirror runs.
    ///
    /// # Errors
    ///
    /// Where the two sides differ.
    pub fn run(
        &self,
        code: Code,
        functions: Option<&mut Functions>,
        case: &Case,
    ) -> std::result::Result<Outcome, Difference> {
        let file = |path: &str| look(case, path);
        let Case { given, ram_size, settings, ends, blocked, thread, types, asks, .. } = case;
        let (ram_size, ends, thread, asks, file) = (*ram_size, *ends, *thread, *asks, &file);
        let start = Start { given, ram_size, settings, file, ends, blocked, thread, types, asks };
        let came = match code {
            Code::Posted => posted::start(&start),
            Code::V1_0 => v1_0::start(&start),
            Code::Today(of) => today::start(&start, of),
        };
        let outcome = Outcome { calls: 1, ..Outcome::default() };
        let Some(functions) = functions else { return Ok(outcome) };
        for (file, size) in self.files.iter().zip(case.files) {
            // Most are as long as they were: to ask costs less.
            if length(file) != size {
                ftruncate(file, size).expect("a file in a folder of our own takes any length");
            }
        }
        // Elsewhere, the handler is not taken out: its signal is that of a file.
        let sigbus = case.fault.map(|fault| fault.sigbus);
        let sigbus = sigbus.filter(|_| matches!(code, Code::Today { .. }));
        // Nothing is touched once QEMU has aborted.
        let sigbus = sigbus.filter(|_| came.came != Came::Aborted);
        let watched = came.watched.as_ref().filter(|_| came.came != Came::Aborted);
        let told = case.fault.zip(watched).map(|(Fault { at, cut_to, .. }, watched)| {
            let is_told = sigbus.is_none_or(Sigbus::is_told);
            let told = if is_told { watched.fault(at, cut_to) } else { "" };
            told.to_owned() + watched.stopped(cut_to)
        });
        let mirror = Did {
            came: came.came,
            said: came.said,
            files: (came.opened, came.closed),
            mapped: came.mapped,
            path: came.path,
            file: came.file,
            freed: came.freed,
            blocked: came.blocked,
            begun: came.begun,
            told: told.unwrap_or_default(),
            handled: sigbus.map(Sigbus::handled).unwrap_or_default(),
        };
        let bit = |setting: &Setting| 1 << (*setting as u32);
        let bits = settings.iter().map(bit).fold(0, |all, bit: u32| all | bit);
        let c = functions.start(self.folder.as_fd(), bits, case);
        same(0, "what came of it", &c, &mirror)?;
        // Once it is mapped, the case itself cuts the file.
        let is_cut = case.fault.is_some() && mirror.came == Came::Mapped;
        let lengths: Vec<_> = self.files.iter().map(length).collect();
        if !is_cut {
            same(0, "the lengths of the files", &lengths, &case.files.to_vec())?;
        }
        Ok(outcome)
    }
}

fn length(file: &OwnedFd) -> u64 {
    fstat(file).map_or(u64::MAX, |it| it.st_size as u64)
}

/// What a path in the folder leads to.
fn look(case: &Case, path: &str) -> File {
    let at = FILES.iter().position(|name| *name == path);
    match (path, at) {
        (_, Some(at)) => File::Regular(case.files[at]),
        ("d", _) => File::Directory,
        ("f", _) => File::Fifo,
        (path, _) if path.len() > LONGEST => File::Missing("File name too long"),
        _ => File::Missing("No such file or directory"),
    }
}
