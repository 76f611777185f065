//! Evaluation: a walk over the tree, operands first, left to right.
//!
//! AND, OR, CASE, COALESCE and IN stop as soon as their value is known, so that a guard protects
//! what stands behind it. What may take long counts its steps: [`super::work`].

use std::cmp::Ordering;

use super::cast;
use super::context::{ColumnSource, EvalContext};
use super::function::{Body, Function};
use super::functions;
use super::like;
use super::tree::{CompareOp, Expr, Truth};
use super::work;
use crate::base::{Datum, SqlError, SqlResult, SqlType, compare, typmod as modifier};

impl Expr {
    /// The value over one row. Errors are deterministic: the same row, parameters and context give
    /// the same error.
    pub fn eval(&self, row: &dyn ColumnSource, context: &EvalContext) -> SqlResult<Datum> {
        match self {
            Expr::Constant { value, .. } => Ok(value.clone()),
            Expr::Column { index, .. } => row.datum(*index),
            Expr::Param { index, .. } => param(*index, context),
            Expr::Call { function, args } => call(function, args, row, context),
            Expr::Compare { op, left, right } => {
                let (a, b) = (left.eval(row, context)?, right.eval(row, context)?);
                if a.is_null() || b.is_null() {
                    return Ok(Datum::Null);
                }
                Ok(Datum::Bool(op.holds(order(left.ty(), right.ty(), &a, &b))))
            }
            Expr::Cast { input, ty, typmod, explicit } => {
                let value = convert(input.eval(row, context)?, input.ty(), *ty, context)?;
                if *typmod < 0 {
                    Ok(value)
                } else {
                    modifier::apply(*ty, *typmod, value, *explicit)
                }
            }
            Expr::And(operands) => junction(operands, false, row, context),
            Expr::Or(operands) => junction(operands, true, row, context),
            Expr::Not(input) => match input.eval(row, context)? {
                Datum::Bool(v) => Ok(Datum::Bool(!v)),
                _ => Ok(Datum::Null),
            },
            Expr::IsNull { input, negated } => {
                Ok(Datum::Bool(input.eval(row, context)?.is_null() != *negated))
            }
            Expr::IsTruth { input, truth, negated } => {
                let holds = match (input.eval(row, context)?, truth) {
                    (Datum::Bool(v), Truth::True) => v,
                    (Datum::Bool(v), Truth::False) => !v,
                    (value, truth) => value.is_null() && *truth == Truth::Unknown,
                };
                Ok(Datum::Bool(holds != *negated))
            }
            Expr::IsDistinct { left, right, negated } => {
                let (a, b) = (left.eval(row, context)?, right.eval(row, context)?);
                let distinct = match (a.is_null(), b.is_null()) {
                    (false, false) => order(left.ty(), right.ty(), &a, &b).is_ne(),
                    (a_null, b_null) => a_null != b_null,
                };
                Ok(Datum::Bool(distinct != *negated))
            }
            Expr::Case { .. } => self.eval_case(row, context),
            Expr::CaseOperand { .. } => match context.case_operand {
                Some(value) => Ok(value.clone()),
                None => Err(SqlError::internal("an operand away from its CASE")),
            },
            Expr::Coalesce { args, .. } => {
                for arg in args {
                    let value = arg.eval(row, context)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            Expr::NullIf { left, right } => {
                let (a, b) = (left.eval(row, context)?, right.eval(row, context)?);
                let same =
                    !a.is_null() && !b.is_null() && order(left.ty(), right.ty(), &a, &b).is_eq();
                Ok(if same { Datum::Null } else { a })
            }
            Expr::Greatest { args, ty } => extreme(args, *ty, Ordering::Greater, row, context),
            Expr::Least { args, ty } => extreme(args, *ty, Ordering::Less, row, context),
            Expr::InList { input, list, negated } => in_list(input, list, *negated, row, context),
            Expr::Like { .. } => self.eval_like(row, context),
            Expr::AnyArray { left, op, array, all } => {
                let value = left.eval(row, context)?;
                let elements = array.eval(row, context)?;
                if let Datum::Array(elements) = &elements {
                    context.work.spend(elements.len() as u64)?;
                }
                let ty =
                    if array.ty() == SqlType::BpcharArray { SqlType::Bpchar } else { left.ty() };
                Ok(any_array(ty, &value, *op, &elements, *all))
            }
            Expr::Array { elements, .. } => {
                let values = elements.iter().map(|e| e.eval(row, context));
                Ok(Datum::Array(values.collect::<SqlResult<_>>()?))
            }
            Expr::Subscript { array, subscript, .. } => {
                let (array, at) = (array.eval(row, context)?, subscript.eval(row, context)?);
                Ok(element(&array, &at))
            }
        }
    }

    /// Whether a condition holds: NULL does not.
    pub fn eval_condition(&self, row: &dyn ColumnSource, context: &EvalContext) -> SqlResult<bool> {
        Ok(matches!(self.eval(row, context)?, Datum::Bool(true)))
    }

    fn eval_case(&self, row: &dyn ColumnSource, context: &EvalContext) -> SqlResult<Datum> {
        let Expr::Case { operand, arms, otherwise, .. } = self else {
            return Err(SqlError::internal("not a CASE"));
        };
        let value = operand.as_ref().map(|operand| operand.eval(row, context)).transpose()?;
        let of_conditions = EvalContext { case_operand: value.as_ref(), ..*context };
        for arm in arms {
            if arm.when.eval_condition(row, &of_conditions)? {
                return arm.then.eval(row, context);
            }
        }
        otherwise.as_ref().map_or(Ok(Datum::Null), |e| e.eval(row, context))
    }

    fn eval_like(&self, row: &dyn ColumnSource, context: &EvalContext) -> SqlResult<Datum> {
        let Expr::Like { input, pattern, escape, negated, case_insensitive } = self else {
            return Err(SqlError::internal("not a LIKE"));
        };
        let escape = match escape {
            Some(escape) => match escape.eval(row, context)? {
                Datum::Text(escape) => like::escape_character(&escape)?,
                _ => return Ok(Datum::Null),
            },
            None => Some('\\'),
        };
        let (Datum::Text(text), Datum::Text(pattern)) =
            (input.eval(row, context)?, pattern.eval(row, context)?)
        else {
            return Ok(Datum::Null);
        };
        let work = context.work;
        work.spend((text.len() + pattern.len()) as u64)?;
        let matched = if *case_insensitive {
            let (text, pattern) = (functions::lower(&text), functions::lower(&pattern));
            like::matches(&text, &pattern, escape, work)?
        } else {
            like::matches(&text, &pattern, escape, work)?
        };
        Ok(Datum::Bool(matched != *negated))
    }
}

fn param(index: usize, context: &EvalContext) -> SqlResult<Datum> {
    if let Some(failure) = context.failures.iter().find(|failure| failure.param == index) {
        return Err(failure.error.clone());
    }
    match context.params.get(index) {
        Some(value) => Ok(value.clone()),
        None => Err(SqlError::internal(format!("parameter {index} has no value"))),
    }
}

/// Order of two values that are not NULL, of two comparable types.
fn order(left: SqlType, right: SqlType, a: &Datum, b: &Datum) -> Ordering {
    let ty = if right == SqlType::Bpchar { right } else { left };
    compare::compare(ty, a, b)
}

fn call(
    function: &'static Function,
    args: &[Expr],
    row: &dyn ColumnSource,
    context: &EvalContext,
) -> SqlResult<Datum> {
    // The common counts without an allocation.
    match args {
        [] => apply(function, &[], context),
        [only] => apply(function, &[only.eval(row, context)?], context),
        [first, second] => {
            let values = [first.eval(row, context)?, second.eval(row, context)?];
            apply(function, &values, context)
        }
        more => {
            let values = more.iter().map(|a| a.eval(row, context));
            apply(function, &values.collect::<SqlResult<Vec<Datum>>>()?, context)
        }
    }
}

/// The value as one of another type, of a size that a row may hold.
fn convert(value: Datum, from: SqlType, to: SqlType, context: &EvalContext) -> SqlResult<Datum> {
    context.work.spend(work::steps_of(&value))?;
    // The elements of an array may be one value many times, whose text is not.
    work::check_size(&value)?;
    let converted = cast::convert(value, from, to)?;
    context.work.spend(work::steps_of(&converted))?;
    work::check_size(&converted)?;
    Ok(converted)
}

/// The value of a function for arguments of its declared types, of a size that a row may hold.
pub fn apply(
    function: &'static Function,
    args: &[Datum],
    context: &EvalContext,
) -> SqlResult<Datum> {
    if function.strict && args.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    context.work.spend(args.iter().map(work::steps_of).sum())?;
    let value = match (function.body, context.catalog) {
        (Body::Native(body), _) => body(args, context)?,
        (Body::Catalog, Some(catalog)) => catalog.call(function, args)?,
        (Body::Catalog, None) => {
            let what = format!("function {}() away from the catalog", function.name);
            return Err(SqlError::unsupported(what));
        }
    };
    context.work.spend(work::steps_of(&value))?;
    work::check_size(&value)?;
    Ok(value)
}

/// AND (`decisive` is false) or OR (`decisive` is true).
fn junction(
    operands: &[Expr],
    decisive: bool,
    row: &dyn ColumnSource,
    context: &EvalContext,
) -> SqlResult<Datum> {
    let mut saw_null = false;
    for operand in operands {
        match operand.eval(row, context)? {
            Datum::Bool(v) if v == decisive => return Ok(Datum::Bool(decisive)),
            Datum::Bool(_) => {}
            _ => saw_null = true,
        }
    }
    Ok(if saw_null { Datum::Null } else { Datum::Bool(!decisive) })
}

fn extreme(
    args: &[Expr],
    ty: SqlType,
    wanted: Ordering,
    row: &dyn ColumnSource,
    context: &EvalContext,
) -> SqlResult<Datum> {
    let mut best = Datum::Null;
    for arg in args {
        let value = arg.eval(row, context)?;
        if value.is_null() {
            continue;
        }
        if best.is_null() || compare::compare(ty, &value, &best) == wanted {
            best = value;
        }
    }
    Ok(best)
}

fn in_list(
    input: &Expr,
    list: &[Expr],
    negated: bool,
    row: &dyn ColumnSource,
    context: &EvalContext,
) -> SqlResult<Datum> {
    let value = input.eval(row, context)?;
    if value.is_null() {
        return Ok(Datum::Null);
    }
    let mut saw_null = false;
    for candidate in list {
        let other = candidate.eval(row, context)?;
        if other.is_null() {
            saw_null = true;
        } else if order(input.ty(), candidate.ty(), &value, &other).is_eq() {
            return Ok(Datum::Bool(!negated));
        }
    }
    Ok(if saw_null { Datum::Null } else { Datum::Bool(negated) })
}

fn any_array(ty: SqlType, value: &Datum, op: CompareOp, array: &Datum, all: bool) -> Datum {
    let Datum::Array(elements) = array else { return Datum::Null };
    if elements.is_empty() {
        return Datum::Bool(all);
    }
    if value.is_null() {
        return Datum::Null;
    }
    let mut saw_null = false;
    for element in elements.iter() {
        if element.is_null() {
            saw_null = true;
        } else if op.holds(compare::compare(ty, value, element)) != all {
            return Datum::Bool(!all);
        }
    }
    if saw_null { Datum::Null } else { Datum::Bool(all) }
}

/// Element `at`, from 1; NULL outside.
fn element(array: &Datum, at: &Datum) -> Datum {
    let (Datum::Array(elements), Datum::Int4(at)) = (array, at) else { return Datum::Null };
    let index = usize::try_from(i64::from(*at) - 1).ok();
    index.and_then(|k| elements.get(k)).cloned().unwrap_or(Datum::Null)
}
