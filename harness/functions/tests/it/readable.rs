//! What the parser is given in the place of macros and of what is not compiled.

use pcram_functions::readable::readable;

#[test]
fn macros_of_control_flow_keep_their_length() {
    let text = "é WITH_RCU_READ_LOCK_GUARD() { RAMBLOCK_FOREACH_MIGRATABLE(block) { } }";
    let read = readable(text);
    assert_eq!(read.len(), text.len());
    assert!(!read.contains("GUARD") && read.contains("while  "), "{read}");
    let define = "#define EACH_FOREACH(it) while";
    assert_eq!(readable(define), define);
    assert_eq!(readable("FOREACHES QLIST_FOREACH"), "FOREACHES QLIST_FOREACH");
    assert_eq!(readable("QLIST_HEAD(, Block) all;"), "int                 all;");
    let say = "static void QEMU_NORETURN GCC_FMT_ATTR(1, 2) say(char *, ...);";
    assert_eq!(readable(say), format!("static void {:33}say(char *, ...);", ""));
    assert_eq!(readable("g_autofree int *a;"), "           int *a;");
    assert_eq!(readable("g_new0(struct a, 1)"), "g_new0(       a, 1)");
    assert_eq!(readable("sizeof(struct a)"), "sizeof(struct a)");
    let set = "const\nINITIALIZE_MIGRATE_CAPS_SET(a,\n B);";
    assert_eq!(readable(set), format!("const\nint{:25}a,\n B ;", ""));
    let define = "#define INITIALIZE_MIGRATE_CAPS_SET(_name, ...) A";
    assert_eq!(readable(define), define);
}

#[test]
fn a_branch_that_is_not_compiled_is_blank() {
    let text = "#ifdef __linux__\na\n#ifndef _WIN32\nb\n#else\nc\n#endif\n#else\nd\n#endif\n\
        #if defined(TARGET_S390X) || (defined (__linux__) && !defined NDEBUG)\ne\n#endif\n";
    let read = readable(text);
    assert_eq!(read.len(), text.len());
    assert_eq!(read.split_whitespace().collect::<String>(), "abe");
}

#[test]
fn a_condition_that_nobody_knows_stays() {
    let text = "#if HOST > 3\na\n#else\nb\n#endif\n#ifdef WHAT\nc\n#endif\n\
        #if defined(__linux__) > 1\nd\n#endif\n";
    assert_eq!(readable(text), text);
    let within = "#ifdef _WIN32\n#ifdef WHAT\na\n#endif\nb\n#endif\nc\n";
    assert_eq!(readable(within).trim(), "c");
}
