//! What the cache holds, how large it is, and how to get rid of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::{Cache, Lock, TEMPORARY};

/// The kinds of things in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All sources together, since their trees share one store.
    Source,
    /// A work tree with its build folder.
    Tree,
    /// A finished build.
    Build,
    /// A private Python environment.
    Python,
    /// What guests boot that comes from packages.
    Guest,
    /// The folder of a run.
    Run,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Source, Kind::Tree, Kind::Build, Kind::Python, Kind::Guest, Kind::Run];

    /// The kind in one word, as it is shown and typed.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Tree => "tree",
            Kind::Build => "build",
            Kind::Python => "python",
            Kind::Guest => "guest",
            Kind::Run => "run",
        }
    }

    pub(super) fn folder(self) -> &'static str {
        match self {
            Kind::Source => "sources",
            Kind::Tree => "trees",
            Kind::Build => "builds",
            Kind::Python => "python",
            Kind::Guest => "guests",
            Kind::Run => "runs",
        }
    }

    /// The name of the lock on the thing of this kind that is called `name`.
    pub fn lock(self, name: &str) -> String {
        format!("{}-{name}", self.word())
    }
}

/// One thing in the cache.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its name: a key, a run's id, or the names of all sources.
    pub name: String,
    /// The disk space it takes, in bytes.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
    paths: Vec<PathBuf>,
}

/// Which entries to prune.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    /// Only those of this kind.
    pub kind: Option<Kind>,
    /// Only those that were not used for so long.
    pub older_than: Option<Duration>,
}

impl Which {
    fn takes(self, entry: &Entry) -> bool {
        let age = entry.used.elapsed().unwrap_or_default();
        self.kind.is_none_or(|kind| kind == entry.kind)
            && self.older_than.is_none_or(|limit| age >= limit)
    }
}

/// What came of pruning.
#[derive(Debug, Default)]
pub struct Pruned {
    /// What was removed.
    pub removed: Vec<Entry>,
    /// What was asked for and left, because a run is using it.
    pub in_use: Vec<Entry>,
}

impl Cache {
    /// Everything in the cache, by kind and name.
    ///
    /// # Errors
    /// Where the cache cannot be read.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        entries.extend(self.sources()?);
        for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Source) {
            for path in list(&self.folder(kind))? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                entries.push(entry(kind, name, vec![path]));
            }
        }
        Ok(entries)
    }

    /// Removes what `which` takes, except what a run is using.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn prune(&self, which: Which) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for entry in self.entries()? {
            if !which.takes(&entry) {
                continue;
            }
            let removed = match entry.kind {
                Kind::Source => {
                    let alone = self.in_use.try_exclusive()?;
                    let removed = if alone { self.remove(&entry) } else { Ok(()) };
                    self.in_use.shared()?;
                    removed.map(|()| alone)?
                }
                kind => {
                    let lock = self.root.join("locks").join(kind.lock(&entry.name));
                    let lock = Lock::open(&lock)?;
                    let alone = lock.try_exclusive()?;
                    if alone {
                        self.remove(&entry)?;
                    }
                    alone
                }
            };
            if removed { pruned.removed.push(entry) } else { pruned.in_use.push(entry) }
        }
        Ok(pruned)
    }

    /// All sources as one entry, if there are any.
    fn sources(&self) -> Result<Option<Entry>> {
        let records = list(&self.folder(Kind::Source))?;
        let names = records.iter().filter_map(|path| path.file_stem());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        let name = names.join(", ");
        // The records first: a store without records is unused, records without a store are lies.
        let mut paths = records;
        paths.extend(Some(self.store_dir()).filter(|store| store.exists()));
        Ok((!paths.is_empty()).then(|| entry(Kind::Source, name, paths)))
    }

    /// Removes an entry under a temporary name, so that half of it is never found.
    fn remove(&self, entry: &Entry) -> Result<()> {
        for path in &entry.paths {
            let context = || format!("removing {}", path.display());
            let scratch = self.scratch(&self.root)?;
            fs::rename(path, scratch.path().join("removed")).with_context(context)?;
            scratch.close().with_context(context)?;
        }
        Ok(())
    }
}

fn entry(kind: Kind, name: String, paths: Vec<PathBuf>) -> Entry {
    let bytes = paths.iter().map(|path| space(path)).sum();
    let used = paths.iter().map(|path| last_use(path)).max().unwrap_or(SystemTime::UNIX_EPOCH);
    Entry { kind, name, bytes, used, paths }
}

