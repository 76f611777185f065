//! How sqlparser reads our text: its PostgreSQL, with PostgreSQL's precedence of operators.
//!
//! From `gram.y` of PostgreSQL 15, loosest first; what binds tighter takes its operands first:
//!
//! | level | operators | associates |
//! |---|---|---|
//! | OR, AND, NOT | | left, left, right |
//! | IS | `IS …`, `ISNULL`, `NOTNULL` | none |
//! | comparison | `<` `>` `=` `<=` `>=` `<>` | none |
//! | pattern | `BETWEEN` `IN` `LIKE` `ILIKE` `SIMILAR` | none |
//! | other | every operator that is on no other level, before its operand too; `OPERATOR(…)` | left |
//! | sum, product, power | `+` `-`, `*` `/` `%`, `^` | left |
//! | AT, COLLATE | | left |
//! | sign | `+` `-` before an operand | right |
//! | subscript, cast, field | `[…]`, `::`, `.` | left |
//!
//! So `-2 ^ 2` is 4, and `~1 + 1` is `~(1 + 1)`. Where a level does not associate, `a = b = c` is a
//! syntax error, unless the end of the left operand is plain to see: `a IS NULL IS NULL`.
//!
//! What is printed of a tree must read as the same tree, since column defaults are kept as text. So an
//! operand that begins with an operator is put in parentheses: sqlparser prints `- -2` as `--2`.

use std::any::TypeId;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

/// The dialect of every text.
#[derive(Debug)]
pub struct BasaltDialect {
    /// Whether `a JOIN b JOIN c ON … ON …` is read, as PostgreSQL does: sqlparser goes one call deeper
    /// for each JOIN that waits for its ON, and bounds that by nothing.
    pub nests_joins: bool,
}

static BASE: PostgreSqlDialect = PostgreSqlDialect {};

/// As tight as COLLATE: sqlparser has no name for it.
const COLLATE: u8 = 120;
/// Of a word that is no operator.
const NONE: u8 = 0;

macro_rules! as_postgresql {
    ($($name:ident)*) => {
        $(fn $name(&self) -> bool {
            BASE.$name()
        })*
    };
}

impl Dialect for BasaltDialect {
    /// sqlparser asks for this where it asks whether the dialect is PostgreSQL's.
    fn dialect(&self) -> TypeId {
        BASE.dialect()
    }

    /// No operators but those sqlparser knows: [`super::tokens`] makes them whole.
    fn is_custom_operator_part(&self, _: char) -> bool {
        false
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        let precedence = match &parser.peek_token_ref().token {
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk
            | Token::Spaceship => self.prec_value(Precedence::PgOther),
            Token::Word(word) => match self.precedence_of_word(word, parser) {
                Some(precedence) => precedence,
                None => return BASE.get_next_precedence(parser),
            },
            _ => return BASE.get_next_precedence(parser),
        };
        Some(Ok(precedence))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        BASE.prec_value(precedence)
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if let Some(expr) = plain_operand(parser) {
            return Some(expr);
        }
        let other = self.prec_value(Precedence::PgOther);
        let (op, precedence) = match &parser.peek_token_ref().token {
            Token::Minus => (UnaryOperator::Minus, COLLATE),
            Token::Plus => (UnaryOperator::Plus, COLLATE),
            Token::Tilde => (UnaryOperator::BitwiseNot, other),
            Token::AtSign => (UnaryOperator::PGAbs, other),
            Token::PGSquareRoot => (UnaryOperator::PGSquareRoot, other),
            Token::PGCubeRoot => (UnaryOperator::PGCubeRoot, other),
            // sqlparser would take `NOT EXISTS (…)` for one operand.
            Token::Word(word) if is_word(word, "NOT") && next_is_exists(parser) => {
                (UnaryOperator::Not, self.prec_value(Precedence::UnaryNot))
            }
            _ => return None,
        };
        parser.advance_token();
        let operand = parser.parse_subexpr(precedence);
        Some(operand.map(|operand| Expr::UnaryOp { op, expr: Box::new(printable(operand)) }))
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        left: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let level = level_of_next(parser)?;
        (open_level(left) == Some(level))
            .then(|| parser.expected_ref("another operator", parser.peek_token_ref()))
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        BASE.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        BASE.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        BASE.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        BASE.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        BASE.is_reserved_for_identifier(keyword)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser) -> bool {
        BASE.is_table_alias(keyword, parser)
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        !self.nests_joins
    }

