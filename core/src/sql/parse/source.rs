//! Where things are in the query text.
//!
//! sqlparser counts lines and columns; PostgreSQL reports one character position from 1; slices
//! need bytes. `"é\nx"`: the `x` is line 2, column 1; position 3; byte 3.

use std::ops::Range;

use sqlparser::tokenizer::{Location, Span};

/// The query text with the starts of its lines.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    text: &'a str,
    /// Byte offset and character offset of each line, first line first.
    lines: Vec<(usize, u32)>,
    /// Byte offset of every [`STEP`]th character: a text may be one long line.
    marks: Vec<usize>,
}

const STEP: usize = 256;

impl<'a> Source<'a> {
    pub fn new(text: &'a str) -> Source<'a> {
        let mut lines = vec![(0, 0)];
        let mut marks = Vec::with_capacity(text.len() / STEP + 1);
        let mut characters = 0;
        for (at, character) in text.char_indices() {
            if (characters as usize).is_multiple_of(STEP) {
                marks.push(at);
            }
            characters += 1;
            if character == '\n' {
                lines.push((at + 1, characters));
            }
        }
        Source { text, lines, marks }
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The 1-based character position of a place, as PostgreSQL reports it; `None` for the empty
    /// place that sqlparser gives to made-up nodes.
    pub fn position(&self, place: Location) -> Option<u32> {
        let (_, first) = self.line(place)?;
        u32::try_from(place.column).ok()?.checked_add(first)
    }

    /// The byte offset of a place, at most the text's length.
    pub fn byte(&self, place: Location) -> usize {
        let Some((_, first)) = self.line(place) else { return 0 };
        let column = usize::try_from(place.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let index = column.saturating_add(first as usize);
        let Some(mark) = self.marks.get(index / STEP) else { return self.text.len() };
        let rest = self.text.get(*mark..).unwrap_or("");
        mark + rest.char_indices().nth(index % STEP).map_or(rest.len(), |(at, _)| at)
    }

    /// The bytes between two places.
    pub fn bytes(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start);
        start..self.byte(span.end).max(start)
    }

    /// The text between two places.
    pub fn slice(&self, span: Span) -> &'a str {
        self.text.get(self.bytes(span)).unwrap_or("")
    }

    /// The position just behind the text.
    pub fn end_position(&self) -> u32 {
        u32::try_from(self.text.chars().count()).map_or(u32::MAX, |count| count.saturating_add(1))
    }

    fn line(&self, place: Location) -> Option<(usize, u32)> {
        let index = usize::try_from(place.line.checked_sub(1)?).ok()?;
        self.lines.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_slices_count_bytes() {
        let source = Source::new("é\nxy");
        let x = Location { line: 2, column: 1 };
        let end = Location { line: 2, column: 3 };
        assert_eq!(source.position(x), Some(3));
        assert_eq!(source.byte(x), 3);
        assert_eq!(source.slice(Span { start: x, end }), "xy");
        assert_eq!(source.position(Location { line: 0, column: 0 }), None);
        assert_eq!(source.end_position(), 5);
    }

    #[test]
    fn places_in_a_long_line_are_found() {
        let text = format!("\n{}", "é".repeat(1000));
        let source = Source::new(&text);
        for column in [1, 255, 256, 257, 999, 1000, 1001, 5000] {
            let expected = 1 + 2 * (column as usize - 1).min(1000);
            assert_eq!(source.byte(Location { line: 2, column }), expected, "column {column}");
        }
    }
}
