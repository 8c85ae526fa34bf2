//! CPR into a new QEMU on the same host: the guest goes on in the RAM that it had.
//!
//! In the mode cpr-transfer a stream has no page of any block. Stock needs RAM in a shared file for
//! that, too; what is to be shown is that the block with the file does not stand in the way.

use super::Finding;
use super::streams::{Load, Stream, no_stream};
use super::trial::Trial;
use crate::machine::binary::Binary;
use crate::machine::channel::Recorder;
use crate::machine::deadline::Deadline;
use crate::machine::guest::Found;
use crate::machine::launch::{Launch, opt_value};
use crate::machine::{Machine, sockets};
use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a new QEMU may take to listen for what the old one hands over.
const LISTEN: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// What the kernel says of a socket that listens (`__SO_ACCEPTCON`, in /proc/net/unix).
const LISTENS: &str = "00010000";

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CprTransfer {}

/// What one QEMU handed over to the next.
#[derive(Clone, Debug)]
struct Handed {
    /// Pages of all blocks in the stream.
    pages: u64,
    /// Whether the stream lists the block.
    listed: bool,
    /// What the guest found of its stamps in the new QEMU.
    found: Found,
}

impl CprTransfer {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let ram_file = trial.ram_file_args(&trial.ram_file()?);
        let stock = hand_over(trial, trial.stock()?, "stock", &shared_file(trial)?);
        let stock = stock.context("with the stock QEMU")?;
        let patched = hand_over(trial, trial.patched(), "patched", &ram_file);
        match patched.context("with the patched QEMU") {
            Ok(patched) => Ok(judge(trial.block(), &stock, &patched)),
            Err(error) => Ok(Finding::new(vec![no_stream(error)?], "")),
        }
    }
}

/// The words that give stock QEMU a file as its RAM, by the block's name.
fn shared_file(trial: &Trial) -> Result<Vec<String>> {
    let path = trial.folder.join("stock,ram");
    fs::File::create(&path)?.set_len(trial.ram())?;
    let (block, size, path) = (trial.block(), trial.ram(), opt_value(&path));
    let backend = format!("memory-backend-file,id={block},size={size},share=on,mem-path={path}");
    let machine = format!("memory-backend={block}");
    Ok(["-object", &backend, "-machine", &machine].map(str::to_owned).to_vec())
}

fn hand_over(trial: &Trial, binary: &Binary, side: &str, ram: &[String]) -> Result<Handed> {
    let folder = trial.folder.join(side);
    let sockets = sockets::folder()?;
    let [main, cpr] = ["incoming", "cpr"].map(|name| sockets.path().join(name));
    let mut launch = trial.launch();
    launch.extra.extend(ram.iter().cloned());
    // The other blocks are handed over as descriptors.
    launch.extra.extend(["-machine", "aux-ram-share=on"].map(str::to_owned));
    let mut new = launch.clone();
    for (kind, path) in [("main", &main), ("cpr", &cpr)] {
        new.extra.extend(["-incoming".to_owned(), channel(kind, path).to_string()]);
    }
    let mut source = Machine::start(binary, &launch, &folder)?;
    source.guest.ready()?;
    Load::Dirtying.begin(&mut source, &[])?;
    source.set_parameters(json!({ "mode": "cpr-transfer" }))?;

    let recorder = Recorder::start(&main, &folder)?;
    let channels =
        json!({ "channels": [channel("main", recorder.socket()), channel("cpr", &cpr)] });
    let mut destination = start_beside(binary, &new, &folder.join("destination"), || {
        await_listener(&cpr)?;
        source.qmp.execute("migrate", channels)?;
        source.migrated(|_| Ok(()))
    })?;
    source.quit()?;
    let files = recorder.finish()?;
    let [file] = &files[..] else {
        return Err(anyhow!("one migration channel was expected, {} were opened", files.len()));
    };
    let stream = Stream::read(trial.block(), &fs::read(file)?)
        .with_context(|| format!("cannot read the stream {}", file.display()))?;
    destination.cont()?;
    let found = Load::Dirtying.arrived(&mut destination, &[])?;
    destination.kill()?;
    let blocks = &stream.summary.blocks;
    Ok(Handed {
        pages: blocks.iter().map(|block| block.pages.len()).sum(),
        listed: stream.summary.block(trial.block()).is_some(),
        found: found.context("the guest did not look at its RAM")?,
    })
}

