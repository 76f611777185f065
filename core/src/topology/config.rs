//! Parameters of the cluster, set by `ALTER SYSTEM` and shown by `_pico_db_config`.
//!
//! One row a parameter in [`PARAMETERS`]. A value is kept as text and checked when it is set, so
//! that reading one cannot fail.

use crate::base::{SqlError, SqlResult, SqlState};

/// What text a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Bool,
    /// A whole number from .0 to .1.
    Number(u64, u64),
}

/// A parameter.
#[derive(Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: ValueKind,
    pub default: &'static str,
    pub about: &'static str,
}

/// Seconds without a sign of life after which an instance is marked Offline.
pub const AUTO_OFFLINE_TIMEOUT: &str = "governor_auto_offline_timeout";
/// Log entries a learner may be behind and still be made a voter.
pub const CATCH_UP_LAG_MAX: &str = "governor_catch_up_lag_max";
pub const PASSWORD_LENGTH_MIN: &str = "auth_password_length_min";
pub const PASSWORD_UPPERCASE: &str = "auth_password_enforce_uppercase";
pub const PASSWORD_LOWERCASE: &str = "auth_password_enforce_lowercase";
pub const PASSWORD_DIGITS: &str = "auth_password_enforce_digits";
pub const PASSWORD_SPECIALCHARS: &str = "auth_password_enforce_specialchars";

const fn parameter(
    name: &'static str,
    kind: ValueKind,
    default: &'static str,
    about: &'static str,
) -> Parameter {
    Parameter { name, kind, default, about }
}

/// Every parameter, by name.
pub static PARAMETERS: [Parameter; 7] = [
    parameter(PASSWORD_DIGITS, ValueKind::Bool, "true", "A new password needs a digit."),
    parameter(PASSWORD_LOWERCASE, ValueKind::Bool, "true", "A new password needs a small letter."),
    parameter(
        PASSWORD_SPECIALCHARS,
        ValueKind::Bool,
        "false",
        "A new password needs one of &, |, ?, !, $, @.",
    ),
    parameter(PASSWORD_UPPERCASE, ValueKind::Bool, "true", "A new password needs a capital."),
    parameter(
        PASSWORD_LENGTH_MIN,
        ValueKind::Number(0, 1_000),
        "8",
        "Characters a new password has at least.",
    ),
    parameter(
        AUTO_OFFLINE_TIMEOUT,
        ValueKind::Number(1, 86_400),
        "5",
        "Seconds of silence after which an instance is marked Offline.",
    ),
    parameter(
        CATCH_UP_LAG_MAX,
        ValueKind::Number(0, 1_000_000),
        "100",
        "Log entries a learner may be behind when it becomes a voter.",
    ),
];

/// The parameter called `name`, or 42704.
pub fn find(name: &str) -> SqlResult<&'static Parameter> {
    PARAMETERS.iter().find(|p| p.name == name).ok_or_else(|| {
        SqlError::new(
            SqlState::UndefinedObject,
            format!("unrecognized configuration parameter \"{name}\""),
        )
    })
}

impl Parameter {
    /// The stored spelling of `value`, or 22023.
    pub fn check(&self, value: &str) -> SqlResult<String> {
        let text = value.trim().to_ascii_lowercase();
        let checked = match self.kind {
            ValueKind::Bool => match text.as_str() {
                "true" | "on" | "yes" | "1" => Some("true".to_owned()),
                "false" | "off" | "no" | "0" => Some("false".to_owned()),
                _ => None,
            },
            ValueKind::Number(low, high) => match text.parse::<u64>() {
                Ok(n) if (low..=high).contains(&n) => Some(n.to_string()),
                _ => None,
            },
        };
        checked.ok_or_else(|| {
            SqlError::new(
                SqlState::InvalidParameterValue,
                format!("invalid value for parameter \"{}\": \"{value}\"", self.name),
            )
            .with_hint(match self.kind {
                ValueKind::Bool => "Use true or false.".to_owned(),
                ValueKind::Number(low, high) => {
                    format!("Use a whole number from {low} to {high}.")
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_parameter() {
        for parameter in &PARAMETERS {
            assert_eq!(parameter.check(parameter.default).unwrap(), parameter.default);
        }
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_range() {
        let error = find(AUTO_OFFLINE_TIMEOUT).unwrap().check("0").unwrap_err();
        assert_eq!(error.state, SqlState::InvalidParameterValue);
        assert_eq!(error.fields.hint.as_deref(), Some("Use a whole number from 1 to 86400."));
        assert_eq!(find("nope").unwrap_err().state, SqlState::UndefinedObject);
    }
}
