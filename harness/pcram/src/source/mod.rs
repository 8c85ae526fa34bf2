//! A source: a QEMU tree in the cache's store, from a package, a git, or a folder of the user's.

pub(crate) mod apt;
mod fill;
mod git;
pub(crate) mod import;
mod package;
mod record;
mod releases;
mod tree;
mod version;

pub use git::local as local_git;
pub use record::{Filled, Origin, Source, cached};
pub use releases::{GitName, Package, Release, Releases};
pub use version::Version;

use std::path::PathBuf;

use anyhow::{Context, Result};
use git2::{Oid, Repository};

use crate::build::packages::Use;
use crate::cache::Cache;
use crate::event::{Events, Outcome, Step};
use crate::failure::Failure;

/// Where the user wants a source from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// The first that answers: the tree or git that was named, the distribution's package (from
    /// the cache, where it is there)
    #[default]
    Auto,
    /// The distribution's source package
    Package,
    /// A git, here or elsewhere
    Git,
    /// A source tree of the user's
    Tree,
}

impl Choice {
    /// The choice as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Choice::Auto => "auto",
            Choice::Package => "package",
            Choice::Git => "git",
            Choice::Tree => "tree",
        }
    }
}

/// The revision that is wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// One that a series is carried for.
    Release(Release),
    /// Another one, which only a git or a tree has.
    Other {
        /// What the user calls it: what a git knows it by, or the tree's path.
        name: String,
        /// The releases that there are series for.
        releases: Releases,
    },
}

impl Wanted {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Wanted::Release(release) => &release.name,
            Wanted::Other { name, .. } => name,
        }
    }

    /// The revision that a git is asked for where the user names none.
    fn default_revision(&self) -> String {
        match self {
            Wanted::Release(release) => release.default_revision(),
            Wanted::Other { name, .. } => name.clone(),
        }
    }

    /// The release whose package has what `tree` may lack: its own, or the nearest.
    fn donor(&self, store: &Repository, tree: &str) -> Option<&Release> {
        match self {
            Wanted::Release(release) => Some(release),
            Wanted::Other { releases, .. } => {
                releases.nearest_package(Version::of_tree(store, tree))
            }
        }
    }

    /// Whether a distribution has it as a source package.
    fn has_package(&self) -> bool {
        matches!(self, Wanted::Release(Release { package: Some(_), .. }))
    }
}

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Request {
    /// The revision.
    pub wanted: Wanted,
    /// Where from.
    pub choice: Choice,
    /// A git's path or URL.
    pub git_url: Option<String>,
    /// The revision in that git; else the release's tag, or what the user calls the revision.
    pub git_rev: Option<String>,
    /// A source tree.
    pub tree_dir: Option<PathBuf>,
    /// Reach for no network.
    pub offline: bool,
    /// Ask the source again, even where the cache has an answer.
    pub refresh: bool,
    /// The command line that repeats this step alone.
    pub repeat: String,
}

impl Request {
    /// What `auto` comes to where the user named a tree or a revision, which only one source has.
    fn choice(&self) -> Choice {
        let only_git = self.git_rev.is_some() || matches!(self.wanted, Wanted::Other { .. });
        match self.choice {
            Choice::Auto if self.tree_dir.is_some() => Choice::Tree,
            Choice::Auto if only_git => Choice::Git,
            choice => choice,
        }
    }

    /// What [`fetch`] will use of the system, as far as it can be told before.
    pub fn uses(&self, cache: &Cache) -> Vec<Use> {
        let known = !self.refresh && !cached(cache, self.wanted.name()).is_empty();
        let mut uses = vec![Use::Trees];
        let package = matches!(self.choice(), Choice::Auto | Choice::Package);
        let package = package && self.wanted.has_package();
        if package && !known && !self.offline && apt::is_there() {
            uses.push(Use::SourcePackage);
        }
        uses
    }
}

/// Fetches a source into the cache.
///
/// # Errors
/// A [`Failure`] that names each source that was asked, and why it did not answer.
pub fn fetch(cache: &Cache, events: &Events, request: &Request) -> Result<Source> {
    let name = request.wanted.name();
    events.step("fetch", format!("the source of QEMU {name}"), &request.repeat, |step| {
        let _lock = cache.lock(&format!("fetch-{}", record::plain(name)), step)?;
        let fetch = Fetch { cache, step, request };
        let source = match request.choice() {
            Choice::Auto => fetch.auto()?,
            Choice::Package => fetch.own_package()?,
            Choice::Git => fetch.git()?,
            Choice::Tree => fetch.tree()?,
        };
        let outcome = Outcome::new(source.description()).with("source tree", &source.tree);
        Ok((source, outcome))
    })
}

/// One fetch under way.
struct Fetch<'a> {
    cache: &'a Cache,
    step: &'a Step,
    request: &'a Request,
}

