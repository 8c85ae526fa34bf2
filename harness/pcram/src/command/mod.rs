//! The commands, a file each, and what they share: options, a run, and how it ends.

pub mod apply;
pub mod boot;
pub mod build;
pub mod cache;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod fetch;
pub mod import;
pub mod list;
pub mod manual;
pub mod mirror;
pub mod refresh;
pub mod reproduce;
pub mod stream;
pub mod verify;

mod aim;
mod given;
mod steps;
mod stop;

use crate::cache::{self as cache_room, Cache};
use crate::check as check_room;
use crate::event::{Event, Events, Report, SCHEMA};
use crate::failure::{Exit, Failure};
use crate::machine::shell_word;
use crate::process;
use crate::report::{json::Json, junit::Junit, terminal::Terminal};
use crate::source::Choice;
use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// The options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Where trees, builds and runs are kept [default: $PCRAM_CACHE, or pcram in the XDG cache
    /// directory]
    #[arg(long, global = true, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Write the whole run to FILE as JSON lines, one event each
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write steps and checks to FILE as JUnit XML, for CI systems
    #[arg(long, global = true, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Do with what the cache holds; reach for no network
    #[arg(long, global = true)]
    offline: bool,
}

impl Global {
    /// The reports that were asked for.
    fn reports(&self) -> Result<Vec<Box<dyn Report>>> {
        let mut reports: Vec<Box<dyn Report>> = vec![Box::new(Terminal::new(std::io::stdout()))];
        if let Some(path) = &self.json {
            reports.push(Box::new(Json::create(path)?));
        }
        if let Some(path) = &self.junit {
            reports.push(Box::new(Junit::create(path)?));
        }
        Ok(reports)
    }
}

/// The options that say which QEMU and which series.
#[derive(Clone, Debug, clap::Args)]
pub struct Revision {
    /// A revision that `list` shows, or any other that --git-url or --tree has [default: the first
    /// of the list; or what --git-rev or --tree names]
    #[arg(value_name = "REVISION")]
    name: Option<String>,
    /// The folder of the series [default: the revision's own, or the nearest, in patches/]
    #[arg(long, value_name = "DIR")]
    series: Option<PathBuf>,
    /// Where the source comes from; `auto` takes the first that answers
    #[arg(long, value_enum, default_value = "auto")]
    source: Choice,
    /// A git that has the revision: a path or a URL
    #[arg(long, value_name = "URL")]
    git_url: Option<String>,
    /// The commit, tag or branch in that git [default: the release's tag, or REVISION]
    #[arg(long, value_name = "REV", requires = "git_url")]
    git_rev: Option<String>,
    /// A source tree of yours, which is only read
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
}

impl Revision {
    /// The revision as the user named it.
    fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The revision `name`, with no other option given.
    fn named(name: &str) -> Revision {
        Revision {
            name: Some(name.to_owned()),
            series: None,
            source: Choice::Auto,
            git_url: None,
            git_rev: None,
            tree: None,
        }
    }
}

/// One run of the tool: its stream of events, its cache, the folder that its checks leave things
/// in.
struct Run {
    events: Events,
    cache: Cache,
    folder: cache_room::Run,
    global: Global,
}

/// Runs `work` as one run of the tool, tells how it ended, and turns that into an exit code.
fn run(global: Global, revision: &str, work: impl FnOnce(&Run) -> Result<Exit>) -> ExitCode {
    told(&global.clone(), |events| {
        let begun = Cache::open(global.cache.as_deref()).and_then(|it| Ok((it.new_run()?, it)));
        let (folder, cache) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                started(events, "", revision);
                return Err(error);
            }
        };
        started(events, &folder.id, revision);
        let run = Run { events: events.clone(), cache, folder, global };
        let done = work(&run);
        // Gone unless a check left something there.
        let _ = std::fs::remove_dir(&run.folder.dir);
        done
    })
}

/// The same for `work` that leaves nothing anywhere, and so needs no cache.
fn look(global: &Global, work: impl FnOnce(&Events) -> Result<Exit>) -> ExitCode {
    told(global, |events| {
        started(events, "", "");
        work(events)
    })
}

