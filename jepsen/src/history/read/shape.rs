//! From the value of an event to the steps of an operation.
//!
//! | function | value | steps |
//! |---|---|---|
//! | any | `[[:append k v] [:r k v] [:w k v] …]` | one each |
//! | read | `v`, `[k v]` | a read of the register |
//! | read | `#{…}`, `[…]` after an `:add`, `{account balance …}` | a read of the set; one a balance |
//! | write | `v`, `[k v]` | a write |
//! | cas | `[old new]`, `[k [old new]]` | a compare-and-set |
//! | add | `v` | an append |
//! | transfer | `{:from a :to b :amount n}` | a debit and a credit |
//! | generate | `v` | the value that was handed out |
//! | init | `{k v …}` | a write each: what is there before everything else |
//!
//! Steps of transactions on what may not be there are those of Elle's closed-predicate workload:
//! `[:insert k v]`, which is a write, `[:delete k]`, and `[:rp predicate {k v …}]`, a read of all
//! keys that match `:true`, `[:= v]` or `[:mod modulus remainder]`.

use std::ops::Range;

use crate::history::{Function, Names, Predicate, Step};

use super::{Atom, Collection, Event, EventType, FunctionName, Node};

/// A step whose list, if it has one, is a range of the nodes of the value.
#[derive(Clone, Copy, Debug)]
enum Shaped {
    Whole(Step<'static>),
    List { key: Atom, first: usize, end: usize },
    Rows { predicate: Predicate, first: usize, end: usize },
}

/// Reuses its buffers from event to event.
#[derive(Default)]
pub(super) struct Shaper {
    shaped: Vec<Shaped>,
    /// What symbols mean as names of steps, learnt once a symbol; a history has few.
    verbs: Vec<(Atom, Verb)>,
    /// Whether an `:add` was seen, which makes a vector that was read a set and not `[key value]`.
    has_sets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Append,
    Read,
    Write,
    Delete,
    ReadWhere,
    Unknown,
}

impl Shaper {
    pub fn clear(&mut self) {
        self.shaped.clear();
    }

    /// Finds the steps of an event. `invoked` is the function of the invocation that it ends.
    pub fn shape(
        &mut self,
        event: &Event,
        value: &[Atom],
        invoked: Option<Function>,
        names: &Names,
    ) -> Result<Function, String> {
        self.clear();
        let is_ok = event.kind != Some(EventType::Invoke);
        let function = match (event.function, invoked) {
            (Some(FunctionName::Known(function)), _) | (None, Some(function)) => function,
            (Some(FunctionName::Other(_)), _) if is_transaction(value) => Function::Transaction,
            (Some(FunctionName::Other(name)), _) => {
                return Err(format!("function {} is not one of a model", names.text(name)));
            }
            (None, None) => return Err("the event has no function (:f)".into()),
        };
        if function == Function::Transaction || is_transaction(value) {
            self.transaction(value, is_ok, names)?;
            return Ok(Function::Transaction);
        }
        match function {
            Function::Transaction => {}
            Function::Read => self.read(value, is_ok)?,
            Function::Write => self.write(value)?,
            Function::CompareAndSet => self.compare_and_set(value)?,
            Function::Add => self.add(value)?,
            Function::Transfer => self.transfer(value, names)?,
            Function::Generate => self.generate(value, is_ok)?,
            Function::Init => self.init(value)?,
        }
        Ok(function)
    }

    /// The steps of the event that was shaped last; `value` is its value.
    pub fn steps<'a>(&'a self, value: &'a [Atom]) -> impl Iterator<Item = Step<'a>> {
        self.shaped.iter().map(|shaped| match *shaped {
            Shaped::Whole(step) => step,
            Shaped::List { key, first, end } => {
                Step::ReadList { key, elements: &value[first..end] }
            }
            Shaped::Rows { predicate, first, end } => {
                Step::ReadWhere { predicate, rows: Some(value[first..end].as_chunks().0) }
            }
        })
    }

    fn push(&mut self, step: Step<'static>) {
        self.shaped.push(Shaped::Whole(step));
    }

    /// A read of the list that is that range of the value.
    fn push_list(&mut self, key: Atom, value: &[Atom], list: Range<usize>) -> Result<(), String> {
        if value[list.clone()].iter().any(|atom| atom.as_head().is_some()) {
            return Err(NO_SCALAR.into());
        }
        self.shaped.push(Shaped::List { key, first: list.start, end: list.end });
        Ok(())
    }

    fn transaction(&mut self, value: &[Atom], is_ok: bool, names: &Names) -> Result<(), String> {
        let Some(&head) = value.first() else {
            return Err("the transaction has no value".into());
        };
        if head.is_nil() && !is_ok {
            return Ok(());
        }
        let Node::Head(Collection::Vector, _) = Node::of(head) else {
            return Err("the value of a transaction must be a vector of steps".into());
        };
        let mut at = 1;
        while let Some(&step) = value.get(at) {
            let Node::Head(Collection::Vector, span) = Node::of(step) else {
                return Err("a step of a transaction must be a vector".into());
            };
            self.transaction_step(value, at + 1..at + 1 + span, is_ok, names)?;
            at += 1 + span;
        }
        Ok(())
    }

