//! Searches through cases of the mirrors, without functions.

use pcram_functions::around::Around;
use pcram_functions::lockstep::{Case, Difference, Kind, Lockstep, Outcome, Subject};
use pcram_functions::ram::Loop;
use pcram_functions::search::{Found, search, smallest};
use pcram_functions::v1_0::case::{Block, Damage};
use pcram_functions::v1_0::{self, Migration, Step};
use pcram_mirror::around::{Packets, Tree as AroundTree};
use pcram_mirror::ram::Tree;
use pcram_mirror::v1_0::{Property, Variant};
use proptest::strategy::Strategy;
use std::collections::BTreeMap;
use std::time::Duration;

fn alone<K: Kind>(tree: K::Tree) -> Subject<K> {
    Subject::new(tree, None).expect("room for cases")
}

fn old(variant: Variant) -> Subject<Migration> {
    alone(variant)
}

#[test]
fn as_released_and_as_carried_no_case_breaks_a_property() {
    for variant in [Variant::Stock, Variant::Carried] {
        let found = search(&mut old(variant), 2_000, 1, |_| {}).unwrap();
        assert_eq!((found.cases, found.broken), (2_000, BTreeMap::new()), "{variant}");
        assert!(found.calls > 20_000 && found.ended < 400, "{variant}: {}", found.calls);
    }
    for external in [false, true] {
        let tree = Tree { external, named_files: true, ..Tree::default() };
        let mut subject = alone::<Loop>(tree);
        let found = search(&mut subject, 2_000, 1, |_| {}).unwrap();
        assert_eq!((found.cases, found.broken), (2_000, BTreeMap::new()));
        assert!(found.calls > 20_000, "{}", found.calls);
    }
}

#[test]
fn around_the_loop_only_what_is_released_lets_a_page_of_an_ignored_block_by() {
    for external in [false, true] {
        let tree = AroundTree {
            ram: Tree { external, named_files: true, ..Tree::default() },
            mapped_ram: true,
            by_block: true,
            packets: Packets::Zero,
            ..AroundTree::default()
        };
        let mut subject = alone::<Around>(tree);
        let found = search(&mut subject, 2_000, 1, |_| {}).unwrap();
        assert_eq!(found.broken.is_empty(), external, "{found:?}");
        assert!(found.calls > 8_000 && found.ended < 200, "{found:?}");
        let small = smallest(&mut subject, Property::LeftOut, 2_000, 1);
        assert!(external || small.is_some_and(|(case, _)| case.steps.len() == 1));
    }
}

#[test]
fn as_posted_each_property_has_a_small_case_that_breaks_it() {
    for property in Property::ALL {
        let mut posted = old(Variant::Posted);
        let (case, broken) = smallest(&mut posted, property, 20_000, 1).unwrap();
        assert_eq!(broken.property, property);
        assert!(case.blocks.len() <= 5 && case.steps.len() <= 8, "{case:?}");
    }
}

#[test]
fn each_case_can_be_made_smaller_down_to_a_guest_of_one_page() {
    let mut seen = 0;
    let mut subject = Recorded(Vec::new());
    search(&mut subject, 300, 1, |_| {}).unwrap();
    for mut case in subject.0 {
        while let Some(smaller) = case.smaller().into_iter().next() {
            case = smaller;
            seen += 1;
        }
        assert_eq!((case.steps.len(), case.blocks.len(), case.blocks[0].pages), (0, 1, 1));
    }
    assert!(seen > 300 * 15, "{seen}");
}

/// What falls with everything that makes a case smaller: it has an end.
fn size(case: &v1_0::Case) -> (usize, u32, u64) {
    let damage = |damage: Option<Damage>| match damage {
        None => 0,
        Some(Damage::Add(at, added)) => 1 + u64::from(at) + u64::from(added),
        Some(Damage::Cut(at)) => 1 + u64::from(at),
    };
    let block = |block: &Block| u32::from(block.pages) + u32::from(block.left_out);
    let step = |step: &Step| match *step {
        Step::SaveLive(call) => {
            let limit = (u64::from(call.limit) + (1 << 32)) * u64::from(call.limit != u32::MAX);
            let numbers = [call.nanoseconds, call.max_downtime, call.fail_in.into()];
            limit + numbers.map(u64::from).iter().sum::<u64>() + u64::from(call.sync_fails)
        }
        Step::SaveBlock => 0,
        Step::Write { block, page, byte, .. } => [block, page, byte].map(u64::from).iter().sum(),
        Step::Touch { block, page } => u64::from(block) + u64::from(page),
        Step::Plug(plugged) => block(&plugged).into(),
        Step::Unplug { block } => block.into(),
        Step::Load { version, damage: it } => u64::from(version != 4) + damage(it),
        Step::ExternalList { lost, damage: it } => u64::from(lost) + damage(it),
    };
    (case.steps.len(), case.blocks.iter().map(block).sum(), case.steps.iter().map(step).sum())
}

/// Keeps the cases that it is given.
struct Recorded(Vec<v1_0::Case>);

impl Lockstep for Recorded {
    type Case = v1_0::Case;
    const WATCHED: &'static [Property] = &[];

    fn cases() -> impl Strategy<Value = v1_0::Case> {
        v1_0::Case::cases()
    }

    fn smaller(case: &v1_0::Case) -> Vec<v1_0::Case> {
        case.smaller()
    }

    fn tell(&self, _: &v1_0::Case) -> Vec<String> {
        Vec::new()
    }

    fn run(&mut self, case: &v1_0::Case, _: bool) -> Result<Outcome, Difference> {
        case.check().expect("a case that is made can be run");
        for smaller in case.smaller() {
            let is_smaller = size(&smaller) < size(case) && smaller.check().is_ok();
            assert!(is_smaller, "{case:?} becomes {smaller:?}");
        }
        self.0.push(case.clone());
        Ok(Outcome::default())
    }
}

/// A subject whose every case panics where the mirror has a fault.
struct Faulty;

impl Lockstep for Faulty {
    type Case = u8;
    const WATCHED: &'static [Property] = &[];

    fn cases() -> impl Strategy<Value = u8> {
        0..9_u8
    }

    fn smaller(_: &u8) -> Vec<u8> {
        Vec::new()
    }

    fn tell(&self, _: &u8) -> Vec<String> {
        Vec::new()
    }

    fn run(&mut self, case: &u8, _: bool) -> Result<Outcome, Difference> {
        assert!(*case < 5, "a fault");
        Ok(Outcome::default())
    }
}

#[test]
#[should_panic(expected = "a fault")]
fn a_mirror_that_panics_is_no_mirror_that_agrees() {
    let _ = search(&mut Faulty, 100, 1, |_| {});
}

#[test]
fn the_same_seed_gives_the_same_cases() {
    let found = |seed| {
        let found = search(&mut old(Variant::Posted), 300, seed, |_| {}).unwrap();
        Found { spent: Duration::ZERO, ..found }
    };
    assert_eq!(found(7), found(7));
    assert_ne!(found(7), found(8));
}
