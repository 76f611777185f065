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

use crate::history::{Function, Lookup, Names, Step};

use super::{Atom, Event, EventType, FunctionName, Node, NodeKind};

/// A step whose list, if it has one, is a range of the shaper's elements.
#[derive(Clone, Copy, Debug)]
enum Shaped {
    Whole(Step<'static>),
    List { key: Atom, first: usize, end: usize },
}

/// Reuses its buffers from event to event.
#[derive(Default)]
pub(super) struct Shaper {
    shaped: Vec<Shaped>,
    elements: Vec<Atom>,
    /// What symbols mean as names of steps, learnt once a symbol.
    verbs: Lookup<Atom, Verb>,
    /// Whether an `:add` was seen, which makes a vector that was read a set and not `[key value]`.
    has_sets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Append,
    Read,
    Write,
    Unknown,
}

impl Shaper {
    /// Finds the steps of an event. `invoked` is the function of the invocation that it ends.
    pub fn shape(
        &mut self,
        event: &Event,
        invoked: Option<Function>,
        names: &mut Names,
    ) -> Result<Function, String> {
        self.shaped.clear();
        self.elements.clear();
        let value = event.value.as_slice();
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
        }
        Ok(function)
    }

    pub fn steps(&self) -> Vec<Step<'_>> {
        self.shaped
            .iter()
            .map(|shaped| match *shaped {
                Shaped::Whole(step) => step,
                Shaped::List { key, first, end } => {
                    Step::ReadList { key, elements: &self.elements[first..end] }
                }
            })
            .collect()
    }

    fn push(&mut self, step: Step<'static>) {
        self.shaped.push(Shaped::Whole(step));
    }

    fn push_list(&mut self, key: Atom, nodes: &[Node]) -> Result<(), String> {
        let first = self.elements.len();
        for node in nodes {
            self.elements.push(scalar(node)?);
        }
        self.shaped.push(Shaped::List { key, first, end: self.elements.len() });
        Ok(())
    }

    fn transaction(&mut self, value: &[Node], is_ok: bool, names: &Names) -> Result<(), String> {
        let Some((head, steps)) = value.split_first() else {
            return Err("the transaction has no value".into());
        };
        if head.kind == NodeKind::Scalar && head.atom.is_nil() && !is_ok {
            return Ok(());
        }
        if head.kind != NodeKind::Vector {
            return Err("the value of a transaction must be a vector of steps".into());
        }
        for (step, inner) in children(steps) {
            if step.kind != NodeKind::Vector {
                return Err("a step of a transaction must be a vector".into());
            }
            self.transaction_step(inner, is_ok, names)?;
        }
        Ok(())
    }

    fn transaction_step(
        &mut self,
        nodes: &[Node],
        is_ok: bool,
        names: &Names,
    ) -> Result<(), String> {
        let [verb, key, rest @ ..] = nodes else {
            return Err("a step needs a name and a key".into());
        };
        let key = scalar(key)?;
        match (self.verb(scalar(verb)?, names), rest) {
            (Verb::Append, [value]) => {
                self.push(Step::Append { key, value: written(value)? });
            }
            (Verb::Write, [value]) => {
                self.push(Step::Write { key, value: written(value)? });
            }
            (Verb::Read, []) => self.push(Step::Read { key, value: None }),
            (Verb::Read, [list, elements @ ..]) if list.kind != NodeKind::Scalar => {
                self.push_list(key, elements)?;
            }
            (Verb::Read, [value]) => {
                let known = is_ok || !value.atom.is_nil();
                self.push(Step::Read { key, value: known.then_some(value.atom) });
            }
            (Verb::Unknown, _) => {
                return Err(format!("step {} is none of :append, :r, :w", names.text(verb.atom)));
            }
            (verb, _) => return Err(format!("a step of kind {verb:?} needs one scalar value")),
        }
        Ok(())
    }

    fn verb(&mut self, atom: Atom, names: &Names) -> Verb {
        if let Some(&verb) = self.verbs.get(&atom) {
            return verb;
        }
        let text = names.text(atom);
        let verb = match text.trim_matches(|c| c == ':' || c == '"') {
            "append" => Verb::Append,
            "r" | "read" => Verb::Read,
            "w" | "write" => Verb::Write,
            _ => Verb::Unknown,
        };
        self.verbs.insert(atom, verb);
        verb
    }

    fn read(&mut self, value: &[Node], is_ok: bool) -> Result<(), String> {
        let key = Atom::NIL;
        match value {
            [] => self.push(Step::Read { key, value: None }),
            [one] if one.kind == NodeKind::Scalar => {
                let known = is_ok || !one.atom.is_nil();
                self.push(Step::Read { key, value: known.then_some(one.atom) });
            }
            [map, balances @ ..] if map.kind == NodeKind::Map => {
                for pair in balances.chunks(2) {
                    let [account, balance] = pair else { return Err("a map has a value".into()) };
                    let (key, value) = (scalar(account)?, scalar(balance)?);
                    self.push(Step::Read { key, value: Some(value) });
                }
            }
            [vector, key, value]
                if vector.kind == NodeKind::Vector && !self.has_sets && value.span == 0 =>
            {
                let (key, value) = (scalar(key)?, scalar(value)?);
                let known = is_ok || !value.is_nil();
                self.push(Step::Read { key, value: known.then_some(value) });
            }
            [_, elements @ ..] => self.push_list(key, elements)?,
        }
        Ok(())
    }

    fn write(&mut self, value: &[Node]) -> Result<(), String> {
        let (key, value) = match value {
            [value] => (Atom::NIL, written(value)?),
            [_, key, value] => (scalar(key)?, written(value)?),
            _ => return Err("a write needs a value or [key value]".into()),
        };
        self.push(Step::Write { key, value });
        Ok(())
    }

    fn compare_and_set(&mut self, value: &[Node]) -> Result<(), String> {
        let (key, old, new) = match value {
            [_, old, new] => (Atom::NIL, scalar(old)?, written(new)?),
            [_, key, _, old, new] => (scalar(key)?, scalar(old)?, written(new)?),
            _ => return Err("a cas needs [old new] or [key [old new]]".into()),
        };
        self.push(Step::CompareAndSet { key, old, new });
        Ok(())
    }

    fn add(&mut self, value: &[Node]) -> Result<(), String> {
        let [value] = value else { return Err("an add needs one scalar".into()) };
        self.has_sets = true;
        self.push(Step::Append { key: Atom::NIL, value: written(value)? });
        Ok(())
    }

    fn transfer(&mut self, value: &[Node], names: &mut Names) -> Result<(), String> {
        let field = |names: &mut Names, name: &str| {
            let keys = [names.intern(&format!(":{name}")), names.intern(&format!("\"{name}\""))];
            let mut pairs = value.get(1..).unwrap_or(&[]).chunks_exact(2);
            let pair = pairs.find(|pair| keys.contains(&pair[0].atom));
            pair.map(|pair| pair[1].atom).ok_or_else(|| format!("the transfer has no {name}"))
        };
        let (from, to) = (field(names, "from")?, field(names, "to")?);
        let amount = field(names, "amount")?;
        self.push(Step::Debit { key: from, amount });
        self.push(Step::Credit { key: to, amount });
        Ok(())
    }

    fn generate(&mut self, value: &[Node], is_ok: bool) -> Result<(), String> {
        match value {
            [value] if is_ok => self.push(Step::Generate { value: written(value)? }),
            _ if is_ok => return Err("a generate needs one scalar".into()),
            _ => {}
        }
        Ok(())
    }
}

fn is_transaction(value: &[Node]) -> bool {
    let vector = |node: Option<&Node>| node.is_some_and(|node| node.kind == NodeKind::Vector);
    vector(value.first()) && vector(value.get(1))
}

fn scalar(node: &Node) -> Result<Atom, String> {
    match node.kind {
        NodeKind::Scalar => Ok(node.atom),
        _ => Err("a key or a value must be a scalar".into()),
    }
}

fn written(node: &Node) -> Result<Atom, String> {
    let value = scalar(node)?;
    if value.is_nil() { Err("nil cannot be written".into()) } else { Ok(value) }
}

/// The direct children of a collection: each with the nodes inside it.
fn children(mut nodes: &[Node]) -> impl Iterator<Item = (&Node, &[Node])> {
    std::iter::from_fn(move || {
        let (head, rest) = nodes.split_first()?;
        let (inner, next) = rest.split_at(head.span as usize);
        nodes = next;
        Some((head, inner))
    })
}
