//! A work tree: the sources of a build as files, its build folder, configure and ninja or make.
//!
//! It survives being killed at any moment: the sources are compared by content each time, a build
//! folder counts only with the mark that configure has ended in it, ninja and make know which of
//! their outputs are whole, and where all that does not help, the folder is built from scratch once.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::diagnosis::first_error;
use super::driver::{Driver, Told};
use super::flags::Flags;
use super::python::Python;
use crate::cache::{Cache, Kind, Lock, touch, write_atomically};
use crate::event::Step;
use crate::failure::{Exit, Failure};
use crate::process::{self, Ending};
use crate::series::checkout;

/// The folder of a work tree that has the source.
const SOURCE: &str = "src";

/// How long configure may take.
const CONFIGURE_LIMIT: Duration = Duration::from_secs(1800);

/// How long one build may take, on a slow and busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// The disk space that a work tree of QEMU takes, in bytes: one gigabyte of sources and objects.
const SPACE: u64 = 1_200_000_000;

/// The files that decide what configure does before meson takes over. ninja or make sees to the rest.
const CONFIGURE_INPUTS: [&str; 3] = ["configure", "pythondeps.toml", "python/scripts/mkvenv.py"];

/// A work tree, held by this run alone.
pub(super) struct WorkTree<'a> {
    cache: &'a Cache,
    dir: PathBuf,
    lock: Lock,
    flags: Flags,
    jobs: usize,
    offline: bool,
    /// Whether the last run that was in here was killed.
    suspect: bool,
}

/// What was done.
pub(super) struct Done {
    /// How many steps it ran.
    pub compiled: u64,
}

impl<'a> WorkTree<'a> {
    /// Takes hold of the work tree `key`, and makes its folder where there is none.
    pub(super) fn open(
        cache: &'a Cache,
        step: &Step,
        key: &str,
        flags: &Flags,
        jobs: usize,
        offline: bool,
    ) -> Result<WorkTree<'a>> {
        let lock = cache.lock(&Kind::Tree.lock(key), step)?;
        let dir = cache.folder(Kind::Tree).join(key);
        if !dir.exists() {
            check_space(cache.root())?;
            fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let suspect = dir.join("busy").exists();
        Ok(WorkTree { cache, dir, lock, flags: flags.clone(), jobs, offline, suspect })
    }

    /// Where a binary is once it is built.
    pub(super) fn binary(&self, name: &str) -> PathBuf {
        let build = self.dir.join("build");
        Driver::of(&build).unwrap_or(Driver::Ninja).program(&build, name)
    }

    /// Moves the sources to `tree` (an id in hex), and builds `products`, ninja's names separated
    /// by blanks. `name` names the log.
    pub(super) fn build(
        &mut self,
        step: &Step,
        name: &str,
        tree: &str,
        products: &str,
    ) -> Result<Done> {
        let busy = self.dir.join("busy");
        fs::write(&busy, "").with_context(|| format!("writing {}", busy.display()))?;
        touch(&self.dir)?;
        let done = self.build_inside(step, name, tree, products);
        // Whatever came of it came to its end in order.
        fs::remove_file(&busy).with_context(|| format!("removing {}", busy.display()))?;
        self.suspect = false;
        done
    }

    fn build_inside(&self, step: &Step, name: &str, tree: &str, products: &str) -> Result<Done> {
        let src = self.dir.join(SOURCE);
        checkout(self.cache, step, tree, &src)?;
        let python = Python::for_tree(self.cache, step, &src, self.offline)?;
        let log = self.dir.join(format!("{name}.log"));
        self.configure(step, &python)?;
        match self.drive(step, &python, &log, products) {
            Err(error) if self.suspect => {
                step.note(format!(
                    "the run before this one was killed in this work tree, and it does not build \
                     now; building it from scratch ({error:#})"
                ));
                fs::remove_file(self.mark()).context("removing the mark of configure")?;
                self.configure(step, &python)?;
                self.drive(step, &python, &log, products)
            }
            done => done,
        }
    }

    fn mark(&self) -> PathBuf {
        self.dir.join("configured")
    }

    /// Configures the build folder, unless that was done with the same inputs.
    fn configure(&self, step: &Step, python: &Python) -> Result<()> {
        let (src, build) = (self.dir.join(SOURCE), self.dir.join("build"));
        let inputs = self.inputs(python)?;
        let configured = fs::read_to_string(self.mark()).is_ok_and(|mark| mark == inputs);
        if configured && Driver::of(&build).is_some() {
            return Ok(());
        }
        step.progress(0, 1, "configuring");
        if self.mark().exists() {
            fs::remove_file(self.mark()).context("removing the mark of configure")?;
        }
        if build.exists() {
            fs::remove_dir_all(&build).with_context(|| format!("removing {}", build.display()))?;
        }
        fs::create_dir(&build).with_context(|| format!("making {}", build.display()))?;

        let mut command = Command::new(src.join("configure"));
        command.current_dir(&build).args(self.flags.known_in(&self.help(python)?));
        command.args(python.arguments());
        python.set_up(&mut command);
        let mut log = Log::create(&self.dir.join("configure.log"))?;
        let status =
            self.run(&mut command, Ending::Kill, CONFIGURE_LIMIT, |line| log.line(line))?;
        if !status.success() {
            return Err(log.failure("QEMU did not configure").into());
        }
        write_atomically(&self.mark(), &inputs).context("marking the tree as configured")
    }

