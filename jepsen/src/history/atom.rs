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
//! | `i64::MIN + 1 + k` | while a file is read only: the *head* `k` of a collection |

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

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

    /// A number below 2^40 in the place of an atom.
    pub(crate) const fn head(number: u64) -> Atom {
        Atom(i64::MIN + 1 + number as i64)
    }

    pub(crate) const fn as_head(self) -> Option<u64> {
        let is_head = i64::MIN < self.0 && self.0 <= -INTEGER_LIMIT;
        if is_head { Some((self.0 - i64::MIN - 1) as u64) } else { None }
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
    texts: Vec<Arc<str>>,
    by_text: Lookup<Arc<str>, u32>,
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

/// A text of one to eight bytes as a word, and its place among the recent ones.
#[inline]
fn short_word(text: &[u8]) -> Option<(u64, usize)> {
    let length = text.len();
    // Two loads that overlap, since a copy of unknown length is a call.
    let word = match length {
        0 | 9.. => return None,
        1 => u64::from(text[0]),
        2 | 3 => {
            let ends = [[text[0], text[1]], [text[length - 2], text[length - 1]]];
            let [low, high] = ends.map(|end| u64::from(u16::from_le_bytes(end)));
            low | high << (8 * (length - 2))
        }
        _ => {
            let low = u64::from(u32::from_le_bytes(*text.first_chunk()?));
            let high = u64::from(u32::from_le_bytes(*text.last_chunk()?));
            low | high << (8 * (length - 4))
        }
    };
    let slot = (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 59) as usize;
    Some((word, slot % RECENT_SLOTS))
}

impl Names {
    /// The atom of `text`, the same for equal texts.
    pub fn intern(&mut self, text: &str) -> Atom {
        if let Some(atom) = self.recall(text.as_bytes()) {
            return atom;
        }
        let index = match self.by_text.get(text) {
            Some(&index) => index,
            None => self.learn(&Arc::from(text)),
        };
        if let Some((word, slot)) = short_word(text.as_bytes()) {
            self.recent[slot] = Recent { word, length: text.len() as u32, index };
        }
        Atom::symbol(index)
    }

    /// The atom of a short text that was asked for lately.
    #[inline]
    pub(crate) fn recall(&self, text: &[u8]) -> Option<Atom> {
        let (word, slot) = short_word(text)?;
        let recent = self.recent[slot];
        let is_same = recent.word == word && recent.length as usize == text.len();
        is_same.then_some(Atom::symbol(recent.index))
    }

    /// Adds a text that is not known yet.
    pub(crate) fn learn(&mut self, text: &Arc<str>) -> u32 {
        let index = u32::try_from(self.texts.len()).expect("fewer than 2^32 distinct names");
        self.texts.push(text.clone());
        let known = self.by_text.insert(text.clone(), index);
        assert!(known.is_none(), "{text} was known as {known:?}");
        index
    }

    /// The texts of all symbols from one on.
    pub(crate) fn texts_from(&self, first: usize) -> impl Iterator<Item = Arc<str>> {
        self.texts[first..].iter().cloned()
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
    /// By integer, those below its length. Most keys are small integers, and a table is faster than
    /// a map.
    small: Vec<u32>,
}

/// The table has at most so many places for each atom, so that a few large numbers cost little.
const PLACES_AN_ATOM: usize = 8;
const FEW_PLACES: usize = 256;
const ABSENT: u32 = u32::MAX;

impl Dense {
    pub fn index(&mut self, atom: Atom) -> u32 {
        if let Some(found) = self.find(atom) {
            return found;
        }
        let index = u32::try_from(self.atoms.len()).expect("fewer than 2^32 distinct atoms");
        self.atoms.push(atom);
        let place = small_place(atom);
        if let Some(place) = place
            && (self.small.len()..self.places_max()).contains(&place)
        {
            self.grow(place + 1);
        }
        match place.and_then(|place| self.small.get_mut(place)) {
            Some(place) => *place = index,
            None => _ = self.by_atom.insert(atom, index),
        }
        index
    }

    fn places_max(&self) -> usize {
        FEW_PLACES + PLACES_AN_ATOM * self.atoms.len()
    }

    /// Makes room for so many places, and moves what belongs there from the map.
    fn grow(&mut self, places: usize) {
        let before = self.small.len();
        self.small.resize(places.next_power_of_two(), ABSENT);
        for (index, &atom) in self.atoms.iter().enumerate() {
            if let Some(place) = small_place(atom).filter(|&place| place >= before)
                && let Some(place) = self.small.get_mut(place)
            {
                *place = index as u32;
                self.by_atom.remove(&atom);
            }
        }
    }

    pub fn find(&self, atom: Atom) -> Option<u32> {
        match small_place(atom).and_then(|place| self.small.get(place)) {
            Some(&index) => (index != ABSENT).then_some(index),
            None => self.by_atom.get(&atom).copied(),
        }
    }

    pub fn atom(&self, index: u32) -> Atom {
        self.atoms[index as usize]
    }

    pub fn len(&self) -> usize {
        self.atoms.len()
    }
}

/// The place of an atom in a table by integer, were it large enough.
fn small_place(atom: Atom) -> Option<usize> {
    atom.as_integer().and_then(|n| usize::try_from(n).ok())
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
        for head in [0, 1, (1 << 40) - 1] {
            let atom = Atom::head(head);
            assert_eq!(atom.as_head(), Some(head));
            assert!(atom.as_symbol().is_none() && atom.as_integer().is_none() && !atom.is_nil());
        }
        for atom in [symbol, Atom::NIL, Atom::from(1 - INTEGER_LIMIT), Atom::from(0)] {
            assert_eq!(atom.as_head(), None);
        }
    }

    #[test]
    fn short_texts_are_recalled_and_told_apart() {
        let texts = ["a", "aa", "aaa", "aba", ":r", ":append", "abcdefgh", "abcdefg", "abcdefghi"];
        let mut names = Names::default();
        let atoms = texts.map(|text| names.intern(text));
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(names.intern(text), atoms[index]);
            assert_eq!(names.text(atoms[index]), *text);
            let recalled = names.recall(text.as_bytes());
            assert_eq!(recalled, (text.len() <= 8).then_some(atoms[index]), "{text}");
        }
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

    #[test]
    fn a_table_is_as_large_as_there_are_atoms() {
        let mut dense = Dense::default();
        // First too large for a table, later not.
        let numbers: Vec<i64> = (0..2000).rev().chain(100_000..101_000).collect();
        for (index, &n) in numbers.iter().enumerate() {
            assert_eq!(dense.index(Atom::from(n)), index as u32);
            assert!(dense.small.len() <= 2 * dense.places_max(), "{}", dense.small.len());
        }
        for (index, &n) in numbers.iter().enumerate() {
            assert_eq!(dense.find(Atom::from(n)), Some(index as u32), "{n}");
        }
        assert_eq!(dense.find(Atom::from(2000)), None);
        assert!(dense.small.len() >= 2000);
        assert!(dense.by_atom.keys().all(|atom| atom.as_integer() >= Some(100_000)));
    }
}
