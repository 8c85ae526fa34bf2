//! How cases are made: drawn one after the other. A tree of what each could have been instead, which
//! proptest's own strategies keep, takes several times as long as running the case does.

use super::case::{Block, Call, Case, Damage, MOST_BLOCKS, MOST_PAGES, Step};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

/// Cases: mostly whole migrations, now and then anything.
pub fn cases() -> impl Strategy<Value = Case> {
    Just(()).prop_perturb(|(), mut rng| case(&mut rng))
}

fn case(rng: &mut TestRng) -> Case {
    let blocks = (0..rng.random_range(1..=MOST_BLOCKS)).map(|_| block(rng)).collect();
    let mut steps = Vec::new();
    if rng.random_ratio(4, 5) {
        (0..rng.random_range(1..=3)).for_each(|_| migrate(rng, &mut steps));
    } else {
        steps.extend((0..rng.random_range(0..40)).map(|_| anything(rng)));
    }
    Case { blocks, steps }
}

fn block(rng: &mut TestRng) -> Block {
    Block { pages: rng.random_range(1..=MOST_PAGES), left_out: rng.random_bool(0.3) }
}

/// A migration, with what happens meanwhile.
fn migrate(rng: &mut TestRng, steps: &mut Vec<Step>) {
    steps.extend((0..rng.random_range(0..4)).map(|_| meanwhile(rng)));
    steps.push(Step::SaveLive(call(rng, 1)));
    steps.extend((0..rng.random_range(0..24)).map(|_| step_of_migration(rng)));
    let end = rng.random_range(0..10);
    steps.push(Step::SaveLive(call(rng, if end == 9 { -1 } else { 3 })));
    if let 6..=8 = end {
        steps.push(load(rng));
    }
}

fn step_of_migration(rng: &mut TestRng) -> Step {
    match rng.random_range(0..10) {
        0..=2 => Step::SaveLive(call(rng, 2)),
        3..=5 => Step::SaveBlock,
        _ => meanwhile(rng),
    }
}

fn meanwhile(rng: &mut TestRng) -> Step {
    let (block, page) = rng.random();
    match rng.random_range(0..7) {
        0..=3 => Step::Write { block, page, byte: rng.random(), filled: rng.random() },
        _ => Step::Touch { block, page },
    }
}

fn anything(rng: &mut TestRng) -> Step {
    match rng.random_range(0..10) {
        0..=3 => step_of_migration(rng),
        4..=5 => {
            let stage = [-1, 1, 3][rng.random_range(0..3)];
            Step::SaveLive(call(rng, stage))
        }
        6 => Step::Plug(block(rng)),
        7 => Step::Unplug { block: rng.random() },
        8 => load(rng),
        _ => external_list(rng),
    }
}

fn external_list(rng: &mut TestRng) -> Step {
    let lost = rng.random_bool(0.2);
    Step::ExternalList { lost, damage: rng.random_bool(0.7).then(|| damage(rng, 600)) }
}

fn load(rng: &mut TestRng) -> Step {
    let version = match rng.random_range(0..9) {
        0..=5 => 4,
        6..=7 => 3,
        _ => rng.random_range(2..6),
    };
    // Mostly where headers are dense.
    let end = if rng.random_ratio(2, 3) { 400 } else { u16::MAX };
    Step::Load { version, damage: rng.random_bool(0.5).then(|| damage(rng, end)) }
}

/// Damage before `end`, often of a page.
fn damage(rng: &mut TestRng, end: u16) -> Damage {
    let at = rng.random_range(0..end);
    let added = if rng.random_ratio(1, 3) { 0x10 } else { rng.random_range(1..=u8::MAX) };
    if rng.random_ratio(4, 5) { Damage::Add(at, added) } else { Damage::Cut(at) }
}

fn call(rng: &mut TestRng, stage: i8) -> Call {
    Call {
        stage,
        limit: match rng.random_range(0..7) {
            0..=2 => u32::MAX,
            3..=5 => rng.random_range(0..20_000),
            _ => 0,
        },
        nanoseconds: rng.random_range(1..1_000_000),
        // About as long as what is left of such guests takes.
        max_downtime: match rng.random_range(0..4) {
            0 => 0,
            1..=2 => rng.random_range(0..3_000_000),
            _ => rng.random(),
        },
        fail_in: if rng.random_ratio(1, 13) { rng.random_range(1..8) } else { 0 },
        sync_fails: rng.random_bool(0.03),
    }
}
