//! Expressions as bytes: how a plan fragment carries them to another instance.
//!
//! A node is a tag byte, its fields and its operands; a value is its type and its PostgreSQL binary
//! form; a function is its oid. Tags are append-only. Reading bounds the depth, so that no bytes
//! exhaust the stack, and refuses functions that this build does not know.

use bytes::Bytes;

use super::function;
use super::tree::{CaseArm, CompareOp, Expr, Truth};
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{Datum, SqlType, binary_format, limits};

const CONSTANT: u8 = 0;
const COLUMN: u8 = 1;
const PARAM: u8 = 2;
const CALL: u8 = 3;
const COMPARE: u8 = 4;
const CAST: u8 = 5;
const AND: u8 = 6;
const OR: u8 = 7;
const NOT: u8 = 8;
const IS_NULL: u8 = 9;
const IS_TRUTH: u8 = 10;
const IS_DISTINCT: u8 = 11;
const CASE: u8 = 12;
const COALESCE: u8 = 13;
const NULL_IF: u8 = 14;
const GREATEST: u8 = 15;
const LEAST: u8 = 16;
const IN_LIST: u8 = 17;
const LIKE: u8 = 18;
const ANY_ARRAY: u8 = 19;
const ARRAY: u8 = 20;
const SUBSCRIPT: u8 = 21;
/// A CASE whose operand comes before its arms.
const CASE_OF: u8 = 22;
const CASE_OPERAND: u8 = 23;

fn invalid<T>(why: &'static str) -> CodecResult<T> {
    Err(CodecError::Invalid { what: "expression", why })
}

/// Writes a type.
pub fn write_type(w: &mut Writer, ty: SqlType) {
    w.u8(ty as u8);
}

/// Reads a type.
pub fn read_type(r: &mut Reader) -> CodecResult<SqlType> {
    let tag = r.u8()?;
    SqlType::from_tag(tag).map_or_else(|| r.unknown_tag(tag), Ok)
}

/// Writes a value of type `ty`, which the reader must know. Panics if the value is not of the
/// type, which is a bug of ours.
pub fn write_datum(w: &mut Writer, ty: SqlType, value: &Datum) {
    w.bool(!value.is_null());
    if !value.is_null() {
        let mut bytes = Vec::new();
        binary_format::encode(ty, value, &mut bytes).expect("a value of its own type");
        w.bytes(&bytes);
    }
}

/// Reads a value of type `ty`.
pub fn read_datum(r: &mut Reader, ty: SqlType) -> CodecResult<Datum> {
    if !r.bool()? {
        return Ok(Datum::Null);
    }
    let bytes: Bytes = r.bytes()?;
    binary_format::decode(ty, &bytes).or(invalid("a value that is none of its type"))
}

impl Expr {
    /// Writes the expression.
    pub fn encode(&self, w: &mut Writer) {
        w.u8(self.tag());
        self.encode_fields(w);
        for child in self.children() {
            child.encode(w);
        }
    }

    /// Reads an expression.
    pub fn decode(r: &mut Reader) -> CodecResult<Expr> {
        decode(r, limits::EXPR_DEPTH_MAX)
    }

    fn tag(&self) -> u8 {
        match self {
            Expr::Constant { .. } => CONSTANT,
            Expr::Column { .. } => COLUMN,
            Expr::Param { .. } => PARAM,
            Expr::Call { .. } => CALL,
            Expr::Compare { .. } => COMPARE,
            Expr::Cast { .. } => CAST,
            Expr::And(_) => AND,
            Expr::Or(_) => OR,
            Expr::Not(_) => NOT,
            Expr::IsNull { .. } => IS_NULL,
            Expr::IsTruth { .. } => IS_TRUTH,
            Expr::IsDistinct { .. } => IS_DISTINCT,
            Expr::Case { operand: None, .. } => CASE,
            Expr::Case { operand: Some(_), .. } => CASE_OF,
            Expr::CaseOperand { .. } => CASE_OPERAND,
            Expr::Coalesce { .. } => COALESCE,
            Expr::NullIf { .. } => NULL_IF,
            Expr::Greatest { .. } => GREATEST,
            Expr::Least { .. } => LEAST,
            Expr::InList { .. } => IN_LIST,
            Expr::Like { .. } => LIKE,
            Expr::AnyArray { .. } => ANY_ARRAY,
            Expr::Array { .. } => ARRAY,
            Expr::Subscript { .. } => SUBSCRIPT,
        }
    }

