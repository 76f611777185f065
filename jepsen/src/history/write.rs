//! Writes a history as EDN or JSON lines, one event a line, such that reading gives it again.

use std::io::{Result, Write};

use super::read::Format;
use super::{Atom, Function, History, NEVER, Names, OperationId, Outcome, Predicate, Step};

/// Writes all events in their order.
///
/// # Errors
/// Those of the sink.
pub fn write_history(history: &History, format: Format, sink: &mut impl Write) -> Result<()> {
    let mut events: Vec<(u32, OperationId, bool)> = Vec::with_capacity(history.event_count());
    for (id, operation) in history.operations() {
        events.push((operation.invoked, id, true));
        if operation.completed != NEVER {
            events.push((operation.completed, id, false));
        }
    }
    events.sort_unstable();
    for (index, id, is_invocation) in events {
        writeln!(sink, "{}", event_text(history, format, index, id, is_invocation))?;
    }
    Ok(())
}

fn function_text(function: Function) -> &'static str {
    match function {
        Function::Transaction => "txn",
        Function::Read => "read",
        Function::Write => "write",
        Function::CompareAndSet => "cas",
        Function::Add => "add",
        Function::Transfer => "transfer",
        Function::Generate => "generate",
        Function::Init => "init",
    }
}

fn type_text(outcome: Outcome, is_invocation: bool) -> &'static str {
    match outcome {
        _ if is_invocation => "invoke",
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    }
}

fn event_text(
    history: &History,
    format: Format,
    index: u32,
    id: OperationId,
    is_invocation: bool,
) -> String {
    let form = match format {
        Format::Edn => &EDN,
        Format::JsonLines => &JSON,
    };
    let operation = history.operation(id);
    let time = if is_invocation { operation.invoked_ns } else { operation.completed_ns };
    let kind = type_text(operation.outcome, is_invocation);
    let process = (form.atom)(&history.names, history.process_atom(operation.process));
    let function = function_text(operation.function);
    let value = value_text(history, id, is_invocation, form);
    match format {
        Format::Edn => format!(
            "{{:index {index}, :time {time}, :type :{kind}, :process {process}, :f :{function}, \
             :value {value}}}"
        ),
        Format::JsonLines => format!(
            "{{\"index\":{index},\"time\":{time},\"type\":\"{kind}\",\"process\":{process},\
             \"f\":\"{function}\",\"value\":{value}}}"
        ),
    }
}

/// How the two formats differ inside a value.
struct Dialect {
    nil: &'static str,
    separator: &'static str,
    /// Between the key of a map and its value.
    colon: &'static str,
    atom: fn(&Names, Atom) -> String,
    word: fn(&str) -> String,
    map_key: fn(&Names, Atom) -> String,
}

const EDN: Dialect = Dialect {
    nil: "nil",
    separator: " ",
    colon: " ",
    atom: Names::text,
    word: |word| format!(":{word}"),
    map_key: Names::text,
};

const JSON: Dialect = Dialect {
    nil: "null",
    separator: ",",
    colon: ":",
    atom: json_atom,
    word: |word| format!("\"{word}\""),
    map_key: |names, atom| match atom.as_integer() {
        Some(n) => format!("\"{n}\""),
        None => json_atom(names, atom),
    },
};

fn json_atom(names: &Names, atom: Atom) -> String {
    if atom.is_nil() {
        return "null".to_string();
    }
    let text = names.text(atom);
    if text.starts_with(':') { format!("\"{text}\"") } else { text }
}

fn value_text(history: &History, id: OperationId, is_invocation: bool, form: &Dialect) -> String {
    let operation = history.operation(id);
    let hide = is_invocation;
    let steps = history.steps(id);
    let atom = |atom: Atom| (form.atom)(&history.names, atom);
    let join = |parts: Vec<String>| format!("[{}]", parts.join(form.separator));
    match operation.function {
        Function::Transaction => {
            join(steps.iter().map(|step| step_text(history, step, hide, form)).collect())
        }
        Function::Read if hide => match steps.as_slice() {
            [Step::Read { key, .. }] if !key.is_nil() => join(vec![atom(*key), form.nil.into()]),
            _ => form.nil.to_string(),
        },
        Function::Read => read_text(history, &steps, form),
        Function::Generate if hide => form.nil.to_string(),
        Function::Transfer => transfer_text(history, &steps, form),
        Function::Init => {
            let pairs = steps.iter().filter_map(|step| match step {
                Step::Write { key, value } => Some([*key, *value]),
                _ => None,
            });
            map_text(history, pairs, form)
        }
        _ => match steps.first() {
            Some(Step::CompareAndSet { key, old, new }) => {
                let pair = join(vec![atom(*old), atom(*new)]);
                if key.is_nil() { pair } else { join(vec![atom(*key), pair]) }
            }
            Some(Step::Write { key, value }) if !key.is_nil() => {
                join(vec![atom(*key), atom(*value)])
            }
            Some(Step::Write { value, .. } | Step::Append { value, .. }) => atom(*value),
            Some(Step::Generate { value }) => atom(*value),
            _ => form.nil.to_string(),
        },
    }
}

