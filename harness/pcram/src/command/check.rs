//! `check`: the checks, on QEMUs that were built before, by this tool or by somebody else.

use super::steps::{self, Subject};
use super::{Global, Revision, Run, aim, given};
use crate::check::catalogue::reach;
use crate::event::Outcome;
use crate::failure::Exit;
use crate::machine::shell_word;
use anyhow::Result;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options of checks.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "check options")]
pub struct Options {
    /// Try only the check ID; `*` stands for any characters; may be given more than once
    #[arg(long = "row", value_name = "ID")]
    pub rows: Vec<String>,
    /// Try every check, not only those of the default set
    #[arg(long)]
    pub thorough: bool,
    /// Try N checks at once [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub at_once: Option<NonZeroUsize>,
    /// Keep the folder of every check, not only of those that do not hold
    #[arg(long)]
    pub keep: bool,
}

impl Options {
    /// The words that choose the same checks again.
    pub(super) fn chosen(&self) -> String {
        let rows: String =
            self.rows.iter().map(|row| format!(" --row {}", shell_word(row))).collect();
        if self.thorough { rows + " --thorough" } else { rows }
    }
}

/// The options that name QEMUs which somebody else built.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "gate options")]
struct Gate {
    /// Check this QEMU, which somebody else built; nothing is fetched, applied or compiled
    #[arg(long, value_name = "PATH", conflicts_with_all = ["source", "git_url", "tree"])]
    qemu: Option<PathBuf>,
    /// The same QEMU without the series, for the checks that compare
    #[arg(long, value_name = "PATH", requires = "qemu")]
    stock: Option<PathBuf>,
    /// A qemu-img [default: the one beside QEMU, else the one in $PATH]
    #[arg(long, value_name = "PATH", requires = "qemu")]
    qemu_img: Option<PathBuf>,
}

/// The options of `check`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    revision: Revision,
    #[command(flatten)]
    gate: Gate,
    #[command(flatten)]
    check: Options,
}

/// Runs `check`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { revision, gate, check } = args;
    super::run(global, revision.label(), |run| match &gate.qemu {
        Some(qemu) => theirs(run, &revision, &gate, qemu, &check),
        None => ours(run, &revision, &check),
    })
}

/// The checks of what this tool built.
fn ours(run: &Run, revision: &Revision, options: &Options) -> Result<Exit> {
    let aim = aim::aim(run, revision, true)?;
    let catalogue = steps::catalogue(&aim.series, options)?;
    let built = steps::built(run, revision, &aim, &reach(&catalogue.checks))?;
    steps::check(run, &catalogue, &Subject::built(run, revision, &aim, &built, true)?, options)
}

/// The checks of what somebody else built. A revision or a series only says what is promised.
fn theirs(
    run: &Run,
    revision: &Revision,
    gate: &Gate,
    qemu: &Path,
    options: &Options,
) -> Result<Exit> {
    let catalogue = steps::catalogue(&aim::promised(revision)?, options)?;
    let name = match revision.label() {
        "" => qemu.display().to_string(),
        label => label.to_owned(),
    };
    let subject = gate.subject(run, revision, qemu, &name)?;
    steps::check(run, &catalogue, &subject, options)
}

impl Gate {
    /// The QEMUs that are named, each asked what it is.
    fn subject<'a>(
        &self,
        run: &Run,
        revision: &Revision,
        qemu: &Path,
        name: &'a str,
    ) -> Result<Subject<'a>> {
        let repeat = format!("{}{}", run.repeat("check", revision), self.words());
        run.events.step("qemu", qemu.display().to_string(), "", |step| {
            let patched = given::qemu(qemu)?;
            let stock = self.stock.as_deref().map(given::qemu).transpose()?;
            let qemu_img = given::qemu_img(self.qemu_img.as_deref(), &patched.path)?;
            match &stock {
                Some(stock) => step.note(format!("stock: {}", stock.version())),
                None => step.note("no stock beside it: what needs stock's figure is not tried"),
            }
            match &qemu_img {
                Some(path) => step.note(format!("qemu-img: {}", path.display())),
                None => step.note("no qemu-img: what needs a disk is not tried"),
            }
            let outcome = Outcome::new(patched.version());
            Ok((
                Subject { name, stock, patched, qemu_img, provenance: None, offline: true, repeat },
                outcome,
            ))
        })
    }

    /// The same options again, as they are typed.
    fn words(&self) -> String {
        let Gate { qemu, stock, qemu_img } = self;
        let options = [("--qemu", qemu), ("--stock", stock), ("--qemu-img", qemu_img)];
        let given = options.iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
        let word = |path: &PathBuf| shell_word(&path.to_string_lossy());
        given.map(|(name, path)| format!(" {name} {}", word(path))).collect()
    }
}
