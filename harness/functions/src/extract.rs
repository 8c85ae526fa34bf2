//! Takes functions, types, variables and macros out of a C file, as they stand there.

use crate::readable::readable;
use std::collections::BTreeMap;
use thiserror::Error;
use tree_sitter::{Node, Parser};

/// Why something could not be taken out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExtractError {
    /// The file does not define it.
    #[error("{file} defines no {name}")]
    NotFound {
        /// The file.
        file: String,
        /// What was asked for.
        name: String,
    },
    /// The parser did not understand all of it, so its end may be elsewhere.
    #[error("{file}, line {line}: the definition of {name} is not understood")]
    NotUnderstood {
        /// The file.
        file: String,
        /// What was asked for.
        name: String,
        /// The line where it begins, from 1.
        line: usize,
    },
}

/// What a C file defines outside functions.
pub struct Definitions<'a> {
    file: &'a str,
    text: &'a str,
    found: BTreeMap<String, Vec<Found>>,
}

/// What stands behind a struct without gaps.
const PACKED: &str = " QEMU_PACKED";

struct Found {
    bytes: std::ops::Range<usize>,
    line: usize,
    understood: bool,
    is_definition: bool,
}

impl<'a> Definitions<'a> {
    /// Parses a file; `file` is what it is called in what comes of it.
    pub fn of(file: &'a str, text: &'a str) -> Definitions<'a> {
        let mut parser = Parser::new();
        let language = tree_sitter_c::LANGUAGE.into();
        parser.set_language(&language).expect("the grammar fits the parser");
        let tree = parser.parse(readable(text), None).expect("parsing has no limit");
        let mut definitions = Definitions { file, text, found: BTreeMap::new() };
        definitions.collect(tree.root_node());
        definitions
    }

    fn collect(&mut self, node: Node) {
        let names = match node.kind() {
            "function_definition" | "declaration" | "type_definition" => {
                let mut cursor = node.walk();
                let declarators = node.children_by_field_name("declarator", &mut cursor);
                declarators.filter_map(|each| self.declared(each)).collect()
            }
            "preproc_def" | "preproc_function_def" => {
                let name = node.child_by_field_name("name");
                name.map(|name| self.text[name.byte_range()].to_owned()).into_iter().collect()
            }
            // A struct without a typedef.
            "struct_specifier" if node.child_by_field_name("body").is_some() => {
                let name = node.child_by_field_name("name");
                let name = name.map(|name| format!("struct {}", &self.text[name.byte_range()]));
                name.into_iter().collect()
            }
            _ => Vec::new(),
        };
        for name in names {
            let is_function = node.kind() == "declaration"
                && node.child_by_field_name("declarator").is_some_and(is_function_declarator);
            let mut bytes = node.byte_range();
            // To the grammar, what packs a struct is a variable of its type.
            if let Some(packed) = self.text[bytes.end..].strip_prefix(PACKED) {
                bytes.end = self.text.len() - packed.len();
            }
            let found = Found {
                bytes,
                line: node.start_position().row + 1,
                understood: !node.has_error(),
                // A prototype, or a variable that is defined elsewhere, is none.
                is_definition: !is_function && !self.text[node.byte_range()].starts_with("extern "),
            };
            self.found.entry(name).or_default().push(found);
        }
        if node.kind() != "function_definition" {
            let mut cursor = node.walk();
            let children: Vec<_> = node.children(&mut cursor).collect();
            children.into_iter().for_each(|child| self.collect(child));
        }
    }

    /// The name that a declarator declares.
    fn declared(&self, declarator: Node) -> Option<String> {
        match declarator.kind() {
            "identifier" | "type_identifier" => Some(self.text[declarator.byte_range()].to_owned()),
            _ => self.declared(declarator.child_by_field_name("declarator")?),
        }
    }

    /// Whether the file defines `name`.
    pub fn has(&self, name: &str) -> bool {
        self.found.get(name).is_some_and(|all| all.iter().any(|found| found.is_definition))
    }

    /// The definition of `name`, with the line that it comes from before it. A macro or function that
    /// is defined more than once, under other conditions, is taken as it stands first.
    ///
    /// # Errors
    ///
    /// Where there is none, or where the parser was not sure of it.
    pub fn take(&self, name: &str) -> Result<String, ExtractError> {
        let mut all = self.found.get(name).into_iter().flatten();
        let (file, name) = (self.file.to_owned(), name.to_owned());
        let Some(found) = all.find(|found| found.is_definition) else {
            return Err(ExtractError::NotFound { file, name });
        };
        if !found.understood {
            return Err(ExtractError::NotUnderstood { file, name, line: found.line });
        }
        let mut text = self.text[found.bytes.clone()].trim_end().to_owned();
        if name.starts_with("struct ") {
            text.push(';');
        }
        Ok(format!("#line {} \"{}\"\n{text}\n", found.line, self.file))
    }
}

fn is_function_declarator(declarator: Node) -> bool {
    match declarator.kind() {
        "function_declarator" => true,
        "pointer_declarator" => {
            declarator.child_by_field_name("declarator").is_some_and(is_function_declarator)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