fn read_text(history: &History, steps: &[Step<'_>], form: &Dialect) -> String {
    let atom = |atom: Atom| (form.atom)(&history.names, atom);
    let list = |elements: &[Atom]| {
        let parts: Vec<String> = elements.iter().map(|&element| atom(element)).collect();
        format!("[{}]", parts.join(form.separator))
    };
    match steps {
        [Step::ReadList { elements, .. }] => list(elements),
        [Step::Read { key, value: Some(value) }] if key.is_nil() => atom(*value),
        [Step::Read { key, value: Some(value) }] => list(&[*key, *value]),
        [Step::Read { value: None, .. }] => form.nil.to_string(),
        balances => {
            let pairs = balances.iter().filter_map(|step| match step {
                Step::Read { key, value: Some(value) } => Some([*key, *value]),
                _ => None,
            });
            map_text(history, pairs, form)
        }
    }
}

fn map_text(history: &History, pairs: impl Iterator<Item = [Atom; 2]>, form: &Dialect) -> String {
    let pairs = pairs.map(|[key, value]| {
        let key = (form.map_key)(&history.names, key);
        format!("{key}{}{}", form.colon, (form.atom)(&history.names, value))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

fn transfer_text(history: &History, steps: &[Step<'_>], form: &Dialect) -> String {
    let [Step::Debit { key: from, amount }, Step::Credit { key: to, .. }] = steps else {
        return form.nil.to_string();
    };
    let field = |name: &str, atom: Atom| {
        format!("{}{}{}", (form.word)(name), form.colon, (form.atom)(&history.names, atom))
    };
    format!("{{{}, {}, {}}}", field("from", *from), field("to", *to), field("amount", *amount))
}

fn step_text(history: &History, step: &Step<'_>, hide: bool, form: &Dialect) -> String {
    let atom = |atom: Atom| (form.atom)(&history.names, atom);
    let (verb, key, value) = match step {
        Step::Read { key, value: Some(value) } if !hide => ("r", key, atom(*value)),
        Step::ReadList { key, elements } if !hide => {
            let parts: Vec<String> = elements.iter().map(|&element| atom(element)).collect();
            ("r", key, format!("[{}]", parts.join(form.separator)))
        }
        Step::Read { key, .. } | Step::ReadList { key, .. } => ("r", key, form.nil.to_string()),
        Step::Append { key, value } => ("append", key, atom(*value)),
        Step::Write { key, value } => ("w", key, atom(*value)),
        Step::Delete { key } => {
            return format!("[{}{}{}]", (form.word)("delete"), form.separator, atom(*key));
        }
        Step::ReadWhere { predicate, rows } => {
            let rows = match rows {
                Some(rows) if !hide => map_text(history, rows.iter().copied(), form),
                _ => form.nil.to_string(),
            };
            let parts = [(form.word)("rp"), predicate_text(history, *predicate, form), rows];
            return format!("[{}]", parts.join(form.separator));
        }
        other => unreachable!("{other:?} is no step of a transaction"),
    };
    let parts = [(form.word)(verb), atom(*key), value];
    format!("[{}]", parts.join(form.separator))
}

fn predicate_text(history: &History, predicate: Predicate, form: &Dialect) -> String {
    let parts = match predicate {
        Predicate::All => return (form.word)("true"),
        Predicate::Equals(value) => {
            vec![(form.word)("="), (form.atom)(&history.names, value)]
        }
        Predicate::Modulo { modulus, remainder } => {
            vec![(form.word)("mod"), modulus.to_string(), remainder.to_string()]
        }
    };
    format!("[{}]", parts.join(form.separator))
}

#[cfg(test)]
mod tests {
    use super::super::read::read_history;
    use super::*;

    #[test]
    fn what_was_written_reads_the_same_in_both_formats() {
        let text = r#"
{:process 0 :type :invoke :f :txn :value [[:append :k 1] [:r "s" nil]] :time 5}
{:process 1 :type :invoke :f :cas :value [7 [1 2]] :time 6}
{:process 0 :type :ok :f :txn :value [[:append :k 1] [:r "s" [2 3]]] :time 8}
{:process 1 :type :info :f :cas :value [7 [1 2]] :time 9}
{:process 0 :type :invoke :f :transfer :value {:from 0 :to 1 :amount 5}}
{:process 0 :type :fail :f :transfer :value {:from 0 :to 1 :amount 5}}
{:process 0 :type :invoke :f :read :value nil} {:process 0 :type :ok :f :read :value {0 1, 1 2}}
{:process 0 :type :invoke :f :generate :value nil} {:process 0 :type :ok :f :generate :value 77}
{:process 0 :type :invoke :f :read :value [7 nil]} {:process 0 :type :ok :f :read :value [7 4]}
{:process 0 :type :invoke :f :add :value 3} {:process 0 :type :ok :f :add :value 3}
{:process 0 :type :invoke :f :read :value nil} {:process 0 :type :ok :f :read :value #{3}}
{:process 0 :type :invoke :f :read :value nil} {:process 0 :type :ok :f :read :value {}}
{:process 2 :type :invoke :f :txn :value [[:w 1 2]]}
{:process 3 :type :invoke :f :init :value {:x 1, 2 3}} {:process 3 :type :ok :f :init :value {:x 1, 2 3}}
{:process 3 :type :invoke :f :txn :value [[:delete 2] [:rp :true nil] [:rp [:= :v] nil] [:rp [:mod 2 1] nil]]}
{:process 3 :type :ok :f :txn :value [[:delete 2] [:rp :true {:x 1, 3 4}] [:rp [:= :v] {}] [:rp [:mod 2 1] {}]]}
"#;
        let history = read_history(text.as_bytes(), Format::Edn).unwrap();
        let story = |history: &History| {
            history.operations().map(|(id, _)| history.describe(id)).collect::<Vec<_>>()
        };
        for format in [Format::Edn, Format::JsonLines] {
            let mut bytes = Vec::new();
            write_history(&history, format, &mut bytes).unwrap();
            let again = read_history(bytes.as_slice(), format).unwrap();
            assert_eq!(story(&again), story(&history), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