fn channel(kind: &str, path: &Path) -> Value {
    json!({ "channel-type": kind,
            "addr": { "transport": "socket", "type": "unix", "path": path } })
}

/// Starts a QEMU that comes to its monitor only once `source` has handed over. It is started by
/// this thread, whose end would be its own.
fn start_beside(
    binary: &Binary,
    launch: &Launch,
    folder: &Path,
    source: impl FnOnce() -> Result<()> + Send,
) -> Result<Machine> {
    std::thread::scope(|scope| {
        let handing_over = scope.spawn(source);
        let machine = Machine::start(binary, launch, folder);
        let handed_over = handing_over.join().map_err(|_| anyhow!("the source's thread failed"))?;
        // Why nothing was handed over says more than what became of the other side then.
        handed_over?;
        machine
    })
}

fn await_listener(path: &Path) -> Result<()> {
    let deadline = Deadline::after(LISTEN, format!("QEMU to listen at {}", path.display()));
    while !listens(&fs::read_to_string("/proc/net/unix")?, path) {
        std::thread::sleep(deadline.left()?.min(LOOK_AGAIN));
    }
    Ok(())
}

/// Whether /proc/net/unix, whose content `sockets` is, has a socket that listens at `path`.
fn listens(sockets: &str, path: &Path) -> bool {
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace();
        let flags = words.nth(3);
        flags == Some(LISTENS) && words.last().is_some_and(|it| Path::new(it) == path)
    })
}

fn judge(block: &str, stock: &Handed, patched: &Handed) -> Finding {
    let mut wrong = Vec::new();
    for (side, Handed { pages, listed, found }) in [("stock", stock), ("patched", patched)] {
        if *pages > 0 {
            wrong.push(format!("{side}: {pages} pages in the stream"));
        }
        if !listed {
            wrong.push(format!("{side}: {block} does not stand in the block list"));
        }
        if !found.all() {
            let Found { pages, matching, .. } = found;
            wrong.push(format!("{side}: in the new QEMU the guest found {matching} of {pages}"));
        }
    }
    let (there, here) = (&stock.found, &patched.found);
    let summary = format!(
        "no page in the stream, and the guest goes on with {} of {} pages of {block} (stock, on a \
         shared memory-backend-file: {} of {})",
        here.matching, here.pages, there.matching, there.pages
    );
    Finding::new(wrong, summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn a_page_that_was_sent_or_lost_fails_on_either_side() {
        let handed = |pages, listed, matching| Handed {
            pages,
            listed,
            found: Found { pages: 4, matching, first_bad: None },
        };
        let right = handed(0, true, 4);
        let judged = |stock: &Handed, patched: &Handed| judge("pc.ram", stock, patched);
        assert_eq!(judged(&right, &right).verdict, Verdict::Held);
        let sent = judged(&right, &handed(2, true, 4));
        assert_eq!(
            (sent.verdict, &*sent.summary),
            (Verdict::Failed, "patched: 2 pages in the stream")
        );
        let lost = judged(&handed(0, true, 3), &right);
        assert_eq!(lost.summary, "stock: in the new QEMU the guest found 3 of 4");
        let unlisted = judged(&right, &handed(0, false, 4));
        assert_eq!(unlisted.summary, "patched: pc.ram does not stand in the block list");
    }

    #[test]
    fn a_socket_listens_once_the_kernel_says_so() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                     0: 00000002 00000000 00010000 0001 01 1 /tmp/a/cpr\n\
                     0: 00000002 00000000 00000000 0001 01 2 /tmp/b/cpr\n\
                     0: 00000003 00000000 00000000 0001 03 3\n";
        assert!(listens(table, Path::new("/tmp/a/cpr")));
        assert!(!listens(table, Path::new("/tmp/b/cpr")));
        assert!(!listens(table, Path::new("/tmp/c/cpr")));
    }
}
