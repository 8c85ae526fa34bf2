//! `stream`: what a migration stream or a snapshot carries, where two differ, and a block of it as a
//! file.

mod files;
mod input;
mod mapped;

use super::Global;
use crate::event::{Events, Outcome, Step};
use crate::failure::{Exit, Failure};
use crate::machine::shell_word;
use crate::report::stream as report;
use anyhow::{Context, Result};
use files::Files;
use input::{Input, buffered};
use pcram_stream::diff::{BlockDifference, blocks, devices};
use pcram_stream::load::{Ram, load};
use pcram_stream::{BlockSummary, DeviceSection, DeviceState, StreamError, Summary};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options of `stream`.
#[derive(clap::Args)]
pub struct Args {
    /// A migration stream, a qcow2 image with a snapshot, or `-` for standard input
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The snapshot in the image, by name or id, where it has several
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    /// What a multifd channel beside the stream carried; may be given several times
    #[arg(long = "channel", value_name = "FILE")]
    channels: Vec<PathBuf>,
    /// Tell of this RAM block alone, and where in it each page is; may be given several times
    #[arg(long = "block", value_name = "NAME")]
    blocks: Vec<String>,
    /// Tell where another stream or snapshot differs, page by page and device by device; exit code 1
    /// where it does
    #[arg(long, value_name = "OTHER", conflicts_with_all = ["channels", "extract"])]
    diff: Option<PathBuf>,
    /// Write what this RAM block holds in the end to a file
    #[arg(long, value_name = "BLOCK", requires = "to")]
    extract: Option<String>,
    /// The file that --extract writes, which must not be there yet
    #[arg(long, value_name = "FILE", requires = "extract")]
    to: Option<PathBuf>,
}

/// Runs `stream`.
pub fn run(global: Global, args: Args) -> ExitCode {
    super::look(&global, |events| {
        let mut first = read(events, &args, &args.from)?;
        if let (Some(block), Some(to)) = (&args.extract, &args.to) {
            extract(events, &args, &mut first, block, to)?;
        }
        match &args.diff {
            None => Ok(Exit::AllHeld),
            Some(other) => {
                let mut second = read(events, &args, other)?;
                differ(events, &args, &mut first, &mut second)
            }
        }
    })
}

/// A stream, and what it carries.
struct Whole {
    input: Input,
    summary: Summary,
}

/// Reads the stream at `path` and tells what it carries, as far as it can be read.
fn read(events: &Events, args: &Args, path: &Path) -> Result<Whole> {
    let what = format!("what {} carries", path.display());
    events.step("stream", what, repeat(args), |step| {
        let mut input = Input::open(path, args.snapshot.as_deref())?;
        let (mut summary, mut read) = Summary::read_as_far(input.reader()?);
        let mut of = path;
        for channel in &args.channels {
            if read.is_ok() {
                of = channel;
                read = summary.add_channel(open(channel)?);
            }
        }
        input.intact()?;
        tell(step, args, &summary)?;
        if let Err(error) = read {
            step.note("what could be read of it before it is damaged or ends stands above");
            return Err(unreadable(of, error));
        }
        let outcome = outcome(&input, &summary);
        Ok((Whole { input, summary }, outcome))
    })
}

fn tell(step: &Step, args: &Args, summary: &Summary) -> Result<()> {
    let chosen = !args.blocks.is_empty();
    for name in &args.blocks {
        block_named(summary, name)?;
    }
    if !chosen {
        report::head(summary).into_iter().for_each(|line| step.note(line));
    }
    for block in summary.blocks.iter().filter(|it| !chosen || args.blocks.contains(&it.idstr)) {
        let lines = report::block(block, summary.page_size, chosen);
        lines.into_iter().for_each(|line| step.note(line));
    }
    if !chosen {
        report::tail(summary).into_iter().for_each(|line| step.note(line));
    }
    Ok(())
}

fn block_named<'a>(summary: &'a Summary, name: &str) -> Result<&'a BlockSummary> {
    summary.block(name).ok_or_else(|| {
        let names: Vec<_> = summary.blocks.iter().map(|it| it.idstr.as_str()).collect();
        let text = format!("it has no RAM block {name}; there are: {}", names.join(", "));
        Failure::usage(text).into()
    })
}

fn outcome(input: &Input, summary: &Summary) -> Outcome {
    let pages: u64 = summary.blocks.iter().map(|block| block.pages.len()).sum();
    let text = format!("{input} of {} bytes, with {pages} pages", summary.length);
    let outcome = Outcome::new(text).with("bytes", summary.length);
    summary.blocks.iter().fold(outcome, |outcome, block| {
        let name = &block.idstr;
        outcome
            .with(format!("bytes of {name}"), block.used_length)
            .with(format!("pages of {name}"), block.pages.len())
            .with(format!("records of {name}"), block.records.total())
    })
}

/// Writes what a block holds in the end to `to`, as a whole or not at all.
fn extract(events: &Events, args: &Args, whole: &mut Whole, block: &str, to: &Path) -> Result<()> {
    let what = format!("the RAM block {block} to {}", to.display());
    events.step("extract", what, repeat(args), |_| {
        has_its_pages(whole, args, &args.from)?;
        let known = block_named(&whole.summary, block)?;
        let (length, pages) = (known.used_length, known.pages.len());
        let cannot = || format!("cannot write {}", to.display());
        let folder = to.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let new = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
        let wanted = |name: &str| Ok((name == block).then(|| new.reopen()).transpose()?);
        fill(&mut whole.input, &args.from, &args.channels, &mut Files::new(wanted))?;
        new.persist_noclobber(to).map_err(|error| {
            Failure::usage(format!("{}: {}; name a new file", cannot(), error.error))
        })?;
        Ok(((), Outcome::new(format!("{length} bytes, {pages} pages of them from the stream"))))
    })
}

