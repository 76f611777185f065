//! The paths that a source file names, resolved: what `use` groups, `self`, `super` and `crate` stand for.
//!
//! It looks at tokens, not at a syntax tree, so that it sees into the arguments of macros too.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// Whose a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// From the root of the crate.
    Own,
    /// It begins with the name of another crate, or with one that the file does not explain.
    Foreign,
    /// It begins with a name that the file imports or declares, which was judged there.
    Local,
}

/// A path, and the line of what it imports, or that it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    pub line: usize,
    pub whose: Whose,
    /// In an item that is compiled for tests only.
    pub in_tests: bool,
    /// The last is `*` where everything in it is meant.
    pub segments: Vec<String>,
}

/// The paths in the text of a file, in its order, and each import of a `use` group for itself. `module` is
/// what the file is, from the root of its crate.
///
/// # Errors
/// The text is not Rust.
pub fn named_paths(text: &str, module: &[String]) -> Result<Vec<NamedPath>, String> {
    let tokens: TokenStream = text.parse().map_err(|error| format!("{error}"))?;
    let mut walk = Walk::default();
    walk.tokens(tokens, module);
    let Walk { found, known, .. } = walk;
    let explained = |(mut path, is_global): (NamedPath, bool)| {
        let first = path.segments.first().filter(|_| path.whose == Whose::Foreign && !is_global);
        if first.is_some_and(|first| known.contains(first)) {
            path.whose = Whose::Local;
        }
        path
    };
    Ok(found.into_iter().map(explained).collect())
}

#[derive(Default)]
struct Walk {
    /// Each with whether it begins with `::`.
    found: Vec<(NamedPath, bool)>,
    in_tests: bool,
    /// Names that the file imports or declares modules of.
    known: BTreeSet<String>,
}

impl Walk {
    fn tokens(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = self.item(&tokens, at, module);
        }
    }

    /// Takes what begins at a token; gives where the next thing does.
    fn item(&mut self, tokens: &[TokenTree], at: usize, module: &[String]) -> usize {
        match &tokens[at] {
            TokenTree::Group(group) => {
                self.tokens(group.stream(), module);
                at + 1
            }
            // Not the `use<>` of a type.
            TokenTree::Ident(word) if *word == "use" && !is_punct(tokens.get(at + 1), '<') => {
                self.use_tree(tokens, at + 1, &[], module)
            }
            TokenTree::Punct(punct)
                if punct.as_char() == '#' && is_for_tests(tokens.get(at + 1)) =>
            {
                self.item_of_tests(tokens, at + 2, module)
            }
            TokenTree::Ident(word) if *word == "mod" => self.module(tokens, at, module),
            TokenTree::Ident(first) if begins_path(tokens, at) => {
                let (segments, next) = path(tokens, at);
                if segments.len() > 1 {
                    let is_global = is_separator(tokens, at.wrapping_sub(2));
                    self.note(first, segments, is_global, module);
                }
                next
            }
            _ => at + 1,
        }
    }

    /// Takes a whole item: up to a semicolon, or a body.
    fn item_of_tests(&mut self, tokens: &[TokenTree], mut at: usize, module: &[String]) -> usize {
        let outer = std::mem::replace(&mut self.in_tests, true);
        while at < tokens.len() {
            let begun = at;
            at = self.item(tokens, at, module);
            let is_end = match &tokens[begun] {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                // Its body is taken together with its name.
                TokenTree::Ident(word) => *word == "mod",
                TokenTree::Literal(_) => false,
            };
            if is_end {
                break;
            }
        }
        self.in_tests = outer;
        at
    }

    fn module(&mut self, tokens: &[TokenTree], at: usize, module: &[String]) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { return at + 1 };
        self.known.insert(name.to_string());
        if let Some(TokenTree::Group(body)) = tokens.get(at + 2)
            && body.delimiter() == Delimiter::Brace
        {
            let inner: Vec<String> = module.iter().cloned().chain([name.to_string()]).collect();
            self.tokens(body.stream(), &inner);
        }
        at + 3
    }

    /// Takes the tree of a `use` behind `prefix`; gives where it ends.
    fn use_tree(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        prefix: &[Ident],
        module: &[String],
    ) -> usize {
        let is_global = prefix.is_empty() && is_separator(tokens, at);
        let mut so_far = prefix.to_vec();
        loop {
            match tokens.get(at) {
                Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => at += 1,
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => {
                    self.import(&so_far, Some("*"), is_global, module);
                    return at + 1;
                }
                Some(TokenTree::Group(group)) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let mut each = 0;
                    while each < inner.len() {
                        each = self.use_tree(&inner, each, &so_far, module);
                        each += usize::from(is_punct(inner.get(each), ','));
                    }
                    return at + 1;
                }
                Some(TokenTree::Ident(word)) if *word == "as" => {
                    self.import(&so_far, None, is_global, module);
                    self.known.extend(tokens.get(at + 1).map(ToString::to_string));
                    return at + 2;
                }
                Some(TokenTree::Ident(word)) => {
                    so_far.push(word.clone());
                    at += 1;
                    // A name that nothing follows is what is imported.
                    let ends = !is_separator(tokens, at)
                        && !matches!(tokens.get(at), Some(TokenTree::Ident(word)) if *word == "as");
                    if ends {
                        let name = so_far.iter().rev().find(|word| **word != "self");
                        self.known.extend(name.map(ToString::to_string));
                        self.import(&so_far, None, is_global, module);
                        return at;
                    }
                }
                _ => return at + 1,
            }
        }
    }

    fn import(&mut self, path: &[Ident], glob: Option<&str>, is_global: bool, module: &[String]) {
        let Some(last) = path.last() else { return };
        let mut segments: Vec<String> = path.iter().map(ToString::to_string).collect();
        // `{self}` is what the group is of.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
        }
        segments.extend(glob.map(str::to_owned));
        self.note(last, segments, is_global, module);
    }

    fn note(&mut self, at: &Ident, segments: Vec<String>, is_global: bool, module: &[String]) {
        let line = at.span().start().line;
        let (whose, segments) = match segments.first().map(String::as_str) {
            Some("crate") => (Whose::Own, segments[1..].to_vec()),
            Some("self" | "super") => {
                let relative = segments.iter().take_while(|s| *s == "self" || *s == "super");
                let up = relative.clone().filter(|s| *s == "super").count();
                let down = relative.count();
                let base = &module[..module.len().saturating_sub(up)];
                (Whose::Own, base.iter().chain(&segments[down..]).cloned().collect())
            }
            _ => (Whose::Foreign, segments),
        };
        let in_tests = self.in_tests;
        self.found.push((NamedPath { line, whose, in_tests, segments }, is_global));
    }
}

