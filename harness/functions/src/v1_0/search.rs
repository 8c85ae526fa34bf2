//! Many cases, one after the other; and the smallest that shows something.

use super::case::{Case, cases};
use super::ffi::Functions;
use super::lockstep::{Difference, run};
use super::properties::Broken;
use pcram_mirror::v1_0::{Property, Variant};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// How often a case that shows something may be made smaller.
const SHRINK: u32 = 20_000;

/// What came of many cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Cases that were run.
    pub cases: u64,
    /// Calls that each side made in them.
    pub calls: u64,
    /// Cases that ended early, since the C would have done what it does not define.
    pub ended: u64,
    /// For each property that was broken, in how many cases.
    pub broken: BTreeMap<Property, u64>,
}

/// A small case in which the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// The case.
    pub case: Case,
    /// In what they differ.
    pub difference: Difference,
}

/// Runs `count` cases that follow from `seed`; `progress` is told how many were.
///
/// # Errors
///
/// The smallest case that was found in which functions and mirror differ.
pub fn search(
    variant: Variant,
    mut functions: Option<&mut Functions>,
    count: u32,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<Found, Box<Differs>> {
    let mut found = Found::default();
    let mut last = None;
    let differs = first(count, seed, |case| match run(variant, functions.as_deref_mut(), case) {
        Ok(outcome) => {
            found.cases += 1;
            found.calls += outcome.calls;
            found.ended += u64::from(outcome.ended.is_some());
            for broken in outcome.broken {
                *found.broken.entry(broken.property).or_default() += 1;
            }
            progress(found.cases);
            true
        }
        Err(difference) => {
            last = Some(difference);
            false
        }
    });
    match (differs, last) {
        (Some(case), Some(difference)) => {
            let difference = run(variant, functions, &case).err().unwrap_or(difference);
            Err(Box::new(Differs { case, difference }))
        }
        _ => Ok(found),
    }
}

/// The smallest case among `count` that breaks a property, as the mirror has it.
pub fn smallest(
    variant: Variant,
    property: Property,
    count: u32,
    seed: u64,
) -> Option<(Case, Broken)> {
    let broken = |case: &Case| {
        let outcome = run(variant, None, case).ok()?;
        outcome.broken.into_iter().find(|broken| broken.property == property)
    };
    let case = first(count, seed, |case| broken(case).is_none())?;
    let seen = broken(&case)?;
    Some((case, seen))
}

/// The first of `count` cases for which `holds` does not, made as small as it goes.
fn first(count: u32, seed: u64, mut holds: impl FnMut(&Case) -> bool) -> Option<Case> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: count,
        failure_persistence: None,
        max_shrink_iters: SHRINK,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let holds_of = RefCell::new(&mut holds);
    let came = runner.run(&cases(), |case| match (holds_of.borrow_mut())(&case) {
        true => Ok(()),
        false => Err(TestCaseError::fail("it does not hold")),
    });
    match came {
        Err(TestError::Fail(_, case)) => Some(shortened(case, holds)),
        _ => None,
    }
}

/// The case without any step, page or block that it can do without: proptest makes what there is
/// simpler, but takes a step out of a migration only together with others.
fn shortened(mut case: Case, mut holds: impl FnMut(&Case) -> bool) -> Case {
    loop {
        let smaller = smaller(&case).into_iter().find(|smaller| !holds(smaller));
        match smaller {
            Some(smaller) => case = smaller,
            None => return case,
        }
    }
}

/// The case with one thing less, in every way.
fn smaller(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    for at in (0..case.steps.len()).rev() {
        let mut smaller = case.clone();
        smaller.steps.remove(at);
        all.push(smaller);
    }
    for at in 0..case.blocks.len() {
        let mut smaller = case.clone();
        if case.blocks[at].pages > 1 {
            smaller.blocks[at].pages -= 1;
        } else if at + 1 == case.blocks.len() && at > 0 {
            smaller.blocks.pop();
        } else {
            continue;
        }
        all.push(smaller);
    }
    for at in 0..case.blocks.len() {
        if case.blocks[at].left_out {
            let mut smaller = case.clone();
            smaller.blocks[at].left_out = false;
            all.push(smaller);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_released_and_as_carried_no_case_breaks_a_property() {
        for variant in [Variant::Stock, Variant::Carried] {
            let found = search(variant, None, 2_000, 1, |_| {}).unwrap();
            assert_eq!((found.cases, found.broken), (2_000, BTreeMap::new()), "{variant}");
            assert!(found.calls > 20_000 && found.ended < 400, "{variant}: {}", found.calls);
        }
    }

    #[test]
    fn as_posted_each_property_has_a_small_case_that_breaks_it() {
        for property in Property::ALL {
            let (case, broken) = smallest(Variant::Posted, property, 20_000, 1).unwrap();
            assert_eq!(broken.property, property);
            assert!(case.blocks.len() <= 3 && case.steps.len() <= 8, "{case:?}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_cases() {
        let found = |seed| search(Variant::Posted, None, 300, seed, |_| {}).unwrap();
        assert_eq!(found(7), found(7));
        assert_ne!(found(7), found(8));
    }
}
