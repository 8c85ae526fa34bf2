//! Which series to try on a tree that none was made for.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use git2::{Oid, Repository};

use super::Series;
use super::images::base_images;
use crate::failure::Failure;
use crate::source::{Release, Releases, Version};

/// A series, and how near it is to a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The release that it was made for.
    pub release: String,
    /// How many of the files that it changes stand in the tree just as it expects them.
    pub standing: usize,
    /// How many files of the tree that it was made on it changes.
    pub files: usize,
    /// How far its version is from the tree's, in half releases, where both are known.
    pub distance: Option<u32>,
}

/// The series to try, and why.
#[derive(Clone, Debug)]
pub struct Nearest {
    /// Its release.
    pub release: Release,
    /// Its folder.
    pub dir: PathBuf,
    /// All that were compared, the nearest first.
    pub candidates: Vec<Candidate>,
}

/// The series, of those in the table `releases` beside which their folders are in `patches`, that
/// is nearest to `tree` (an id in hex): the one that finds most of its files unchanged; of two
/// that are alike in that, the one whose version is nearer; then the newer.
///
/// # Errors
/// Where a series cannot be read.
pub fn nearest(
    store: &Repository,
    releases: &Releases,
    patches: &Path,
    tree: &str,
) -> Result<Nearest> {
    let version = Version::of_tree(store, tree);
    let tree = store.find_tree(Oid::from_str(tree)?)?;
    let mut compared = Vec::new();
    for release in releases.all() {
        let images = base_images(&Series::load(&patches.join(&release.series))?.patches);
        let own = Version::parse(&release.name);
        let candidate = Candidate {
            release: release.name.clone(),
            standing: images.iter().filter(|image| image.stands_in(&tree)).count(),
            files: images.len(),
            distance: version.zip(own).map(|(version, own)| version.distance(own)),
        };
        compared.push((candidate, own, release));
    }
    compared.sort_by_key(|(candidate, own, _)| {
        (Reverse(candidate.per_mille()), candidate.distance.unwrap_or(u32::MAX), Reverse(*own))
    });
    let Some((.., release)) = compared.first().cloned() else {
        return Err(Failure::usage(format!("{} has no series", patches.display())).into());
    };
    let release = release.clone();
    let dir = patches.join(&release.series);
    Ok(Nearest { release, dir, candidates: compared.into_iter().map(|(it, ..)| it).collect() })
}

impl Candidate {
    fn per_mille(&self) -> usize {
        1000 * self.standing / self.files.max(1)
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Candidate { release, standing, files, distance } = self;
        write!(f, "{release}: {standing} of the {files} files that it changes are as it expects")?;
        match distance {
            Some(0) => write!(f, ", its version is the tree's"),
            Some(halves) => write!(f, ", {} releases away", f64::from(*halves) / 2.0),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
