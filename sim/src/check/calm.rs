//! Where nothing fails, nothing is refused and every outcome is known.

use crate::workload::{History, Op, Outcome, Tight};

/// A run without faults.
#[derive(Clone, Copy, Debug)]
pub struct Calm {
    /// What its instances have too little room for.
    pub tight: Option<Tight>,
}

impl Calm {
    /// What the data or the schema refuses, other checks judge; while the schema changes, a statement
    /// may have to be retried.
    pub fn judge(self, history: &History) -> Result<(), String> {
        let has_changes = history.entries.iter().any(|e| matches!(e.op, Op::Schema { .. }));
        for entry in &history.entries {
            let op = entry.op;
            let is_explained = |why: &str| {
                let code = why.split(' ').next().unwrap_or_default();
                let has_no_room = self.tight.is_some_and(|tight| tight.refuses(op, code));
                has_no_room || op.may_be_refused(code) || (has_changes && code == "40001")
            };
            let what = match &entry.outcome {
                Outcome::Fail(why) if !is_explained(why) => format!("was refused: {why}"),
                Outcome::Info(why) => format!("ended nobody knows how: {why}"),
                _ => continue,
            };
            return Err(format!("c{} {op:?} {what}, and there were no faults", entry.client));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Entry, SchemaChange};

    fn run(ends: &[(Op, Outcome)]) -> Result<(), String> {
        run_in(None, ends)
    }

    fn run_in(tight: Option<Tight>, ends: &[(Op, Outcome)]) -> Result<(), String> {
        let mut history = History::default();
        for (op, outcome) in ends {
            let outcome = outcome.clone();
            history.push(Entry { time_ns: 0, process: 0, client: 0, op: *op, outcome });
        }
        Calm { tight }.judge(&history)
    }

    #[test]
    fn too_little_room_explains_its_own_refusals_only() {
        let fail = |op, code: &str| [(op, Outcome::Fail(format!("{code} because")))];
        let write = Op::Write { key: 1, value: 2 };
        assert!(run(&fail(write, "53200")).is_err());
        assert!(run_in(Some(Tight::Rows), &fail(write, "53200")).is_ok());
        assert!(run_in(Some(Tight::Rows), &fail(Op::BankRead, "53200")).is_err());
        assert!(run_in(Some(Tight::Rows), &fail(write, "40001")).is_err());
        assert!(run_in(Some(Tight::Statement), &fail(write, "57P03")).is_err());
        let unknown = [(write, Outcome::Info("timed out".to_owned()))];
        assert!(run_in(Some(Tight::Statement), &unknown).is_err());
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
