//! Builds typed trees from names and untyped parts: the binder's way into this layer.
//!
//! Literals and parameters may come with type `Unknown`. A step that needs a type converts them:
//! a literal is parsed then and there (so a bad one fails while binding, as in PostgreSQL), and a
//! parameter takes that type for the whole statement, which [`ParamTypes`] remembers.

use super::cast::{self, CastContext};
use super::function::{ANY, Function};
use super::functions::{ARRAY_TO_STRING, BOOL_OUTPUT};
use super::operator::{Action, Operator};
use super::resolve;
use super::tree::{CaseArm, CompareOp, Expr};
use super::{function, tree};
use crate::base::{
    Datum, SqlError, SqlResult, SqlState, SqlType, limits, text_format, typmod as modifier,
};

/// Types of a statement's parameters: declared by the client, or learned while building.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamTypes {
    types: Vec<SqlType>,
}

impl ParamTypes {
    /// Types declared by Parse; `Unknown` where the client left it to the server.
    pub fn declared(types: Vec<SqlType>) -> ParamTypes {
        ParamTypes { types }
    }

    /// The types, one a parameter. 42P18 `could not determine data type of parameter $1` for one
    /// that no use gave a type.
    pub fn finish(self) -> SqlResult<Vec<SqlType>> {
        match self.types.iter().position(|t| *t == SqlType::Unknown) {
            None => Ok(self.types),
            Some(index) => Err(SqlError::new(
                SqlState::IndeterminateDatatype,
                format!("could not determine data type of parameter ${}", index + 1),
            )),
        }
    }

    /// The types as known now, `Unknown` among them.
    pub fn known(&self) -> &[SqlType] {
        &self.types
    }

    /// Learns a type. 42P08 if the parameter already has another.
    fn learn(&mut self, index: usize, ty: SqlType) -> SqlResult<()> {
        let Some(slot) = self.types.get_mut(index) else {
            return Err(SqlError::internal(format!("parameter {index} was never named")));
        };
        if *slot == SqlType::Unknown {
            *slot = ty;
        }
        if *slot != ty {
            let message = format!("inconsistent types deduced for parameter ${}", index + 1);
            let (first, second) = (slot.info().sql_name, ty.info().sql_name);
            return Err(SqlError::new(SqlState::AmbiguousParameter, message)
                .with_detail(format!("{first} versus {second}")));
        }
        Ok(())
    }
}

/// LIKE or ILIKE, plain or NOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LikeForm {
    pub negated: bool,
    pub case_insensitive: bool,
}

/// Makes typed expressions; one per statement.
#[derive(Clone, Debug, Default)]
pub struct ExprBuilder {
    pub params: ParamTypes,
}

fn mismatch(message: String) -> SqlError {
    SqlError::new(SqlState::DatatypeMismatch, message)
}

fn take(slot: &mut Expr) -> Expr {
    std::mem::replace(slot, Expr::null(SqlType::Unknown))
}

impl ExprBuilder {
    pub fn new(params: ParamTypes) -> ExprBuilder {
        ExprBuilder { params }
    }

    /// `$number`, from 1. 42P02 `there is no parameter $0`.
    pub fn param(&mut self, number: usize) -> SqlResult<Expr> {
        if number == 0 || number > limits::PARAMS_MAX {
            let message = format!("there is no parameter ${number}");
            return Err(SqlError::new(SqlState::UndefinedParameter, message));
        }
        let types = &mut self.params.types;
        if types.len() < number {
            types.resize(number, SqlType::Unknown);
        }
        Ok(Expr::Param { index: number - 1, ty: types[number - 1] })
    }

