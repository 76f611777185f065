//! `TABLE t`: another way to write `SELECT * FROM t`, which sqlparser takes for a table only in places.
//!
//! ```text
//! (TABLE t) UNION ALL TABLE u     (SELECT * FROM t) UNION ALL SELECT * FROM u
//! ```
//!
//! Behind the name the query must end, but for a set operation, ORDER BY, LIMIT and the like: it is
//! no FROM clause.
//!
//! Left out: `INSERT INTO t TABLE u` and `WITH … TABLE u`, which are syntax errors.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::source::Source;
use super::{error, keyword_of};
use crate::base::SqlResult;

/// The tokens of a statement, with `SELECT * FROM` in the place of each TABLE that begins a query.
/// Error: 42601 for what may not stand behind the table.
pub fn spelled_out(
    tokens: Vec<TokenWithSpan>,
    source: &Source<'_>,
) -> SqlResult<Vec<TokenWithSpan>> {
    if !tokens.iter().any(|token| keyword_of(&token.token) == Keyword::TABLE) {
        return Ok(tokens);
    }
    let places = match places(&tokens) {
        Ok(places) => places,
        Err(unexpected) => return Err(error::unexpected(source, &tokens[unexpected])),
    };
    let mut places = places.into_iter().peekable();
    let mut result = Vec::with_capacity(tokens.len() + 2 * places.len());
    for (at, token) in tokens.into_iter().enumerate() {
        if places.next_if_eq(&at).is_none() {
            result.push(token);
            continue;
        }
        let words = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
        result.extend(words.map(|word| TokenWithSpan { token: word, span: token.span }));
    }
    Ok(result)
}

/// Where a TABLE begins a query: first, in parentheses, or behind a set operation, before a name.
/// Error: where something follows that may not.
fn places(tokens: &[TokenWithSpan]) -> Result<Vec<usize>, usize> {
    let is_blank = |at: &usize| matches!(tokens[*at].token, Token::Whitespace(_));
    let visible: Vec<usize> = (0..tokens.len()).filter(|at| !is_blank(at)).collect();
    let token = |nth: usize| visible.get(nth).map(|at| &tokens[*at].token);
    let mut places = Vec::new();
    let mut may_begin = true;
    for nth in begin_of_query(&token)..visible.len() {
        let keyword = token(nth).map_or(Keyword::NoKeyword, keyword_of);
        if may_begin && keyword == Keyword::TABLE && matches!(token(nth + 1), Some(Token::Word(_)))
        {
            let end = end_of_name(nth + 1, &token);
            if !token(end).is_none_or(may_follow) {
                return Err(visible[end]);
            }
            places.push(visible[nth]);
        }
        may_begin = match keyword {
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT => true,
            Keyword::ALL | Keyword::DISTINCT => may_begin,
            _ => token(nth) == Some(&Token::LParen),
        };
    }
    Ok(places)
}

/// The place behind EXPLAIN and its options, if the statement begins with them.
fn begin_of_query<'a>(token: &impl Fn(usize) -> Option<&'a Token>) -> usize {
    let keyword = |nth| token(nth).map_or(Keyword::NoKeyword, keyword_of);
    if keyword(0) != Keyword::EXPLAIN {
        return 0;
    }
    let is_option = |nth: &usize| match token(1) {
        Some(Token::LParen) => token(nth - 1) != Some(&Token::RParen) && token(*nth).is_some(),
        _ => matches!(keyword(*nth), Keyword::ANALYZE | Keyword::VERBOSE),
    };
    1 + (1..).take_while(is_option).count()
}

/// The place behind `[ONLY] name [*]`.
fn end_of_name<'a>(begin: usize, token: &impl Fn(usize) -> Option<&'a Token>) -> usize {
    let is_only = token(begin).is_some_and(|token| keyword_of(token) == Keyword::ONLY);
    let mut end = begin + 1;
    if is_only && matches!(token(end), Some(Token::Word(_))) {
        end += 1;
    }
    while token(end) == Some(&Token::Period) {
        end += 2;
    }
    if token(end) == Some(&Token::Mul) { end + 1 } else { end }
}

/// Whether `TABLE t` may have this behind it.
fn may_follow(token: &Token) -> bool {
    matches!(token, Token::RParen | Token::SemiColon)
        || matches!(
            keyword_of(token),
            Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::FOR
        )
}
