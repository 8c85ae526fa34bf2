//! The functions of RAM blocks of a tree in the store: taken out, compiled alone, loaded.

use crate::cache::Cache;
use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::{Context, Result};
use git2::{Oid, Repository, Tree};
use pcram_functions::extract::ExtractError;
use pcram_functions::kinds::Of;
use pcram_functions::lockstep::{Kind, Load, Subject};
use pcram_functions::with_kind;
use pcram_mirror::v1_0::Variant;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// As QEMU is compiled, as far as it matters here. What is taken out calls less than it did.
const FLAGS: [&str; 9] = [
    "-DCONFIG_LINUX",
    "-std=gnu11",
    "-fPIC",
    "-shared",
    "-fno-common",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-w",
    // What is called, and neither taken out nor stood in for, is an error now and not at its call.
    "-Wl,-z,defs",
];

/// Whether the compiler takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimized {
    /// It does, for millions of calls.
    Yes,
    /// It does not: most of the time of a few calls is the compiler's.
    No,
}

/// Functions of a tree that are compiled together.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Of which kind they are.
    pub of: Of,
    /// Whose code it is.
    pub variant: Variant,
    /// What the tree has, as [`Kind::Tree`] of that kind.
    pub tree: Value,
    /// The text.
    pub text: String,
}

impl Unit {
    /// The functions of a tree, of each kind that it has; the loop that saves pages comes first.
    ///
    /// # Errors
    /// A [`Failure`] where the tree is of no kind that is mirrored, or where a function in it is not as
    /// it was.
    pub fn of_tree(cache: &Cache, tree: &str) -> Result<Vec<Unit>> {
        let store = cache.store()?;
        let tree = store.find_tree(Oid::from_str(tree)?).context("the tree is in the store")?;
        let file = |file: &str| read(&store, &tree, file);
        let mut units = Vec::new();
        for of in Of::ALL {
            units.extend(with_kind!(of, K => Unit::take::<K>(of, &file))?);
        }
        Ok(units)
    }

    fn take<K: Kind>(of: Of, file: &dyn Fn(&str) -> Option<String>) -> Result<Option<Unit>> {
        let Some(unit) = K::unit(file).map_err(not_mirrored)? else { return Ok(None) };
        let (variant, tree) = (K::variant(unit.tree), serde_json::to_value(unit.tree)?);
        Ok(Some(Unit { of, variant, tree, text: unit.text }))
    }

    /// What of QEMU it is, in a word.
    pub fn name(&self) -> &'static str {
        with_kind!(self.of, K => K::NAME)
    }

    /// The same, as it is told.
    pub fn title(&self) -> &'static str {
        with_kind!(self.of, K => K::TITLE)
    }

    /// What the mirror has to know of the tree.
    ///
    /// # Errors
    /// Where it is of another kind.
    pub fn tree<K: Kind>(&self) -> Result<K::Tree> {
        K::Tree::deserialize(&self.tree).context("reading what a unit is about")
    }

    /// Compiles it in `folder`, which keeps it, beside what it is about; gives the shared object.
    ///
    /// # Errors
    /// A [`Failure`] with what the compiler said, where it does not compile.
    pub fn compile(&self, folder: &Path, optimized: Optimized) -> Result<PathBuf> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let place = |name: &str| folder.join(name);
        let (text, object, said) =
            (place("functions.c"), place("functions.so"), place("compiler.txt"));
        let writing = |path: &Path| format!("writing {}", path.display());
        fs::write(&text, &self.text).with_context(|| writing(&text))?;
        let about = place("unit.json");
        let what = json!({ "of": self.of, "tree": self.tree });
        fs::write(&about, serde_json::to_string(&what)?).with_context(|| writing(&about))?;
        let error = File::create(&said).with_context(|| writing(&said))?;
        // Through a shell, since $CC may have arguments.
        let mut compiler = Command::new("sh");
        compiler.args(["-c", "exec ${CC:-cc} \"$@\"", "cc"]).args(FLAGS);
        compiler.args(match (optimized, self.of) {
            (Optimized::No, _) => &["-O0"][..],
            // It looks at pages word by word, which takes less than half the time so.
            (Optimized::Yes, Of::V1_0) => &["-O2", "-funroll-loops"],
            (Optimized::Yes, _) => &["-O2"],
        });
        compiler.arg("-o").arg(&object).arg(&text);
        compiler.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error);
        let status = Group::spawn(&mut compiler).and_then(|mut it| it.wait())?;
        if status.success() {
            return Ok(object);
        }
        let said = fs::read_to_string(&said).unwrap_or_default();
        let error = said.lines().find(|line| line.contains("error"));
        let first = error.or(said.lines().next()).unwrap_or("nothing");
        let text = format!(
            "compiling the functions of the {} tree: the compiler said {first:?}; the rest is in {}",
            self.variant,
            folder.display()
        );
        Err(Failure::new(Exit::DidNotBuild, text).into())
    }
}

/// What a file of the tree has, where there is one.
fn read(store: &Repository, tree: &Tree, file: &str) -> Option<String> {
    let entry = tree.get_path(Path::new(file)).ok()?;
    let blob = store.find_blob(entry.id()).ok()?;
    Some(String::from_utf8_lossy(blob.content()).into_owned())
}

fn not_mirrored(error: ExtractError) -> anyhow::Error {
    let kinds = "mirrored are 1.0's arch_init.c and exec.c, and migration/ram.c from 5.2 on";
    Failure::missing(format!("taking the functions out: {error}; {kinds}")).into()
}

/// Functions that were compiled, where they were, beside their mirror.
///
/// # Errors
/// Where they cannot be loaded, or where there is no room for cases.
pub fn subject<K: Kind>(tree: K::Tree, object: Option<&Path>) -> Result<Subject<K>> {
    let load = |object: &Path| {
        K::Functions::load(object).with_context(|| format!("loading {}", object.display()))
    };
    let functions = object.map(load).transpose()?;
    Subject::new(tree, functions).context("making room for cases")
}