    /// `left name right`, for every operator that is spelled with symbols, and for `~~`, `!~~`,
    /// `~~*`, `!~~*` (LIKE, NOT LIKE, ILIKE, NOT ILIKE).
    pub fn binary(&mut self, name: &str, left: Expr, right: Expr) -> SqlResult<Expr> {
        let (left, right) =
            if name == "||" { self.concatenable(left, right)? } else { (left, right) };
        let operator = resolve::resolve_operator(name, Some(left.ty()), right.ty())?;
        let (left, right) = self.operands(&operator, left, right)?;
        Ok(match operator.action {
            Action::Compare(op) => {
                Expr::Compare { op, left: Box::new(left), right: Box::new(right) }
            }
            Action::Call(function) => Expr::Call { function, args: vec![left, right] },
            Action::Like { negated, case_insensitive } => Expr::Like {
                input: Box::new(left),
                pattern: Box::new(right),
                escape: None,
                negated,
                case_insensitive,
            },
        })
    }

    /// A side of `||` that is not text becomes text where the other side is, as PostgreSQL's
    /// `text || anynonarray` has it.
    fn concatenable(&mut self, left: Expr, right: Expr) -> SqlResult<(Expr, Expr)> {
        let is_text = |ty: SqlType| ty.info().category == 'S' || ty == SqlType::Unknown;
        let other = |ty: SqlType| !is_text(ty) && ty != SqlType::Bytea && ty.element().is_none();
        if is_text(left.ty()) && other(right.ty()) {
            let right = self.coerce(right, SqlType::Text, -1, CastContext::Explicit)?;
            return Ok((left, right));
        }
        if other(left.ty()) && is_text(right.ty()) {
            let left = self.coerce(left, SqlType::Text, -1, CastContext::Explicit)?;
            return Ok((left, right));
        }
        Ok((left, right))
    }

    fn operands(
        &mut self,
        operator: &Operator,
        left: Expr,
        right: Expr,
    ) -> SqlResult<(Expr, Expr)> {
        let left = self.argument(left, operator.left.unwrap_or(operator.right))?;
        let right = self.argument(right, operator.right)?;
        Ok((left, right))
    }

    /// An operand or argument as `wanted`, implicitly. One that is the same bytes under another
    /// name (varchar as text) stays as it is, so that the planner sees the column.
    fn argument(&mut self, expr: Expr, wanted: SqlType) -> SqlResult<Expr> {
        match expr {
            Expr::Constant { value, ty } if cast::is_relabel(ty, wanted) => {
                Ok(Expr::Constant { value, ty: wanted })
            }
            expr if cast::is_relabel(expr.ty(), wanted) => Ok(expr),
            expr => self.coerce(expr, wanted, -1, CastContext::Implicit),
        }
    }

    /// `name operand`: `-`, `+`, `~`, `@`, …
    pub fn unary(&mut self, name: &str, operand: Expr) -> SqlResult<Expr> {
        let operator = resolve::resolve_operator(name, None, operand.ty())?;
        let operand = self.argument(operand, operator.right)?;
        match operator.action {
            Action::Call(function) => Ok(Expr::Call { function, args: vec![operand] }),
            action => Err(SqlError::internal(format!("prefix operator {name} is {action:?}"))),
        }
    }

    /// A call of a scalar function, by its folded name. `CURRENT_TIMESTAMP`, `CURRENT_DATE`,
    /// `CURRENT_USER` … are functions of these names in lower case; `EXTRACT(f FROM x)` is
    /// `extract('f', x)`, `SUBSTRING(a FROM b FOR c)` is `substring(a, b, c)`, `POSITION(a IN b)`
    /// is `position(b, a)`, `TRIM(LEADING a FROM b)` is `ltrim(b, a)`; COALESCE, NULLIF, GREATEST
    /// and LEAST have methods of their own. The name of a type converts to it: `text(1)`.
    pub fn call(&mut self, name: &str, args: Vec<Expr>) -> SqlResult<Expr> {
        if let ("pg_typeof", [arg]) = (name, args.as_slice()) {
            let shown = modifier::format_type(arg.ty(), -1);
            return Ok(Expr::constant(Datum::text(shown), SqlType::Text));
        }
        let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
        let function = match resolve::resolve_function(name, &types) {
            Ok(function) => function,
            Err(error) => return self.type_call(name, args, error),
        };
        self.call_function(function, args)
    }

