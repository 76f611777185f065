//! Regular expressions: what `~`, `~*`, `!~` and `!~*` match with.
//!
//! A pattern is parsed into a tree, the tree compiled into a small program, and the program run by
//! stepping a set of states over the text, all alternatives at once. Nothing backtracks: time is at
//! most text × program whatever the pattern. The size of a program is bounded, and so are the steps of
//! making one, which an empty group repeated many times takes without a program; the steps of a match
//! count as [`Work`].
//!
//! ```text
//!   ^a(b|c)*$     0 Start   1 'a'   2 split 3,8   3 split 4,6   4 'b'   5 jump 7
//!                 6 'c'   7 jump 2   8 End   9 match
//! ```
//!
//! Of PostgreSQL's advanced regular expressions (manual 9.7.3) this has literals, `.`, brackets
//! with ranges and classes, groups, `|`, all quantifiers, `^`, `$`, `\d \s \w \D \S \W`, the word
//! constraints `\m \M \y \Y`, `\A \Z`, and the option `(?i)` in front. Back references, lookaround
//! and collating elements give 0A000.

use std::rc::Rc;

use super::work::Work;
use crate::base::{SqlError, SqlResult, SqlState};

/// Instructions of a compiled pattern.
const PROGRAM_LENGTH_MAX: usize = 20_000;
/// Nodes compiled into them, each as often as it is repeated, with those that give no instruction.
const COMPILED_NODES_MAX: usize = 10 * PROGRAM_LENGTH_MAX;
/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Nesting of groups.
const DEPTH_MAX: usize = 100;
/// PostgreSQL's bound on `{m,n}`.
const REPEAT_MAX: u32 = 255;

/// A set of characters.
#[derive(Clone, Debug, Default)]
struct Class {
    negated: bool,
    /// In order, each behind the one before, once the bracket is read.
    ranges: Vec<(char, char)>,
    /// Each once.
    named: Vec<Named>,
}

/// A class of characters with a name, or its complement.
#[derive(Clone, Copy, Debug)]
struct Named {
    /// As a bracket has it between colons.
    name: &'static str,
    holds: fn(char) -> bool,
    negated: bool,
}

impl Class {
    fn contains(&self, c: char) -> bool {
        let after = self.ranges.partition_point(|(low, _)| *low <= c);
        let in_range = after > 0 && c <= self.ranges[after - 1].1;
        let found = in_range || self.named.iter().any(|n| (n.holds)(c) != n.negated);
        found != self.negated
    }

    fn add_named(&mut self, named: Named) {
        let same = |n: &Named| n.name == named.name && n.negated == named.negated;
        if !self.named.iter().any(same) {
            self.named.push(named);
        }
    }

    /// Puts the ranges in order and joins those that overlap.
    fn settle(&mut self) {
        self.ranges.sort_unstable();
        let mut joined: Vec<(char, char)> = Vec::new();
        for (low, high) in self.ranges.drain(..) {
            match joined.last_mut() {
                Some(last) if low <= last.1 => last.1 = last.1.max(high),
                _ => joined.push((low, high)),
            }
        }
        self.ranges = joined;
    }
}

/// Something between two characters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Boundary {
    Start,
    End,
    WordStart,
    WordEnd,
    WordEdge,
    NoWordEdge,
}

#[derive(Clone, Debug)]
enum Node {
    Char(char),
    AnyChar,
    Class(Rc<Class>),
    Boundary(Boundary),
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
    /// `max` absent is any number.
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
    },
}

#[derive(Clone, Debug)]
enum Step {
    Char(char),
    AnyChar,
    Class(Rc<Class>),
    Boundary(Boundary),
    Jump(usize),
    /// Goes on at both places.
    Split(usize, usize),
    Match,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Regex {
    program: Vec<Step>,
    case_insensitive: bool,
}

fn invalid(what: &str) -> SqlError {
    let message = format!("invalid regular expression: {what}");
    SqlError::new(SqlState::InvalidRegularExpression, message)
}

fn too_complex() -> SqlError {
    invalid("regular expression is too complex")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Regex {
    /// Errors: 2201B for a malformed pattern or one too complex, 0A000 for a form that is left out.
    pub fn new(pattern: &str, case_insensitive: bool) -> SqlResult<Regex> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(too_complex());
        }
        let (pattern, case_insensitive) = match pattern.strip_prefix("(?i)") {
            Some(rest) => (rest, true),
            None => (pattern, case_insensitive),
        };
        let folded = if case_insensitive { fold_pattern(pattern) } else { pattern.to_owned() };
        let mut parser = Parser::new(&folded);
        let node = parser.alternatives(0)?;
        if parser.at < parser.chars.len() {
            return Err(invalid("parentheses () not balanced"));
        }
        let mut compiler = Compiler::default();
        compiler.node(&node)?;
        compiler.push(Step::Match)?;
        Ok(Regex { program: compiler.program, case_insensitive })
    }