    /// Everything but the operands.
    fn encode_fields(&self, w: &mut Writer) {
        match self {
            Expr::Constant { value, ty } => {
                write_type(w, *ty);
                write_datum(w, *ty, value);
            }
            Expr::Column { index, ty, typmod } => {
                w.varint(*index as u64);
                write_type(w, *ty);
                w.i32(*typmod);
            }
            Expr::Param { index, ty } => {
                w.varint(*index as u64);
                write_type(w, *ty);
            }
            Expr::Call { function, args } => {
                w.u32(function.oid);
                w.varint(args.len() as u64);
            }
            Expr::Compare { op, .. } => w.u8(*op as u8),
            Expr::Cast { ty, typmod, explicit, .. } => {
                write_type(w, *ty);
                w.i32(*typmod);
                w.bool(*explicit);
            }
            Expr::And(operands) | Expr::Or(operands) => w.varint(operands.len() as u64),
            Expr::Not(_) | Expr::NullIf { .. } => {}
            Expr::IsNull { negated, .. } | Expr::IsDistinct { negated, .. } => w.bool(*negated),
            Expr::IsTruth { truth, negated, .. } => {
                w.u8(*truth as u8);
                w.bool(*negated);
            }
            Expr::Case { arms, otherwise, ty, .. } => {
                w.varint(arms.len() as u64);
                w.bool(otherwise.is_some());
                write_type(w, *ty);
            }
            Expr::Coalesce { args, ty }
            | Expr::Greatest { args, ty }
            | Expr::Least { args, ty }
            | Expr::Array { elements: args, ty } => {
                w.varint(args.len() as u64);
                write_type(w, *ty);
            }
            Expr::InList { list, negated, .. } => {
                w.varint(list.len() as u64);
                w.bool(*negated);
            }
            Expr::Like { escape, negated, case_insensitive, .. } => {
                w.bool(escape.is_some());
                w.bool(*negated);
                w.bool(*case_insensitive);
            }
            Expr::AnyArray { op, all, .. } => {
                w.u8(*op as u8);
                w.bool(*all);
            }
            Expr::Subscript { ty, .. } | Expr::CaseOperand { ty } => write_type(w, *ty),
        }
    }
}

fn read_op(r: &mut Reader) -> CodecResult<CompareOp> {
    let tag = r.u8()?;
    CompareOp::ALL.get(usize::from(tag)).map_or_else(|| r.unknown_tag(tag), |op| Ok(*op))
}

fn read_truth(r: &mut Reader) -> CodecResult<Truth> {
    match r.u8()? {
        0 => Ok(Truth::True),
        1 => Ok(Truth::False),
        2 => Ok(Truth::Unknown),
        tag => r.unknown_tag(tag),
    }
}

/// `count` operands, one level deeper. Each takes a byte at least, which bounds the count.
fn operands(r: &mut Reader, count: usize, depth: usize) -> CodecResult<Vec<Expr>> {
    if count > r.left() {
        return Err(CodecError::Truncated { what: "expression", needed: count, left: r.left() });
    }
    (0..count).map(|_| decode(r, depth)).collect()
}

