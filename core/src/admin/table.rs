//! Text in columns, as wide as their longest cell.

/// A header and rows; each row has one cell a column.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Table {
        Table { rows: vec![header.iter().map(|h| (*h).to_owned()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.rows[0].len(), "cells of {cells:?}");
        self.rows.push(cells);
    }

    /// Lines with two spaces between columns and none at the end; an empty cell is shown as `-`.
    pub fn render(mut self) -> String {
        for cell in self.rows.iter_mut().flatten().filter(|c| c.is_empty()) {
            cell.push('-');
        }
        let columns = self.rows[0].len();
        let width = |k: usize| self.rows.iter().map(|r| r[k].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}
