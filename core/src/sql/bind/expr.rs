//! Scalar expressions.

use sqlparser::ast::{
    self, AccessExpr, BinaryOperator, CaseWhen, Ident, Spanned, Subscript, UnaryOperator, Value,
};
use sqlparser::tokenizer::Span;

use super::scope::{Found, Scope, ambiguous, no_column};
use super::{At, Binder, types};
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType};
use crate::expr::build::LikeForm;
use crate::expr::cast::CastContext;
use crate::expr::tree::Truth;
use crate::expr::{CompareOp, Expr};
use crate::sql::parse::{fold, object_name};

impl Binder<'_> {
    /// A typed expression over the rows of `at`. Untyped literals and parameters stay untyped.
    pub fn expr(&mut self, expr: &ast::Expr, at: &mut At<'_>) -> SqlResult<Expr> {
        self.deeper(|binder| binder.expr_here(expr, at))
    }

    /// An expression that is true, false or NULL; `clause` is how errors name its place.
    pub fn condition(&mut self, expr: &ast::Expr, at: &mut At<'_>) -> SqlResult<Expr> {
        let bound = self.expr(expr, at)?;
        self.exprs.condition(at.clause, bound).map_err(|error| self.at(error, expr.span()))
    }

    fn expr_here(&mut self, expr: &ast::Expr, at: &mut At<'_>) -> SqlResult<Expr> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.column(std::slice::from_ref(ident), at),
            E::CompoundIdentifier(parts) => self.column(parts, at),
            E::Value(value) => self.value(&value.value, value.span),
            E::Nested(inner) => self.expr(inner, at),
            E::BinaryOp { .. } => self.chain(expr, at),
            E::UnaryOp { op, expr } => self.unary(*op, expr, at),
            E::Cast { kind, expr, data_type, format } => {
                if !matches!(kind, ast::CastKind::Cast | ast::CastKind::DoubleColon)
                    || format.is_some()
                {
                    return Err(SqlError::unsupported("this form of CAST"));
                }
                let input = self.expr(expr, at)?;
                self.cast(input, data_type).map_err(|error| self.at(error, expr.span()))
            }
            E::TypedString(typed) => {
                let text = self.value(&typed.value.value, typed.value.span)?;
                self.cast(text, &typed.data_type)
            }
            E::Function(call) => self.function(call, at),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), at)
            }
            E::Subquery(query) => self.scalar_subquery(query, at),
            E::Exists { subquery, negated } => self.exists(subquery, *negated, at),
            E::InSubquery { expr, subquery, negated } => {
                self.in_subquery(expr, subquery, *negated, at)
            }
            _ => self.predicate(expr, at),
        }
    }

    fn predicate(&mut self, expr: &ast::Expr, at: &mut At<'_>) -> SqlResult<Expr> {
        use ast::Expr as E;
        match expr {
            E::IsNull(e) => self.is_null(e, false, at),
            E::IsNotNull(e) => self.is_null(e, true, at),
            E::IsTrue(e) => self.is_truth(e, Truth::True, false, at),
            E::IsNotTrue(e) => self.is_truth(e, Truth::True, true, at),
            E::IsFalse(e) => self.is_truth(e, Truth::False, false, at),
            E::IsNotFalse(e) => self.is_truth(e, Truth::False, true, at),
            E::IsUnknown(e) => self.is_truth(e, Truth::Unknown, false, at),
            E::IsNotUnknown(e) => self.is_truth(e, Truth::Unknown, true, at),
            E::IsDistinctFrom(a, b) => self.is_distinct(a, b, false, at),
            E::IsNotDistinctFrom(a, b) => self.is_distinct(a, b, true, at),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated, at),
            E::Between { expr, negated, low, high } => self.between(expr, low, high, *negated, at),
            E::Like { negated, any, expr, pattern, escape_char } => {
                let form = LikeForm { negated: *negated, case_insensitive: false };
                self.like(expr, pattern, escape_char.as_deref(), form, *any, at)
            }
            E::ILike { negated, any, expr, pattern, escape_char } => {
                let form = LikeForm { negated: *negated, case_insensitive: true };
                self.like(expr, pattern, escape_char.as_deref(), form, *any, at)
            }
            E::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, false, at)
            }
            E::AllOp { left, compare_op, right } => {
                self.quantified(left, compare_op, right, true, at)
            }
            E::Array(array) => {
                let elements = self.exprs(&array.elem, at)?;
                self.exprs.array(elements)
            }
            E::CompoundFieldAccess { root, access_chain } => {
                self.subscripts(root, access_chain, at)
            }
            E::Collate { expr, collation } => {
                let name = object_name(collation)?;
                match name.name.as_str() {
                    "default" | "C" | "POSIX" | "ucs_basic" => self.expr(expr, at),
                    other => Err(SqlError::unsupported(format_args!("collation \"{other}\""))),
                }
            }
            _ => self.special_function(expr, at),
        }
    }

    pub(super) fn exprs(&mut self, list: &[ast::Expr], at: &mut At<'_>) -> SqlResult<Vec<Expr>> {
        list.iter().map(|e| self.expr(e, at)).collect()
    }

    /// `column`, `table.column` or `schema.table.column`.
    fn column(&mut self, parts: &[Ident], at: &mut At<'_>) -> SqlResult<Expr> {
        let found = match parts {
            [name] => match at.scope.column(&fold(name)) {
                Found::Column(index) => Ok(index),
                Found::Ambiguous => Err(ambiguous(name)),
                Found::Nothing => Err(no_column(None, name)),
            },
            [table, name] => return self.qualified(None, table, name, at),
            [schema, table, name] | [_, schema, table, name] => {
                return self.qualified(Some(fold(schema)), table, name, at);
            }
            _ => return Err(SqlError::new(SqlState::SyntaxError, "improper qualified name")),
        };
        match found {
            Ok(index) => Ok(column_at(at, index, parts[0].span)),
            Err((error, span)) => {
                if error.state == SqlState::UndefinedColumn {
                    let name = fold(&parts[0]);
                    if let Some(outer) = self.outer_column(at, |scope| scope.column(&name))? {
                        return Ok(outer);
                    }
                }
                Err(self.at(error, span))
            }
        }
    }

    fn qualified(
        &mut self,
        schema: Option<String>,
        table: &Ident,
        name: &Ident,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let table_name = fold(table);
        let Some(entry) = at.scope.table(schema.as_deref(), &table_name) else {
            let look = |scope: &Scope| match scope.table(schema.as_deref(), &table_name) {
                Some(entry) => scope.column_of(entry, &fold(name)),
                None => Found::Nothing,
            };
            if let Some(outer) = self.outer_column(at, look)? {
                return Ok(outer);
            }
            let message = format!("missing FROM-clause entry for table \"{table_name}\"");
            return Err(self.error_at(SqlState::UndefinedTable, message, table.span));
        };
        match at.scope.column_of(entry, &fold(name)) {
            Found::Column(index) => Ok(column_at(at, index, table.span)),
            Found::Ambiguous => {
                let (error, span) = ambiguous(name);
                Err(self.at(error, span))
            }
            Found::Nothing => {
                let (error, _) = no_column(Some(&table_name), name);
                Err(self.at(error, table.span))
            }
        }
    }

    fn value(&mut self, value: &Value, span: Span) -> SqlResult<Expr> {
        match value {
            Value::Number(digits, _) => self.number(digits, span),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => self.text(text, span),
            Value::DollarQuotedString(text) => self.text(&text.value, span),
            Value::Boolean(value) => Ok(Expr::bool(*value)),
            Value::Null => Ok(Expr::null(SqlType::Unknown)),
            Value::Placeholder(name) => self.param(name, span),
            _ => Err(self.at(SqlError::unsupported("a bit string literal"), span)),
        }
    }

    fn text(&self, text: &str, span: Span) -> SqlResult<Expr> {
        if text.contains('\0') {
            let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
            return Err(self.error_at(SqlState::CharacterNotInRepertoire, message, span));
        }
        Ok(Expr::literal(text))
    }

    /// int4, int8 or numeric: the first that holds it, as PostgreSQL.
    pub(super) fn number(&mut self, digits: &str, span: Span) -> SqlResult<Expr> {
        if let Ok(value) = digits.parse::<i32>() {
            return Ok(Expr::constant(Datum::Int4(value), SqlType::Int4));
        }
        if let Ok(value) = digits.parse::<i64>() {
            return Ok(Expr::constant(Datum::Int8(value), SqlType::Int8));
        }
        let literal = Expr::literal(digits);
        let number =
            self.exprs.coerce(literal, SqlType::Numeric, types::NO_TYPMOD, CastContext::Explicit);
        number.map_err(|e| self.at(e, span))
    }

    fn param(&mut self, name: &str, span: Span) -> SqlResult<Expr> {
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let Some(number) = number.filter(|n| (1..=crate::base::limits::PARAMS_MAX).contains(n))
        else {
            let message = format!("there is no parameter {name}");
            return Err(self.error_at(SqlState::UndefinedParameter, message, span));
        };
        self.exprs.param(number).map_err(|e| self.at(e, span))
    }

    /// A chain of binary operators, which the parser nests to the left: read without recursion.
    fn chain(&mut self, expr: &ast::Expr, at: &mut At<'_>) -> SqlResult<Expr> {
        let mut steps = Vec::new();
        let mut first = expr;
        while let ast::Expr::BinaryOp { left, op, right } = first {
            steps.push((left.as_ref(), op, right.as_ref()));
            first = left;
        }
        let is_logical =
            |op: &BinaryOperator| matches!(op, BinaryOperator::And | BinaryOperator::Or);
        let nesting = steps.iter().filter(|(_, op, _)| !is_logical(op)).count();
        if nesting + self.depth > crate::base::limits::EXPR_DEPTH_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded"));
        }
        let (left, op, right) = steps.pop().expect("a chain has an operator");
        let mut result = self.first_binary(left, op, right, at)?;
        while let Some((left, op, right)) = steps.pop() {
            result = self.binary(result, left.span(), op, right, at)?;
        }
        Ok(result)
    }

    fn first_binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if let (Some(left), Some(right)) = (row_parts(left), row_parts(right)) {
            return self.compare_rows(left, op, right, at);
        }
        let span = left.span();
        let left = self.expr(left, at)?;
        self.binary(left, span, op, right, at)
    }

    /// `left op right`; `span` is where `left` stands.
    fn binary(
        &mut self,
        left: Expr,
        span: Span,
        op: &BinaryOperator,
        right: &ast::Expr,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let right_span = right.span();
        let right = self.expr(right, at)?;
        let construct = match op {
            BinaryOperator::And => "AND",
            BinaryOperator::Or => "OR",
            op => {
                let name = operator_name(op)?;
                let right_is_text = matches!(right, Expr::Constant { ty: SqlType::Unknown, .. });
                return self.exprs.binary(&name, left, right).map_err(|error| match error.state {
                    SqlState::UndefinedFunction | SqlState::AmbiguousFunction => {
                        self.at_operator(error, span, right_span)
                    }
                    _ if right_is_text => self.at(error, right_span),
                    _ => self.at(error, span),
                });
            }
        };
        let left = self.exprs.condition(construct, left).map_err(|error| self.at(error, span))?;
        let right =
            self.exprs.condition(construct, right).map_err(|error| self.at(error, right_span))?;
        match op {
            BinaryOperator::And => self.exprs.and(left, right),
            _ => self.exprs.or(left, right),
        }
    }

    /// The error at the operator between two operands: the first sign behind the left one.
    fn at_operator(&self, error: SqlError, left: Span, right: Span) -> SqlError {
        let between = self.source.slice(Span { start: left.end, end: right.start });
        let skipped =
            between.chars().take_while(|c| c.is_whitespace() || *c == ')' || *c == '(').count();
        let position = self.source.position(left.end).and_then(|p| p.checked_add(skipped as u32));
        match position {
            Some(position) if error.fields.position.is_none() => error.at(position),
            _ => error,
        }
    }

    /// `(a, b) = (c, d)` and `<>`.
    fn compare_rows(
        &mut self,
        left: &[ast::Expr],
        op: &BinaryOperator,
        right: &[ast::Expr],
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if left.len() != right.len() {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "unequal number of entries in row expressions",
            ));
        }
        let negated = match op {
            BinaryOperator::Eq => false,
            BinaryOperator::NotEq => true,
            _ => return Err(SqlError::unsupported("an ordering comparison of rows")),
        };
        let mut equal = Vec::with_capacity(left.len());
        for (l, r) in left.iter().zip(right) {
            let (l, r) = (self.expr(l, at)?, self.expr(r, at)?);
            equal.push(self.exprs.binary("=", l, r)?);
        }
        let all = Expr::and(equal);
        if negated { self.exprs.not(all) } else { Ok(all) }
    }

    fn unary(
        &mut self,
        op: UnaryOperator,
        operand: &ast::Expr,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if let (UnaryOperator::Minus, ast::Expr::Value(v)) = (op, operand)
            && let Value::Number(digits, _) = &v.value
        {
            return self.number(&format!("-{digits}"), v.span);
        }
        let operand = self.expr(operand, at)?;
        let name = match op {
            UnaryOperator::Not => {
                let operand = self.exprs.condition("NOT", operand)?;
                return self.exprs.not(operand);
            }
            UnaryOperator::Minus => "-",
            UnaryOperator::Plus => "+",
            UnaryOperator::BitwiseNot => "~",
            UnaryOperator::PGAbs => "@",
            UnaryOperator::PGSquareRoot => "|/",
            UnaryOperator::PGCubeRoot => "||/",
            other => return Err(SqlError::unsupported(format_args!("operator {other}"))),
        };
        self.exprs.unary(name, operand)
    }

    pub(super) fn cast(&mut self, input: Expr, ty: &ast::DataType) -> SqlResult<Expr> {
        if let Some(name) = types::name_type(ty) {
            return self.cast_to_name(input, name);
        }
        let (ty, typmod) = types::resolve(ty)?;
        self.exprs.coerce(input, ty, typmod, CastContext::Explicit)
    }

    /// `'t'::regclass` is the oid of what the text names, `oid::regclass` the name as text: such types
    /// exist as these two functions only.
    fn cast_to_name(&mut self, input: Expr, name: &str) -> SqlResult<Expr> {
        let is_text = matches!(
            input.ty(),
            SqlType::Unknown | SqlType::Text | SqlType::Varchar | SqlType::Bpchar | SqlType::Name
        );
        let function = format!("{name}{}", if is_text { "in" } else { "out" });
        let ty = if is_text { SqlType::Text } else { SqlType::Oid };
        let input = self.exprs.coerce(input, ty, types::NO_TYPMOD, CastContext::Explicit)?;
        self.exprs.call(&function, vec![input])
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        arms: &[CaseWhen],
        otherwise: Option<&ast::Expr>,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let operand = operand.map(|e| self.expr(e, at)).transpose()?;
        let mut bound = Vec::with_capacity(arms.len());
        for arm in arms {
            let mut when = self.expr(&arm.condition, at)?;
            if operand.is_none() {
                when = self
                    .exprs
                    .condition("CASE/WHEN", when)
                    .map_err(|error| self.at(error, arm.condition.span()))?;
            }
            bound.push((when, self.expr(&arm.result, at)?));
        }
        let otherwise = otherwise.map(|e| self.expr(e, at)).transpose()?;
        self.exprs.case(operand, bound, otherwise)
    }

    fn is_null(&mut self, input: &ast::Expr, negated: bool, at: &mut At<'_>) -> SqlResult<Expr> {
        let input = Box::new(self.expr(input, at)?);
        Ok(Expr::IsNull { input, negated })
    }

    fn is_truth(
        &mut self,
        input: &ast::Expr,
        truth: Truth,
        negated: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let construct = match (truth, negated) {
            (Truth::True, false) => "IS TRUE",
            (Truth::True, true) => "IS NOT TRUE",
            (Truth::False, false) => "IS FALSE",
            (Truth::False, true) => "IS NOT FALSE",
            (Truth::Unknown, false) => "IS UNKNOWN",
            (Truth::Unknown, true) => "IS NOT UNKNOWN",
        };
        let input = self.expr(input, at)?;
        let input = Box::new(self.exprs.condition(construct, input)?);
        Ok(Expr::IsTruth { input, truth, negated })
    }

    fn is_distinct(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        negated: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let (left, right) = (self.expr(left, at)?, self.expr(right, at)?);
        self.exprs.is_distinct(left, right, negated)
    }

    fn in_list(
        &mut self,
        input: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if let Some(parts) = row_parts(input) {
            let mut any = Vec::with_capacity(list.len());
            for element in list {
                let Some(element) = row_parts(element) else {
                    return Err(SqlError::unsupported("IN of a row and a scalar"));
                };
                any.push(self.compare_rows(parts, &BinaryOperator::Eq, element, at)?);
            }
            let any = Expr::or(any);
            return if negated { self.exprs.not(any) } else { Ok(any) };
        }
        let input = self.expr(input, at)?;
        let list = self.exprs(list, at)?;
        self.exprs.in_list(input, list, negated)
    }

    fn between(
        &mut self,
        input: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let input = self.expr(input, at)?;
        let low = self.expr(low, at)?;
        let high = self.expr(high, at)?;
        let (above, below) = if negated { ("<", ">") } else { (">=", "<=") };
        let above = self.exprs.binary(above, input.clone(), low)?;
        let below = self.exprs.binary(below, input, high)?;
        if negated { self.exprs.or(above, below) } else { self.exprs.and(above, below) }
    }

    fn like(
        &mut self,
        input: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        form: LikeForm,
        any: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if any {
            return Err(SqlError::unsupported("LIKE ANY"));
        }
        let input = self.expr(input, at)?;
        let pattern = self.expr(pattern, at)?;
        let escape = escape.map(|e| self.expr(e, at)).transpose()?;
        self.exprs.like(input, pattern, escape, form)
    }

    fn subscripts(
        &mut self,
        root: &ast::Expr,
        chain: &[AccessExpr],
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let mut value = self.expr(root, at)?;
        for access in chain {
            let AccessExpr::Subscript(Subscript::Index { index }) = access else {
                return Err(SqlError::unsupported("a slice or a field of a value"));
            };
            let index = self.expr(index, at)?;
            value = self.exprs.subscript(value, index)?;
        }
        Ok(value)
    }

    /// `left op ANY (right)` or ALL, over an array or a subquery.
    fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        all: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if let ast::Expr::Subquery(query) = right {
            return match (op, all) {
                (BinaryOperator::Eq, false) => self.in_subquery(left, query, false, at),
                (BinaryOperator::NotEq, true) => self.in_subquery(left, query, true, at),
                _ => Err(SqlError::unsupported(format_args!(
                    "{op} {} with a subquery",
                    if all { "ALL" } else { "ANY" }
                ))),
            };
        }
        let op = match op {
            BinaryOperator::Eq => CompareOp::Eq,
            BinaryOperator::NotEq => CompareOp::Ne,
            BinaryOperator::Lt => CompareOp::Lt,
            BinaryOperator::LtEq => CompareOp::Le,
            BinaryOperator::Gt => CompareOp::Gt,
            BinaryOperator::GtEq => CompareOp::Ge,
            other => return Err(SqlError::unsupported(format_args!("{other} ANY"))),
        };
        let left = self.expr(left, at)?;
        let array = self.expr(right, at)?;
        self.exprs.any_array(left, op, array, all)
    }

    /// `expr` as the value of a column, or 42804.
    pub(super) fn assign(
        &mut self,
        expr: Expr,
        column: &crate::base::schema::ColumnDef,
    ) -> SqlResult<Expr> {
        let from = expr.ty();
        let result = self.exprs.coerce(expr, column.ty, column.typmod, CastContext::Assignment);
        result.map_err(|error| {
            if error.state != SqlState::CannotCoerce {
                return error;
            }
            let message = format!(
                "column \"{}\" is of type {} but expression is of type {}",
                column.name,
                column.ty.info().sql_name,
                from.info().sql_name
            );
            SqlError::new(SqlState::DatatypeMismatch, message)
                .with_hint("You will need to rewrite or cast the expression.")
        })
    }
}

