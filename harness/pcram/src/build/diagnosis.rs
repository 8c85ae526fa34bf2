//! Why a build failed: the first thing in its log that is an error.

use regex::RegexSet;

/// What configure, meson, compilers, linkers and ninja call an error. In a compiler's warnings
/// about `error:` in a text, the colon before it is missing.
const ERRORS: [&str; 8] = [
    r": (fatal )?error: ",
    r"^ERROR: ",
    r":\d+:\d+: ERROR: ",
    r"(^|/)ld(\.\w+)?: .*(undefined reference|cannot find|multiple definition)",
    r": undefined reference to ",
    r"^\w*Error: ",
    r"^ninja: (error|fatal): ",
    r"^make(\[\d+\])?: \*\*\* ",
];

/// The first line of `log` that is an error; else ninja's `FAILED:` line; else the last line.
pub(super) fn first_error(log: &str) -> Option<&str> {
    let errors = RegexSet::new(ERRORS).ok()?;
    let lines = || log.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines()
        .find(|line| errors.is_match(line))
        .or_else(|| lines().find(|line| line.starts_with("FAILED: ")))
        .or_else(|| lines().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_found_whoever_made_it() {
        for error in [
            "../src/system/physmem.c:2000:5: error: 'blok' undeclared (first use in this function)",
            "../src/a.c:1:10: fatal error: glib.h: No such file or directory",
            "../src/meson.build:120:0: ERROR: Dependency \"glib-2.0\" not found",
            "ERROR: Cannot find Ninja",
            "/usr/bin/ld: system_vl.c.o: in function `main': undefined reference to `pcram'",
            "vl.c:(.text+0x12): undefined reference to `pcram'",
            "SyntaxError: invalid syntax",
            "ninja: error: unknown target 'qemu-system-x86_64'",
            "make[1]: *** [/q/rules.mak:21: vl.o] Error 1",
        ] {
            let log = format!(
                "[1/9] Compiling C object x.o\n../src/x.c:3: warning: no error here\n\
                 note: print \"error: \" is text\nFAILED: x.o\n{error}\n\
                 ../src/b.c:1:1: error: a later one\nninja: build stopped\n"
            );
            assert_eq!(first_error(&log), Some(error));
        }
    }

    #[test]
    fn without_an_error_what_failed_or_came_last_is_told() {
        let log = "[1/2] gen\nFAILED: qapi/x.h\nsomething\nninja: build stopped: x\n\n";
        assert_eq!(first_error(log), Some("FAILED: qapi/x.h"));
        assert_eq!(first_error("one\ntwo\n\n"), Some("two"));
        assert_eq!(first_error(""), None);
    }
}
