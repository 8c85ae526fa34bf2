//! Functions that were compiled before do what the mirror does: what mutants of the mirror are tried
//! with (`ci/mutants.sh`). `cargo ci` compiles those of each line itself.

use pcram_functions::search::search;
use pcram_functions::{around, dirty, loader, option, ram, v1_0};
use pcram_mirror::option::Code;
use pcram_mirror::ram::Tree;
use pcram_mirror::v1_0::Variant;
use serde::Deserialize;
use std::fs;
use std::path::Path;

/// The variable that names the folders in which `pcram mirror --keep` left them, as `$PATH` does.
const GIVEN: &str = "PCRAM_FUNCTIONS";
const SEED: u64 = 1;
/// Bytes that a stream may have.
const STREAM: usize = 8 << 20;

/// The `unit.json` of such a folder.
#[derive(Deserialize)]
#[serde(tag = "of", deny_unknown_fields)]
enum About {
    #[serde(rename = "1.0")]
    V1_0 { variant: Variant },
    #[serde(rename = "migration/ram.c")]
    Ram { tree: Tree },
    #[serde(rename = "option")]
    Option { code: Code },
    #[serde(rename = "loader")]
    Loader { tree: pcram_mirror::loader::Tree },
    #[serde(rename = "dirty")]
    Dirty { tree: pcram_mirror::dirty::Tree },
    #[serde(rename = "around")]
    Around { tree: pcram_mirror::around::Tree },
}

#[test]
fn functions_that_are_given_do_what_their_mirror_does() {
    let given = std::env::var_os(GIVEN).expect("$PCRAM_FUNCTIONS names folders");
    std::env::split_paths(&given).for_each(|folder| agree(&folder));
}

fn agree(folder: &Path) {
    let about = fs::read_to_string(folder.join("unit.json")).unwrap();
    let object = folder.join("functions.so");
    let (found, posted) = match serde_json::from_str(&about).unwrap() {
        About::V1_0 { variant } => {
            let functions = Some(v1_0::Functions::load(&object, STREAM).unwrap());
            let mut subject = v1_0::Subject { variant, functions };
            let found = search(&mut subject, 10_000, SEED, |_| {}).unwrap();
            assert_eq!(found.broken.is_empty(), variant != Variant::Posted, "{found:?}");
            (found, variant == Variant::Posted)
        }
        About::Ram { tree } => {
            let functions = Some(ram::Functions::load(&object, STREAM).unwrap());
            let found =
                search(&mut ram::Subject { tree, functions }, 10_000, SEED, |_| {}).unwrap();
            assert!(found.broken.is_empty(), "{found:?}");
            (found, false)
        }
        About::Option { code } => {
            let functions = Some(option::Functions::load(&object).unwrap());
            let mut subject = option::Subject::new(code, functions).unwrap();
            (search(&mut subject, 10_000, SEED, |_| {}).unwrap(), false)
        }
        About::Dirty { tree } => {
            let functions = Some(dirty::Functions::load(&object).unwrap());
            (search(&mut dirty::Subject { tree, functions }, 10_000, SEED, |_| {}).unwrap(), false)
        }
        About::Loader { tree } => {
            let functions = Some(loader::Functions::load(&object).unwrap());
            (search(&mut loader::Subject { tree, functions }, 10_000, SEED, |_| {}).unwrap(), false)
        }
        About::Around { tree } => {
            let functions = Some(around::Functions::load(&object, STREAM).unwrap());
            let mut subject = around::Subject { tree, functions };
            let found = search(&mut subject, 10_000, SEED, |_| {}).unwrap();
            // As released, mapped-ram and multifd do not look whether a block is ignored.
            assert_eq!(found.broken.is_empty(), tree.ram.external, "{found:?}");
            (found, false)
        }
    };
    // A mirror that ends its cases early, where the C is not called, agrees with everything.
    assert!(posted || found.ended * 5 < found.cases, "{found:?}");
}