/// Runs `work` with a stream into the reports that were asked for, and ends that.
fn told(global: &Global, work: impl FnOnce(&Events) -> Result<Exit>) -> ExitCode {
    let begun = Instant::now();
    let exit = match global.reports() {
        Ok(reports) => {
            let events = Events::new(reports);
            end_everything_on_a_signal();
            // The panic's own message is on standard error by then.
            let done = panic::catch_unwind(AssertUnwindSafe(|| work(&events)));
            let done = done.unwrap_or(Ok(Exit::Internal));
            let error = done.as_ref().err().map(|error| format!("{error:#}"));
            let exit = done.unwrap_or_else(|error| tell(&error));
            let seconds = begun.elapsed().as_secs_f64();
            let meaning = exit.meaning().into();
            events.send(Event::RunFinished { exit: exit.code(), meaning, error, seconds });
            exit
        }
        Err(error) => tell(&error),
    };
    process::stay_if_ending();
    ExitCode::from(exit.code())
}

/// Tells that the run of this id began; a run that leaves nothing has none.
fn started(events: &Events, run: &str, revision: &str) {
    events.send(Event::RunStarted {
        schema: SCHEMA,
        run: run.into(),
        tool: env!("CARGO_PKG_VERSION").into(),
        command: std::env::args().skip(1).collect(),
        revision: revision.into(),
        host: host(),
    });
}

fn tell(error: &anyhow::Error) -> Exit {
    eprintln!("error: {error:#}");
    Exit::of(error)
}

/// Prints what a command made as a whole. A reader that goes away in its middle has enough.
fn print(text: &[u8]) -> ExitCode {
    match std::io::stdout().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let text = format!("standard output cannot be written to: {error}");
            ExitCode::from(tell(&Failure::missing(text).into()).code())
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Ctrl-C and its like end every child, then this process. Nothing outlives it, and nothing is left
/// of the check under way; what checks left before that stays.
fn end_everything_on_a_signal() {
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            process::kill_all();
            check_room::abandon();
            boot::give_back();
            eprintln!("\ninterrupted; every process of this run was ended");
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
}

impl Run {
    /// The command line that does `command` on the same revision from the same source again.
    fn repeat(&self, command: &str, revision: &Revision) -> String {
        self.repeat_words(&[command], revision)
    }

    /// The same, where more words than one come before the revision.
    fn repeat_words(&self, command: &[&str], revision: &Revision) -> String {
        let mut words: Vec<_> = command.iter().map(|&word| word.to_owned()).collect();
        words.extend(revision.name.clone());
        let mut option = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                words.extend([name.to_owned(), value.to_owned()]);
            }
        };
        let text = |path: &Option<PathBuf>| path.as_ref().map(|it| it.display().to_string());
        option("--series", text(&revision.series).as_deref());
        option("--source", (revision.source != Choice::Auto).then(|| revision.source.name()));
        option("--git-url", revision.git_url.as_deref());
        option("--git-rev", revision.git_rev.as_deref());
        option("--tree", text(&revision.tree).as_deref());
        option("--cache", text(&self.global.cache).as_deref());
        let words = words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
        format!("{} {words}", program())
    }
}

/// How the user calls this tool: through cargo's alias, where cargo runs it.
fn program() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo xtask" } else { "pcram" }
}

/// The process exit codes, as `--help` ends with them.
pub fn exit_codes() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>3}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:\n{}", lines.join("\n"))
}

fn host() -> String {
    let name = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (system, release) = (word(name.sysname()), word(name.release()));
    format!("{system} {release} {}, {processors} processors", word(name.machine()))
}

/// The folder `patches` with its table of releases: in the working directory or above it, else
/// that of the checkout that this tool was built from.
fn patches() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot tell the working directory")?;
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let mut places = here.ancestors().chain(built).map(|dir| dir.join("patches"));
    let found = places.find(|dir| dir.join("releases.toml").is_file());
    let found = found.ok_or_else(|| {
        Failure::usage("no patches/releases.toml in this directory or above it; run in a checkout")
    })?;
    Ok(found.strip_prefix(&here).map(Path::to_owned).unwrap_or(found))
}
