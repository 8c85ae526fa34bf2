//! A fetched source: what it is, where it came from, and the cache's record of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use git2::Oid;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, Kind, write_atomically};

/// A QEMU source tree in the cache's store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The revision that it was fetched for, e.g. `10.0`.
    pub release: String,
    /// The id of its git tree, in hex.
    pub tree: String,
    /// Where it came from.
    pub origin: Origin,
    /// What was missing from it and taken from elsewhere; part of `tree`.
    #[serde(default)]
    pub filled: Vec<Filled>,
}

/// Where a source came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// A distribution's source package: upstream's release and the distribution's patches.
    #[serde(rename_all = "kebab-case")]
    Package {
        /// The source package's name.
        name: String,
        /// Its version.
        version: String,
        /// The suite it was asked for in.
        suite: String,
        /// The SHA-256 of its .dsc file, which has the hashes of all else, in hex.
        dsc_sha256: String,
    },
    /// A commit of a git.
    Git {
        /// The path or URL, without credentials.
        url: String,
        /// The revision that was asked for.
        rev: String,
        /// The commit that it was, in hex.
        commit: String,
    },
    /// A folder of the user's, as it was at that moment.
    Tree {
        /// The folder.
        path: PathBuf,
    },
}

/// A folder that a source lacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filled {
    /// The folder's path in the tree.
    pub folder: String,
    /// What it was taken from, in words.
    pub from: String,
}

impl Source {
    /// The tree's id.
    ///
    /// # Errors
    /// Where `tree` is no id.
    pub fn tree_id(&self) -> Result<Oid> {
        Oid::from_str(&self.tree).with_context(|| format!("the tree id {:?}", self.tree))
    }

    /// Exactly what it is, in one sentence.
    pub fn description(&self) -> String {
        let mut text = self.origin.description();
        for Filled { folder, from } in &self.filled {
            text += &format!(", with {folder} from {from}");
        }
        text
    }

    /// The git that it came from, if that is a folder here.
    pub fn git(&self) -> Option<PathBuf> {
        match &self.origin {
            Origin::Package { .. } => None,
            Origin::Git { url, .. } => super::git::local(url),
            Origin::Tree { path } => Some(path.clone()),
        }
    }

    /// Records the source, unless it is a folder of the user's, which is read anew each time.
    pub(super) fn save(&self, cache: &Cache) -> Result<()> {
        let key = match &self.origin {
            Origin::Package { .. } => PACKAGE.to_owned(),
            Origin::Git { url, rev, .. } => git_key(url, rev),
            Origin::Tree { .. } => return Ok(()),
        };
        let path = cache.folder(Kind::Source).join(file(&self.release, &key));
        let text = toml::to_string(self).context("writing the record of a source")?;
        write_atomically(&path, &text).with_context(|| format!("writing {}", path.display()))
    }
}

impl Origin {
    /// Exactly where it came from, in words.
    pub fn description(&self) -> String {
        match self {
            Origin::Package { name, version, suite, dsc_sha256 } => {
                format!(
                    "source package {name} {version} of {suite} (upstream with the \
                     distribution's patches), .dsc sha256 {dsc_sha256}"
                )
            }
            Origin::Git { url, rev, commit } => format!("{rev} of the git {url}, commit {commit}"),
            Origin::Tree { path } => format!("the folder {} as it is now", path.display()),
        }
    }
}

const PACKAGE: &str = "package";

fn git_key(url: &str, rev: &str) -> String {
    let hash = blake3::hash(format!("{url}\n{rev}").as_bytes()).to_hex();
    format!("git-{}", &hash[..12])
}

fn file(release: &str, key: &str) -> String {
    format!("{}-{key}.toml", plain(release))
}

/// A revision's name as a part of a file's name.
pub(super) fn plain(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// The package of `release` that the cache has.
pub(super) fn package(cache: &Cache, release: &str) -> Option<Source> {
    load(cache, &cache.folder(Kind::Source).join(file(release, PACKAGE)))
}

/// The tree of `rev` of the git `url` that the cache has.
pub(super) fn git(cache: &Cache, release: &str, url: &str, rev: &str) -> Option<Source> {
    load(cache, &cache.folder(Kind::Source).join(file(release, &git_key(url, rev))))
}

/// Every source of `release` that the cache has, a package first, then the newest first.
pub fn cached(cache: &Cache, release: &str) -> Vec<Source> {
    let entries = fs::read_dir(cache.folder(Kind::Source)).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let source = load(cache, &entry.path())?;
            let age = entry.metadata().ok()?.modified().ok()?.elapsed().unwrap_or_default();
            (source.release == release).then_some((age, source))
        })
        .collect();
    found.sort_by_key(|(age, source)| (!matches!(source.origin, Origin::Package { .. }), *age));
    found.into_iter().map(|(_, source)| source).collect()
}

/// A record whose tree is in the store. Anything else is as good as none: it is fetched again.
fn load(cache: &Cache, path: &Path) -> Option<Source> {
    let source: Source = toml::from_str(&fs::read_to_string(path).ok()?).ok()?;
    cache.store().ok()?.find_tree(source.tree_id().ok()?).ok()?;
    Some(source)
}