    /// Whether the pattern matches anywhere in the text.
    ///
    /// Errors: 54000 where text and pattern take too many steps.
    pub fn is_match(&self, text: &str, work: &Work) -> SqlResult<bool> {
        // What is set up for a match has the program's length.
        work.spend(self.program.len() as u64)?;
        let text = if self.case_insensitive { super::functions::lower(text) } else { text.into() };
        let mut now = States::new(self.program.len());
        let mut next = States::new(self.program.len());
        let mut before = None;
        let mut rest = text.chars();
        loop {
            let after = rest.clone().next();
            // A match may begin at every place.
            if self.enter(0, &mut now, before, after) {
                return Ok(true);
            }
            let Some(c) = rest.next() else { return Ok(false) };
            work.spend(now.entered())?;
            let following = rest.clone().next();
            next.clear();
            for at in &now.list {
                let fits = match &self.program[*at] {
                    Step::Char(wanted) => *wanted == c,
                    Step::AnyChar => true,
                    Step::Class(class) => class.contains(c),
                    _ => false,
                };
                if fits && self.enter(at + 1, &mut next, Some(c), following) {
                    return Ok(true);
                }
            }
            std::mem::swap(&mut now, &mut next);
            before = Some(c);
        }
    }

    /// Adds a state and all it leads to without a character; true once the pattern has matched.
    fn enter(
        &self,
        start: usize,
        states: &mut States,
        before: Option<char>,
        after: Option<char>,
    ) -> bool {
        states.open.push(start);
        while let Some(at) = states.open.pop() {
            if !states.add(at) {
                continue;
            }
            match &self.program[at] {
                Step::Match => return true,
                Step::Jump(to) => states.open.push(*to),
                Step::Split(one, other) => states.open.extend([*one, *other]),
                Step::Boundary(boundary) if holds(*boundary, before, after) => {
                    states.open.push(at + 1);
                }
                _ => {}
            }
        }
        false
    }
}

/// The pattern in lower case, but for what follows a backslash: `\D` is not `\d`.
fn fold_pattern(pattern: &str) -> String {
    let mut folded = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            folded.push(c);
            folded.extend(chars.next());
        } else {
            folded.push_str(&super::functions::lower(c.encode_utf8(&mut [0; 4])));
        }
    }
    folded
}

fn holds(boundary: Boundary, before: Option<char>, after: Option<char>) -> bool {
    let (left, right) = (before.is_some_and(is_word), after.is_some_and(is_word));
    match boundary {
        Boundary::Start => before.is_none(),
        Boundary::End => after.is_none(),
        Boundary::WordStart => !left && right,
        Boundary::WordEnd => left && !right,
        Boundary::WordEdge => left != right,
        Boundary::NoWordEdge => left == right,
    }
}

/// A set of places in the program, in the order they were added.
struct States {
    list: Vec<usize>,
    present: Vec<bool>,
    /// Places still to be entered.
    open: Vec<usize>,
}

impl States {
    fn new(length: usize) -> States {
        States { list: Vec::new(), present: vec![false; length], open: Vec::new() }
    }

    fn clear(&mut self) {
        for at in self.list.drain(..) {
            self.present[at] = false;
        }
    }

    /// Steps of entering these states and of trying a character on each.
    fn entered(&self) -> u64 {
        1 + 2 * self.list.len() as u64
    }

    /// False if it was there.
    fn add(&mut self, at: usize) -> bool {
        if self.present[at] {
            return false;
        }
        self.present[at] = true;
        self.list.push(at);
        true
    }
}

/// Writes the program.
#[derive(Default)]
struct Compiler {
    program: Vec<Step>,
    /// Nodes so far.
    nodes: usize,
}