fn column_at(at: &mut At<'_>, index: usize, span: Span) -> Expr {
    if !at.in_aggregate {
        at.columns.push((index, span));
    }
    let column = &at.scope.columns[index];
    Expr::Column { index, ty: column.ty, typmod: column.typmod }
}

/// The parts of a row constructor of several columns.
pub(super) fn row_parts(expr: &ast::Expr) -> Option<&[ast::Expr]> {
    match expr {
        ast::Expr::Tuple(parts) if parts.len() > 1 => Some(parts),
        _ => None,
    }
}

/// The name an operator has in `pg_operator`.
fn operator_name(op: &BinaryOperator) -> SqlResult<String> {
    use BinaryOperator as B;
    let name = match op {
        B::Plus => "+",
        B::Minus => "-",
        B::Multiply => "*",
        B::Divide => "/",
        B::Modulo => "%",
        B::StringConcat => "||",
        B::Gt => ">",
        B::Lt => "<",
        B::GtEq => ">=",
        B::LtEq => "<=",
        B::Eq => "=",
        B::NotEq => "<>",
        B::BitwiseOr => "|",
        B::BitwiseAnd => "&",
        B::PGBitwiseXor => "#",
        B::PGBitwiseShiftLeft => "<<",
        B::PGBitwiseShiftRight => ">>",
        B::PGExp => "^",
        B::BitwiseXor => "^",
        B::PGRegexMatch => "~",
        B::PGRegexIMatch => "~*",
        B::PGRegexNotMatch => "!~",
        B::PGRegexNotIMatch => "!~*",
        B::PGLikeMatch => "~~",
        B::PGILikeMatch => "~~*",
        B::PGNotLikeMatch => "!~~",
        B::PGNotILikeMatch => "!~~*",
        B::PGStartsWith => "^@",
        B::Arrow => "->",
        B::LongArrow => "->>",
        B::HashArrow => "#>",
        B::HashLongArrow => "#>>",
        B::AtArrow => "@>",
        B::ArrowAt => "<@",
        B::Custom(name) => name,
        B::PGCustomBinaryOperator(parts) => {
            return match parts.as_slice() {
                [.., name] => Ok(name.clone()),
                [] => Err(SqlError::unsupported("an operator without a name")),
            };
        }
        other => return Err(SqlError::unsupported(format_args!("operator {other}"))),
    };
    Ok(name.to_owned())
}
