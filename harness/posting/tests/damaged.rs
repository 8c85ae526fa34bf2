//! Patches of all kinds, damaged as mail damages them: each is repaired exactly, or refused with a
//! reason. What is claimed to be proved is never wrong.

mod made;

use made::damage::{Damage, Kind};
use made::patch::Made;
use pcram_posting::found::find;
use pcram_posting::letter::read;
use pcram_posting::repair::{Proof, repair};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// How many cases are tried; the first hundred are kept, with what becomes of each.
const CASES: u64 = 10_000;
const KEPT: u64 = 100;

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// What was sent, proved.
    Exact,
    /// Refused, with the reason.
    Refused(String),
    /// Taken, and said to be unproved.
    Unproved,
}

struct Case {
    damage: Damage,
    outcome: Outcome,
}

/// Makes the patch of a seed, damages it, and reads and repairs it again.
fn case(seed: u64, kinds: Option<&[Kind]>) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let made = Made::new(&mut rng);
    let damage = match kinds {
        Some(kinds) => Damage::of(kinds, &mut rng),
        None => Damage::any(&mut rng),
    };
    let mail = damage.mail(&made);
    // One in ten is read where no base is at hand.
    let with_base = seed % 10 != 9;
    let outcome = repaired(&made, &mail, with_base, &damage, seed);
    Case { damage, outcome }
}

fn repaired(made: &Made, mail: &[u8], with_base: bool, damage: &Damage, seed: u64) -> Outcome {
    let show = || format!("seed {seed}, {damage}:\n{}", String::from_utf8_lossy(mail));
    let (_, letters) = match read(mail) {
        Ok(read) => read,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let found = match find(&letters[0].lines) {
        Ok(found) => found,
        Err(refusal) => return Outcome::Refused(refusal.to_string()),
    };
    if found.len() != made.files.len() {
        panic!("{} files of {}: {}", found.len(), made.files.len(), show());
    }
    let mut unproved = false;
    for (at, (found, file)) in found.iter().zip(&made.files).enumerate() {
        let base = file.before.as_deref().filter(|_| with_base);
        let repaired = match repair(found, base, at + 1 == made.files.len()) {
            Ok(repaired) => repaired,
            Err(refusal) => return Outcome::Refused(refusal.to_string()),
        };
        // Without a base, what leaves the counts as they are cannot be seen, and it is said so.
        let said_so = repaired.proof == Proof::CountsOnly && damage.hides();
        if !said_so && repaired.diff.to_bytes() != file.diff.to_bytes() {
            let (is, was) = (repaired.diff.to_bytes(), file.diff.to_bytes());
            let [is, was] = [is, was].map(|it| String::from_utf8_lossy(&it).into_owned());
            let differ = is.lines().zip(was.lines()).find(|(is, was)| is != was);
            panic!("{:?} is wrong, {differ:?}: {}", repaired.proof, show());
        }
        if repaired.proof == Proof::Proved {
            assert_eq!(repaired.after, file.after, "{}", show());
        }
        unproved |= repaired.proof != Proof::Proved;
    }
    if unproved { Outcome::Unproved } else { Outcome::Exact }
}

#[test]
fn damage_of_all_kinds_is_undone_exactly_or_refused() {
    let mut counts = BTreeMap::new();
    for seed in 0..CASES {
        let Case { outcome, .. } = case(seed, None);
        let outcome = match outcome {
            Outcome::Exact => "exact".to_owned(),
            Outcome::Unproved => "unproved, and said so".to_owned(),
            Outcome::Refused(why) => format!("refused: {}", why.split(": ").nth(1).unwrap_or(&why)),
        };
        let outcome: String =
            outcome.chars().filter(|each| !each.is_ascii_digit()).take(60).collect();
        *counts.entry(outcome).or_insert(0_u64) += 1;
    }
    for (outcome, count) in &counts {
        println!("{count:6} {outcome}");
    }
    // A repair that refuses all would be right, and of no use.
    assert!(counts["exact"] > CASES * 6 / 10, "{counts:?}");
}

#[test]
fn damage_of_one_kind_is_nearly_always_undone() {
    for kind in Kind::ALL {
        let cases = (0..200).map(|seed| case(seed * 10, Some(&[kind])));
        let outcomes: Vec<_> = cases.map(|case| case.outcome).collect();
        let exact = outcomes.iter().filter(|outcome| **outcome == Outcome::Exact).count();
        println!("{exact} of 200: {kind:?}");
        let refused = outcomes.iter().find(|outcome| **outcome != Outcome::Exact);
        assert!(exact >= kind.repaired_of_200(), "{exact} {kind:?}: {refused:?}");
    }
}

#[test]
fn the_kept_cases_end_as_they_did() {
    let mut now = String::new();
    for seed in 0..KEPT {
        let Case { damage, outcome } = case(seed, None);
        let outcome = match outcome {
            Outcome::Exact => "exact".to_owned(),
            Outcome::Unproved => "unproved".to_owned(),
            Outcome::Refused(why) => {
                format!("refused at {}", why.lines().next().unwrap_or_default())
            }
        };
        now += &format!("{seed:2} {damage}: {outcome}\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/made/kept.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), now);
}

/// What the tests make is what git takes: the patches they damage are real ones.
#[test]
fn git_takes_what_is_made() {
    for seed in 0..25 {
        let made = Made::new(&mut ChaCha8Rng::seed_from_u64(seed));
        let dir = tempfile::tempdir().unwrap();
        let mut diff = Vec::new();
        for file in &made.files {
            if let Some(before) = &file.before {
                std::fs::write(dir.path().join(file.diff.old.as_ref().unwrap()), before).unwrap();
            }
            diff.extend(file.diff.to_bytes());
        }
        let mut git = Command::new("git");
        git.args(["apply", "--whitespace=nowarn", "-"])
            .current_dir(dir.path())
            .stdin(Stdio::piped());
        git.env("GIT_CEILING_DIRECTORIES", dir.path().parent().unwrap());
        let mut git = git.spawn().unwrap();
        std::io::Write::write_all(git.stdin.as_mut().unwrap(), &diff).unwrap();
        drop(git.stdin.take());
        assert!(git.wait().unwrap().success(), "{}", String::from_utf8_lossy(&diff));
        for file in &made.files {
            let after = std::fs::read(dir.path().join(file.diff.path())).ok();
            assert_eq!(after, file.after, "seed {seed}");
        }
    }
}