impl Compiler {
    /// Where the step is.
    fn push(&mut self, step: Step) -> SqlResult<usize> {
        if self.program.len() >= PROGRAM_LENGTH_MAX {
            return Err(too_complex());
        }
        self.program.push(step);
        Ok(self.program.len() - 1)
    }

    fn node(&mut self, node: &Node) -> SqlResult<()> {
        self.nodes += 1;
        if self.nodes > COMPILED_NODES_MAX {
            return Err(too_complex());
        }
        match node {
            Node::Char(c) => self.push(Step::Char(*c)).map(drop),
            Node::AnyChar => self.push(Step::AnyChar).map(drop),
            Node::Class(class) => self.push(Step::Class(class.clone())).map(drop),
            Node::Boundary(boundary) => self.push(Step::Boundary(*boundary)).map(drop),
            Node::Sequence(nodes) => nodes.iter().try_for_each(|n| self.node(n)),
            Node::Alternatives(nodes) => self.alternatives(nodes),
            Node::Repeat { node, min, max } => {
                for _ in 0..*min {
                    self.node(node)?;
                }
                match max {
                    None => self.star(node),
                    Some(max) => (*min..*max).try_for_each(|_| self.optional(node)),
                }
            }
        }
    }

    fn alternatives(&mut self, nodes: &[Node]) -> SqlResult<()> {
        let Some((last, first)) = nodes.split_last() else { return Ok(()) };
        let mut ends = Vec::new();
        for node in first {
            let split = self.push(Step::Jump(0))?;
            self.node(node)?;
            ends.push(self.push(Step::Jump(0))?);
            self.program[split] = Step::Split(split + 1, self.program.len());
        }
        self.node(last)?;
        for end in ends {
            self.program[end] = Step::Jump(self.program.len());
        }
        Ok(())
    }

    fn star(&mut self, node: &Node) -> SqlResult<()> {
        let split = self.push(Step::Jump(0))?;
        self.node(node)?;
        self.push(Step::Jump(split))?;
        self.program[split] = Step::Split(split + 1, self.program.len());
        Ok(())
    }

    fn optional(&mut self, node: &Node) -> SqlResult<()> {
        let split = self.push(Step::Jump(0))?;
        self.node(node)?;
        self.program[split] = Step::Split(split + 1, self.program.len());
        Ok(())
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    /// Atoms, and items of brackets, so far.
    items: usize,
}

impl Parser {
    fn new(pattern: &str) -> Parser {
        Parser { chars: pattern.chars().collect(), at: 0, items: 0 }
    }

    /// Counts one more, before memory is taken for it.
    fn item(&mut self) -> SqlResult<()> {
        self.items += 1;
        if self.items > PROGRAM_LENGTH_MAX { Err(too_complex()) } else { Ok(()) }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn accept(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(k, c)| self.chars.get(self.at + k) == Some(&c));
        self.at += if found { text.chars().count() } else { 0 };
        found
    }

    fn alternatives(&mut self, depth: usize) -> SqlResult<Node> {
        if depth > DEPTH_MAX {
            return Err(too_complex());
        }
        let mut branches = vec![self.sequence(depth)?];
        while self.accept("|") {
            self.item()?;
            branches.push(self.sequence(depth)?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alternatives(branches) })
    }

