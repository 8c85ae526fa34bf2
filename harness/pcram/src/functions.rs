//! The functions of RAM blocks of a tree in the store: taken out, compiled alone, loaded.

use crate::cache::Cache;
use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::{Context, Result};
use git2::{Oid, Repository, Tree};
use pcram_functions::extract::ExtractError;
use pcram_functions::{around, dirty, loader, option, ram, v1_0};
use pcram_mirror::dirty::Tlb;
use pcram_mirror::option::Code;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// As QEMU is compiled, as far as it matters here. What is taken out calls less than it did.
const FLAGS: [&str; 11] = [
    "-DCONFIG_LINUX",
    "-std=gnu11",
    "-O2",
    // 1.0 looks at pages word by word.
    "-funroll-loops",
    "-fPIC",
    "-shared",
    "-fno-common",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-w",
    // What is called, and neither taken out nor stood in for, is an error now and not at its call.
    "-Wl,-z,defs",
];

/// Bytes that a stream may have: many times what the largest case writes.
const STREAM: usize = 8 << 20;

/// What a tree's functions are compiled as.
#[derive(Clone, Debug)]
pub enum Unit {
    /// The save and load path of QEMU 1.0.
    V1_0(v1_0::unit::Unit),
    /// The save loop of migration/ram.c.
    Ram(ram::unit::Unit),
    /// The option `-pcram-file`.
    Option(option::unit::Unit),
    /// What migration does with RAM blocks around it.
    Around(around::unit::Unit),
    /// What writes into RAM at a reset.
    Loader(loader::unit::Unit),
    /// What takes over the pages that a guest has written.
    Dirty(dirty::unit::Unit),
}

impl Unit {
    /// The functions of a tree, as units that compile alone; the loop that saves pages comes first.
    ///
    /// # Errors
    /// A [`Failure`] where the tree is of no kind that is mirrored, or where a function in it is not as
    /// it was.
    pub fn of_tree(cache: &Cache, tree: &str) -> Result<Vec<Unit>> {
        let store = cache.store()?;
        let tree = store.find_tree(Oid::from_str(tree)?).context("the tree is in the store")?;
        let read = |file: &str| read(&store, &tree, file);
        let pages = match read("migration/ram.c") {
            Some(_) => ram::unit::unit(read).map(Unit::Ram),
            None => {
                let texts = v1_0::unit::FILES.map(|file| read(file).unwrap_or_default());
                v1_0::unit::unit(texts.each_ref().map(String::as_str)).map(Unit::V1_0)
            }
        };
        let mut units = vec![pages.map_err(not_mirrored)?];
        if let [Unit::Ram(_)] = units[..] {
            units.push(around::unit::unit(read).map(Unit::Around).map_err(not_mirrored)?);
            units.push(loader::unit::unit(read).map(Unit::Loader).map_err(not_mirrored)?);
            units.push(dirty::unit::unit(read).map(Unit::Dirty).map_err(not_mirrored)?);
        }
        units.extend(option::unit::unit(read).map_err(not_mirrored)?.map(Unit::Option));
        Ok(units)
    }