/// Whether an attribute says so.
fn is_for_tests(token: Option<&TokenTree>) -> bool {
    token.is_some_and(|token| token.to_string().replace(' ', "") == "[cfg(test)]")
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

/// Whether `::` is at `at`.
fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at.wrapping_add(1)), ':')
}

/// Whether the word at `at` is the first of a path: neither the rest of one, nor a field, nor a lifetime.
fn begins_path(tokens: &[TokenTree], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else { return true };
    if is_punct(Some(before), '.') || is_punct(Some(before), '\'') {
        return false;
    }
    // `::word` begins one if no type or word is before it.
    let Some(separator) = at.checked_sub(2).filter(|at| is_separator(tokens, *at)) else {
        return true;
    };
    match separator.checked_sub(1).map(|before| &tokens[before]) {
        Some(TokenTree::Ident(_)) => false,
        Some(token) => !is_punct(Some(token), '>'),
        None => true,
    }
}

/// The words that `::` joins from `at` on, and where they end.
fn path(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        segments.push(word.to_string());
        at += 1;
        if !is_separator(tokens, at) || !matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        at += 2;
    }
    (segments, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let module = ["exec", "join"].map(str::to_owned);
        let shown = |path: &NamedPath| {
            let whose = match path.whose {
                Whose::Own => "/",
                Whose::Foreign => "",
                Whose::Local => "~",
            };
            format!("{} {whose}{}", path.line, path.segments.join("::"))
        };
        named_paths(text, &module).unwrap().iter().map(shown).collect()
    }

    #[test]
    fn what_a_use_imports_is_taken_apart() {
        assert_eq!(
            shown("use crate::{\n  base::{self, Row as R},\n  sql::*,\n};"),
            ["2 /base", "2 /base::Row", "3 /sql::*"]
        );
        assert_eq!(
            shown("use super::super::sql::Plan; use super::hash; use self::inner::X;"),
            ["1 /sql::Plan", "1 /exec::hash", "1 /exec::join::inner::X"]
        );
        assert_eq!(
            shown("use std::{fs, time::{Duration, Instant}};\npub use ::raft::*;"),
            ["1 std::fs", "1 std::time::Duration", "1 std::time::Instant", "2 raft::*"]
        );
        assert_eq!(
            shown("use crate as all; use super::super::*; use super::super as up;"),
            ["1 /", "1 /*", "1 /"]
        );
    }

    #[test]
    fn a_path_is_found_wherever_it_stands() {
        let text = "fn f(x: &'a crate::sql::Plan) -> <T as crate::exec::Run>::Out {\n\
                    assert!(matches!(x.y, super::super::admin::Z::<u8> { .. }));\n\
                    ::rand::random(); raft::Node::new(); x.raft::<u8>(); $crate::seam::probe::f() }";
        assert_eq!(
            shown(text),
            [
                "1 /sql::Plan",
                "1 /exec::Run",
                "2 /admin::Z",
                "3 rand::random",
                "3 raft::Node::new",
                "3 /seam::probe::f"
            ]
        );
        assert_eq!(
            shown("// crate::sql::Plan\n/// [`crate::sql`]\nconst A: &str = \"crate::sql\";"),
            [""; 0]
        );
        assert_eq!(shown("pub(crate) fn f() -> impl X + use<'_> { self.x }"), [""; 0]);
    }

    #[test]
    fn what_is_compiled_for_tests_only_is_known() {
        let text = "#[cfg(test)] use crate::a::A; use crate::b::B; #[cfg(test)] #[path = \"x\"] mod t { \
                    use crate::c::C; fn f() { crate::d::d() } } fn g() { crate::e::e() } \
                    #[cfg(test)] fn h() -> crate::f::F { crate::g::g() } #[cfg(feature)] use crate::h::H;";
        let paths = named_paths(text, &[]).unwrap();
        let of_tests: Vec<&str> = paths
            .iter()
            .filter(|path| path.in_tests)
            .map(|path| path.segments[0].as_str())
            .collect();
        assert_eq!(of_tests, ["a", "c", "d", "f", "g"]);
        assert_eq!(paths.len(), 8);
    }

    #[test]
    fn a_name_that_the_file_explains_is_its_own() {
        assert_eq!(
            shown("use crate::raft; fn f() { raft::Node::new() }"),
            ["1 /raft", "1 ~raft::Node::new"]
        );
        assert_eq!(
            shown("use crate::raft as r; fn f() { r::f(); raft::f() }")[1..],
            ["1 ~r::f", "1 raft::f"]
        );
        assert_eq!(
            shown("mod inner { use super::super::X; } use inner::Y;"),
            ["1 /exec::X", "1 ~inner::Y"]
        );
    }
}
