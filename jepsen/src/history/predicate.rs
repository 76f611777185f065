//! What a read of many keys asks for.

use super::{Atom, Names};

/// A condition on the value of a key. A key that is not there matches none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    All,
    Equals(Atom),
    /// Integers that leave this remainder; others never match.
    Modulo {
        modulus: i64,
        remainder: i64,
    },
}

impl Predicate {
    /// Whether a key of that value is read; nil is no value.
    ///
    /// # Panics
    /// With a modulus of 0.
    pub fn matches(self, value: Atom) -> bool {
        match self {
            _ if value.is_nil() => false,
            Predicate::All => true,
            Predicate::Equals(wanted) => wanted == value,
            Predicate::Modulo { modulus, remainder } => {
                value.as_integer().is_some_and(|n| n.rem_euclid(modulus) == remainder)
            }
        }
    }

    pub(crate) fn words(self, names: &Names) -> String {
        match self {
            Predicate::All => "all".to_string(),
            Predicate::Equals(wanted) => format!("where = {}", names.text(wanted)),
            Predicate::Modulo { modulus, remainder } => {
                format!("where mod {modulus} = {remainder}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_matches_nothing() {
        let odd = Predicate::Modulo { modulus: 2, remainder: 1 };
        let one = Predicate::Equals(Atom::from(1));
        let matches = |n: i64| [Predicate::All, one, odd].map(|p| p.matches(Atom::from(n)));
        assert_eq!(matches(1), [true, true, true]);
        assert_eq!(matches(3), [true, false, true]);
        assert_eq!(matches(-3), [true, false, true]);
        assert_eq!(matches(2), [true, false, false]);
        assert!([Predicate::All, one, odd].iter().all(|p| !p.matches(Atom::NIL)));
        assert!(!odd.matches(Names::default().intern(":x")));
    }
}
