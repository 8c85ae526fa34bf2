//! Many cases, one after the other; and the smallest that shows something.

use crate::lockstep::{Broken, Difference, Lockstep};
use pcram_mirror::v1_0::Property;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often proptest may make a case simpler that shows something.
const SHRINK: u32 = 4_000;
/// How many cases with one thing less may then be tried.
const SHORTEN: usize = 20_000;

/// What came of many cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Cases that were run.
    pub cases: u64,
    /// Calls that each side made in them.
    pub calls: u64,
    /// How often the loop that sends a page was called on each side.
    pub loops: u64,
    /// How long both sides took, without the making of cases.
    pub spent: Duration,
    /// Cases that ended early, since the C would have done what it does not define.
    pub ended: u64,
    /// For each property that was broken, in how many cases.
    pub broken: BTreeMap<Property, u64>,
}

/// A small case in which the two sides differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs<C> {
    /// The case.
    pub case: C,
    /// In what they differ.
    pub difference: Difference,
}

/// Runs `count` cases that follow from `seed`; `progress` is told how many were.
///
/// # Errors
///
/// The smallest case that was found in which functions and mirror differ.
pub fn search<L: Lockstep>(
    subject: &mut L,
    count: u32,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> Result<Found, Box<Differs<L::Case>>> {
    let mut found = Found::default();
    let mut last = None;
    let mut run = |case: &L::Case| {
        let begun = Instant::now();
        (subject.run(case, true), begun.elapsed())
    };
    let differs = first::<L>(count, seed, |case| match run(case) {
        (Ok(outcome), spent) => {
            found.spent += spent;
            found.cases += 1;
            found.calls += outcome.calls;
            found.loops += outcome.loops;
            found.ended += u64::from(outcome.ended.is_some());
            for broken in outcome.broken {
                *found.broken.entry(broken.property).or_default() += 1;
            }
            progress(found.cases);
            true
        }
        (Err(difference), _) => {
            last = Some(difference);
            false
        }
    });
    let Some(case) = differs else { return Ok(found) };
    // Outside the runner, which takes a panic for a case that does not hold.
    let difference = subject.run(&case, true).err().or(last);
    let difference = difference.expect("a case that does not hold differs, or panics again");
    Err(Box::new(Differs { case, difference }))
}

/// The smallest case among `count` that breaks a property, as the mirror has it.
pub fn smallest<L: Lockstep>(
    subject: &mut L,
    property: Property,
    count: u32,
    seed: u64,
) -> Option<(L::Case, Broken)> {
    let mut broken = |case: &L::Case| {
        let outcome = subject.run(case, false).ok()?;
        outcome.broken.into_iter().find(|broken| broken.property == property)
    };
    let case = first::<L>(count, seed, |case| broken(case).is_none())?;
    let seen = broken(&case)?;
    Some((case, seen))
}

/// The first of `count` cases for which `holds` does not, made as small as it goes.
fn first<L: Lockstep>(
    count: u32,
    seed: u64,
    mut holds: impl FnMut(&L::Case) -> bool,
) -> Option<L::Case> {
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
    let came = runner.run(&L::cases(), |case| match (holds_of.borrow_mut())(&case) {
        true => Ok(()),
        false => Err(TestCaseError::fail("it does not hold")),
    });
    match came {
        Err(TestError::Fail(_, case)) => Some(shortened::<L>(case, holds)),
        _ => None,
    }
}

/// The case without any step, page or block that it can do without: proptest makes what there is
/// simpler, if anything, but takes a step out of a migration only together with others.
fn shortened<L: Lockstep>(mut case: L::Case, mut holds: impl FnMut(&L::Case) -> bool) -> L::Case {
    let mut left = SHORTEN;
    loop {
        let smaller = L::smaller(&case).into_iter().take(left).find(|smaller| {
            left -= 1;
            !holds(smaller)
        });
        match smaller {
            Some(smaller) => case = smaller,
            None => return case,
        }
    }
}
