//! Takes functions, types, variables and macros out of a C file, as they stand there.

use crate::readable::readable;
use std::collections::BTreeMap;
use std::ops::Range;
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
    unread: Vec<Range<usize>>,
}

/// A piece of a C file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The line where it begins, from 1.
    pub line: usize,
    /// Its text, as it stands there.
    pub text: &'a str,
}

/// What stands behind a struct without gaps.
const PACKED: &str = " QEMU_PACKED";

/// The statement that a macro's call is to the grammar.
const EXPRESSION: &str = "expression_statement";

struct Found {
    bytes: Range<usize>,
    line: usize,
    understood: bool,
    is_definition: bool,
    has_body: bool,
}

impl<'a> Definitions<'a> {
    /// Parses a file; `file` is what it is called in what comes of it.
    pub fn of(file: &'a str, text: &'a str) -> Definitions<'a> {
        let mut parser = Parser::new();
        let language = tree_sitter_c::LANGUAGE.into();
        parser.set_language(&language).expect("the grammar fits the parser");
        let readable = readable(text);
        let tree = parser.parse(&readable, None).expect("parsing has no limit");
        let mut definitions =
            Definitions { file, text, found: BTreeMap::new(), unread: Vec::new() };
        definitions.collect(tree.root_node());
        definitions.collect_branches(&readable);
        definitions
    }

    fn collect(&mut self, node: Node) {
        let names: Vec<_> = match node.kind() {
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
        let has_body = node.kind() == "function_definition";
        // Outside functions, a statement can be no more than a macro's call.
        let is_statement = node.kind().ends_with("_statement") && node.kind() != EXPRESSION;
        if node.is_error() || is_statement || (has_body && names.is_empty()) {
            self.unread.push(node.byte_range());
        }
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
                has_body,
            };
            self.found.entry(name).or_default().push(found);
        }
        if !has_body {
            let mut cursor = node.walk();
            let children: Vec<_> = node.children(&mut cursor).collect();
            children.into_iter().for_each(|child| self.collect(child));
        }
    }

    /// What is outside functions in branches that are not compiled here, which the grammar never saw.
    fn collect_branches(&mut self, readable: &str) {
        let functions: Vec<_> = self.bodies().map(|(_, found)| found.bytes.clone()).collect();
        let mut at = 0;
        for (line, seen) in self.text.split_inclusive('\n').zip(readable.split_inclusive('\n')) {
            let bytes = at..at + line.len();
            at = bytes.end;
            let is_within = || functions.iter().any(|it| it.contains(&bytes.start));
            if !seen.trim().is_empty() || is_within() {
                continue;
            }
            match self.unread.last_mut() {
                // Empty lines and conditions are no end of a branch, and none alone.
                Some(last) if last.end == bytes.start => last.end = bytes.end,
                _ if line.trim().is_empty() || line.starts_with('#') => {}
                _ => self.unread.push(bytes),
            }
        }
    }

    fn bodies(&self) -> impl Iterator<Item = (&str, &Found)> {
        let all = self.found.iter().flat_map(|(name, all)| all.iter().map(move |it| (&**name, it)));
        all.filter(|(_, found)| found.has_body)
    }

    /// Every definition of a function, by its name: under whatever condition, and where the parser is
    /// not sure of what is in it, too.
    pub fn functions(&self) -> impl Iterator<Item = (&str, Piece<'a>)> {
        self.bodies().map(|(name, found)| (name, self.piece(&found.bytes)))
    }

    /// What is outside these functions and was not read, and may thus define others: what the parser
    /// does not understand, and the branches that are not compiled here.
    pub fn unread(&self) -> impl Iterator<Item = Piece<'a>> {
        self.unread.iter().map(|bytes| self.piece(bytes))
    }

    fn piece(&self, bytes: &Range<usize>) -> Piece<'a> {
        let line = self.text[..bytes.start].matches('\n').count() + 1;
        Piece { line, text: self.text[bytes.clone()].trim_end() }
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