    /// `typename(x)`, where there is no function of that name.
    fn type_call(&mut self, name: &str, mut args: Vec<Expr>, error: SqlError) -> SqlResult<Expr> {
        let ty = SqlType::ALL.into_iter().find(|t| t.info().name == name && t.element().is_none());
        match (ty, args.len()) {
            (Some(ty), 1) if cast::can_coerce(args[0].ty(), ty, CastContext::Explicit) => {
                self.coerce(args.swap_remove(0), ty, -1, CastContext::Explicit)
            }
            _ => Err(error),
        }
    }

    /// A call of a function that was already chosen; the arguments convert implicitly.
    pub fn call_function(
        &mut self,
        function: &'static Function,
        args: Vec<Expr>,
    ) -> SqlResult<Expr> {
        let declared = function.args;
        let mut converted = Vec::with_capacity(args.len());
        for (k, arg) in args.into_iter().enumerate() {
            let wanted = declared.get(k).or(declared.last()).copied();
            converted.push(match wanted {
                Some(ANY) => self.shown(arg)?,
                Some(function::ANY_ARRAY) if function.name == ARRAY_TO_STRING => {
                    self.with_zones(arg)?
                }
                Some(function::ANY_ARRAY) => arg,
                Some(wanted) => self.argument(arg, wanted)?,
                None => return Err(resolve::no_function(function.name, &[])),
            });
        }
        Ok(Expr::Call { function, args: converted })
    }

    /// An array whose elements say by themselves how they are shown: a timestamp does not say whether it has a
    /// zone.
    fn with_zones(&mut self, array: Expr) -> SqlResult<Expr> {
        match array.ty() {
            SqlType::TimestampTzArray => {
                self.coerce(array, SqlType::TextArray, -1, CastContext::Explicit)
            }
            _ => Ok(array),
        }
    }

    /// A value of any type as the text its output function gives.
    fn shown(&mut self, expr: Expr) -> SqlResult<Expr> {
        // It is text already, with the blanks that a conversion to text drops.
        if expr.ty() == SqlType::Bpchar {
            return Ok(expr);
        }
        if expr.ty() == SqlType::Bool {
            let Some(function) = function::by_oid(BOOL_OUTPUT) else {
                return Err(SqlError::internal("the output function of boolean is missing"));
            };
            return Ok(Expr::Call { function, args: vec![expr] });
        }
        self.coerce(expr, SqlType::Text, -1, CastContext::Explicit)
    }

    /// `expr` as a value of `ty` with `typmod` (-1 for none), where `context` allows it.
    ///
    /// Errors: 42846 `cannot cast type boolean to date`, in every context; the binder words the
    /// refusal of an assignment itself (42804), after asking [`cast::can_coerce`]. A literal that
    /// is no value of the type fails with that type's own error.
    pub fn coerce(
        &mut self,
        expr: Expr,
        ty: SqlType,
        typmod: i32,
        context: CastContext,
    ) -> SqlResult<Expr> {
        let explicit = context == CastContext::Explicit;
        let from = expr.ty();
        let typed = match expr {
            Expr::Constant { value: Datum::Text(text), ty: SqlType::Unknown } => {
                Expr::Constant { value: text_format::parse(ty, -1, &text)?, ty }
            }
            Expr::Constant { value: Datum::Null, ty: SqlType::Unknown } => Expr::null(ty),
            Expr::Param { index, ty: SqlType::Unknown } => {
                self.params.learn(index, ty)?;
                Expr::Param { index, ty }
            }
            expr if from == ty => expr,
            expr if !cast::can_coerce(from, ty, context) => {
                let _ = expr;
                return Err(cast::cannot_cast(from, ty));
            }
            expr => return Ok(cast_node(expr, ty, typmod, explicit)),
        };
        if typmod < 0 || typed.typmod() == typmod {
            return Ok(typed);
        }
        Ok(cast_node(typed, ty, typmod, explicit))
    }

