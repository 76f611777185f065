//! From text to statements.
//!
//! sqlparser has no engines, no distribution, no tiers, and takes `SHOW` and `SET` as MySQL does.
//! So a statement is read in three steps: statements that start with words of ours by our own
//! small grammar ([`own`]), everything else by sqlparser, then our clauses behind a DDL statement
//! ([`tail`]):
//!
//! ```text
//! CREATE TABLE w (id int PRIMARY KEY)  USING memtx DISTRIBUTED BY (id)
//! └──────────── sqlparser ───────────┘ └──────────── tail ───────────┘
//! ```
//!
//! Its operators are PostgreSQL's: [`tokens`] cuts them, [`dialect`] says which binds tighter.
//!
//! A text with several statements is cut into [`pieces`] first, and read piece by piece. Text from
//! outside can neither panic nor overflow the stack: the tokens are checked first
//! ([`check_depth`]), and sqlparser bounds its own recursion.

mod cursor;
mod dialect;
mod error;
pub mod names;
mod own;
pub mod pieces;
pub mod source;
pub mod statement;
mod table_query;
mod tail;
mod tokens;

pub use error::moved;
pub use names::{fold, object_name};
pub use pieces::{Piece, Pieces};
pub use source::Source;
pub use statement::*;

use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::base::{SqlError, SqlResult, SqlState};
use cursor::Cursor;
use dialect::BasaltDialect;

/// The longest query text, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;
/// Operators that may be pending at one place: bounds the depth of the tree, which is left-deep.
pub const OPERATORS_MAX: usize = 2_000;
/// Nesting of statements, expressions and queries that the parser goes into. sqlparser moves to a
/// larger stack for expressions and queries, but not for `EXPLAIN EXPLAIN …`, which takes 17 KiB a
/// level of a thread's 2 MiB.
const RECURSION_MAX: usize = 104;
/// Parentheses open at one place: more than the parser goes into, so none need be tried.
const NESTING_MAX: usize = 2 * RECURSION_MAX;

/// JOINs of a text in which one may wait for its ON behind others, without parentheses.
const NESTED_JOINS_MAX: usize = 8;

static DIALECT: BasaltDialect = BasaltDialect { nests_joins: true };
static DIALECT_OF_MANY_JOINS: BasaltDialect = BasaltDialect { nests_joins: false };

/// The statements of a query text, none of them read yet. Error: 54001 for a text that is too long.
pub fn pieces(text: &str) -> SqlResult<Pieces<'_>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(error::too_complex("The query text is longer than 16 MiB."));
    }
    Ok(Pieces::new(text))
}

/// All statements of a query text, in order; none for blanks, comments and semicolons.
pub fn parse(text: &str) -> SqlResult<Vec<Parsed>> {
    pieces(text)?.map(|piece| parse_piece(text, piece)).collect()
}

/// The only statement of a query text; `None` for blanks and comments. Error: 42601 for several.
pub fn parse_only(text: &str) -> SqlResult<Option<Parsed>> {
    let mut pieces = pieces(text)?;
    let Some(piece) = pieces.next() else { return Ok(None) };
    let parsed = parse_piece(text, piece)?;
    if pieces.next().is_some() {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    Ok(Some(parsed))
}

/// The statement of a piece of `text`. Errors have their positions in the whole text.
pub fn parse_piece(text: &str, piece: Piece) -> SqlResult<Parsed> {
    let Piece { range, end, closed } = piece;
    let stmt = statement_of(&text[range.start..end], closed);
    let stmt = stmt.map_err(|e| moved(e, text, range.start))?;
    Ok(Parsed { stmt, range })
}

/// The statement that `text` begins with and, where `closed`, ends with a semicolon.
fn statement_of(text: &str, closed: bool) -> SqlResult<Stmt> {
    let source = Source::new(text);
    let tokens = table_query::spelled_out(tokens::tokens(&source)?, &source)?;
    let mut cursor = Cursor::new(parser_of(&tokens)?, &tokens, &source);
    let stmt = parse_one(&mut cursor)?;
    if cursor.token(&Token::SemiColon) == closed && cursor.at_end() {
        return Ok(stmt);
    }
    Err(cursor.unexpected())
}

/// The only expression of a text, as stored for a column default.
pub fn parse_expression(text: &str) -> SqlResult<sqlparser::ast::Expr> {
    let source = Source::new(text);
    let tokens = tokens::tokens(&source)?;
    let mut cursor = Cursor::new(parser_of(&tokens)?, &tokens, &source);
    let expression = cursor.foreign(Parser::parse_expr)?;
    if cursor.at_end() { Ok(expression) } else { Err(cursor.unexpected()) }
}

/// A parser that no text can make recurse too deeply. Error: 54001 for a tree that would be too deep.
fn parser_of(tokens: &[TokenWithSpan]) -> SqlResult<Parser<'static>> {
    check_depth(tokens)?;
    let joins = tokens.iter().filter(|token| keyword_of(&token.token) == Keyword::JOIN).count();
    let dialect = if joins <= NESTED_JOINS_MAX { &DIALECT } else { &DIALECT_OF_MANY_JOINS };
    Ok(Parser::new(dialect)
        .with_recursion_limit(RECURSION_MAX)
        .with_tokens_with_locations(tokens.to_vec()))
}