    /// What of QEMU it is, in a word.
    pub fn name(&self) -> &'static str {
        match self {
            Unit::V1_0(_) | Unit::Ram(_) => "functions",
            Unit::Option(_) => "option",
            Unit::Around(_) => "around",
            Unit::Loader(_) => "loader",
            Unit::Dirty(_) => "dirty",
        }
    }

    /// The same, as it is told.
    pub fn title(&self) -> &'static str {
        match self {
            Unit::V1_0(_) | Unit::Ram(_) => "the functions",
            Unit::Option(_) => "the option",
            Unit::Around(_) => "what is around the save loop",
            Unit::Loader(_) => "what a reset writes",
            Unit::Dirty(_) => "what takes over written pages",
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Unit::V1_0(unit) => &unit.text,
            Unit::Ram(unit) => &unit.text,
            Unit::Option(unit) => &unit.text,
            Unit::Around(unit) => &unit.text,
            Unit::Loader(unit) => &unit.text,
            Unit::Dirty(unit) => &unit.text,
        }
    }

    /// Whose code it is, in a word.
    pub fn variant(&self) -> String {
        match self {
            Unit::V1_0(unit) => unit.variant.to_string(),
            Unit::Ram(unit) if unit.tree.external => "carried".to_owned(),
            Unit::Around(unit) if unit.tree.ram.external => "carried".to_owned(),
            Unit::Loader(unit) if unit.tree.waits => "carried".to_owned(),
            Unit::Dirty(unit) if unit.tree.tlb == Tlb::Reset => "carried".to_owned(),
            Unit::Ram(_) | Unit::Around(_) | Unit::Loader(_) | Unit::Dirty(_) => "stock".to_owned(),
            Unit::Option(unit) if unit.code == Code::Posted => "posted".to_owned(),
            Unit::Option(_) => "carried".to_owned(),
        }
    }

    /// What has to be known of it to call what was compiled.
    fn about(&self) -> Value {
        match self {
            Unit::V1_0(unit) => json!({ "of": "1.0", "variant": unit.variant }),
            Unit::Ram(unit) => json!({ "of": "migration/ram.c", "tree": unit.tree }),
            Unit::Option(unit) => json!({ "of": "option", "code": unit.code }),
            Unit::Around(unit) => json!({ "of": "around", "tree": unit.tree }),
            Unit::Loader(unit) => json!({ "of": "loader", "tree": unit.tree }),
            Unit::Dirty(unit) => json!({ "of": "dirty", "tree": unit.tree }),
        }
    }

    /// Compiles it in `folder`, which keeps it, beside what it is about; gives the shared object.
    ///
    /// # Errors
    /// A [`Failure`] with what the compiler said, where it does not compile.
    pub fn compile(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let place = |name: &str| folder.join(name);
        let (text, object, said) =
            (place("functions.c"), place("functions.so"), place("compiler.txt"));
        let writing = |path: &Path| format!("writing {}", path.display());
        fs::write(&text, self.text()).with_context(|| writing(&text))?;
        let about = place("unit.json");
        fs::write(&about, serde_json::to_string(&self.about())?)
            .with_context(|| writing(&about))?;
        let error = File::create(&said).with_context(|| writing(&said))?;
        // Through a shell, since $CC may have arguments.
        let mut compiler = Command::new("sh");
        compiler.args(["-c", "exec ${CC:-cc} \"$@\"", "cc"]).args(FLAGS);
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
            self.variant(),
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

/// Loads the functions of QEMU 1.0 that were compiled.
///
/// # Errors
/// Where they cannot be loaded.
pub fn load_v1_0(object: &Path) -> Result<v1_0::Functions> {
    v1_0::Functions::load(object, STREAM).with_context(|| format!("loading {}", object.display()))
}

/// Loads the save loop of migration/ram.c that was compiled.
///
/// # Errors
/// Where it cannot be loaded.
pub fn load_ram(object: &Path) -> Result<ram::Functions> {
    ram::Functions::load(object, STREAM).with_context(|| format!("loading {}", object.display()))
}

/// The option that was compiled, beside its mirror.
///
/// # Errors
/// Where it cannot be loaded, or where there is no room for files.
pub fn option(code: Code, object: Option<&Path>) -> Result<option::Subject> {
    let load = |object: &Path| {
        option::Functions::load(object).with_context(|| format!("loading {}", object.display()))
    };
    let functions = object.map(load).transpose()?;
    option::Subject::new(code, functions).context("making files for the option")
}

/// Loads what is around the save loop that was compiled.
///
/// # Errors
/// Where it cannot be loaded.
pub fn load_around(object: &Path) -> Result<around::Functions> {
    around::Functions::load(object, STREAM).with_context(|| format!("loading {}", object.display()))
}

/// Loads what writes into RAM at a reset that was compiled.
///
/// # Errors
/// Where it cannot be loaded.
pub fn load_loader(object: &Path) -> Result<loader::Functions> {
    loader::Functions::load(object).with_context(|| format!("loading {}", object.display()))
}

/// Loads what takes over written pages that was compiled.
///
/// # Errors
/// Where it cannot be loaded.
pub fn load_dirty(object: &Path) -> Result<dirty::Functions> {
    dirty::Functions::load(object).with_context(|| format!("loading {}", object.display()))
}