    /// `expr` as a result column: what is still untyped becomes text.
    pub fn output(&mut self, expr: Expr) -> SqlResult<Expr> {
        if expr.ty() == SqlType::Unknown {
            return self.coerce(expr, SqlType::Text, -1, CastContext::Implicit);
        }
        Ok(expr)
    }

    /// `expr` as a condition of `construct` (`WHERE`, `AND`, `CASE/WHEN`, `JOIN/ON`, `HAVING`, …).
    ///
    /// Errors: 42804 `argument of WHERE must be type boolean, not type integer`.
    pub fn condition(&mut self, construct: &str, expr: Expr) -> SqlResult<Expr> {
        match expr.ty() {
            SqlType::Bool => Ok(expr),
            SqlType::Unknown => self.coerce(expr, SqlType::Bool, -1, CastContext::Implicit),
            ty => {
                let ty = ty.info().sql_name;
                Err(mismatch(format!(
                    "argument of {construct} must be type boolean, not type {ty}"
                )))
            }
        }
    }

    /// Gives every expression the common type of all, as `construct` needs it.
    pub fn unify(&mut self, construct: &str, exprs: &mut [&mut Expr]) -> SqlResult<SqlType> {
        let types: Vec<SqlType> = exprs.iter().map(|e| e.ty()).collect();
        let common = resolve::common_type(construct, &types)?;
        for slot in exprs {
            let from = slot.ty();
            if !cast::can_coerce(from, common, CastContext::Implicit) {
                let (from, to) = (from.info().sql_name, common.info().sql_name);
                let message = format!("{construct} could not convert type {from} to {to}");
                return Err(SqlError::new(SqlState::CannotCoerce, message));
            }
            **slot = self.coerce(take(slot), common, -1, CastContext::Implicit)?;
        }
        Ok(common)
    }

    fn unify_all(&mut self, construct: &str, exprs: &mut [Expr]) -> SqlResult<SqlType> {
        let mut slots: Vec<&mut Expr> = exprs.iter_mut().collect();
        self.unify(construct, &mut slots)
    }

    pub fn and(&mut self, left: Expr, right: Expr) -> SqlResult<Expr> {
        let (left, right) = (self.condition("AND", left)?, self.condition("AND", right)?);
        Ok(Expr::and([left, right]))
    }

    pub fn or(&mut self, left: Expr, right: Expr) -> SqlResult<Expr> {
        let (left, right) = (self.condition("OR", left)?, self.condition("OR", right)?);
        Ok(Expr::or([left, right]))
    }

    pub fn not(&mut self, operand: Expr) -> SqlResult<Expr> {
        Ok(Expr::Not(Box::new(self.condition("NOT", operand)?)))
    }

    /// `operand IS [NOT] TRUE | FALSE | UNKNOWN`.
    pub fn is_truth(
        &mut self,
        operand: Expr,
        truth: tree::Truth,
        negated: bool,
    ) -> SqlResult<Expr> {
        let word = match truth {
            tree::Truth::True => "TRUE",
            tree::Truth::False => "FALSE",
            tree::Truth::Unknown => "UNKNOWN",
        };
        let construct = format!("IS {}{word}", if negated { "NOT " } else { "" });
        let input = Box::new(self.condition(&construct, operand)?);
        Ok(Expr::IsTruth { input, truth, negated })
    }

    /// The operands of an implied `=`.
    fn equal_operands(&mut self, left: Expr, right: Expr) -> SqlResult<(Expr, Expr)> {
        let operator = resolve::resolve_operator("=", Some(left.ty()), right.ty())?;
        self.operands(&operator, left, right)
    }

    /// `left IS [NOT] DISTINCT FROM right`.
    pub fn is_distinct(&mut self, left: Expr, right: Expr, negated: bool) -> SqlResult<Expr> {
        let (left, right) = self.equal_operands(left, right)?;
        Ok(Expr::IsDistinct { left: Box::new(left), right: Box::new(right), negated })
    }