    fn sequence(&mut self, depth: usize) -> SqlResult<Node> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            let atom = self.atom(depth)?;
            nodes.push(self.quantified(atom)?);
        }
        Ok(Node::Sequence(nodes))
    }

    fn atom(&mut self, depth: usize) -> SqlResult<Node> {
        self.item()?;
        Ok(match self.next() {
            Some('.') => Node::AnyChar,
            Some('^') => Node::Boundary(Boundary::Start),
            Some('$') => Node::Boundary(Boundary::End),
            Some('[') => Node::Class(Rc::new(self.bracket()?)),
            Some('(') => {
                if self.accept("?") && !self.accept(":") {
                    return Err(SqlError::unsupported("lookaround in a regular expression"));
                }
                let inner = self.alternatives(depth + 1)?;
                if !self.accept(")") {
                    return Err(invalid("parentheses () not balanced"));
                }
                inner
            }
            Some('*' | '+' | '?') => return Err(invalid("quantifier operand invalid")),
            Some('\\') => self.escape()?,
            Some(c) => Node::Char(c),
            None => return Err(invalid("invalid escape \\ sequence")),
        })
    }

    fn escape(&mut self) -> SqlResult<Node> {
        let Some(c) = self.next() else { return Err(invalid("invalid escape \\ sequence")) };
        if let Some(named) = shorthand(c) {
            let class = Class { named: vec![named], ..Class::default() };
            return Ok(Node::Class(Rc::new(class)));
        }
        Ok(match c {
            'A' => Node::Boundary(Boundary::Start),
            'Z' => Node::Boundary(Boundary::End),
            'm' => Node::Boundary(Boundary::WordStart),
            'M' => Node::Boundary(Boundary::WordEnd),
            'y' => Node::Boundary(Boundary::WordEdge),
            'Y' => Node::Boundary(Boundary::NoWordEdge),
            '1'..='9' => {
                return Err(SqlError::unsupported("a back reference in a regular expression"));
            }
            c => Node::Char(plain_escape(c)?),
        })
    }

    /// The atom with the quantifiers behind it.
    fn quantified(&mut self, atom: Node) -> SqlResult<Node> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.chars.get(self.at + 1).is_some_and(char::is_ascii_digit) => {
                self.at += 1;
                let bounds = self.bounds()?;
                self.accept("?");
                return self.repeated(atom, bounds.0, bounds.1);
            }
            _ => return Ok(atom),
        };
        self.at += 1;
        // Greedy or not matters to what is matched, not to whether.
        self.accept("?");
        self.repeated(atom, min, max)
    }

    fn repeated(&mut self, atom: Node, min: u32, max: Option<u32>) -> SqlResult<Node> {
        if matches!(self.peek(), Some('*' | '+' | '?')) {
            return Err(invalid("quantifier operand invalid"));
        }
        Ok(Node::Repeat { node: Box::new(atom), min, max })
    }

    /// `m}`, `m,}` or `m,n}`.
    fn bounds(&mut self) -> SqlResult<(u32, Option<u32>)> {
        let min = self.number()?;
        let max = if !self.accept(",") {
            Some(min)
        } else if self.peek() == Some('}') {
            None
        } else {
            Some(self.number()?)
        };
        if !self.accept("}") {
            return Err(invalid("braces {} not balanced"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(invalid("invalid repetition count(s)"));
        }
        Ok((min, max))
    }

    fn number(&mut self) -> SqlResult<u32> {
        let mut value = 0;
        let start = self.at;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            value = value * 10 + digit;
            self.at += 1;
            if value > REPEAT_MAX {
                return Err(invalid("invalid repetition count(s)"));
            }
        }
        if self.at == start { Err(invalid("invalid repetition count(s)")) } else { Ok(value) }
    }

    /// A bracket expression, behind its `[`.
    fn bracket(&mut self) -> SqlResult<Class> {
        let mut class = Class { negated: self.accept("^"), ..Class::default() };
        let mut first = true;
        loop {
            if !first && self.accept("]") {
                class.settle();
                return Ok(class);
            }
            first = false;
            self.item()?;
            if self.accept("[:") {
                class.add_named(self.named_class()?);
                continue;
            }
            if self.accept("[.") || self.accept("[=") {
                return Err(SqlError::unsupported("a collating element in a regular expression"));
            }
            let low = match self.next() {
                None => return Err(invalid("brackets [] not balanced")),
                Some('\\') => {
                    let Some(c) = self.next() else {
                        return Err(invalid("invalid escape \\ sequence"));
                    };
                    if let Some(named) = shorthand(c) {
                        class.add_named(named);
                        continue;
                    }
                    plain_escape(c)?
                }
                Some(c) => c,
            };
            let high = self.range_end(low)?;
            if high < low {
                return Err(invalid("invalid character range"));
            }
            class.ranges.push((low, high));
        }
    }

    /// The end of a range that starts with `low`; `low` itself where there is no range.
    fn range_end(&mut self, low: char) -> SqlResult<char> {
        let is_range =
            self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
        if !is_range {
            return Ok(low);
        }
        self.at += 1;
        match self.next() {
            Some('\\') => match self.next() {
                Some(c) => plain_escape(c),
                None => Err(invalid("invalid escape \\ sequence")),
            },
            Some(c) => Ok(c),
            None => Err(invalid("brackets [] not balanced")),
        }
    }

    fn named_class(&mut self) -> SqlResult<Named> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            self.at += 1;
        }
        let name: String = self.chars[start..self.at].iter().collect();
        if !self.accept(":]") {
            return Err(invalid("brackets [] not balanced"));
        }
        let found = NAMED.iter().find(|(known, _)| *known == name);
        let (name, holds) = *found.ok_or_else(|| invalid("invalid character class"))?;
        Ok(Named { name, holds, negated: false })
    }
}

