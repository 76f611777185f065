//! The tokens of a text, as PostgreSQL's lexer has them.
//!
//! sqlparser cuts `a!=-1` into the operators it knows. PostgreSQL reads all signs up to something else
//! as one operator, but for a `+` or `-` at its end if it holds none of `` ~ ! @ # % ^ & | ? ` ``
//! (the manual, 4.1.3). So signs that touch are put together and cut anew:
//!
//! ```text
//! a>=-1     a  >=  -  1
//! a!=-1     a  !=-  1        an operator that does not exist
//! ```
//!
//! And `a ISNULL`, which sqlparser does not know, is spelled out as `a IS NULL`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::source::Source;
use super::{DIALECT, error};
use crate::base::SqlResult;

const SIGNS: &[u8] = b"+-*/<>=~!@#%^&|?`";
/// Signs that keep a `+` or `-` at the end of their operator.
const KEEPING: [char; 10] = ['~', '!', '@', '#', '%', '^', '&', '|', '?', '`'];

/// All tokens, blanks and comments too. Error: 42601 where a token does not end.
pub fn tokens(source: &Source<'_>) -> SqlResult<Vec<TokenWithSpan>> {
    let mut tokens = Vec::with_capacity(source.text().len().min(USUAL_BYTES_MAX) / BYTES_A_TOKEN);
    Tokenizer::new(&DIALECT, source.text())
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|e| error::from_tokenizer(source, &e))?;
    tokens.iter_mut().for_each(|token| replace(&mut token.token));
    Ok(with_is_null(with_whole_operators(tokens, source)))
}

/// For the first guess of how many tokens a text has: blanks are tokens, too.
const BYTES_A_TOKEN: usize = 2;
const USUAL_BYTES_MAX: usize = 4 << 10;

/// The tokens with signs that touch cut anew.
fn with_whole_operators(tokens: Vec<TokenWithSpan>, source: &Source<'_>) -> Vec<TokenWithSpan> {
    let touch = |pair: &[TokenWithSpan]| {
        pair[0].span.end == pair[1].span.start && pair.iter().all(|token| is_sign(&token.token))
    };
    if !tokens.windows(2).any(touch) {
        return tokens;
    }
    let mut whole: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let mut end = is_sign(&token.token).then_some(token.span.end);
        let from = whole.len();
        whole.push(token);
        while let Some(token) =
            tokens.next_if(|next| end == Some(next.span.start) && is_sign(&next.token))
        {
            end = Some(token.span.end);
            whole.push(token);
        }
        cut_anew(&mut whole, from, source);
    }
    whole
}

/// The tokens with `IS NULL` for each ISNULL that is an operator. The dialect could read it too, but
/// has to copy its operand for that.
fn with_is_null(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = isnull_places(&tokens);
    if places.is_empty() {
        return tokens;
    }
    let mut places = places.into_iter().peekable();
    let mut result = Vec::with_capacity(tokens.len() + places.len());
    for (at, mut token) in tokens.into_iter().enumerate() {
        let span = token.span;
        let is_operator = places.next_if_eq(&at).is_some();
        if let (true, Token::Word(word)) = (is_operator, &mut token.token) {
            word.keyword = Keyword::IS;
        }
        result.push(token);
        if is_operator {
            result.push(TokenWithSpan { token: Token::make_keyword("NULL"), span });
        }
    }
    result
}

/// Where ISNULL is an operator. PostgreSQL has it as a name only of functions and types, of labels
/// behind AS, and behind a period.
fn isnull_places(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut may_be_name = false;
    let mut open = None;
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.token, Token::Whitespace(_)) {
            continue;
        }
        places.extend(open.take().filter(|_| token.token != Token::LParen));
        let word = match &token.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word),
            _ => None,
        };
        let is_isnull = word.is_some_and(|word| word.value.eq_ignore_ascii_case("ISNULL"));
        open = (is_isnull && !may_be_name).then_some(at);
        may_be_name = match &token.token {
            Token::Period | Token::DoubleColon => true,
            _ => word.is_some_and(|word| word.keyword == Keyword::AS),
        };
    }
    places.extend(open);
    places
}

/// Puts another token in the place of one that sqlparser would read, or print, wrongly.
fn replace(token: &mut Token) {
    match token {
        Token::DoubleEq => *token = unknown("=="),
        // It guesses which quotes in a string are doubled already, but not in E'…'.
        Token::SingleQuotedString(text) | Token::NationalStringLiteral(text)
            if text.contains('\'') =>
        {
            *token = Token::EscapedStringLiteral(std::mem::take(text));
        }
        _ => {}
    }
}

/// Cuts the tokens from `from` on, signs that touch if there are several, as PostgreSQL does.
fn cut_anew(tokens: &mut Vec<TokenWithSpan>, from: usize, source: &Source<'_>) {
    let [first, .., last] = &tokens[from..] else { return };
    let mut start = first.span.start;
    let operators = operators(source.slice(Span { start, end: last.span.end }));
    let lengths = tokens[from..].iter().map(|t| t.span.end.column - t.span.start.column);
    if lengths.eq(operators.iter().map(|operator| operator.len() as u64)) {
        return;
    }
    tokens.truncate(from);
    for operator in operators {
        let end = Location { line: start.line, column: start.column + operator.len() as u64 };
        tokens.push(TokenWithSpan { token: token_of(operator), span: Span { start, end } });
        start = end;
    }
}

/// Signs that touch, cut into operators.
fn operators(signs: &str) -> Vec<&str> {
    if signs.contains(KEEPING) {
        return vec![signs];
    }
    let first = signs.trim_end_matches(['+', '-']).len().max(1).min(signs.len());
    let (first, rest) = signs.split_at(first);
    std::iter::once(first).chain(rest.split_inclusive(|_| true)).collect()
}

fn token_of(operator: &str) -> Token {
    let known = Tokenizer::new(&DIALECT, operator).tokenize().ok();
    match known.as_deref() {
        Some([token]) if *token != Token::DoubleEq => token.clone(),
        _ => unknown(operator),
    }
}

/// An operator that neither has. (sqlparser takes `==` for `=`.)
fn unknown(operator: &str) -> Token {
    Token::CustomBinaryOperator(operator.to_owned())
}

fn is_sign(token: &Token) -> bool {
    match token {
        Token::Word(_) | Token::Whitespace(_) | Token::Number(..) => false,
        Token::LParen | Token::RParen | Token::Comma | Token::Period | Token::SemiColon => false,
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) => false,
        Token::DollarQuotedString(_) | Token::Placeholder(_) | Token::EOF => false,
        Token::Eq | Token::Lt | Token::Gt | Token::Plus | Token::Minus | Token::Mul => true,
        other => other.to_string().bytes().all(|byte| SIGNS.contains(&byte)),
    }
}
