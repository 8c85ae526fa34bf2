//! A RAM file for a block that comes with memory of its own: what QEMU makes of the two.
//!
//! No option of the posting's can bring it about, since it names one block alone. A debugger can: it
//! calls the posting's own function for another block, before that one is made.

use super::trial::{TMPFS, Trial};
use super::{Finding, NotTried, ram_file};
use crate::machine::kind::{Kind, bare::Bare};
use crate::machine::shell_line;
use crate::process::{Ending, RunError, run};
use anyhow::Result;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long QEMU may take under the debugger until it has made its blocks.
const LIMIT: Duration = Duration::from_secs(60);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BothSet {
    /// The function that gives a block its file, by the block's idstr and the path.
    registers: String,
    /// The function that makes a block.
    makes: String,
    /// The device that brings memory of its own; `{name}` stands for a name for that.
    device: String,
    /// The idstr of the device's block.
    idstr: String,
    /// The length of that block in bytes.
    length: u64,
    /// What QEMU says where it will not have both.
    says: String,
}

/// Memory with a name, which goes with this value. Linux keeps it in its tmpfs, where the next run
/// finds what a killed one left.
struct Shared(String);

impl Drop for Shared {
    fn drop(&mut self) {
        // QEMU may not have come as far as making it.
        let _ = fs::remove_file(Path::new(TMPFS).join(&self.0));
    }
}

impl BothSet {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let path = trial.place().join(ram_file::NAME);
        ram_file::create(&path, self.length)?;
        let shared = Shared(format!("pcram-{}-shared", std::process::id()));
        let device = self.device.replace("{name}", &shared.0);
        let mut gdb = Command::new("gdb");
        for line in self.script(&path) {
            gdb.args(["-ex", &line]);
        }
        gdb.args(["-batch", "-nx", "--args"]).arg(&trial.patched().path);
        let launch = trial.launch();
        let boot = Bare.args(&launch.machine, trial.folder)?;
        gdb.args(launch.board_args()).args(boot).args(["-device", &device]);
        gdb.env("LC_ALL", "C").env_remove("DEBUGINFOD_URLS").current_dir(trial.folder);
        fs::write(trial.folder.join("command-line"), shell_line(&gdb))?;
        let mut said = String::new();
        let ended = run(&mut gdb, Ending::Kill, LIMIT, |line| {
            said.push_str(line);
            said.push('\n');
        });
        fs::write(trial.folder.join("gdb.log"), &said)?;
        ended.map_err(lacking)?;
        Ok(judge(&self.idstr, &self.says, &said))
    }

    /// What the debugger does: where the first block is made, it has the file registered, and lets
    /// QEMU go on.
    fn script(&self, path: &Path) -> [String; 5] {
        let BothSet { registers, makes, idstr, .. } = self;
        [
            format!("break {makes}"),
            "run".to_owned(),
            format!(
                "call ((void (*)(const char *, const char *)) {registers})(\"{idstr}\", {:?})",
                path.to_string_lossy()
            ),
            "delete".to_owned(),
            "continue".to_owned(),
        ]
    }
}

/// A debugger that is not there is a reason not to try it.
fn lacking(error: RunError) -> anyhow::Error {
    match error {
        RunError::Start { cause, .. } if cause.kind() == io::ErrorKind::NotFound => {
            NotTried("the system lacks gdb; Debian's package gdb has it".to_owned()).into()
        }
        error => error.into(),
    }
}

fn judge(idstr: &str, says: &str, said: &str) -> Finding {
    let line = said.lines().find(|line| line.contains(says));
    let aborted = said.contains("signal SIGABRT");
    let wrong = match (line, aborted) {
        (Some(_), true) => Vec::new(),
        (None, true) => vec![format!("QEMU aborted without a word of {says:?}")],
        (_, false) => {
            let last = said.lines().last().unwrap_or("nothing");
            vec![format!("QEMU did not abort; the debugger's last line: {last}")]
        }
    };
    let line = line.unwrap_or_default().trim();
    // Where the source was when it was compiled is no part of what it says.
    let short = line.rsplit('/').next().unwrap_or_default();
    Finding::new(wrong, format!("with both set for {idstr}, QEMU aborts: `{short}`"))
        .with("QEMU said", line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn only_an_abort_for_the_reason_that_is_looked_for_holds() {
        let line = "qemu: /src/exec.c:3022: alloc: Assertion `!host' failed.\n";
        let abort = "Program received signal SIGABRT, Aborted.\n";
        let judged = |said: &str| judge("x/y", "Assertion `!host'", said);
        let held = judged(&format!("{line}{abort}"));
        assert_eq!(held.verdict, Verdict::Held);
        let summary = "with both set for x/y, QEMU aborts: `exec.c:3022: alloc: Assertion `!host' \
                       failed.`";
        assert_eq!(held.summary, summary);
        let failed = [line.to_owned(), abort.to_owned(), "exited normally\n".into(), String::new()];
        for said in failed {
            assert_eq!(judged(&said).verdict, Verdict::Failed, "{said}");
        }
    }

    #[test]
    fn a_debugger_that_is_not_there_is_told_from_one_that_fails() {
        let not_tried = |kind: io::ErrorKind| {
            let error = RunError::Start { program: "gdb".into(), cause: kind.into() };
            lacking(error).is::<NotTried>()
        };
        assert!(not_tried(io::ErrorKind::NotFound));
        assert!(!not_tried(io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn memory_with_a_name_goes_with_its_value() {
        let path = Path::new(TMPFS).join(format!("pcram-test-{}", std::process::id()));
        fs::write(&path, "x").unwrap();
        drop(Shared(path.file_name().unwrap().to_string_lossy().into_owned()));
        assert!(!path.exists());
    }
}