impl Fetch<'_> {
    /// A git that the user named, and then the package, or for a release that has none what the
    /// cache has from a git. A git that is to lie here must be there: its name is mistyped else, and
    /// another source would be taken unnoticed.
    fn auto(&self) -> Result<Source> {
        let Request { wanted, git_url, refresh, .. } = self.request;
        let mut silent = Vec::new();
        if let Some(url) = git_url {
            match self.git() {
                Err(error) if git::is_path(url) => return Err(error),
                Ok(source) => return Ok(source),
                Err(error) => silent.push(format!("the git does not answer: {error:#}")),
            }
        }
        if !wanted.has_package()
            && !refresh
            && let Some(source) = cached(self.cache, wanted.name()).into_iter().next()
        {
            silent.iter().for_each(|reason| self.step.note(reason));
            return Ok(self.known(source));
        }
        match self.own_package() {
            Ok(source) => {
                for reason in silent {
                    self.step.note(format!("took the source package, since {reason}"));
                }
                return Ok(source);
            }
            Err(error) => silent.push(format!("the source package does not answer: {error:#}")),
        }
        Err(Failure::missing(format!(
            "no source of QEMU {} answers: {}. Name a git by --git-url URL, or a source tree by \
             --tree DIR",
            wanted.name(),
            silent.join("; ")
        ))
        .into())
    }

    fn own_package(&self) -> Result<Source> {
        match &self.request.wanted {
            Wanted::Release(release) => self.package(release),
            Wanted::Other { name, .. } => Err(Failure::usage(format!(
                "there is no source package of {name:?}: name a git by --git-url, or a source \
                 tree by --tree"
            ))
            .into()),
        }
    }

    fn package(&self, release: &Release) -> Result<Source> {
        let Request { offline, refresh, .. } = self.request;
        if !refresh && let Some(source) = record::package(self.cache, &release.name) {
            return Ok(self.known(source));
        }
        let package = release.package.as_ref().ok_or_else(|| {
            Failure::missing(format!(
                "no distribution has a source package of QEMU {}, which upstream's git calls {}",
                release.name,
                release.default_revision()
            ))
        })?;
        if *offline {
            return Err(self.not_here("its source package").into());
        }
        let (tree, origin) = package::fetch(self.cache, self.step, package)?;
        self.keep(&release.name, tree, origin)
    }

    fn git(&self) -> Result<Source> {
        let Request { wanted, git_url, git_rev, offline, refresh, .. } = self.request;
        let url = git_url.as_ref().ok_or_else(|| {
            Failure::usage("a git is wanted, and none is named: add --git-url URL")
        })?;
        let rev = git_rev.clone().unwrap_or_else(|| wanted.default_revision());
        // What lies here is read anew each time, as quickly as it is looked up.
        if git::local(url).is_none() {
            let known = record::git(self.cache, wanted.name(), &git::shown(url), &rev);
            if !refresh && let Some(source) = known {
                return Ok(self.known(source));
            }
            if *offline {
                return Err(self.not_here(&format!("{rev} of {}", git::shown(url))).into());
            }
        }
        let (tree, origin) = git::fetch(self.cache, self.step, url, &rev)?;
        if git_rev.is_none() {
            self.compare_with_the_table(&origin);
        }
        self.keep(wanted.name(), tree, origin)
    }

    /// Tells where a tag is not the commit that the table has for it.
    fn compare_with_the_table(&self, origin: &Origin) {
        if let Wanted::Release(Release { git: Some(git), .. }) = &self.request.wanted
            && let (Some(known), Origin::Git { rev, commit, .. }) = (&git.commit, origin)
            && known != commit
        {
            self.step.note(format!(
                "{rev} is the commit {commit} there, and {known} is what the series was made on"
            ));
        }
    }

    fn tree(&self) -> Result<Source> {
        let dir = self.request.tree_dir.as_ref().ok_or_else(|| {
            Failure::usage("a source tree is wanted, and none is named: add --tree DIR")
        })?;
        let path = std::path::absolute(dir)?;
        let tree = tree::fetch(self.cache, self.step, &path)?;
        self.keep(self.request.wanted.name(), tree, Origin::Tree { path })
    }

    fn known(&self, source: Source) -> Source {
        let repeat = &self.request.repeat;
        self.step.note(format!("the cache has it; `{repeat} --refresh` asks the source again"));
        source
    }

    fn not_here(&self, what: &str) -> Failure {
        let repeat = &self.request.repeat;
        Failure::missing(format!(
            "the cache does not have {what}, and nothing is fetched here: `{repeat}` does"
        ))
    }

    /// Completes a tree, and records it.
    fn keep(&self, release: &str, tree: Oid, origin: Origin) -> Result<Source> {
        let release = release.to_owned();
        let tree = tree.to_string();
        let mut source = Source { release, tree, origin, filled: Vec::new() };
        let store = self.cache.store()?;
        let looks_like_qemu = |name| {
            let root = store.find_tree(source.tree_id()?)?;
            anyhow::Ok(root.get_name(name).is_some())
        };
        if !looks_like_qemu("configure")? || !looks_like_qemu("VERSION")? {
            return Err(Failure::usage(format!(
                "{} is no QEMU source: there is no `configure` or no `VERSION` in it",
                source.description()
            ))
            .into());
        }
        let lacking = fill::lacking(&store, source.tree_id()?);
        if !lacking.is_empty() {
            let what = || {
                format!("looking for {}, which {} lacks", lacking.join(", "), source.description())
            };
            let donor = self.request.wanted.donor(&store, &source.tree);
            let donor = donor.context("no release has a source package").with_context(what)?;
            let package = self.package(donor).with_context(what)?;
            fill::fill(self.cache, &mut source, &package)?;
        }
        source.save(self.cache)?;
        Ok(source)
    }
}

#[cfg(test)]
mod tests;