    /// What the build folder was configured from.
    fn inputs(&self, python: &Python) -> Result<String> {
        let mut text = format!("flags {}\npython {}\n", self.flags.line(), python.identity()?);
        for name in CONFIGURE_INPUTS {
            if let Ok(bytes) = fs::read(self.dir.join(SOURCE).join(name)) {
                text += &format!("{name} {}\n", blake3::hash(&bytes).to_hex());
            }
        }
        Ok(text)
    }

    /// What the tree's configure says of itself. It leaves notes where it runs.
    fn help(&self, python: &Python) -> Result<String> {
        let scratch = self.cache.scratch(self.cache.root())?;
        let mut command = Command::new(self.dir.join("src/configure"));
        command.arg("--help").current_dir(scratch.path());
        python.set_up(&mut command);
        let mut help = String::new();
        let tell = |line: &str| help.extend([line, "\n"]);
        let status = self.run(&mut command, Ending::Kill, CONFIGURE_LIMIT, tell)?;
        // Those of before 2012 end with an error even where they were asked for help.
        if !status.success() && !help.contains("--target-list=") {
            let error = first_error(&help).unwrap_or("it says nothing");
            let text = format!("QEMU's configure cannot be asked what it knows: {error}");
            return Err(Failure::new(Exit::DidNotBuild, text).into());
        }
        Ok(help)
    }

    fn drive(&self, step: &Step, python: &Python, log: &Path, products: &str) -> Result<Done> {
        let build = self.dir.join("build");
        let driver = Driver::of(&build).context("configure left nothing that can be built")?;
        let mut command = driver.command(&build, self.jobs, products)?;
        python.set_up(&mut command);
        let mut log = Log::create(log)?;
        let mut compiled = 0;
        // Asked to end, it ends its compilers, which SIGKILL would leave.
        let status = self.run(&mut command, Ending::Terminate, BUILD_LIMIT, |line| {
            log.line(line);
            if let Some(Told { done, total, what }) = driver.step(line) {
                compiled = done.unwrap_or(compiled + 1);
                // Where nobody knows how many there are, there is at least one more.
                step.progress(compiled, total.unwrap_or(compiled + 1), what);
            }
        })?;
        if !status.success() {
            return Err(log.failure("QEMU did not build").into());
        }
        Ok(Done { compiled })
    }

    fn run(
        &self,
        command: &mut Command,
        ending: Ending,
        limit: Duration,
        line: impl FnMut(&str),
    ) -> Result<std::process::ExitStatus> {
        // A compiler that outlives a killed run must not meet the next one.
        self.lock.lend(command)?;
        process::run(command, ending, limit, line)
            .map_err(|error| Failure::new(Exit::DidNotBuild, error.to_string()).into())
    }
}

fn check_space(root: &Path) -> Result<()> {
    let fs = rustix::fs::statvfs(root)
        .with_context(|| format!("asking for the space in {}", root.display()))?;
    let free = fs.f_bavail * fs.f_frsize;
    if free < SPACE {
        return Err(Failure::missing(format!(
            "{} has {} MB left, and a build of QEMU takes {} MB: make room (`pcram cache` shows \
             what can go), or name another folder in $PCRAM_CACHE",
            root.display(),
            free / 1_000_000,
            SPACE / 1_000_000
        ))
        .into());
    }
    Ok(())
}

/// The output of configure or of a build, kept in a file and in memory.
struct Log {
    path: PathBuf,
    file: File,
    text: String,
}

impl Log {
    fn create(path: &Path) -> Result<Log> {
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        Ok(Log { path: path.to_owned(), file, text: String::new() })
    }

    fn line(&mut self, line: &str) {
        self.text.extend([line, "\n"]);
        // A log that cannot be written (a full disk) is no reason to stop what it tells of.
        let _ = writeln!(self.file, "{line}");
    }

    fn failure(&self, what: &str) -> Failure {
        let error = first_error(&self.text).unwrap_or("it said nothing");
        // By its place in the source, which is in the same folder as the log.
        let error = error.replace(&format!("{}/", self.path.with_file_name(SOURCE).display()), "");
        let text = format!("{what}: {error}\nThe whole log is in {}", self.path.display());
        Failure::new(Exit::DidNotBuild, text)
    }
}
