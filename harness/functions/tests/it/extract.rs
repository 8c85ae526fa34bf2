//! What the parser takes out of a C file.

use pcram_functions::extract::{Definitions, ExtractError};

const FILE: &str = "#define FLAG 0x10 /* why */\n\
    extern int shared;\n\
    static int shared, *last;\n\
    int later(int a);\n\
    #ifdef __linux__\n\
    int later(int a)\n{\n    QLIST_FOREACH(x, &list.all, next) {\n        a++;\n    }\n    \
    return a;\n}\n#endif\n\
    typedef struct Block {\n    int a;\n#if FLAG\n    int b;\n#endif\n} Block;\n\
    struct state { int c; };\n\
    struct packed { int d; } QEMU_PACKED;\n\
    int odd(void)\n{\n    return 1 +* / ;\n}\n";

fn taken(name: &str) -> Result<String, ExtractError> {
    Definitions::of("a.c", FILE).take(name)
}

#[test]
fn a_definition_comes_with_its_line() {
    assert_eq!(taken("FLAG").unwrap(), "#line 1 \"a.c\"\n#define FLAG 0x10 /* why */\n");
    assert_eq!(taken("shared").unwrap(), "#line 3 \"a.c\"\nstatic int shared, *last;\n");
    assert_eq!(taken("last").unwrap(), taken("shared").unwrap());
    assert!(taken("Block").unwrap().ends_with("#if FLAG\n    int b;\n#endif\n} Block;\n"));
    assert!(taken("struct state").unwrap().ends_with("struct state { int c; };\n"));
    let packed = taken("struct packed").unwrap();
    assert!(packed.ends_with("struct packed { int d; } QEMU_PACKED;\n"), "{packed}");
}

#[test]
fn a_function_is_its_definition_and_not_its_prototype() {
    let later = taken("later").unwrap();
    assert!(later.starts_with("#line 6 \"a.c\"\nint later(int a)\n{\n"), "{later}");
    assert!(later.contains("QLIST_FOREACH(x, &list.all, next) {"), "{later}");
    assert!(later.ends_with("    return a;\n}\n"), "{later}");
}

#[test]
fn what_is_not_there_or_not_understood_is_an_error() {
    let name = || "nothing".to_owned();
    let file = || "a.c".to_owned();
    assert_eq!(taken("nothing"), Err(ExtractError::NotFound { file: file(), name: name() }));
    let odd = ExtractError::NotUnderstood { file: file(), name: "odd".into(), line: 22 };
    assert_eq!(taken("odd"), Err(odd));
}
