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

#[test]
fn every_function_is_told_and_what_may_hide_one_is_told_too() {
    let text = format!(
        "{FILE}#if FLAG\nint two(void)\n{{\n}}\n#else\nint two(int a)\n{{\n}}\n#endif\n\
         #ifdef _WIN32\nint hidden(void)\n{{\n\n    return 2;\n}}\n#endif\n{{\n    block();\n}}\n"
    );
    let definitions = Definitions::of("a.c", &text);
    let functions: Vec<_> = definitions.functions().map(|(name, it)| (name, it.line)).collect();
    assert_eq!(functions, [("later", 6), ("odd", 22), ("two", 27), ("two", 31)]);
    let two = definitions.functions().find(|(name, _)| *name == "two").unwrap().1;
    assert_eq!(two.text, "int two(void)\n{\n}");
    let unread: Vec<_> = definitions.unread().map(|it| (it.line, it.text)).collect();
    let hidden = "int hidden(void)\n{\n\n    return 2;\n}\n#endif";
    assert_eq!(unread, [(42, "{\n    block();\n}"), (36, hidden)]);
}
