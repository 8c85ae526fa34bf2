//! `-mem-path` beside the RAM file: which block lies in which file.

use super::Finding;
use super::held::{Mapping, mappings};
use super::trial::Trial;
use anyhow::{Context, Result};
use pcram_stream::Summary;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The folder that `-mem-path` names, in the check's own.
const FOLDER: &str = "mem-path";
/// The stream that lists the blocks.
const STREAM: &str = "stream";

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MemPath {}

/// Where a QEMU's RAM lies.
#[derive(Debug)]
struct Seen {
    /// Its blocks: the idstr and the length in bytes of each.
    blocks: Vec<(String, u64)>,
    /// How the RAM file is mapped.
    file: Vec<Mapping>,
    /// How files in the folder are mapped.
    folder: Vec<Mapping>,
}

impl MemPath {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let path = trial.ram_file()?;
        let folder = trial.place().join(FOLDER);
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut launch = trial.launch();
        launch.extra.extend(trial.ram_file_args(&path));
        launch.extra.extend(["-mem-path".to_owned(), folder.to_string_lossy().into_owned()]);
        let mut machine = trial.start(trial.patched(), &launch)?;
        let maps = Path::new("/proc").join(machine.id().to_string()).join("maps");
        let maps = fs::read_to_string(&maps).context("reading where QEMU maps its RAM")?;
        machine.stop()?;
        machine.migrate(&format!("exec:cat > {STREAM}"))?;
        machine.migrated(|_| Ok(()))?;
        machine.quit()?;
        let stream = fs::read(trial.folder.join(STREAM)).context("reading the list of blocks")?;
        let blocks = Summary::read(&stream[..])?.blocks;
        let blocks = blocks.into_iter().map(|it| (it.idstr, it.used_length)).collect();
        Ok(judge(trial.block(), trial.ram(), &Seen::of(blocks, &maps, &path, &folder)))
    }
}

impl Seen {
    /// What a process's `maps` have of the RAM file at `path`, and of files in `folder`.
    fn of(blocks: Vec<(String, u64)>, maps: &str, path: &Path, folder: &Path) -> Seen {
        Seen {
            blocks,
            file: mappings(maps, |file| Path::new(file) == path),
            folder: mappings(maps, |file| Path::new(file).starts_with(folder)),
        }
    }
}

fn judge(block: &str, ram: u64, seen: &Seen) -> Finding {
    let mut wrong = Vec::new();
    let mapped: u64 = seen.file.iter().map(|it| it.bytes).sum();
    if mapped != ram || seen.file.iter().any(|it| it.how != "rw-s") {
        wrong.push(format!("{mapped} bytes of the RAM file are mapped, not {ram}, or not rw-s"));
    }
    let mut left: Vec<_> = seen.folder.iter().collect();
    let mut found = Vec::new();
    for (idstr, length) in seen.blocks.iter().filter(|(idstr, _)| idstr != block) {
        match left.iter().position(|it| it.bytes == *length) {
            Some(at) => found.push((idstr, left.remove(at))),
            None => wrong.push(format!("no file of {length} bytes in the folder for {idstr}")),
        }
    }
    for other in &left {
        wrong.push(format!("{} bytes in the folder are of no other block", other.bytes));
    }
    let names = found.iter().map(|(idstr, _)| idstr.as_str()).collect::<Vec<_>>().join(", ");
    let summary = format!("{block} in the file; in files of the folder: {names}");
    let finding = Finding::new(wrong, summary).with(format!("{block}, in the file"), mapped);
    found.into_iter().fold(finding, |finding, (idstr, Mapping { how, bytes })| {
        finding.with(format!("{idstr}, in the folder"), format!("{bytes} bytes, {how}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn the_file_is_told_from_those_in_the_folder() {
        let maps = "1000-3000 rw-s 0 00:1c 5    /x/ram\n\
                    4000-5000 rw-p 0 00:1c 6    /x/mem-path/qemu_back_mem.a (deleted)\n\
                    6000-9000 rw-p 0 00:1c 7    /y/libc.so\n";
        let seen = Seen::of(Vec::new(), maps, Path::new("/x/ram"), Path::new("/x/mem-path"));
        assert_eq!(seen.file, [Mapping { how: "rw-s".into(), bytes: 0x2000 }]);
        assert_eq!(seen.folder, [Mapping { how: "rw-p".into(), bytes: 0x1000 }]);
    }

    #[test]
    fn each_block_has_one_place() {
        let map = |how: &str, bytes| Mapping { how: how.into(), bytes };
        let judged = |file: Vec<Mapping>, folder: Vec<Mapping>| {
            let blocks = [("pc.ram", 8192), ("vga", 4096), ("rom", 4096)];
            let blocks = blocks.map(|(idstr, length)| (idstr.to_owned(), length)).to_vec();
            judge("pc.ram", 8192, &Seen { blocks, file, folder })
        };
        let two = || vec![map("rw-p", 4096), map("rw-p", 4096)];
        let held = judged(vec![map("rw-s", 8192)], two());
        assert_eq!(held.verdict, Verdict::Held);
        assert_eq!(held.summary, "pc.ram in the file; in files of the folder: vga, rom");
        assert_eq!(held.evidence[1].to_string(), "vga, in the folder: 4096 bytes, rw-p");
        let failed = |file, folder| {
            let finding = judged(file, folder);
            assert_eq!(finding.verdict, Verdict::Failed);
            finding.summary
        };
        let less = failed(vec![map("rw-s", 4096)], two());
        assert_eq!(less, "4096 bytes of the RAM file are mapped, not 8192, or not rw-s");
        failed(vec![map("rw-p", 8192)], two());
        let one = failed(vec![map("rw-s", 8192)], vec![map("rw-p", 4096)]);
        assert_eq!(one, "no file of 4096 bytes in the folder for rom");
        let more = failed(vec![map("rw-s", 8192)], [two(), vec![map("rw-p", 8192)]].concat());
        assert_eq!(more, "8192 bytes in the folder are of no other block");
    }
}
