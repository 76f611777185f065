//! The scalars of a history (keys, values, elements, process names) in eight bytes each.
//!
//! Integers up to 2^62 are themselves. Everything else a history may contain (keywords, strings,
//! larger numbers) is a *symbol*: an index into the [`Names`] of its history. The bits are
//!
//! | bits | meaning |
//! |---|---|
//! | `-2^62 < n < 2^62` | the integer `n` |
//! | `i64::MAX - k` | the symbol `k` |
//! | `i64::MIN` | `nil` |

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// An integer, a symbol of one history, or nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom(i64);

const INTEGER_LIMIT: i64 = 1 << 62;

impl Atom {
    /// Nothing: a register never written, a read not yet answered.
    pub const NIL: Atom = Atom(i64::MIN);

    /// The atom of `n`, or `None` where it is too large to be one and needs a name.
    pub const fn integer(n: i64) -> Option<Atom> {
        if -INTEGER_LIMIT < n && n < INTEGER_LIMIT { Some(Atom(n)) } else { None }
    }

    pub(crate) const fn symbol(index: u32) -> Atom {
        Atom(i64::MAX - index as i64)
    }

    /// The integer this atom is, if it is one.
    pub const fn as_integer(self) -> Option<i64> {
        if -INTEGER_LIMIT < self.0 && self.0 < INTEGER_LIMIT { Some(self.0) } else { None }
    }

    pub(crate) const fn as_symbol(self) -> Option<u32> {
        if self.0 >= INTEGER_LIMIT { Some((i64::MAX - self.0) as u32) } else { None }
    }

    pub const fn is_nil(self) -> bool {
        self.0 == i64::MIN
    }

    pub(crate) const fn bits(self) -> i64 {
        self.0
    }

    pub(crate) const fn from_bits(bits: i64) -> Atom {
        Atom(bits)
    }
}

impl From<i64> for Atom {
    /// # Panics
    /// Where `n` is not within ±2^62.
    fn from(n: i64) -> Atom {
        let Some(atom) = Atom::integer(n) else { panic!("{n} is too large for an atom") };
        atom
    }
}

/// A multiplicative hasher: fast on integers and the same in every process. Not for hostile keys.
#[derive(Default)]
pub struct AtomHasher(u64);

impl Hasher for AtomHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_i64(&mut self, word: i64) {
        self.write_u64(word as u64);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }
}

/// A map that is never iterated, so that its order cannot reach a result.
pub(crate) type Lookup<K, V> = HashMap<K, V, BuildHasherDefault<AtomHasher>>;

/// The texts of symbols. A text keeps its EDN sigil: `:name`, `"string"`, `12345678901234567890N`.
#[derive(Clone, Debug, Default)]
pub struct Names {
    texts: Vec<Box<str>>,
    by_text: Lookup<Box<str>, u32>,
    /// Short texts that were asked for lately, by their first letters: a step has the same few
    /// names each time.
    recent: [Recent; RECENT_SLOTS],
}

/// A text of at most eight bytes as a word, with its length above; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    word: u64,
    length: u32,
    index: u32,
}

const RECENT_SLOTS: usize = 32;

/// A short text as a word, and its place among the recent ones.
fn short_word(text: &str) -> Option<(u64, usize)> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    let word = u64::from_le_bytes(word);
    let slot = (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 59) as usize;
    Some((word, slot % RECENT_SLOTS))
}

impl Names {
    /// The atom of `text`, the same for equal texts.
    pub fn intern(&mut self, text: &str) -> Atom {
        let Some((word, slot)) = short_word(text) else { return self.intern_any(text) };
        let recent = self.recent[slot];
        if recent.word == word && recent.length as usize == text.len() {
            return Atom::symbol(recent.index);
        }
        let atom = self.intern_any(text);
        let index = atom.as_symbol().expect("names are symbols");
        self.recent[slot] = Recent { word, length: text.len() as u32, index };
        atom
    }

    fn intern_any(&mut self, text: &str) -> Atom {
        if let Some(&index) = self.by_text.get(text) {
            return Atom::symbol(index);
        }
        let index = u32::try_from(self.texts.len()).expect("fewer than 2^32 distinct names");
        self.texts.push(text.into());
        self.by_text.insert(text.into(), index);
        Atom::symbol(index)
    }

    /// The EDN text of an atom.
    pub fn text(&self, atom: Atom) -> String {
        match (atom.as_integer(), atom.as_symbol()) {
            (Some(n), _) => n.to_string(),
            (None, Some(index)) => {
                self.texts.get(index as usize).map_or_else(|| "?".to_string(), |t| t.to_string())
            }
            (None, None) => "nil".to_string(),
        }
    }
}

/// Atoms in order of first sight, so that tables can be indexed instead of hashed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dense {
    atoms: Vec<Atom>,
    by_atom: Lookup<Atom, u32>,
    /// Most keys are small integers, and a table is faster than a map.
    small: Vec<u32>,
}

const SMALL_LIMIT: i64 = 1 << 20;
const ABSENT: u32 = u32::MAX;

impl Dense {
    pub fn index(&mut self, atom: Atom) -> u32 {
        if let Some(found) = self.find(atom) {
            return found;
        }
        let index = u32::try_from(self.atoms.len()).expect("fewer than 2^32 distinct atoms");
        self.atoms.push(atom);
        match atom.as_integer() {
            Some(n) if (0..SMALL_LIMIT).contains(&n) => {
                if self.small.len() <= n as usize {
                    let size = (n as usize + 1).next_power_of_two();
                    self.small.resize(size, ABSENT);
                }
                self.small[n as usize] = index;
            }
            _ => {
                self.by_atom.insert(atom, index);
            }
        }
        index
    }

    pub fn find(&self, atom: Atom) -> Option<u32> {
        match atom.as_integer() {
            Some(n) if (0..SMALL_LIMIT).contains(&n) => {
                self.small.get(n as usize).copied().filter(|&index| index != ABSENT)
            }
            _ => self.by_atom.get(&atom).copied(),
        }
    }

    pub fn atom(&self, index: u32) -> Atom {
        self.atoms[index as usize]
    }

    pub fn len(&self) -> usize {
        self.atoms.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_symbols_and_nil_do_not_meet() {
        let mut names = Names::default();
        let symbol = names.intern(":x");
        assert_eq!(names.intern(":x"), symbol);
        assert_eq!(names.text(symbol), ":x");
        assert_eq!(symbol.as_integer(), None);
        assert_eq!(Atom::from(-7).as_integer(), Some(-7));
        assert_eq!(Atom::integer(i64::MAX), None);
        assert_eq!(names.text(Atom::NIL), "nil");
        assert!(Atom::NIL.as_symbol().is_none() && Atom::NIL.as_integer().is_none());
    }

    #[test]
    fn dense_numbers_follow_first_sight() {
        let mut dense = Dense::default();
        let atoms = [Atom::from(9), Atom::from(-1), Atom::from(1 << 40), Atom::from(0)];
        for (index, &atom) in atoms.iter().enumerate() {
            assert_eq!(dense.find(atom), None);
            assert_eq!(dense.index(atom), index as u32);
        }
        assert_eq!(dense.index(Atom::from(-1)), 1);
        assert_eq!(dense.atom(2), Atom::from(1 << 40));
    }
}
