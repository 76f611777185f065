//! What EDN and JSON have in common: integers, and words that end where a delimiter begins.

use super::Atom;

/// Which bytes end a word.
pub(super) struct Delimiters([bool; 256]);

impl Delimiters {
    pub const fn new(bytes: &[u8]) -> Delimiters {
        let mut table = [false; 256];
        let mut index = 0;
        while index < bytes.len() {
            table[bytes[index] as usize] = true;
            index += 1;
        }
        Delimiters(table)
    }

    #[inline]
    pub fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// Where the word that begins at `start` ends; `None` where the text ends within it.
    #[inline]
    pub fn word_end(&self, text: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        while !self.has(*text.get(at)?) {
            at += 1;
        }
        Some(at)
    }

    /// The integer with which the text begins at `start`, and where it ends, before a delimiter.
    /// `None` where there is none that an atom can hold, or the text ends with it.
    pub fn integer(&self, text: &[u8], start: usize) -> Option<(Atom, usize)> {
        let is_negative = text[start] == b'-';
        let (number, end) = digits(text, start + usize::from(is_negative))?;
        let number = Atom::integer(if is_negative { -number } else { number })?;
        self.has(text[end]).then_some((number, end))
    }
}

/// Longer numbers do not fit into an atom and are kept as texts.
const DIGITS_MAX: usize = 19;

/// The number with which the text begins at `start`, without a sign, and where its digits end.
/// `None` where there are no digits, more than an atom can hold, or the text ends with them.
#[inline(always)]
pub(super) fn digits(text: &[u8], start: usize) -> Option<(i64, usize)> {
    let rest = text.get(start..)?;
    let mut number: u64 = 0;
    for (length, &byte) in rest.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let fits = length > 0 && number < 1 << 62;
            return fits.then_some((number as i64, start + length));
        }
        if length == DIGITS_MAX {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_end_before_something_else() {
        assert_eq!(digits(b"12]", 0), Some((12, 2)));
        assert_eq!(digits(b"-7 ", 1), Some((7, 2)));
        assert_eq!(digits(b"12", 0), None, "there may be more of them in the next chunk");
        assert_eq!(digits(b"x", 0), None);
        assert_eq!(digits(b"", 0), None);
        assert_eq!(digits(b"999999999999999999 ", 0), Some((999_999_999_999_999_999, 18)));
        assert_eq!(digits(b"4611686018427387903 ", 0), Some(((1 << 62) - 1, 19)));
        assert_eq!(digits(b"4611686018427387904 ", 0), None);
        assert_eq!(digits(b"9999999999999999999 ", 0), None);
        assert_eq!(digits(b"00000000000000000001 ", 0), None);
    }

    #[test]
    fn integers_have_a_sign_or_none_and_end_at_a_delimiter() {
        const BLANK: Delimiters = Delimiters::new(b" ");
        let limit = (1 << 62) - 1;
        let cases = [("12 ", 12, 2), ("-7 ", -7, 2), ("-4611686018427387903 ", -limit, 20)];
        for (text, number, end) in cases {
            assert_eq!(BLANK.integer(text.as_bytes(), 0), Some((Atom::from(number), end)));
        }
        for text in ["12N ", "- ", "-x ", "12", "-4611686018427387904 "] {
            assert_eq!(BLANK.integer(text.as_bytes(), 0), None, "{text}");
        }
    }

    #[test]
    fn words_end_at_delimiters() {
        const BLANK: Delimiters = Delimiters::new(b" ");
        assert_eq!(BLANK.word_end(b"ab c", 0), Some(2));
        assert_eq!(BLANK.word_end(b"ab c", 2), Some(2));
        assert_eq!(BLANK.word_end(b"ab c", 3), None);
    }
}
