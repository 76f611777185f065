//! Identifiers as PostgreSQL stores them.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::base::{SqlError, SqlResult, SqlState};

/// The longest identifier, in bytes (`NAMEDATALEN` - 1). Longer ones are cut.
pub const NAME_BYTES_MAX: usize = 63;

/// The stored spelling: lower case unless quoted, at most [`NAME_BYTES_MAX`] bytes.
pub fn fold(ident: &Ident) -> String {
    let name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    cut(name)
}

/// Cuts a name to [`NAME_BYTES_MAX`] bytes, between characters.
pub fn cut(mut name: String) -> String {
    if name.len() > NAME_BYTES_MAX {
        let end = (0..=NAME_BYTES_MAX).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(end);
    }
    name
}

/// `42601` for what sqlparser takes as a name though it is a string: `'t'`.
pub fn no_string(ident: &Ident) -> SqlResult<()> {
    if ident.quote_style != Some('\'') {
        return Ok(());
    }
    Err(SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{ident}\"")))
}

/// A possibly qualified name, with the place of its first part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualifiedName {
    pub schema: Option<String>,
    pub name: String,
    pub span: sqlparser::tokenizer::Span,
}

impl QualifiedName {
    /// As PostgreSQL prints it in messages.
    pub fn display(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Reads `name`, `schema.name` or `database.schema.name`.
pub fn object_name(name: &ObjectName) -> SqlResult<QualifiedName> {
    let mut parts = Vec::with_capacity(name.0.len());
    for part in &name.0 {
        match part {
            ObjectNamePart::Identifier(ident) => {
                no_string(ident)?;
                parts.push(ident);
            }
            ObjectNamePart::Function(_) => {
                return Err(SqlError::unsupported("a function in place of a name"));
            }
        }
    }
    let (schema, name) = match parts.as_slice() {
        [name] => (None, *name),
        [schema, name] | [_, schema, name] => (Some(fold(schema)), *name),
        _ => {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                format!("improper qualified name (too many dotted names): {name}"),
            ));
        }
    };
    Ok(QualifiedName { schema, name: fold(name), span: parts[0].span })
}

/// Writes a name so that it reads back as itself: quoted where it must be.
pub fn quote(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