    as_postgresql! {
        allow_extract_custom
        allow_extract_single_quotes
        supports_aliased_function_args
        supports_alter_column_type_using
        supports_alter_user_as_alter_role
        supports_array_typedef_with_brackets
        supports_bitwise_shift_operators
        supports_comma_separated_trim
        supports_comment_on
        supports_comment_optimizer_hint
        supports_create_index_with_clause
        supports_create_table_like_parenthesized
        supports_empty_projections
        supports_exclude_constraint
        supports_explain_with_utility_options
        supports_factorial_operator
        supports_filter_during_aggregation
        supports_geometric_types
        supports_group_by_expr
        supports_insert_table_alias
        supports_interval_options
        supports_listen_notify
        supports_load_extension
        supports_named_fn_args_with_colon_operator
        supports_named_fn_args_with_expr_name
        supports_nested_comments
        supports_notnull_operator
        supports_numeric_literal_underscores
        supports_order_by_using_operator
        supports_select_wildcard_with_alias
        supports_set_names
        supports_string_escape_constant
        supports_unicode_string_literal
        supports_xml_expressions
    }
}

impl BasaltDialect {
    /// `None`: as sqlparser has it.
    fn precedence_of_word(&self, word: &Word, parser: &Parser) -> Option<u8> {
        match word.keyword {
            Keyword::OPERATOR => Some(self.prec_value(Precedence::PgOther)),
            // Operators of other databases, names in this one.
            Keyword::DIV
            | Keyword::GLOB
            | Keyword::MATCH
            | Keyword::MEMBER
            | Keyword::REGEXP
            | Keyword::RLIKE
            | Keyword::XOR => Some(NONE),
            // A column's constraint.
            Keyword::NOT => match &parser.peek_nth_token_ref(1).token {
                Token::Word(next) if next.keyword == Keyword::NULL => Some(NONE),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A level whose operators do not associate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Is,
    Comparison,
    Pattern,
}

/// The level of the operator that comes next.
fn level_of_next(parser: &Parser) -> Option<Level> {
    match &parser.peek_token_ref().token {
        Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => {
            Some(Level::Comparison)
        }
        Token::Word(word) => match word.keyword {
            Keyword::IS | Keyword::NOTNULL => Some(Level::Is),
            Keyword::NOT
            | Keyword::BETWEEN
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR => Some(Level::Pattern),
            _ => None,
        },
        _ => None,
    }
}

/// The level of an operator whose last operand ends where `expr` ends.
fn open_level(expr: &Expr) -> Option<Level> {
    use BinaryOperator as B;
    match expr {
        Expr::BinaryOp { op: B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq, .. } => {
            Some(Level::Comparison)
        }
        Expr::Between { .. } | Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } => {
            Some(Level::Pattern)
        }
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => Some(Level::Is),
        _ => None,
    }
}

/// The operand of an operator that is printed right before it.
fn printable(operand: Expr) -> Expr {
    if begins_with_sign(&operand) { Expr::Nested(Box::new(operand)) } else { operand }
}

fn begins_with_sign(mut expr: &Expr) -> bool {
    loop {
        expr = match expr {
            Expr::UnaryOp { op, .. } => return *op != UnaryOperator::Not,
            Expr::BinaryOp { left, .. } => left,
            Expr::Cast { expr, .. }
            | Expr::Collate { expr, .. }
            | Expr::AtTimeZone { timestamp: expr, .. }
            | Expr::CompoundFieldAccess { root: expr, .. } => expr,
            _ => return false,
        }
    }
}

/// Whether a word is `keyword`, given in upper case, without quotes.
fn is_word(word: &Word, keyword: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(keyword)
}

/// The operand that comes next, where a glance tells what sqlparser would make of it: a constant, or a
/// name that stands alone. sqlparser first tries whether it is a type before a constant, and makes an error
/// message in words when it is not.
fn plain_operand(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let next = parser.peek_token_ref();
    match &next.token {
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => {
            Some(parser.parse_value().map(Expr::Value))
        }
        Token::Word(word)
            if word.keyword == Keyword::NoKeyword
                && ends_name(&parser.peek_nth_token_ref(1).token) =>
        {
            let name = word.to_ident(next.span);
            parser.advance_token();
            Some(Ok(Expr::Identifier(name)))
        }
        _ => None,
    }
}

/// Whether what stands before is neither a function, nor a type before a constant. What a period stands
/// behind may be one: `s.t[] '{}'`.
fn ends_name(token: &Token) -> bool {
    matches!(
        token,
        Token::EOF
            | Token::SemiColon
            | Token::Comma
            | Token::RParen
            | Token::DoubleColon
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
    )
}

fn next_is_exists(parser: &Parser) -> bool {
    matches!(&parser.peek_nth_token_ref(1).token, Token::Word(word) if is_word(word, "EXISTS"))
}