fn keyword_of(token: &Token) -> Keyword {
    match token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

fn parse_one(cursor: &mut Cursor<'_>) -> SqlResult<Stmt> {
    if let Some(stmt) = own::parse(cursor)? {
        return Ok(stmt);
    }
    // Boxed at once: it is large, and moved often.
    let statement = cursor.foreign(|parser| parser.parse_statement().map(Box::new))?;
    if tail::is_ddl(&statement) {
        return Ok(Stmt::Ddl(Box::new(tail::parse(cursor, *statement)?)));
    }
    Ok(Stmt::Sql(statement))
}

/// Refuses text whose tree would be deeper than what recursive code can walk.
///
/// sqlparser reads `1 + 1 + 1 …` in a loop, so its recursion limit does not see the depth of the
/// left-deep tree it builds. Each operator token may add one level to the tree at its level of
/// parentheses, on top of the deepest of what stands there in parentheses; a comma starts over, but
/// not for set operations, which have lists as operands:
///
/// ```text
/// f((a + b + c) + d, x)                 2 + 1 operators are on one path: a, b, c, d
/// SELECT a, b UNION SELECT c, d + e     1 + 1
/// ```
fn check_depth(tokens: &[TokenWithSpan]) -> SqlResult<()> {
    let mut levels = vec![Level::default()];
    let mut pending = 0;
    for token in tokens {
        let nested = levels.len() > 1;
        let level = levels.last_mut().expect("one level is always open");
        match &token.token {
            Token::LParen | Token::LBracket => {
                // `a[1][1] …` goes deeper, too.
                let operators = usize::from(token.token == Token::LBracket);
                level.operators += operators;
                pending += operators;
                levels.push(Level::default());
            }
            Token::RParen | Token::RBracket if nested => {
                let closed = levels.pop().expect("more than one is open");
                pending -= closed.pending();
                let outer = levels.last_mut().expect("one level is always open");
                outer.deepest = outer.deepest.max(closed.depth() + 1);
            }
            Token::Comma | Token::SemiColon => {
                pending -= level.operators;
                *level = level.behind_comma();
            }
            other if is_set_operation(other) => {
                level.set_operations += 1;
                pending += 1;
            }
            other if is_operator(other) => {
                level.operators += 1;
                pending += 1;
            }
            _ => {}
        }
        if levels.len() > NESTING_MAX {
            return Err(error::too_complex("The text is nested too deeply."));
        }
        let level = levels.last().expect("one level is always open");
        if pending - level.pending() + level.depth() > OPERATORS_MAX {
            return Err(error::too_complex("An expression has too many operators."));
        }
    }
    Ok(())
}

/// What was read of one level of parentheses.
#[derive(Default)]
struct Level {
    set_operations: usize,
    /// Other operators since the last comma.
    operators: usize,
    /// The depth of the deepest parentheses since the last comma.
    deepest: usize,
    /// The depth of what comes before the last comma, without set operations.
    before: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.set_operations + self.depth_of_operand()
    }

    fn pending(&self) -> usize {
        self.set_operations + self.operators
    }

    /// The depth under the set operations.
    fn depth_of_operand(&self) -> usize {
        self.before.max(self.operators + self.deepest)
    }

    fn behind_comma(&self) -> Level {
        let (set_operations, before) = (self.set_operations, self.depth_of_operand());
        Level { set_operations, before, ..Level::default() }
    }
}

/// MINUS is sqlparser's, which takes it for EXCEPT.
fn is_set_operation(token: &Token) -> bool {
    matches!(
        keyword_of(token),
        Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS
    )
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::NOTNULL
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::OPERATOR
                | Keyword::OVERLAPS
                | Keyword::JOIN
                | Keyword::PIVOT
                | Keyword::UNPIVOT
        ),
        Token::EOF | Token::Whitespace(_) | Token::Number(..) | Token::Char(_) => false,
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Period => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
