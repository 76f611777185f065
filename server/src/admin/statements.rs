//! Cuts typed text into statements at the semicolons that end one.
//!
//! A semicolon inside quotes, dollar quotes or comments ends nothing. The scan goes byte by byte:
//! every delimiter is ASCII, and UTF-8 has no ASCII byte inside another character.

/// Text on its way to becoming statements.
#[derive(Debug, Default)]
pub struct Statements {
    text: String,
}

impl Statements {
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Whether a statement has begun and not ended.
    pub fn is_within(&self) -> bool {
        !self.text.trim().is_empty()
    }

    /// The next whole statement, without its semicolon; empty ones are left out.
    pub fn next_statement(&mut self) -> Option<String> {
        loop {
            let end = statement_end(self.text.as_bytes())?;
            let rest = self.text.split_off(end + 1);
            let mut statement = std::mem::replace(&mut self.text, rest);
            statement.pop();
            if !statement.trim().is_empty() {
                return Some(statement);
            }
        }
    }

    /// What is left after the last semicolon.
    pub fn take_rest(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// Where the first statement's semicolon is.
fn statement_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        at = match text[at] {
            b';' => return Some(at),
            b'\'' => {
                let escapes = at > 0
                    && matches!(text[at - 1], b'e' | b'E')
                    && !(at > 1 && is_name_byte(text[at - 2]));
                quoted_end(text, at, escapes)?
            }
            b'"' => quoted_end(text, at, false)?,
            b'-' if text[at..].starts_with(b"--") => at + find(&text[at..], b"\n")?,
            b'/' if text[at..].starts_with(b"/*") => comment_end(text, at)?,
            b'$' if at == 0 || !is_name_byte(text[at - 1]) => dollar_end(text, at)?,
            _ => at + 1,
        };
    }
    None
}

/// After the quote that closes the one at `start`. A doubled quote closes and opens again.
fn quoted_end(text: &[u8], start: usize, escapes: bool) -> Option<usize> {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' if escapes => at += 2,
            byte if byte == text[start] => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// After the comment that begins at `start`; comments nest.
fn comment_end(text: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0;
    let mut at = start;
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    None
}

/// After the dollar-quoted text that begins at `start`, or after the dollar if none does.
fn dollar_end(text: &[u8], start: usize) -> Option<usize> {
    let name = text[start + 1..].iter().take_while(|byte| is_name_byte(**byte)).count();
    let close = start + 1 + name;
    let is_parameter = text.get(start + 1).is_some_and(u8::is_ascii_digit);
    if is_parameter || text.get(close) != Some(&b'$') {
        return Some(start + 1);
    }
    let tag = &text[start..=close];
    Some(close + 1 + find(&text[close + 1..], tag)? + tag.len())
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> (Vec<String>, String) {
        let mut statements = Statements::default();
        statements.push(text);
        let mut all = Vec::new();
        while let Some(statement) = statements.next_statement() {
            all.push(statement.trim().to_owned());
        }
        (all, statements.take_rest().trim().to_owned())
    }

    #[test]
    fn semicolons_end_statements_unless_quoted_or_commented() {
        let cases = [
            ("select 1; select 2;", &["select 1", "select 2"][..], ""),
            ("select ';' ; x", &["select ';'"], "x"),
            ("select 'it''s;' ;", &["select 'it''s;'"], ""),
            (r"select e'\';' ;", &[r"select e'\';'"], ""),
            (r"select '\';", &[r"select '\'"], ""),
            (r#"select ";" ;"#, &[r#"select ";""#], ""),
            ("-- a; b\nselect 1;", &["-- a; b\nselect 1"], ""),
            ("/* a; /* b; */ c; */ select 1;", &["/* a; /* b; */ c; */ select 1"], ""),
            ("select $$;$$;", &["select $$;$$"], ""),
            ("select $a$;$$;$a$;", &["select $a$;$$;$a$"], ""),
            ("select $1; select a$b;", &["select $1", "select a$b"], ""),
            (";; ;", &[], ""),
            ("select 'open;", &[], "select 'open;"),
        ];
        for (text, statements, rest) in cases {
            let (all, left) = split(text);
            assert_eq!(all, statements, "{text}");
            assert_eq!(left, rest, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(text in r"[a;'$/*\\\-\nüe ]{0,40}") {
            let (all, rest) = split(&text);
            let kept: String = all.into_iter().chain([rest]).collect();
            let letters = |text: &str| text.chars().filter(|c| !" \n;".contains(*c)).collect::<String>();
            prop_assert_eq!(letters(&kept), letters(&text));
        }
    }
}
