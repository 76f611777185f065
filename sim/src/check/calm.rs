//! Where nothing fails, nothing is refused and every outcome is known.

use crate::workload::{History, Op, Outcome};

/// Judges a run without faults. What the data or the schema refuses, other checks judge; while the
/// schema changes, a statement may have to be retried.
pub fn judge(history: &History) -> Result<(), String> {
    let has_changes = history.entries.iter().any(|e| matches!(e.op, Op::Schema { .. }));
    for entry in &history.entries {
        let is_explained = |why: &str| {
            let code = why.split(' ').next().unwrap_or_default();
            entry.op.may_be_refused(code) || (has_changes && code == "40001")
        };
        let what = match &entry.outcome {
            Outcome::Fail(why) if !is_explained(why) => format!("was refused: {why}"),
            Outcome::Info(why) => format!("ended nobody knows how: {why}"),
            _ => continue,
        };
        return Err(format!("c{} {:?} {what}, and there were no faults", entry.client, entry.op));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Entry, SchemaChange};

    fn run(ends: &[(Op, Outcome)]) -> Result<(), String> {
        let mut history = History::default();
        for (op, outcome) in ends {
            let outcome = outcome.clone();
            history.push(Entry { time_ns: 0, process: 0, client: 0, op: *op, outcome });
        }
        judge(&history)
    }

    #[test]
    fn only_the_data_and_a_changing_schema_refuse() {
        let fail = |op, code: &str| (op, Outcome::Fail(format!("{code} because")));
        let schema = (Op::Schema { change: SchemaChange::DropIndex }, Outcome::Ok(vec![]));
        assert!(run(&[fail(Op::BankRead, "40001")]).is_err());
        assert!(run(&[fail(Op::BankRead, "40001"), schema.clone()]).is_ok());
        assert!(run(&[fail(Op::BankRead, "57P03"), schema]).is_err());
        assert!(run(&[fail(Op::ScratchRead, "42P01")]).is_ok());
        assert!(run(&[(Op::BankRead, Outcome::Info("timed out".to_owned()))]).is_err());
    }
}
