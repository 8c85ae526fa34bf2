//! Functions that were compiled before do what the mirror does: what mutants of the mirror are tried
//! with (`ci/mutants.sh`). `cargo ci` compiles those of each line itself.

use pcram_functions::kinds::Of;
use pcram_functions::lockstep::{Kind, Load, Subject};
use pcram_functions::search::search;
use pcram_functions::with_kind;
use pcram_mirror::v1_0::Variant;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The variable that names the folders in which `pcram mirror --keep` left them, as `$PATH` does.
const GIVEN: &str = "PCRAM_FUNCTIONS";
const SEED: u64 = 1;

/// The `unit.json` of such a folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    of: Of,
    tree: Value,
}

#[test]
fn functions_that_are_given_do_what_their_mirror_does() {
    let given = std::env::var_os(GIVEN).expect("$PCRAM_FUNCTIONS names folders");
    for folder in std::env::split_paths(&given) {
        let about = fs::read_to_string(folder.join("unit.json")).unwrap();
        let About { of, tree } = serde_json::from_str(&about).unwrap();
        with_kind!(of, K => agree::<K>(of, &tree, &folder.join("functions.so")));
    }
}

fn agree<K: Kind>(of: Of, tree: &Value, object: &Path) {
    let tree = K::Tree::deserialize(tree).unwrap();
    let mut subject = Subject::<K>::new(tree, Some(K::Functions::load(object).unwrap())).unwrap();
    let found = search(&mut subject, 10_000, SEED, |_| {}).unwrap();
    match (of, K::variant(tree)) {
        (_, Variant::Carried) | (Of::V1_0 | Of::Ram, Variant::Stock) => {
            assert!(found.broken.is_empty(), "{found:?}");
        }
        // As released, mapped-ram and multifd do not look whether a block is ignored.
        (Of::V1_0, Variant::Posted) | (Of::Around, Variant::Stock) => {
            assert!(!found.broken.is_empty(), "{found:?}");
        }
        _ => {}
    }
    // A mirror that ends its cases early, where the C is not called, agrees with everything.
    let posted = K::variant(tree) == Variant::Posted;
    assert!(posted || found.ended * 5 < found.cases, "{found:?}");
}