/// When a path was last used: the newest change of itself and of what is directly in it, among
/// which each kind keeps a file that is touched at every use.
fn last_use(path: &Path) -> SystemTime {
    let changed = |path: &Path| path.symlink_metadata().and_then(|meta| meta.modified()).ok();
    let inner = fs::read_dir(path).into_iter().flatten().flatten();
    let inner = inner.filter_map(|inner| changed(&inner.path()));
    inner.chain(changed(path)).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The disk space that a path and all in it take. What goes away while it is being measured, in
/// another run's hands, takes none.
fn space(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    let own = meta.blocks() * 512;
    if !meta.is_dir() {
        return own;
    }
    let inner = fs::read_dir(path).into_iter().flatten().flatten();
    own + inner.map(|inner| space(&inner.path())).sum::<u64>()
}

/// What is in a folder and is no temporary file, sorted.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::{a_step, cache};

    fn make(cache: &Cache, kind: Kind, name: &str) -> PathBuf {
        let dir = cache.folder(kind).join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), [1; 10_000]).unwrap();
        dir
    }

    fn names(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|entry| format!("{} {}", entry.kind.word(), entry.name)).collect()
    }

    #[test]
    fn entries_are_listed_with_their_sizes() {
        let (_dir, cache) = cache();
        make(&cache, Kind::Build, "b");
        make(&cache, Kind::Tree, "t");
        fs::create_dir(cache.folder(Kind::Tree).join(".pcram-tmp-x")).unwrap();
        let entries = cache.entries().unwrap();
        assert_eq!(names(&entries), ["tree t", "build b"]);
        assert!(entries.iter().all(|entry| (10_000..30_000).contains(&entry.bytes)), "{entries:?}");
    }

    #[test]
    fn pruning_keeps_to_its_kind() {
        let (_dir, cache) = cache();
        let build = make(&cache, Kind::Build, "b");
        let tree = make(&cache, Kind::Tree, "t");
        let pruned = cache.prune(Which { kind: Some(Kind::Tree), older_than: None }).unwrap();
        assert_eq!(names(&pruned.removed), ["tree t"]);
        assert!(build.exists() && !tree.exists());
    }

    #[test]
    fn pruning_keeps_what_was_used_lately() {
        let (_dir, cache) = cache();
        let old = make(&cache, Kind::Build, "old");
        let touched = make(&cache, Kind::Build, "touched");
        let then = SystemTime::now() - Duration::from_secs(100_000);
        for path in [&old, &old.join("file"), &touched, &touched.join("file")] {
            fs::File::open(path).unwrap().set_modified(then).unwrap();
        }
        super::super::touch(&touched.join("file")).unwrap();
        let older_than = Some(Duration::from_secs(86_400));
        let pruned = cache.prune(Which { kind: None, older_than }).unwrap();
        assert_eq!(names(&pruned.removed), ["build old"]);
        assert!(touched.exists() && !old.exists());
    }

    #[test]
    fn pruning_leaves_what_is_in_use() {
        let (_dir, cache) = cache();
        let tree = make(&cache, Kind::Tree, "t");
        let build = make(&cache, Kind::Build, "b");
        let building = a_step(|step| cache.lock(&Kind::Tree.lock("t"), step)).unwrap();
        let running = cache.share(&Kind::Build.lock("b")).unwrap();
        let pruned = cache.prune(Which::default()).unwrap();
        assert_eq!(names(&pruned.in_use), ["tree t", "build b"]);
        assert!(tree.exists() && build.exists());
        drop((building, running));
        let pruned = cache.prune(Which::default()).unwrap();
        assert_eq!(names(&pruned.removed), ["tree t", "build b"]);
        assert!(!tree.exists() && !build.exists());
    }

    #[test]
    fn sources_are_pruned_as_one_and_not_under_another_run() {
        let (dir, cache) = cache();
        cache.store().unwrap();
        fs::write(cache.folder(Kind::Source).join("10.0-package.toml"), "").unwrap();
        assert_eq!(names(&cache.entries().unwrap()), ["source 10.0-package"]);
        let other = Cache::open(Some(dir.path())).unwrap();
        let pruned = cache.prune(Which::default()).unwrap();
        assert_eq!(names(&pruned.in_use), ["source 10.0-package"]);
        drop(other);
        let pruned = cache.prune(Which::default()).unwrap();
        assert_eq!(names(&pruned.removed), ["source 10.0-package"]);
        assert!(!cache.store_dir().exists());
        assert!(cache.entries().unwrap().is_empty());
    }
}
