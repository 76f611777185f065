//! Checking, converting and printing values of settings.

use std::borrow::Cow;

use super::table::{Kind, Setting, Unit};
use crate::base::{SqlError, SqlResult, SqlState};

/// The value to store: canonical, numbers in the unit of the table. Lists come one value an element.
pub fn check(setting: &Setting, values: &[String]) -> SqlResult<String> {
    let text = values.join(", ");
    match setting.kind {
        Kind::Fixed => Err(setting.unchangeable()),
        Kind::Encoding => encoding(setting, &text),
        Kind::List => Ok(join_list(values)),
        Kind::Text => Ok(text),
        Kind::Bool => boolean(setting, &text),
        Kind::Int { min, max, unit } => integer(setting, &text, min, max, unit),
        Kind::Float => match text.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(text.trim().to_owned()),
            _ => Err(invalid(setting, &text)),
        },
        Kind::Enum(choices) => {
            let found = choices.iter().find(|c| c.eq_ignore_ascii_case(text.trim()));
            found.map(|c| (*c).to_owned()).ok_or_else(|| {
                invalid(setting, &text)
                    .with_hint(format!("Available values: {}.", choices.join(", ")))
            })
        }
        Kind::Only { accepted, canonical } => {
            let plain = text.trim();
            if accepted.iter().any(|a| a.eq_ignore_ascii_case(plain)) {
                return Ok(canonical.to_owned());
            }
            Err(SqlError::unsupported(format_args!("{} \"{plain}\"", setting.name))
                .with_hint(format!("Basalt uses {canonical}.")))
        }
    }
}

/// The canonical name of an encoding. As in PostgreSQL only letters and digits count, in any case, so
/// that `'utf-8'` in its quotes is UTF8. A client in SQL_ASCII is told and tells bytes as they are.
fn encoding(setting: &Setting, text: &str) -> SqlResult<String> {
    let plain = text.chars().filter(char::is_ascii_alphanumeric);
    match plain.map(|c| c.to_ascii_lowercase()).collect::<String>().as_str() {
        "utf8" | "unicode" => Ok("UTF8".to_owned()),
        "sqlascii" => Ok("SQL_ASCII".to_owned()),
        _ => Err(SqlError::unsupported(format_args!("{} \"{}\"", setting.name, text.trim()))
            .with_hint("Basalt uses UTF8.")),
    }
}

/// The value as `SHOW` prints it: numbers in the largest unit that divides them.
pub fn shown<'a>(setting: &Setting, raw: Cow<'a, str>) -> Cow<'a, str> {
    let Kind::Int { unit, .. } = setting.kind else { return raw };
    let Some(number) = raw.parse::<i64>().ok().filter(|n| *n > 0) else { return raw };
    let scales = unit.scales();
    match scales.iter().rev().find(|(_, factor)| number % factor == 0) {
        Some((name, factor)) => Cow::Owned(format!("{}{name}", number / factor)),
        None => raw,
    }
}

/// The elements of a list: separated by commas; in lower case, or quoted and as they are.
pub fn split_list(text: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut element = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                element.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(std::mem::take(&mut element)),
            ' ' if !quoted => {}
            _ if quoted => element.push(c),
            _ => element.push(c.to_ascii_lowercase()),
        }
    }
    elements.push(element);
    elements.retain(|e| !e.is_empty());
    elements
}

fn join_list(values: &[String]) -> String {
    let quote = |value: &String| {
        let plain = value.chars().enumerate().all(|(k, c)| {
            c == '_' || c == '$' || c.is_lowercase() || (k > 0 && c.is_ascii_digit())
        });
        // PostgreSQL shows `"$user"` in quotes.
        if plain && !value.is_empty() && !value.starts_with('$') {
            return value.clone();
        }
        format!("\"{}\"", value.replace('"', "\"\""))
    };
    let quoted: Vec<String> = values.iter().map(quote).collect();
    quoted.join(", ")
}

fn invalid(setting: &Setting, text: &str) -> SqlError {
    let message = format!("invalid value for parameter \"{}\": \"{text}\"", setting.name);
    SqlError::new(SqlState::InvalidParameterValue, message)
}

/// PostgreSQL takes every unambiguous beginning of true, false, yes, no, on, off.
fn boolean(setting: &Setting, text: &str) -> SqlResult<String> {
    let text = text.trim().to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || text == "1" {
        return Ok("on".to_owned());
    }
    if begins("false", 1) || begins("no", 1) || begins("off", 2) || text == "0" {
        return Ok("off".to_owned());
    }
    let message = format!("parameter \"{}\" requires a Boolean value", setting.name);
    Err(SqlError::new(SqlState::InvalidParameterValue, message))
}

fn integer(setting: &Setting, text: &str, min: i64, max: i64, unit: Unit) -> SqlResult<String> {
    let text = text.trim();
    let digits_end = text
        .char_indices()
        .find(|(k, c)| !(c.is_ascii_digit() || *c == '.' || (*k == 0 && matches!(c, '-' | '+'))))
        .map_or(text.len(), |(k, _)| k);
    let (number, suffix) = (&text[..digits_end], text[digits_end..].trim());
    let factor = match suffix {
        "" => Some(1.0),
        _ => unit.scales().iter().find(|(name, _)| *name == suffix).map(|(_, f)| *f as f64),
    };
    let value = match (number.parse::<f64>(), factor) {
        (Ok(number), Some(factor)) => (number * factor).round(),
        _ => return Err(invalid(setting, text)),
    };
    if value < min as f64 || value > max as f64 {
        let unit = unit.scales().first().map_or(String::new(), |(name, _)| format!(" {name}"));
        let message = format!(
            "{value}{unit} is outside the valid range for parameter \"{}\" ({min} .. {max})",
            setting.name
        );
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    Ok(format!("{}", value as i64))
}
