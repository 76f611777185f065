//! What a new password must be like, by the cluster's parameters.

use super::config::{
    PASSWORD_DIGITS, PASSWORD_LENGTH_MIN, PASSWORD_LOWERCASE, PASSWORD_SPECIALCHARS,
    PASSWORD_UPPERCASE,
};
use super::ring::RingState;
use crate::base::{SqlError, SqlResult, SqlState};

/// Characters that count as special ones.
const SPECIAL: &str = "&|?!$@";

/// The parameter that asks for a kind of character, the kind's name, and its test.
type Kind = (&'static str, &'static str, fn(char) -> bool);

/// Refuses a password that is too short or lacks a kind of character, with 22023.
/// Checked before it is turned into a verifier: the ring never sees the password itself.
pub fn check_password(ring: &RingState, password: &str) -> SqlResult<()> {
    let least = usize::try_from(ring.config_number(PASSWORD_LENGTH_MIN)).unwrap_or(usize::MAX);
    if password.chars().count() < least {
        return Err(refused(format!("at least {least} characters")));
    }
    let kinds: [Kind; 4] = [
        (PASSWORD_UPPERCASE, "an upper-case letter", char::is_uppercase),
        (PASSWORD_LOWERCASE, "a lower-case letter", char::is_lowercase),
        (PASSWORD_DIGITS, "a digit", |c| c.is_ascii_digit()),
        (PASSWORD_SPECIALCHARS, "one of & | ? ! $ @", |c| SPECIAL.contains(c)),
    ];
    for (parameter, what, is_kind) in kinds {
        if ring.config_bool(parameter) && !password.chars().any(is_kind) {
            return Err(refused(what.to_owned()));
        }
    }
    Ok(())
}

fn refused(needed: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("invalid password: it needs {needed}"))
        .with_hint("ALTER SYSTEM SET auth_password_… changes what is asked for.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::entry::RingEntry;
    use crate::topology::tests::{apply, cluster};

    #[test]
    fn a_password_is_as_strong_as_the_parameters_ask() {
        let mut state = cluster(1, "");
        let needs = |state: &RingState, password: &str| {
            check_password(state, password).err().map(|e| e.message)
        };
        assert_eq!(needs(&state, "T0psecret"), None);
        for (password, missing) in [
            ("T0p", "at least 8 characters"),
            ("t0psecret", "an upper-case letter"),
            ("T0PSECRET", "a lower-case letter"),
            ("Topsecret", "a digit"),
        ] {
            let message = format!("invalid password: it needs {missing}");
            assert_eq!(needs(&state, password), Some(message));
        }
        let set = |key: &str, value: &str| RingEntry::SetConfig {
            key: key.into(),
            tier: String::new(),
            value: Some(value.into()),
        };
        apply(&mut state, set(PASSWORD_SPECIALCHARS, "on")).unwrap();
        assert!(needs(&state, "T0psecret").is_some());
        assert_eq!(needs(&state, "T0psecret!"), None);
    }
}