fn decode(r: &mut Reader, depth: usize) -> CodecResult<Expr> {
    let Some(depth) = depth.checked_sub(1) else {
        return invalid("an expression nested too deeply");
    };
    let one = |r: &mut Reader| decode(r, depth).map(Box::new);
    Ok(match r.u8()? {
        CONSTANT => {
            let ty = read_type(r)?;
            Expr::Constant { value: read_datum(r, ty)?, ty }
        }
        COLUMN => {
            let index = r.varint_as()?;
            Expr::Column { index, ty: read_type(r)?, typmod: r.i32()? }
        }
        PARAM => {
            let index = r.varint_as()?;
            Expr::Param { index, ty: read_type(r)? }
        }
        CALL => {
            let Some(function) = function::by_oid(r.u32()?) else {
                return invalid("an unknown function");
            };
            let count = r.varint_as()?;
            let args = operands(r, count, depth)?;
            let fits = if function.variadic {
                args.len() >= function.args.len()
            } else {
                args.len() == function.args.len()
            };
            if !fits {
                return invalid("a call with a wrong count of arguments");
            }
            Expr::Call { function, args }
        }
        COMPARE => {
            let op = read_op(r)?;
            Expr::Compare { op, left: one(r)?, right: one(r)? }
        }
        CAST => {
            let (ty, typmod, explicit) = (read_type(r)?, r.i32()?, r.bool()?);
            Expr::Cast { input: one(r)?, ty, typmod, explicit }
        }
        AND => {
            let count = r.varint_as()?;
            Expr::And(operands(r, count, depth)?)
        }
        OR => {
            let count = r.varint_as()?;
            Expr::Or(operands(r, count, depth)?)
        }
        NOT => Expr::Not(one(r)?),
        IS_NULL => {
            let negated = r.bool()?;
            Expr::IsNull { input: one(r)?, negated }
        }
        IS_TRUTH => {
            let (truth, negated) = (read_truth(r)?, r.bool()?);
            Expr::IsTruth { input: one(r)?, truth, negated }
        }
        IS_DISTINCT => {
            let negated = r.bool()?;
            Expr::IsDistinct { left: one(r)?, right: one(r)?, negated }
        }
        tag @ (CASE | CASE_OF) => {
            let (count, has_otherwise): (usize, bool) = (r.varint_as()?, r.bool()?);
            let ty = read_type(r)?;
            let operand = if tag == CASE_OF { Some(one(r)?) } else { None };
            let mut arms = Vec::new();
            for _ in 0..count {
                arms.push(CaseArm { when: decode(r, depth)?, then: decode(r, depth)? });
            }
            let otherwise = if has_otherwise { Some(one(r)?) } else { None };
            Expr::Case { operand, arms, otherwise, ty }
        }
        CASE_OPERAND => Expr::CaseOperand { ty: read_type(r)? },
        tag @ (COALESCE | GREATEST | LEAST | ARRAY) => {
            let count = r.varint_as()?;
            let ty = read_type(r)?;
            let args = operands(r, count, depth)?;
            match tag {
                COALESCE => Expr::Coalesce { args, ty },
                GREATEST => Expr::Greatest { args, ty },
                LEAST => Expr::Least { args, ty },
                _ => Expr::Array { elements: args, ty },
            }
        }
        NULL_IF => Expr::NullIf { left: one(r)?, right: one(r)? },
        IN_LIST => {
            let (count, negated) = (r.varint_as()?, r.bool()?);
            Expr::InList { input: one(r)?, list: operands(r, count, depth)?, negated }
        }
        LIKE => {
            let (has_escape, negated, case_insensitive) = (r.bool()?, r.bool()?, r.bool()?);
            let (input, pattern) = (one(r)?, one(r)?);
            let escape = if has_escape { Some(one(r)?) } else { None };
            Expr::Like { input, pattern, escape, negated, case_insensitive }
        }
        ANY_ARRAY => {
            let (op, all) = (read_op(r)?, r.bool()?);
            Expr::AnyArray { left: one(r)?, op, array: one(r)?, all }
        }
        SUBSCRIPT => {
            let ty = read_type(r)?;
            Expr::Subscript { array: one(r)?, subscript: one(r)?, ty }
        }
        tag => return r.unknown_tag(tag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::build::LikeForm;
    use crate::expr::{CastContext, ExprBuilder, ParamTypes};
    use proptest::prelude::*;

    fn samples() -> Vec<Expr> {
        let mut b = ExprBuilder::new(ParamTypes::default());
        let column = || Expr::column(3, SqlType::Int4);
        let text = || Expr::column(1, SqlType::Text);
        let int = |v| Expr::constant(Datum::Int4(v), SqlType::Int4);
        let flag = || Expr::column(2, SqlType::Bool);
        let param = b.param(1).unwrap();
        let form = LikeForm { negated: true, case_insensitive: false };
        vec![
            Expr::null(SqlType::Uuid),
            b.binary("+", column(), param).unwrap(),
            b.binary("<=", column(), int(7)).unwrap(),
            b.coerce(column(), SqlType::Varchar, 9, CastContext::Explicit).unwrap(),
            Expr::And(vec![flag(), Expr::Or(vec![flag(), Expr::Not(Box::new(flag()))])]),
            Expr::IsNull { input: Box::new(column()), negated: true },
            b.is_truth(flag(), Truth::Unknown, true).unwrap(),
            b.is_distinct(column(), int(1), true).unwrap(),
            b.case(Some(column()), vec![(int(1), int(2))], None).unwrap(),
            b.case(Some(Expr::Not(Box::new(flag()))), vec![(flag(), int(2))], Some(int(3)))
                .unwrap(),
            Expr::Case { operand: None, arms: vec![], otherwise: None, ty: SqlType::Int4 },
            b.coalesce(vec![column(), int(1)]).unwrap(),
            b.null_if(column(), int(1)).unwrap(),
            b.greatest(vec![column(), int(1)]).unwrap(),
            b.least(vec![column(), int(1)]).unwrap(),
            b.in_list(column(), vec![int(1), int(2)], true).unwrap(),
            b.like(text(), text(), Some(Expr::literal("!")), form).unwrap(),
            b.any_array(column(), CompareOp::Ne, Expr::literal("{1,2}"), true).unwrap(),
            b.array(vec![column(), int(1)]).unwrap(),
            b.subscript(Expr::column(0, SqlType::TextArray), int(1)).unwrap(),
            b.call("concat", vec![column(), flag(), text()]).unwrap(),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut tags = std::collections::BTreeSet::new();
        for expr in samples() {
            expr.walk(&mut |e| {
                tags.insert(e.tag());
            });
            let mut w = Writer::new();
            expr.encode(&mut w);
            let mut r = Reader::new(w.into_bytes(), "expression");
            assert_eq!(Expr::decode(&mut r).unwrap(), expr);
            r.finish().unwrap();
        }
        assert_eq!(tags.len(), usize::from(CASE_OPERAND) + 1, "every kind of node is a sample");
    }

    #[test]
    fn deep_bytes_are_refused() {
        let mut w = Writer::new();
        for _ in 0..100_000 {
            w.u8(NOT);
        }
        let error = Expr::decode(&mut Reader::new(w.into_bytes(), "expression")).unwrap_err();
        assert!(matches!(error, CodecError::Invalid { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), at in 0usize..21, cut in any::<u8>()) {
            let _ = Expr::decode(&mut Reader::new(bytes.into(), "expression"));
            let mut w = Writer::new();
            samples()[at].encode(&mut w);
            let mut damaged = w.into_vec();
            let place = usize::from(cut) % damaged.len();
            damaged[place] = damaged[place].wrapping_add(1);
            let _ = Expr::decode(&mut Reader::new(damaged.into(), "expression"));
        }
    }
}