/// Whether a character is of a class.
type Holds = fn(char) -> bool;

/// The classes that brackets have between colons.
static NAMED: &[(&str, Holds)] = &[
    ("alpha", char::is_alphabetic),
    ("digit", |c| c.is_ascii_digit()),
    ("alnum", char::is_alphanumeric),
    ("upper", char::is_uppercase),
    ("lower", char::is_lowercase),
    ("space", char::is_whitespace),
    ("blank", |c| c == ' ' || c == '\t'),
    ("punct", |c| c.is_ascii_punctuation()),
    ("cntrl", char::is_control),
    ("xdigit", |c| c.is_ascii_hexdigit()),
    ("print", |c| !c.is_control()),
    ("graph", |c| !c.is_control() && !c.is_whitespace()),
    ("word", is_word),
];

/// `\d`, `\s`, `\w` and their complements.
fn shorthand(c: char) -> Option<Named> {
    let (name, holds): (_, Holds) = match c.to_ascii_lowercase() {
        'd' => ("digit", |c| c.is_ascii_digit()),
        's' => ("space", char::is_whitespace),
        'w' => ("word", is_word),
        _ => return None,
    };
    Some(Named { name, holds, negated: c.is_ascii_uppercase() })
}

/// The character that an escape stands for.
fn plain_escape(c: char) -> SqlResult<char> {
    Ok(match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'a' => '\u{7}',
        'e' => '\u{1b}',
        c if c.is_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
        c => c,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_match(regex: &Regex, text: &str) -> bool {
        regex.is_match(text, &Work::default()).unwrap()
    }

    fn answer(text: &str, pattern: &str) -> String {
        match Regex::new(pattern, false) {
            Ok(regex) => is_match(&regex, text).to_string(),
            Err(error) => error.message,
        }
    }

    /// As PostgreSQL 15 answers `text ~ pattern`.
    #[test]
    fn patterns() {
        for (text, pattern, expected) in [
            ("orders", "^(orders)$", "true"),
            ("orders2", "^(orders)$", "false"),
            ("orders", "^(ord.*)$", "true"),
            ("abc", "b", "true"),
            ("abc", "", "true"),
            ("", "^$", "true"),
            ("aaa", "^a{2}$", "false"),
            ("aaa", "^a{2,}$", "true"),
            ("aaaa", "^a{1,3}$", "false"),
            ("abab", "^(ab)+$", "true"),
            ("ac", "^a(b|)c$", "true"),
            ("x9", "^[a-z][0-9]$", "true"),
            ("x9", "^[^0-9]+$", "false"),
            ("a]b", "^a[]]b$", "true"),
            ("m", "[x-zk-nc-l]", "true"),
            ("o", "[x-zk-nc-l]", "false"),
            ("7", "[[:digit:]\\d\\D]", "true"),
            ("a-b", "^a[x-]b$", "true"),
            ("é1_", "^\\w+$", "true"),
            ("12", "^\\d+$", "true"),
            ("1a", "^\\D+$", "false"),
            ("foo bar", "\\mbar\\M", "true"),
            ("foobar", "\\ybar", "false"),
            ("A1", "^[[:upper:]][[:digit:]]$", "true"),
            ("a.b", "^a\\.b$", "true"),
            ("axb", "^a\\.b$", "false"),
            ("a{b", "a{b", "true"),
            ("ABC", "(?i)abc", "true"),
            ("ab", "(?:a)b", "true"),
            ("a", "(", "invalid regular expression: parentheses () not balanced"),
            ("a", "a)", "invalid regular expression: parentheses () not balanced"),
            ("a", "[a", "invalid regular expression: brackets [] not balanced"),
            ("a", "*a", "invalid regular expression: quantifier operand invalid"),
            ("a", "a**", "invalid regular expression: quantifier operand invalid"),
            ("a", "a{2,1}", "invalid regular expression: invalid repetition count(s)"),
            ("a", "a{300}", "invalid regular expression: invalid repetition count(s)"),
            ("a", "[z-a]", "invalid regular expression: invalid character range"),
            ("a", "[[:foo:]]", "invalid regular expression: invalid character class"),
            ("a", "a\\", "invalid regular expression: invalid escape \\ sequence"),
            ("a", "(a)\\1", "a back reference in a regular expression is not supported"),
        ] {
            assert_eq!(answer(text, pattern), expected, "{text} ~ {pattern}");
        }
        assert!(is_match(&Regex::new("ÄB\\D", true).unwrap(), "xäbx"));
    }

    #[test]
    fn hard_patterns_stay_cheap() {
        let text = "a".repeat(2_000);
        assert!(!is_match(&Regex::new("^(a*)*(a*)*b$", false).unwrap(), &text));
        for pattern in [
            "((a{255}){255}){255}",
            // Nothing repeated is no instruction, but takes its time.
            "((((((){255}){255}){255}){255}){8})",
            "(((){255}){255}|b){255}",
            &"(".repeat(10_000),
            &"a".repeat(PROGRAM_LENGTH_MAX + 1),
            &format!("[{}]", "a".repeat(PROGRAM_LENGTH_MAX + 1)),
            &format!("a{{{}1}}", "0".repeat(PATTERN_BYTES_MAX)),
        ] {
            let error = Regex::new(pattern, false).unwrap_err();
            let message = "invalid regular expression: regular expression is too complex";
            assert_eq!((error.state.code(), error.message.as_str()), ("2201B", message));
        }
        assert!(is_match(&Regex::new("((){255}){255}", false).unwrap(), "a"));
        assert!(Regex::new(&"a".repeat(PROGRAM_LENGTH_MAX - 1), false).is_ok());
    }

    #[test]
    fn long_texts_are_bounded_with_long_patterns() {
        let regex = Regex::new("((a?){250}){4}b", false).unwrap();
        let steps = |length: usize, limit: u64| {
            let work = Work::new(limit);
            regex.is_match(&"a".repeat(length), &work).map(|_| work.spent())
        };
        let needed = steps(1_000, u64::MAX).unwrap();
        assert!(needed > 1_000 * 1_000, "{needed}");
        assert_eq!(steps(1_000, needed).unwrap(), needed);
        assert_eq!(steps(1_000, needed - 1).unwrap_err().state.code(), "54000");
    }

    /// The definition by sets of rests: every way to match the front, word by word.
    fn model(node: &Node, text: &[char]) -> Vec<usize> {
        let mut ends = match node {
            Node::Char(c) => {
                if text.first() == Some(c) {
                    vec![1]
                } else {
                    vec![]
                }
            }
            Node::AnyChar => {
                if text.is_empty() {
                    vec![]
                } else {
                    vec![1]
                }
            }
            Node::Sequence(nodes) => nodes.iter().fold(vec![0], |ends, n| {
                ends.iter()
                    .flat_map(|e| model(n, &text[*e..]).into_iter().map(move |m| e + m))
                    .collect()
            }),
            Node::Alternatives(nodes) => nodes.iter().flat_map(|n| model(n, text)).collect(),
            Node::Repeat { node, min, max } => {
                let mut all = Vec::new();
                let mut ends = vec![0];
                for times in 0..=max.unwrap_or(text.len() as u32 + 1 + *min) {
                    if times >= *min {
                        all.extend(ends.iter().copied());
                    }
                    let mut further: Vec<usize> = ends
                        .iter()
                        .flat_map(|e| model(node, &text[*e..]).into_iter().map(move |m| e + m))
                        .collect();
                    further.sort_unstable();
                    further.dedup();
                    ends = further;
                }
                all
            }
            _ => vec![],
        };
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    proptest! {
        #[test]
        fn matches_as_defined(text in "[ab]{0,6}", pattern in "([ab.]|\\([ab|]{1,3}\\)|a[*+?]|b\\{1,2\\}){0,4}") {
            let mut parser = Parser::new(&pattern);
            let node = parser.alternatives(0).unwrap();
            let chars: Vec<char> = text.chars().collect();
            let expected = (0..=chars.len()).any(|from| !model(&node, &chars[from..]).is_empty());
            prop_assert_eq!(is_match(&Regex::new(&pattern, false).unwrap(), &text), expected);
        }

        #[test]
        fn no_pattern_panics(text in ".{0,8}", pattern in "[ab(){}|*+?\\\\\\[\\]^$:,0-9-]{0,12}") {
            if let Ok(regex) = Regex::new(&pattern, true) {
                is_match(&regex, &text);
            }
        }
    }
}
