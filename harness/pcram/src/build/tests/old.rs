//! Builds of trees of long ago: by make, and with a toolchain series on top.

use super::*;

/// Writes a Makefile that is laid out as QEMU's was before meson: a folder for each target. Its help
/// ends with an error, as it did in 2011.
const CONFIGURE: &str = r#"#!/bin/sh
if [ "$1" = --help ]; then
    echo "  --target-list=LIST  targets, Available targets: x86_64-softmmu"
    echo "  --disable-attr      no attr"
    exit 1
fi
src=$(cd "$(dirname "$0")"; pwd)
echo "$@" >> ../configured-with
mkdir -p x86_64-softmmu
{
    echo "cc = if grep -q mistake \$<; then echo \"\$<:1:1: error: a mistake\"; exit 1; fi; cp \$< \$@"
    echo "subdir-x86_64-softmmu: a.o b.o"
    printf '\t@echo "  LINK  x86_64-softmmu/qemu-system-x86_64"; '
    echo 'cat $^ > x86_64-softmmu/qemu-system-x86_64'
    printf 'qemu-img: b.o\n\t@echo "  LINK  $@"; cat $^ > $@\n'
    for name in a b; do printf '%s.o: %s/%s.c\n\t@echo "  CC    $@"; $(cc)\n' $name $src $name; done
} > Makefile
"#;

const TOOLCHAIN: &str = "Subject: [PATCH] build\n\n---\n\
    diff --git a/b.c b/b.c\n--- a/b.c\n+++ b/b.c\n@@ -1 +1 @@\n-b1\n+b2\n";

fn toolchain(patch: &str) -> Toolchain {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("series"), "1.patch\n").unwrap();
    fs::write(dir.path().join("1.patch"), patch).unwrap();
    fs::write(dir.path().join("flags"), "# why\n--disable-attr\n--disable-other\n").unwrap();
    Toolchain::load(dir.path()).unwrap()
}

fn old_tree(cache: &Cache, a: &str) -> String {
    tree_with(cache, CONFIGURE, a, "b1\n")
}

#[test]
fn a_tree_that_is_older_than_meson_is_built_by_make() {
    let (_guard, cache) = cache();
    let (base, changed) = (old_tree(&cache, "a1\n"), old_tree(&cache, "a2\n"));
    let pair = pair(&cache, &Events::default(), &request(&base), &patched(&changed)).unwrap();
    assert_eq!(fs::read_to_string(&pair.stock.qemu_system).unwrap(), "a1\nb1\n");
    assert_eq!(fs::read_to_string(&pair.patched.qemu_system).unwrap(), "a2\nb1\n");
    assert_eq!((pair.stock.compiled, pair.patched.compiled), (4, 2), "only what differs");
    assert_eq!(configured(&cache), 1);

    let wrong = patched(&old_tree(&cache, "mistake\n"));
    let error = build(&cache, &Events::default(), &request(&base), &wrong).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::DidNotBuild);
    assert!(error.to_string().contains("a.c:1:1: error: a mistake"), "{error}");
}

#[test]
fn both_of_a_pair_have_the_toolchain_series_which_is_a_part_of_the_key() {
    let (_guard, cache) = cache();
    let (base, changed) = (old_tree(&cache, "a1\n"), old_tree(&cache, "a2\n"));
    let without = request(&base);
    let toolchain = toolchain(TOOLCHAIN);
    let flags = Flags::default().with(Some(&toolchain));
    let with = Request { toolchain: Some(toolchain.clone()), flags, ..request(&base) };
    let pair = pair(&cache, &Events::default(), &with, &patched(&changed)).unwrap();
    assert_eq!(fs::read_to_string(&pair.stock.qemu_system).unwrap(), "a1\nb2\n");
    assert_eq!(fs::read_to_string(&pair.patched.qemu_system).unwrap(), "a2\nb2\n");
    assert_ne!(pair.stock.tree, base, "the tree that was compiled is told");
    let flags = fs::read_to_string(work_tree(&cache).join("configured-with")).unwrap();
    assert_eq!(flags.trim(), "--target-list=x86_64-softmmu --disable-attr");

    let series = format!("series of {changed}");
    let found = held(&cache, &base, &series, Some(&toolchain)).unwrap();
    assert_eq!(found.patched.as_ref(), Some(&pair.patched.qemu_system));
    assert_eq!(held(&cache, &base, &series, None).unwrap(), Held::default());
    assert!(finished(&cache, &without, &patched(&changed)).is_err());
}

#[test]
fn a_toolchain_series_that_does_not_apply_is_told_by_its_folder() {
    let (_guard, cache) = cache();
    let toolchain = toolchain(&TOOLCHAIN.replace("-b1", "-b7"));
    let folder = toolchain.clone();
    let base = old_tree(&cache, "a1\n");
    let request = Request { toolchain: Some(toolchain), ..request(&base) };
    let error = build(&cache, &Events::default(), &request, &Variant::Stock).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::DidNotApply);
    let text = format!("{error:#}");
    assert!(text.contains(&folder.dir().display().to_string()) && text.contains(&base), "{text}");
}
