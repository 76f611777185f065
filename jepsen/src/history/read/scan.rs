//! What EDN and JSON have in common: integers, and words that end where a delimiter begins.

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
}

/// More digits might not fit into an atom, so longer numbers are kept as texts.
const DIGITS_MAX: usize = 18;

/// The number with which the text begins at `start`, without a sign, and where its digits end.
/// `None` where there are no digits, too many, or the text ends with them.
#[inline(always)]
pub(super) fn digits(text: &[u8], start: usize) -> Option<(i64, usize)> {
    let rest = text.get(start..)?;
    let mut number: i64 = 0;
    for (length, &byte) in rest.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (length > 0).then_some((number, start + length));
        }
        if length == DIGITS_MAX {
            return None;
        }
        number = number * 10 + i64::from(digit);
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
        assert_eq!(digits(b"9999999999999999999 ", 0), None);
    }

    #[test]
    fn words_end_at_delimiters() {
        const BLANK: Delimiters = Delimiters::new(b" ");
        assert_eq!(BLANK.word_end(b"ab c", 0), Some(2));
        assert_eq!(BLANK.word_end(b"ab c", 2), Some(2));
        assert_eq!(BLANK.word_end(b"ab c", 3), None);
    }
}
