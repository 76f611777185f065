//! Reading tokens for our own grammar, beside sqlparser's parser and over the same tokens.

use std::time::Duration;

use sqlparser::ast::Ident;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::error;
use super::names::fold;
use super::source::Source;
use crate::base::{SqlError, SqlResult};

/// A place in the tokens of a query text.
pub struct Cursor<'a> {
    parser: Parser<'a>,
    tokens: &'a [TokenWithSpan],
    source: &'a Source<'a>,
}

impl<'a> Cursor<'a> {
    pub fn new(
        parser: Parser<'a>,
        tokens: &'a [TokenWithSpan],
        source: &'a Source<'a>,
    ) -> Cursor<'a> {
        Cursor { parser, tokens, source }
    }

    /// The token that comes next; blanks and comments are skipped.
    pub fn next(&self) -> &TokenWithSpan {
        self.parser.peek_token_ref()
    }

    pub fn at_end(&self) -> bool {
        self.next().token == Token::EOF
    }

    /// The error that names the next token.
    pub fn unexpected(&self) -> SqlError {
        error::unexpected(self.source, self.next())
    }

    /// Runs one of sqlparser's own functions here.
    pub fn foreign<T>(
        &mut self,
        read: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>,
    ) -> SqlResult<T> {
        match read(&mut self.parser) {
            Ok(value) => Ok(value),
            Err(e) => Err(error::from_parser(self.source, self.tokens, self.next(), &e)),
        }
    }

    /// Whether the next words are these, in upper case; reads nothing.
    pub fn sees(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| {
            matches!(&self.parser.peek_nth_token_ref(n).token, Token::Word(w)
                if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
        })
    }

    /// Reads these words if they come next.
    pub fn words(&mut self, words: &[&str]) -> bool {
        if !self.sees(words) {
            return false;
        }
        for _ in words {
            self.parser.advance_token();
        }
        true
    }

    /// Reads one word if it comes next.
    pub fn word(&mut self, word: &str) -> bool {
        self.words(&[word])
    }

    pub fn expect_word(&mut self, word: &str) -> SqlResult<()> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Reads a token if it comes next.
    pub fn token(&mut self, token: &Token) -> bool {
        self.parser.consume_token(token)
    }

    pub fn expect_token(&mut self, token: &Token) -> SqlResult<()> {
        if self.token(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub fn ident(&mut self) -> SqlResult<Ident> {
        match &self.next().token {
            Token::Word(word) => {
                let ident = word.to_ident(self.next().span);
                self.parser.advance_token();
                Ok(ident)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// An identifier in its stored spelling.
    pub fn name(&mut self) -> SqlResult<String> {
        self.ident().map(|ident| fold(&ident))
    }

    /// `name, name, …`.
    pub fn names(&mut self) -> SqlResult<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.token(&Token::Comma) {
            names.push(self.name()?);
        }
        Ok(names)
    }

    /// A string literal.
    pub fn string(&mut self) -> SqlResult<String> {
        match self.optional_string() {
            Some(text) => Ok(text),
            None => Err(self.unexpected()),
        }
    }

    /// A string literal, if one comes next.
    pub fn optional_string(&mut self) -> Option<String> {
        let text = match &self.next().token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return None,
        };
        self.parser.advance_token();
        Some(text)
    }

    /// The digits of a number, if one comes next.
    pub fn optional_number(&mut self) -> Option<String> {
        let Token::Number(digits, _) = &self.next().token else { return None };
        let digits = digits.clone();
        self.parser.advance_token();
        Some(digits)
    }

    /// A number of seconds, which may have decimals.
    pub fn seconds(&mut self) -> SqlResult<Duration> {
        let Token::Number(digits, _) = &self.next().token else { return Err(self.unexpected()) };
        let seconds = digits.parse().ok().filter(|seconds| *seconds <= f64::from(u32::MAX));
        let Some(seconds) = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()) else {
            return Err(self.unexpected());
        };
        self.parser.advance_token();
        Ok(seconds)
    }

    /// Skips to the end of the statement.
    pub fn skip_statement(&mut self) {
        while !self.at_end() && self.next().token != Token::SemiColon {
            self.parser.advance_token();
        }
    }
}