/// Tells where two streams differ.
fn differ(events: &Events, args: &Args, one: &mut Whole, other: &mut Whole) -> Result<Exit> {
    let (from, to) = (&args.from, args.diff.as_deref().unwrap_or(Path::new("-")));
    let what = format!("{} against {}", from.display(), to.display());
    events.step("diff", what, repeat(args), |step| {
        has_its_pages(one, args, from)?;
        has_its_pages(other, args, to)?;
        let chosen = |name: &str| args.blocks.is_empty() || args.blocks.iter().any(|it| it == name);
        let aside = |name: &str| Ok(chosen(name).then(tempfile::tempfile).transpose()?);
        let (mut ours, mut theirs) = (Files::new(aside), Files::new(aside));
        fill(&mut one.input, from, &[], &mut ours)?;
        fill(&mut other.input, to, &[], &mut theirs)?;
        let same = |idstr: &str, page| -> Result<bool> {
            Ok(!chosen(idstr) || ours.page(idstr, page)? == theirs.page(idstr, page)?)
        };
        let found: Vec<BlockDifference> = blocks(&one.summary, &other.summary, same)?;
        let mut differences = 0;
        for block in found.iter().filter(|it| chosen(&it.idstr)) {
            differences += usize::from(!block.is_none());
            let all = !args.blocks.is_empty();
            let lines = report::block_difference(block, one.summary.page_size, all);
            lines.into_iter().for_each(|line| step.note(line));
        }
        if args.blocks.is_empty() {
            for line in report::head_difference(&one.summary, &other.summary) {
                differences += 1;
                step.note(line);
            }
            if untold(one)? != untold(other)? {
                differences += 1;
                step.note("the devices' state, which nothing in a stream tells apart, differs");
            }
            let (ours, theirs) = (&mut one.input, &mut other.input);
            let same = |a: &DeviceSection, b: &DeviceSection| -> Result<bool> {
                let alike = a.header.version == b.header.version && a.length == b.length;
                Ok(alike && content(ours, a)? == content(theirs, b)?)
            };
            for device in devices(&one.summary, &other.summary, same)? {
                differences += 1;
                step.note(report::device_difference(&device));
            }
        }
        let exit = if differences == 0 { Exit::AllHeld } else { Exit::PromiseFailed };
        let result = match differences {
            0 => "no difference".to_owned(),
            1 => "1 difference".to_owned(),
            count => format!("{count} differences"),
        };
        Ok((exit, Outcome::new(result).with("differ", differences)))
    })
}

/// The state of devices that nothing in the stream tells apart: its last bytes.
fn untold(whole: &mut Whole) -> Result<Vec<u8>> {
    match whole.summary.device_state {
        DeviceState::Unexamined { length } => {
            whole.input.bytes(whole.summary.length - length, length)
        }
        _ => Ok(Vec::new()),
    }
}

/// Refuses to take pages for missing that are on channels beside the stream.
fn has_its_pages(whole: &Whole, args: &Args, path: &Path) -> Result<()> {
    let Summary { capabilities, multifd_flushes, .. } = &whole.summary;
    let has = |name: &str| capabilities.iter().any(|it| it == name);
    let elsewhere = *multifd_flushes > 0 || (has("multifd") && !has("mapped-ram"));
    if !elsewhere || !args.channels.is_empty() {
        return Ok(());
    }
    let text =
        "its pages are on multifd channels; --extract takes them by --channel, --diff does not";
    Err(Failure::usage(format!("{}: {text}", path.display())).into())
}

fn content(input: &mut Input, section: &DeviceSection) -> Result<Vec<u8>> {
    input.bytes(section.content().0, section.length)
}

/// Loads a stream that was read before.
fn fill<T>(input: &mut Input, path: &Path, channels: &[PathBuf], into: &mut T) -> Result<()>
where
    T: Ram<Error = anyhow::Error>,
{
    let channels = channels.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
    let loaded = load(&mut input.reader()?, channels, into);
    input.intact()?;
    loaded.map_err(|error| match error.downcast::<StreamError>() {
        Ok(error) => unreadable(path, error),
        Err(error) => error,
    })
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let opened = File::open(path).map(buffered);
    opened
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())).into())
}

/// Bad input, for people.
fn unreadable(path: &Path, error: StreamError) -> anyhow::Error {
    Failure::usage(format!("{}: {error}", path.display())).into()
}

/// The command line that does this alone.
fn repeat(args: &Args) -> String {
    let word = |path: &Path| shell_word(&path.to_string_lossy());
    let mut line = format!("{} stream {}", super::program(), word(&args.from));
    let mut add = |name: &str, value: String| line += &format!(" --{name} {value}");
    args.snapshot.iter().for_each(|it| add("snapshot", shell_word(it)));
    args.channels.iter().for_each(|it| add("channel", word(it)));
    args.blocks.iter().for_each(|it| add("block", shell_word(it)));
    args.diff.iter().for_each(|it| add("diff", word(it)));
    args.extract.iter().for_each(|it| add("extract", shell_word(it)));
    args.to.iter().for_each(|it| add("to", word(it)));
    line
}
