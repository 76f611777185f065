//! Expressions as SQL text, near to how PostgreSQL deparses them.

use crate::base::{Datum, SqlType, text_format};
use crate::expr::Expr;
use crate::expr::tree::Truth;
use crate::sql::plan::point::{KeySlot, SlotSource};

/// The expression over columns of these names.
pub fn shown(expr: &Expr, columns: &[String]) -> String {
    let sub = |e: &Expr| shown(e, columns);
    let list = |list: &[Expr]| shown_all(list, columns).join(", ");
    match expr {
        Expr::Constant { value, ty } => constant(value, *ty),
        Expr::Column { index, .. } => {
            columns.get(*index).cloned().unwrap_or_else(|| format!("#{index}"))
        }
        Expr::Param { index, .. } => format!("${}", index + 1),
        Expr::Call { function, args } => format!("{}({})", function.name, list(args)),
        Expr::Compare { op, left, right } => {
            format!("({} {} {})", sub(left), op.name(), sub(right))
        }
        Expr::Cast { input, ty, typmod, .. } => {
            format!("({})::{}", sub(input), crate::base::typmod::format_type(*ty, *typmod))
        }
        Expr::And(operands) => format!("({})", shown_all(operands, columns).join(" AND ")),
        Expr::Or(operands) => format!("({})", shown_all(operands, columns).join(" OR ")),
        Expr::Not(input) => format!("(NOT {})", sub(input)),
        Expr::IsNull { input, negated } => {
            format!("({} IS {}NULL)", sub(input), not(*negated))
        }
        Expr::IsTruth { input, truth, negated } => {
            let truth = match truth {
                Truth::True => "TRUE",
                Truth::False => "FALSE",
                Truth::Unknown => "UNKNOWN",
            };
            format!("({} IS {}{truth})", sub(input), not(*negated))
        }
        Expr::IsDistinct { left, right, negated } => {
            format!("({} IS {}DISTINCT FROM {})", sub(left), not(*negated), sub(right))
        }
        Expr::Case { operand, arms, otherwise, .. } => {
            let mut text = "CASE".to_owned();
            if let Some(operand) = operand {
                text.push_str(&format!(" {}", sub(operand)));
            }
            for arm in arms {
                let when = match &arm.when {
                    Expr::Compare { left, right, .. } if is_case_operand(left) => right,
                    when => when,
                };
                text.push_str(&format!(" WHEN {} THEN {}", sub(when), sub(&arm.then)));
            }
            if let Some(otherwise) = otherwise {
                text.push_str(&format!(" ELSE {}", sub(otherwise)));
            }
            text + " END"
        }
        Expr::CaseOperand { .. } => "CASE_TEST_EXPR".to_owned(),
        Expr::Coalesce { args, .. } => format!("COALESCE({})", list(args)),
        Expr::Greatest { args, .. } => format!("GREATEST({})", list(args)),
        Expr::Least { args, .. } => format!("LEAST({})", list(args)),
        Expr::NullIf { left, right } => format!("NULLIF({}, {})", sub(left), sub(right)),
        Expr::InList { input, list: values, negated } => {
            format!("({} {}IN ({}))", sub(input), not(*negated), list(values))
        }
        Expr::Like { input, pattern, escape, negated, case_insensitive } => {
            let name = if *case_insensitive { "ILIKE" } else { "LIKE" };
            let escape = escape.as_ref().map(|e| format!(" ESCAPE {}", sub(e)));
            let escape = escape.unwrap_or_default();
            format!("({} {}{name} {}{escape})", sub(input), not(*negated), sub(pattern))
        }
        Expr::AnyArray { left, op, array, all } => {
            let word = if *all { "ALL" } else { "ANY" };
            format!("({} {} {word} ({}))", sub(left), op.name(), sub(array))
        }
        Expr::Array { elements, .. } => format!("ARRAY[{}]", list(elements)),
        Expr::Subscript { array, subscript, .. } => {
            format!("{}[{}]", sub(array), sub(subscript))
        }
    }
}

/// Whether the expression is what `CASE x WHEN` compares with, perhaps converted.
fn is_case_operand(expr: &Expr) -> bool {
    match expr {
        Expr::CaseOperand { .. } => true,
        Expr::Cast { input, .. } => is_case_operand(input),
        _ => false,
    }
}

/// Each expression over columns of these names.
pub fn shown_all(exprs: &[Expr], columns: &[String]) -> Vec<String> {
    exprs.iter().map(|e| shown(e, columns)).collect()
}

/// The value of a key column of a point plan.
pub fn slot(slot: &KeySlot) -> String {
    match &slot.source {
        SlotSource::Param(index) => format!("${}", index + 1),
        SlotSource::Constant(value) => constant(value, slot.ty),
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn constant(value: &Datum, ty: SqlType) -> String {
    let text = match value {
        Datum::Null => return format!("NULL::{}", ty.info().sql_name),
        value => text_format::to_string(ty, value),
    };
    match ty {
        SqlType::Bool if text == "t" => "true".to_owned(),
        SqlType::Bool => "false".to_owned(),
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Oid => text,
        SqlType::Numeric | SqlType::Float8 | SqlType::Float4 => text,
        _ => format!("'{}'::{}", text.replace('\'', "''"), ty.info().sql_name),
    }
}