    /// Takes the step whose nodes are that range of the value.
    fn transaction_step(
        &mut self,
        value: &[Atom],
        step: Range<usize>,
        is_ok: bool,
        names: &Names,
    ) -> Result<(), String> {
        let [verb, key, rest @ ..] = &value[step.clone()] else {
            return Err("a step needs a name and a key".into());
        };
        let kind = self.verb(scalar(*verb)?, names);
        if kind == Verb::ReadWhere {
            return self.predicate_read(value, step, names);
        }
        let key = scalar(*key)?;
        match (kind, rest) {
            (Verb::Append, [value]) => {
                self.push(Step::Append { key, value: written(*value)? });
            }
            (Verb::Write, [value]) => {
                self.push(Step::Write { key, value: written(*value)? });
            }
            (Verb::Delete, []) => self.push(Step::Delete { key }),
            (Verb::Read, []) => self.push(Step::Read { key, value: None }),
            (Verb::Read, [list, ..]) if list.as_head().is_some() => {
                const NAME_KEY_AND_HEAD: usize = 3;
                self.push_list(key, value, step.start + NAME_KEY_AND_HEAD..step.end)?;
            }
            (Verb::Read, [value]) => {
                let known = is_ok || !value.is_nil();
                self.push(Step::Read { key, value: known.then_some(*value) });
            }
            (Verb::Unknown, _) => {
                let verb = names.text(*verb);
                return Err(format!(
                    "step {verb} is none of :append, :r, :w, :insert, :delete, :rp"
                ));
            }
            (Verb::Delete, _) => return Err("a :delete has a key and nothing else".into()),
            (kind, _) => return Err(format!("a step of kind {kind:?} needs one scalar value")),
        }
        Ok(())
    }

    /// Takes a read by predicate whose nodes are that range of the value.
    fn predicate_read(
        &mut self,
        value: &[Atom],
        step: Range<usize>,
        names: &Names,
    ) -> Result<(), String> {
        let (predicate, length) = predicate(&value[step.start + 1..step.end], names)?;
        let answer = step.start + 1 + length;
        let rows = value.get(answer..step.end).unwrap_or_default();
        match rows.first().map(|&head| (head, Node::of(head))) {
            None => self.push(Step::ReadWhere { predicate, rows: None }),
            Some((head, Node::Scalar)) if head.is_nil() && rows.len() == 1 => {
                self.push(Step::ReadWhere { predicate, rows: None });
            }
            Some((_, Node::Head(Collection::Map, span))) if span % 2 == 0 => {
                let (first, end) = (answer + 1, step.end);
                if value[first..end].iter().any(|atom| atom.as_head().is_some()) {
                    return Err(NO_SCALAR.into());
                }
                self.shaped.push(Shaped::Rows { predicate, first, end });
            }
            Some(_) => return Err("a read by predicate sees a map of keys and values".into()),
        }
        Ok(())
    }

    fn init(&mut self, value: &[Atom]) -> Result<(), String> {
        let Some((&head, pairs)) = value.split_first() else { return Ok(()) };
        if head.is_nil() {
            return Ok(());
        }
        let Node::Head(Collection::Map, _) = Node::of(head) else {
            return Err("an init needs a map of keys and values".into());
        };
        let (pairs, []) = pairs.as_chunks() else {
            return Err("an init needs a map with a value for each key".into());
        };
        for &[key, value] in pairs {
            self.push(Step::Write { key: scalar(key)?, value: written(value)? });
        }
        Ok(())
    }

    fn verb(&mut self, atom: Atom, names: &Names) -> Verb {
        if let Some(&(_, verb)) = self.verbs.iter().find(|(known, _)| *known == atom) {
            return verb;
        }
        let text = names.text(atom);
        let verb = match bare(&text) {
            "append" => Verb::Append,
            "r" | "read" => Verb::Read,
            "w" | "write" | "insert" => Verb::Write,
            "delete" => Verb::Delete,
            "rp" => Verb::ReadWhere,
            _ => Verb::Unknown,
        };
        self.verbs.push((atom, verb));
        verb
    }

