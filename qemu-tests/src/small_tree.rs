//! A source tree of the tests' own that "builds" in a moment: its compiler makes scripts that start
//! the QEMUs that were built before. A mock of QEMU's source; what runs in the end is QEMU.

use crate::{REVISION, copy_checks, run};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// "Compiles" a file into a script that starts the program that it names.
const CONFIGURE: &str = r#"#!/bin/sh
if [ "$1" = --help ]; then exit; fi
src=$(cd "$(dirname "$0")"; pwd)
cat > build.ninja <<EOF
rule cc
  command = { echo '#!/bin/sh'; cat \$in; } > \$out; chmod +x \$out
build qemu-system-x86_64: cc $src/system
build qemu-img: cc $src/img
EOF
"#;

const PATCH: &str = "\
Subject: [PATCH] start the patched QEMU

Since it is the one that is checked.
---
diff --git a/system b/system
--- a/system
+++ b/system
@@ -1,2 +1,2 @@
-exec STOCK \"$@\"
+exec PATCHED \"$@\"
 # the end
";

/// Where the QEMUs are that were built before.
pub struct Programs {
    /// The unpatched emulator.
    pub stock: PathBuf,
    /// The patched one.
    pub patched: PathBuf,
    /// The patched tree's qemu-img.
    pub img: PathBuf,
}

impl Programs {
    /// Those of [`REVISION`], built where they are not there yet.
    pub fn built() -> Programs {
        let told = run(&["build", REVISION]);
        assert_eq!(told.code(), Some(0), "{}", told.text());
        let program = |step: &str| {
            let step = told.of("step-finished").find(|each| each["step"] == step).unwrap();
            let mut figures = step["evidence"].as_array().unwrap().iter();
            let figure = figures.find(|each| each["name"] == "qemu-system-x86_64").unwrap();
            PathBuf::from(figure["value"].as_str().unwrap())
        };
        let (stock, patched) = (program("build stock"), program("build patched"));
        let img = patched.with_file_name("qemu-img");
        Programs { stock, patched, img }
    }
}

/// The tree (`tree`) and a series for it (`series`), in a folder that goes with this value.
pub struct SmallTree {
    dir: TempDir,
    programs: BTreeMap<&'static str, String>,
}

impl Default for SmallTree {
    fn default() -> Self {
        SmallTree::new()
    }
}

impl SmallTree {
    /// A new folder with both.
    pub fn new() -> SmallTree {
        let Programs { stock, patched, img } = Programs::built();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let programs = [("STOCK", text(stock)), ("PATCHED", text(patched)), ("IMG", text(img))];
        let small = SmallTree { dir: tempfile::tempdir().unwrap(), programs: programs.into() };
        let series = small.path("series");
        fs::create_dir_all(&series).unwrap();
        fs::create_dir(small.path("tree")).unwrap();
        fs::write(series.join("series"), "one.patch\n").unwrap();
        fs::write(series.join("one.patch"), small.fill_in(PATCH)).unwrap();
        copy_checks(&series);
        small.renew(0);
        small
    }

    /// The folder of all of it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Something in that folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn fill_in(&self, text: &str) -> String {
        self.programs.iter().fold(text.to_owned(), |text, (name, path)| text.replace(name, path))
    }

    /// Makes the tree one that no run has seen, so that every step has something to do.
    pub fn renew(&self, number: usize) {
        let tree = self.path("tree");
        let write = |name: &str, text: &str| fs::write(tree.join(name), text).unwrap();
        write("system", &self.fill_in("exec STOCK \"$@\"\n# the end\n"));
        write("img", &self.fill_in("exec IMG \"$@\"\n"));
        write("number", &number.to_string());
        write("VERSION", "10.0.0\n");
        write("configure", CONFIGURE);
        fs::set_permissions(tree.join("configure"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
