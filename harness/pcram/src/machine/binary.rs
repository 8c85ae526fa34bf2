//! A QEMU binary, asked what it can do.
//!
//! What a binary offers is read from its own help, never from its version number.

use super::shell_line;
use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::{Context, Result};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a QEMU that has nothing to run may take to end.
const END: Duration = Duration::from_secs(10);

/// A system emulator.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Where it is.
    pub path: PathBuf,
    /// What `-help` prints.
    pub help: String,
}

/// What a QEMU that was to end by itself left.
#[derive(Debug)]
pub struct Ended {
    /// How it ended; `None` where it did not within its limit and was killed.
    pub status: Option<ExitStatus>,
    /// What it printed to its standard output.
    pub stdout: String,
    /// What it printed to its standard error.
    pub stderr: String,
}

impl Ended {
    /// Its exit code; `None` where a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status?.code()
    }

    /// How it ended, in words that fit after "it".
    pub fn how(&self) -> String {
        match self.status {
            Some(status) => format!("ended with {status}"),
            None => format!("ran on for {} s and was killed", END.as_secs()),
        }
    }
}

impl Binary {
    /// Asks the binary at `path` for its help.
    pub fn probe(path: &Path) -> Result<Binary> {
        let path = path.to_owned();
        let ended = run_to_end(Command::new(&path).arg("-help"), "")?;
        if !ended.status.is_some_and(|status| status.success()) {
            let said = ended.stderr.trim();
            let text = format!("{} -help {}, saying: {said}", path.display(), ended.how());
            return Err(Failure::new(Exit::DidNotBoot, text).into());
        }
        Ok(Binary { path, help: ended.stdout })
    }

    /// The help's lines on an option, e.g. `-pcram-file`; `None` where it is not offered.
    pub fn option_help(&self, option: &str) -> Option<&str> {
        self.help.lines().find(|line| {
            line.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    }

    /// The names of the options that contain `part`, as the help lists them.
    pub fn options_like(&self, part: &str) -> Vec<&str> {
        let names = self.help.lines().filter(|line| line.starts_with('-'));
        let names = names.filter_map(|line| line.split_whitespace().next());
        names.filter(|name| name.contains(part)).collect()
    }

    /// What it says it is, without the copyright.
    pub fn version(&self) -> &str {
        let line = self.help.lines().next().unwrap_or_default();
        line.split_once(", ").map_or(line, |(version, _)| version)
    }

    /// Whether it says that it is a system emulator.
    pub fn is_system_emulator(&self) -> bool {
        self.help.starts_with("QEMU emulator version ")
    }

    /// Runs the binary until it ends by itself, or its limit is reached. It leaves `command-line`
    /// and `qemu.log` in `folder`.
    pub fn run_to_end(&self, args: &[String], folder: &Path) -> Result<Ended> {
        self.run_and_tell(args, folder, "")
    }

    /// The same, with `lines` to read from its standard input.
    pub fn run_and_tell(&self, args: &[String], folder: &Path, lines: &str) -> Result<Ended> {
        let mut command = Command::new(&self.path);
        command.args(args).current_dir(folder);
        without_override(&mut command);
        fs::write(folder.join("command-line"), shell_line(&command))?;
        let ended = run_to_end(&mut command, lines)?;
        fs::write(folder.join("qemu.log"), format!("{}{}", ended.stdout, ended.stderr))?;
        Ok(ended)
    }
}

/// Runs `command` until it ends by itself, or its limit is reached; it may read `lines`, which are few.
pub(super) fn run_to_end(command: &mut Command, lines: &str) -> Result<Ended> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command).map_err(|error| {
        Failure::new(Exit::DidNotBoot, format!("cannot start {program}: {error}"))
    })?;
    let mut stdin = group.child().stdin.take().context("no standard input")?;
    // One that has ended reads nothing any more.
    let _ = stdin.write_all(lines.as_bytes());
    drop(stdin);
    let stdout = group.child().stdout.take().context("no standard output")?;
    let stderr = group.child().stderr.take().context("no standard error")?;
    let (stdout, stderr) = (read_aside(stdout), read_aside(stderr));
    let status = group.wait_timeout(END)?;
    // The pipes end with the last of the group.
    group.kill()?;
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| {
        let bytes = thread.join().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok(Ended { status, stdout: text(stdout), stderr: text(stderr) })
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read is what there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

/// Takes from a QEMU that root starts the right to pass over file permissions, so that it meets
/// the same refusals as anybody's.
pub fn without_override(command: &mut Command) {
    use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
    use std::os::unix::process::CommandExt;
    let drop = || {
        // Whoever is not root may not do this, and has nothing to drop.
        let _ = remove_capability_from_bounding_set(CapabilitySet::DAC_OVERRIDE);
        Ok(())
    };
    // SAFETY: the closure makes one prctl system call between fork and exec; it allocates nothing
    // and takes no lock.
    unsafe { command.pre_exec(drop) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_emulator_says_what_it_is() {
        for first in
            ["QEMU emulator version 10.0.13 (Debian 1:10.0.13)", "QEMU emulator version 0.15.93"]
        {
            let help = format!("{first}, Copyright (c) 2003-2008 Fabrice Bellard\nusage: qemu\n");
            let binary = Binary { path: "qemu".into(), help };
            assert!(binary.is_system_emulator());
            assert_eq!(binary.version(), first);
        }
    }

    #[test]
    fn an_option_is_offered_only_under_its_whole_name() {
        let help = "-pcram-files  other\n-pcram-file PATH\n                the file\n".to_owned();
        let binary = Binary { path: "qemu".into(), help };
        assert_eq!(binary.option_help("-pcram-file"), Some("-pcram-file PATH"));
        assert_eq!(binary.option_help("-pcram"), None);
        assert_eq!(binary.options_like("file"), ["-pcram-files", "-pcram-file"]);
        assert!(!binary.is_system_emulator());
    }
}