    /// `CASE [operand] WHEN … THEN … ELSE … END`.
    pub fn case(
        &mut self,
        operand: Option<Expr>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Expr>,
    ) -> SqlResult<Expr> {
        let operand = operand.map(|o| self.output(o)).transpose()?;
        let (operand, tested) = match operand {
            Some(Expr::Constant { .. } | Expr::Column { .. } | Expr::Param { .. }) | None => {
                (None, operand)
            }
            Some(computed) => {
                let tested = Expr::CaseOperand { ty: computed.ty() };
                (Some(Box::new(computed)), Some(tested))
            }
        };
        let mut whens = Vec::with_capacity(arms.len());
        // PostgreSQL lets ELSE speak first about the common type.
        let mut results = vec![otherwise.unwrap_or(Expr::null(SqlType::Unknown))];
        for (when, then) in arms {
            whens.push(match &tested {
                Some(tested) => self.binary("=", tested.clone(), when)?,
                None => self.condition("CASE/WHEN", when)?,
            });
            results.push(then);
        }
        let ty = self.unify_all("CASE", &mut results)?;
        let mut results = results.into_iter();
        let otherwise = results.next().map(Box::new);
        let arms = whens.into_iter().zip(results).map(|(when, then)| CaseArm { when, then });
        Ok(Expr::Case { operand, arms: arms.collect(), otherwise, ty })
    }

    pub fn coalesce(&mut self, mut args: Vec<Expr>) -> SqlResult<Expr> {
        let ty = self.unify_all("COALESCE", &mut args)?;
        Ok(Expr::Coalesce { args, ty })
    }

    pub fn null_if(&mut self, left: Expr, right: Expr) -> SqlResult<Expr> {
        let (mut left, right) = self.equal_operands(left, right)?;
        // The operator's own type is that of the value.
        if left.ty() == SqlType::Varchar {
            left = self.coerce(left, SqlType::Text, -1, CastContext::Implicit)?;
        }
        Ok(Expr::NullIf { left: Box::new(left), right: Box::new(right) })
    }

    pub fn greatest(&mut self, mut args: Vec<Expr>) -> SqlResult<Expr> {
        let ty = self.unify_ordered("GREATEST", &mut args)?;
        Ok(Expr::Greatest { args, ty })
    }

    pub fn least(&mut self, mut args: Vec<Expr>) -> SqlResult<Expr> {
        let ty = self.unify_ordered("LEAST", &mut args)?;
        Ok(Expr::Least { args, ty })
    }

    fn unify_ordered(&mut self, construct: &str, args: &mut [Expr]) -> SqlResult<SqlType> {
        let ty = self.unify_all(construct, args)?;
        if !crate::base::keycode::is_orderable(ty) {
            return Err(crate::base::keycode::not_orderable(ty));
        }
        Ok(ty)
    }

    /// `input [NOT] IN (list)`.
    pub fn in_list(&mut self, input: Expr, list: Vec<Expr>, negated: bool) -> SqlResult<Expr> {
        let types: Vec<SqlType> =
            std::iter::once(input.ty()).chain(list.iter().map(Expr::ty)).collect();
        let Ok(common) = resolve::common_type("IN", &types) else {
            return self.in_disjunction(input, list, negated);
        };
        let operator = resolve::resolve_operator("=", Some(input.ty()), common)?;
        let input = self.argument(input, operator.left.unwrap_or(common))?;
        let list = list
            .into_iter()
            .map(|e| self.argument(e, operator.right))
            .collect::<SqlResult<Vec<Expr>>>()?;
        Ok(Expr::InList { input: Box::new(input), list, negated })
    }

    /// `IN` over elements without a common type: each is compared by its own operator.
    fn in_disjunction(&mut self, input: Expr, list: Vec<Expr>, negated: bool) -> SqlResult<Expr> {
        let equal = list
            .into_iter()
            .map(|e| self.binary("=", input.clone(), e))
            .collect::<SqlResult<Vec<Expr>>>()?;
        let any = Expr::or(equal);
        Ok(if negated { Expr::Not(Box::new(any)) } else { any })
    }