    fn read(&mut self, value: &[Atom], is_ok: bool) -> Result<(), String> {
        let key = Atom::NIL;
        let Some((&head, inner)) = value.split_first() else {
            self.push(Step::Read { key, value: None });
            return Ok(());
        };
        match (Node::of(head), inner) {
            (Node::Scalar, _) => {
                let known = is_ok || !head.is_nil();
                self.push(Step::Read { key, value: known.then_some(head) });
            }
            (Node::Head(Collection::Map, _), balances) => {
                for pair in balances.chunks(2) {
                    let [account, balance] = pair else { return Err("a map has a value".into()) };
                    let (key, value) = (scalar(*account)?, scalar(*balance)?);
                    self.push(Step::Read { key, value: Some(value) });
                }
            }
            (Node::Head(Collection::Vector, _), &[key, value])
                if !self.has_sets && value.as_head().is_none() =>
            {
                let key = scalar(key)?;
                let known = is_ok || !value.is_nil();
                self.push(Step::Read { key, value: known.then_some(value) });
            }
            _ => self.push_list(key, value, 1..value.len())?,
        }
        Ok(())
    }

    fn write(&mut self, value: &[Atom]) -> Result<(), String> {
        let (key, value) = match *value {
            [value] => (Atom::NIL, written(value)?),
            [_, key, value] => (scalar(key)?, written(value)?),
            _ => return Err("a write needs a value or [key value]".into()),
        };
        self.push(Step::Write { key, value });
        Ok(())
    }

    fn compare_and_set(&mut self, value: &[Atom]) -> Result<(), String> {
        let (key, old, new) = match *value {
            [_, old, new] => (Atom::NIL, scalar(old)?, written(new)?),
            [_, key, pair, old, new] if pair.as_head().is_some() => {
                (scalar(key)?, scalar(old)?, written(new)?)
            }
            _ => return Err("a cas needs [old new] or [key [old new]]".into()),
        };
        self.push(Step::CompareAndSet { key, old, new });
        Ok(())
    }

    fn add(&mut self, value: &[Atom]) -> Result<(), String> {
        let &[value] = value else { return Err("an add needs one scalar".into()) };
        self.has_sets = true;
        self.push(Step::Append { key: Atom::NIL, value: written(value)? });
        Ok(())
    }

    fn transfer(&mut self, value: &[Atom], names: &Names) -> Result<(), String> {
        let field = |name: &str| {
            let mut pairs = value.get(1..).unwrap_or(&[]).chunks_exact(2);
            let pair = pairs.find(|pair| bare(&names.text(pair[0])) == name);
            pair.map_or_else(|| Err(format!("the transfer has no {name}")), |pair| scalar(pair[1]))
        };
        let (from, to, amount) = (field("from")?, field("to")?, field("amount")?);
        self.push(Step::Debit { key: from, amount });
        self.push(Step::Credit { key: to, amount });
        Ok(())
    }

    fn generate(&mut self, value: &[Atom], is_ok: bool) -> Result<(), String> {
        match *value {
            [value] if is_ok => self.push(Step::Generate { value: written(value)? }),
            _ if is_ok => return Err("a generate needs one scalar".into()),
            _ => {}
        }
        Ok(())
    }
}

/// The predicate with which the nodes begin, and how many of them it is.
fn predicate(nodes: &[Atom], names: &Names) -> Result<(Predicate, usize), String> {
    let named = |atom: Atom, name: &str| bare(&names.text(atom)) == name;
    let inner = match nodes.first().map(|&head| (head, Node::of(head))) {
        Some((head, Node::Scalar)) if named(head, "true") => return Ok((Predicate::All, 1)),
        Some((_, Node::Head(Collection::Vector, span))) => &nodes[1..1 + span],
        _ => &[],
    };
    let predicate = match *inner {
        [name, value] if named(name, "=") => Predicate::Equals(written(value)?),
        [name, modulus, remainder] if named(name, "mod") => {
            let (Some(modulus), Some(remainder)) = (modulus.as_integer(), remainder.as_integer())
            else {
                return Err("a :mod needs two integers".into());
            };
            if modulus < 1 {
                return Err("the modulus of a :mod must be positive".into());
            }
            Predicate::Modulo { modulus, remainder }
        }
        _ => return Err("a predicate is :true, [:= value] or [:mod modulus remainder]".into()),
    };
    Ok((predicate, 1 + inner.len()))
}

/// The name of a keyword or a string.
fn bare(text: &str) -> &str {
    text.trim_matches(|c| c == ':' || c == '"')
}

/// Whether the value is a vector that begins with a vector.
fn is_transaction(value: &[Atom]) -> bool {
    let is_vector = |atom: &Atom| matches!(Node::of(*atom), Node::Head(Collection::Vector, _));
    value.len() > 1 && value[..2].iter().all(is_vector)
}

const NO_SCALAR: &str = "a key or a value must be a scalar";

fn scalar(atom: Atom) -> Result<Atom, String> {
    if atom.as_head().is_some() { Err(NO_SCALAR.into()) } else { Ok(atom) }
}

fn written(atom: Atom) -> Result<Atom, String> {
    let value = scalar(atom)?;
    if value.is_nil() { Err("nil cannot be written".into()) } else { Ok(value) }
}
