//! The functions of RAM blocks of a tree in the store: taken out, compiled alone, loaded.

use crate::cache::Cache;
use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::{Context, Result};
use git2::Oid;
use pcram_functions::unit::{self, Unit};
use pcram_functions::v1_0::Functions;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// As QEMU 1.0 was compiled, and so that nothing of one unit is seen by another. What is taken out
/// calls less than it did.
const FLAGS: [&str; 8] = [
    "-std=gnu99",
    "-O2",
    "-fPIC",
    "-shared",
    "-fno-common",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-w",
];

/// Bytes that a stream may have: many times what the largest case writes.
const STREAM: usize = 8 << 20;

/// The functions of QEMU 1.0 in a tree, as a unit that compiles alone.
///
/// # Errors
/// A [`Failure`] where the tree is none of QEMU 1.0's kind, or where a function is not as it was.
pub fn unit(cache: &Cache, tree: &str) -> Result<Unit> {
    let store = cache.store()?;
    let tree = store.find_tree(Oid::from_str(tree)?).context("the tree is in the store")?;
    let texts = unit::V1_0_FILES.map(|file| -> Result<String> {
        let entry = tree.get_path(Path::new(file)).map_err(|_| {
            Failure::missing(format!(
                "the tree has no {file} at its top: the functions of QEMU 1.0 and its like are \
                 mirrored, and no other's yet"
            ))
        })?;
        let blob = store.find_blob(entry.id())?;
        Ok(String::from_utf8_lossy(blob.content()).into_owned())
    });
    let [queue, cpu_all, exec, arch_init] = texts;
    let texts: [String; 4] = [queue?, cpu_all?, exec?, arch_init?];
    unit::v1_0(texts.each_ref().map(String::as_str)).map_err(|error| {
        let next = "they are not mirrored as they stand in this tree";
        Failure::missing(format!("taking the functions out: {error}; {next}")).into()
    })
}

/// Compiles a unit in `folder`, which keeps it, and loads it.
///
/// # Errors
/// A [`Failure`] with what the compiler said, where it does not compile.
pub fn compile(unit: &Unit, folder: &Path) -> Result<Functions> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (text, object, said) =
        (folder.join("functions.c"), folder.join("functions.so"), folder.join("compiler.txt"));
    fs::write(&text, &unit.text).with_context(|| format!("writing {}", text.display()))?;
    let error = File::create(&said).with_context(|| format!("writing {}", said.display()))?;
    // Through a shell, since $CC may have arguments.
    let mut compiler = Command::new("sh");
    compiler.args(["-c", "exec ${CC:-cc} \"$@\"", "cc"]).args(FLAGS);
    compiler.arg("-o").arg(&object).arg(&text);
    compiler.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error);
    let status = Group::spawn(&mut compiler).and_then(|mut it| it.wait())?;
    if !status.success() {
        let said = fs::read_to_string(&said).unwrap_or_default();
        let first = said.lines().find(|line| line.contains("error")).unwrap_or("nothing");
        return Err(Failure::new(Exit::DidNotBuild, format!(
            "compiling the functions of the {} tree: the compiler said {first:?}; the rest is in {}",
            unit.variant,
            folder.display()
        ))
        .into());
    }
    Functions::load(&object, STREAM).with_context(|| format!("loading {}", object.display()))
}
