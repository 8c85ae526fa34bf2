//! Where two streams differ: blocks, pages, devices.

use std::collections::BTreeSet;

use crate::{BlockSummary, DeviceSection, DeviceState, PageSet, Summary};

/// Something that stands in one stream, or in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side<T> {
    /// Only in the one.
    One(T),
    /// Only in the other.
    Other(T),
    /// In both, and different.
    Both(T, T),
}

/// A RAM block that is not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockDifference {
    /// Its name.
    pub idstr: String,
    /// Its length in bytes, where that differs.
    pub length: Option<Side<u64>>,
    /// The pages that only the one has.
    pub only_one: PageSet,
    /// The pages that only the other has.
    pub only_other: PageSet,
    /// The pages that both have, with other contents in the end.
    pub differ: PageSet,
    /// How many both have with the same content.
    pub same: u64,
}

impl BlockDifference {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        let BlockDifference { length, only_one, only_other, differ, .. } = self;
        length.is_none() && only_one.is_empty() && only_other.is_empty() && differ.is_empty()
    }
}

/// Holds the blocks of two streams against each other, in the order of the first one's list. A page
/// counts as the `same` by its block's idstr and its number.
///
/// # Errors
/// Those of `same`.
pub fn blocks<E>(
    one: &Summary,
    other: &Summary,
    mut same: impl FnMut(&str, u64) -> Result<bool, E>,
) -> Result<Vec<BlockDifference>, E> {
    let of_one = one.blocks.iter();
    let of_other = other.blocks.iter().filter(|block| one.block(&block.idstr).is_none());
    let mut all = Vec::new();
    for BlockSummary { idstr, .. } in of_one.chain(of_other) {
        let none = PageSet::default();
        let pair = (one.block(idstr), other.block(idstr));
        let pages = |block: Option<&'_ BlockSummary>| block.map(|it| it.pages.clone());
        let (ours, theirs) = (pages(pair.0), pages(pair.1));
        let (ours, theirs) = (ours.as_ref().unwrap_or(&none), theirs.as_ref().unwrap_or(&none));
        let mut difference = BlockDifference {
            idstr: idstr.clone(),
            length: side(pair.0.map(|it| it.used_length), pair.1.map(|it| it.used_length)),
            only_one: PageSet::default(),
            only_other: PageSet::default(),
            differ: PageSet::default(),
            same: 0,
        };
        for page in ours.iter() {
            if !theirs.contains(page) {
                difference.only_one.insert(page);
            } else if same(idstr, page)? {
                difference.same += 1;
            } else {
                difference.differ.insert(page);
            }
        }
        let missed = theirs.iter().filter(|&page| !ours.contains(page));
        missed.for_each(|page| difference.only_other.insert(page));
        all.push(difference);
    }
    Ok(all)
}

/// The sections of devices that are not in both, or of which `same` says that they differ; by name
/// and instance. The sections are those of the one, where it has them.
///
/// # Errors
/// Those of `same`.
pub fn devices<'a, E>(
    one: &'a Summary,
    other: &'a Summary,
    mut same: impl FnMut(&DeviceSection, &DeviceSection) -> Result<bool, E>,
) -> Result<Vec<Side<&'a DeviceSection>>, E> {
    let name = |section: &DeviceSection| (section.header.idstr.clone(), section.header.instance);
    let (ours, theirs) = (sections(&one.device_state), sections(&other.device_state));
    let mut found = Vec::new();
    let mut met = BTreeSet::new();
    for section in ours {
        met.insert(name(section));
        match theirs.iter().find(|it| name(it) == name(section)) {
            None => found.push(Side::One(section)),
            Some(its) if !same(section, its)? => found.push(Side::Both(section, its)),
            Some(_) => {}
        }
    }
    found.extend(theirs.iter().filter(|it| !met.contains(&name(it))).map(Side::Other));
    Ok(found)
}

/// The sections of devices that can be told apart.
pub fn sections(state: &DeviceState) -> &[DeviceSection] {
    match state {
        DeviceState::Examined { sections, .. } | DeviceState::Listed { sections } => sections,
        DeviceState::Unexamined { .. } => &[],
    }
}

fn side<T: PartialEq>(one: Option<T>, other: Option<T>) -> Option<Side<T>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Some(Side::Both(one, other)),
        (Some(one), None) => Some(Side::One(one)),
        (None, Some(other)) => Some(Side::Other(other)),
        _ => None,
    }
}