    /// `input [NOT] LIKE | ILIKE pattern [ESCAPE escape]`.
    pub fn like(
        &mut self,
        input: Expr,
        pattern: Expr,
        escape: Option<Expr>,
        form: LikeForm,
    ) -> SqlResult<Expr> {
        let name = match (form.negated, form.case_insensitive) {
            (false, false) => "~~",
            (true, false) => "!~~",
            (false, true) => "~~*",
            (true, true) => "!~~*",
        };
        let operator = resolve::resolve_operator(name, Some(input.ty()), pattern.ty())?;
        let (input, pattern) = self.operands(&operator, input, pattern)?;
        let escape = escape.map(|e| self.argument(e, SqlType::Text)).transpose()?;
        Ok(Expr::Like {
            input: Box::new(input),
            pattern: Box::new(pattern),
            escape: escape.map(Box::new),
            negated: form.negated,
            case_insensitive: form.case_insensitive,
        })
    }

    /// `left op ANY (array)`, or ALL.
    ///
    /// Errors: 42809 if the right side is no array.
    pub fn any_array(
        &mut self,
        left: Expr,
        op: CompareOp,
        array: Expr,
        all: bool,
    ) -> SqlResult<Expr> {
        let element = match (array.ty(), array.ty().element()) {
            (_, Some(element)) => element,
            (SqlType::Unknown, None) => SqlType::Unknown,
            _ => {
                return Err(SqlError::new(
                    SqlState::WrongObjectType,
                    "op ANY/ALL (array) requires array on right side",
                ));
            }
        };
        let operator = resolve::resolve_operator(op.name(), Some(left.ty()), element)?;
        let left = self.argument(left, operator.left.unwrap_or(operator.right))?;
        let array = if cast::is_relabel(element, operator.right) {
            array
        } else {
            let ty = array_over(operator.right)?;
            self.coerce(array, ty, -1, CastContext::Implicit)?
        };
        Ok(Expr::AnyArray { left: Box::new(left), op, array: Box::new(array), all })
    }

