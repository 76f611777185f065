//! `TABLE t`: another way to write `SELECT * FROM t`, which sqlparser takes for a table only in places.
//!
//! ```text
//! (TABLE t) UNION ALL TABLE u     (SELECT * FROM t) UNION ALL SELECT * FROM u
//! ```
//!
//! Left out: `INSERT INTO t TABLE u` and `WITH … TABLE u`, which are syntax errors.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The tokens of a statement, with `SELECT * FROM` in the place of each TABLE that begins a query.
pub fn spelled_out(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = places(&tokens);
    if places.is_empty() {
        return tokens;
    }
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
    result
}

/// Where a TABLE begins a query: first, in parentheses, or behind a set operation, before a name.
fn places(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut may_begin = true;
    let mut table = None;
    for (at, token) in tokens.iter().enumerate() {
        let keyword = match &token.token {
            Token::Whitespace(_) => continue,
            Token::Word(word) => {
                places.extend(table.take());
                word.keyword
            }
            _ => Keyword::NoKeyword,
        };
        table = (may_begin && keyword == Keyword::TABLE).then_some(at);
        may_begin = match keyword {
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::EXPLAIN => true,
            Keyword::ALL | Keyword::DISTINCT => may_begin,
            _ => token.token == Token::LParen,
        };
    }
    places
}