    /// `ARRAY[elements]`. 42P18 for an empty one: cast it first.
    pub fn array(&mut self, mut elements: Vec<Expr>) -> SqlResult<Expr> {
        if elements.is_empty() {
            return Err(SqlError::new(
                SqlState::IndeterminateDatatype,
                "cannot determine type of empty array",
            )
            .with_hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let ty = array_over(self.unify_all("ARRAY", &mut elements)?)?;
        Ok(Expr::Array { elements, ty })
    }

    /// `array[subscript]`.
    pub fn subscript(&mut self, array: Expr, subscript: Expr) -> SqlResult<Expr> {
        let Some(ty) = array.ty().element() else {
            let ty = array.ty().info().sql_name;
            return Err(mismatch(format!(
                "cannot subscript type {ty} because it does not support subscripting"
            )));
        };
        let subscript = self.coerce(subscript, SqlType::Int4, -1, CastContext::Assignment)?;
        Ok(Expr::Subscript { array: Box::new(array), subscript: Box::new(subscript), ty })
    }
}

fn array_over(element: SqlType) -> SqlResult<SqlType> {
    element
        .array()
        .ok_or_else(|| SqlError::unsupported(format!("type {}[]", element.info().sql_name)))
}

/// A conversion; of a constant it is done now, unless it fails: then it fails when it is reached.
fn cast_node(input: Expr, ty: SqlType, typmod: i32, explicit: bool) -> Expr {
    if let Expr::Constant { value, ty: from } = &input {
        let converted = cast::convert(value.clone(), *from, ty)
            .and_then(|v| modifier::apply(ty, typmod, v, explicit));
        if let (Ok(value), true) = (converted, typmod < 0) {
            return Expr::Constant { value, ty };
        }
    }
    Expr::Cast { input: Box::new(input), ty, typmod, explicit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::context::NoRow;
    use crate::expr::context::test_context;

    fn int(v: i32) -> Expr {
        Expr::constant(Datum::Int4(v), SqlType::Int4)
    }

    /// A value in a type, as `'text'::type`.
    fn value(ty: &str, text: &str) -> Expr {
        let ty = SqlType::ALL.into_iter().find(|t| t.info().name == ty).unwrap();
        if text == "NULL" {
            return Expr::null(ty);
        }
        if ty == SqlType::Unknown {
            return Expr::literal(text);
        }
        Expr::constant(text_format::parse(ty, -1, text).unwrap(), ty)
    }

    fn shown(expr: SqlResult<Expr>) -> String {
        let result = expr.and_then(|e| {
            let value = test_context(&[], |context| e.eval(&NoRow, context))?;
            let ty = e.ty();
            let name = ty.info().name;
            Ok(match value {
                Datum::Null => format!("{name} NULL"),
                value => format!("{name} {}", text_format::to_string(ty, &value)),
            })
        });
        match result {
            Ok(text) => text,
            Err(error) => format!("! {} {}", error.state.code(), error.message),
        }
    }

    /// One line of the golden script: operands `type:text` between words.
    fn answer(call: &str) -> String {
        let mut builder = ExprBuilder::default();
        let operand = |word: &str| {
            let (ty, text) = word.split_once(':').unwrap();
            value(ty, text)
        };
        let words: Vec<&str> = call.split(" | ").collect();
        match words[..] {
            [name, left, right] if !is_name(name) => {
                shown(builder.binary(name, operand(left), operand(right)))
            }
            [name, only] if !is_name(name) => shown(builder.unary(name, operand(only))),
            [name, ref args @ ..] => {
                let args = args.iter().map(|a| operand(a)).collect();
                shown(builder.call(name, args))
            }
            [] => panic!("an empty line"),
        }
    }

    fn is_name(word: &str) -> bool {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
    }

    #[test]
    fn golden_script() {
        let script = include_str!("golden/operators.txt");
        let mut wrong = Vec::new();
        for line in script.lines().filter(|l| !l.starts_with('#')) {
            let (call, expected) = line.split_once(" => ").unwrap();
            let got = answer(call);
            if got != expected {
                wrong.push(format!("{call}\n  expected {expected}\n  got      {got}"));
            }
        }
        assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn parameters_learn_their_types() {
        let mut builder = ExprBuilder::default();
        let first = builder.param(1).unwrap();
        builder.binary("=", Expr::column(0, SqlType::Uuid), first).unwrap();
        assert_eq!(builder.param(1).unwrap().ty(), SqlType::Uuid);
        let third = builder.param(3).unwrap();
        let array = builder.any_array(int(1), CompareOp::Eq, third, false).unwrap();
        assert_eq!(array.ty(), SqlType::Bool);
        let error = builder.params.clone().finish().unwrap_err();
        assert_eq!(error.message, "could not determine data type of parameter $2");
        let second = builder.param(2).unwrap();
        builder.coerce(second.clone(), SqlType::Int8, -1, CastContext::Explicit).unwrap();
        let error = builder.coerce(second, SqlType::Text, -1, CastContext::Explicit).unwrap_err();
        assert_eq!(error.message, "inconsistent types deduced for parameter $2");
        let types = builder.params.finish().unwrap();
        assert_eq!(types, [SqlType::Uuid, SqlType::Int8, SqlType::Int4Array]);
    }

    #[test]
    fn columns_stay_visible_to_the_planner() {
        let mut builder = ExprBuilder::default();
        let column = Expr::column(0, SqlType::Varchar);
        let Expr::Compare { left, right, .. } =
            builder.binary("=", column.clone(), Expr::literal("a")).unwrap()
        else {
            panic!("not a comparison")
        };
        assert_eq!(*left, column);
        assert_eq!(*right, Expr::constant(Datum::text("a"), SqlType::Text));
        let column = Expr::column(1, SqlType::Int8);
        let Expr::InList { input, list, .. } =
            builder.in_list(column.clone(), vec![int(1), Expr::literal("2")], false).unwrap()
        else {
            panic!("not a list")
        };
        assert_eq!(*input, column);
        assert_eq!(list[1], Expr::constant(Datum::Int8(2), SqlType::Int8));
    }

    #[test]
    fn conditions_and_constructs() {
        let mut b = ExprBuilder::default();
        let error = b.condition("WHERE", int(1)).unwrap_err();
        assert_eq!(error.message, "argument of WHERE must be type boolean, not type integer");
        let arm = || (Expr::bool(true), int(1));
        assert_eq!(shown(b.case(None, vec![arm()], Some(Expr::literal("7")))), "int4 1");
        assert_eq!(
            shown(b.case(
                Some(int(2)),
                vec![(int(1), int(10)), (Expr::literal("2"), int(20))],
                None
            )),
            "int4 20"
        );
        let text = Expr::constant(Datum::text("x"), SqlType::Text);
        assert_eq!(
            shown(b.case(None, vec![arm()], Some(text.clone()))),
            "! 42804 CASE types text and integer cannot be matched"
        );
        let numeric = || value("numeric", "2.5");
        assert_eq!(shown(b.coalesce(vec![Expr::null(SqlType::Int4), numeric()])), "numeric 2.5");
        assert_eq!(shown(b.null_if(int(1), numeric())), "numeric 1");
        assert_eq!(shown(b.null_if(int(1), Expr::literal("1"))), "int4 NULL");
        assert_eq!(shown(b.greatest(vec![int(1), Expr::literal("3"), int(2)])), "int4 3");
        assert_eq!(shown(b.least(vec![int(1), Expr::null(SqlType::Unknown)])), "int4 1");
        let null = || Expr::null(SqlType::Unknown);
        assert_eq!(shown(b.in_list(int(1), vec![int(2), null()], false)), "bool NULL");
        assert_eq!(shown(b.in_list(int(2), vec![int(2), null()], true)), "bool f");
        assert_eq!(
            shown(b.in_list(int(2), vec![text], false)),
            "! 42883 operator does not exist: integer = text"
        );
        assert_eq!(shown(b.is_distinct(null(), int(1), false)), "bool t");
        let array = value("_int4", "{1,2,NULL}");
        assert_eq!(shown(b.any_array(int(2), CompareOp::Eq, array.clone(), false)), "bool t");
        assert_eq!(shown(b.any_array(int(3), CompareOp::Eq, array.clone(), false)), "bool NULL");
        assert_eq!(shown(b.any_array(int(0), CompareOp::Lt, array.clone(), true)), "bool NULL");
        assert_eq!(shown(b.subscript(array, int(2))), "int4 2");
        assert_eq!(shown(b.array(vec![int(1), Expr::literal("2")])), "_int4 {1,2}");
        let form = LikeForm { negated: true, case_insensitive: true };
        assert_eq!(
            shown(b.like(
                Expr::literal("ABC"),
                Expr::literal("a!%"),
                Some(Expr::literal("!")),
                form
            )),
            "bool t"
        );
        let cut = b.coerce(Expr::literal("abcdef"), SqlType::Varchar, 7, CastContext::Explicit);
        assert_eq!(shown(cut), "varchar abc");
        let typeof_null = b.call("pg_typeof", vec![null()]);
        assert_eq!(shown(typeof_null), "text unknown");
    }

    #[test]
    fn three_valued_logic() {
        let mut b = ExprBuilder::default();
        let (t, f, n) = (Expr::bool(true), Expr::bool(false), Expr::null(SqlType::Bool));
        for (left, right, and, or) in [
            (&t, &n, "bool NULL", "bool t"),
            (&f, &n, "bool f", "bool NULL"),
            (&n, &n, "bool NULL", "bool NULL"),
            (&t, &f, "bool f", "bool t"),
        ] {
            assert_eq!(shown(b.and(left.clone(), right.clone())), and);
            assert_eq!(shown(b.or(left.clone(), right.clone())), or);
            assert_eq!(shown(b.and(right.clone(), left.clone())), and);
            assert_eq!(shown(b.or(right.clone(), left.clone())), or);
        }
        assert_eq!(shown(b.not(n.clone())), "bool NULL");
        assert_eq!(shown(b.is_truth(n, tree::Truth::True, true)), "bool t");
    }
}
