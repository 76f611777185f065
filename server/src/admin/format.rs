//! Results as text: tables as psql prints them, JSON lines, or CSV.

use std::fmt::Write;

use super::client::QueryResult;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Table,
    Json,
    Csv,
}

/// One result, ending in a line break unless empty.
pub fn render(result: &QueryResult, format: Format) -> String {
    match (&result.columns, format) {
        (Some(columns), Format::Table) => table(columns, &result.rows),
        (None, Format::Table) => format!("{}\n", result.tag),
        (Some(columns), Format::Json) => json(columns, &result.rows),
        (None, Format::Json) => format!("{}\n", serde_json::json!({ "command": result.tag })),
        (Some(columns), Format::Csv) => csv(columns, &result.rows),
        (None, Format::Csv) => String::new(),
    }
}

type Row = Vec<Option<String>>;

fn table(columns: &[String], rows: &[Row]) -> String {
    let width = |text: &str| text.chars().count();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(k, name)| {
            let cells = rows.iter().map(|row| cell(row, k).split('\n').map(width).max());
            cells.flatten().chain([width(name)]).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    line(&mut out, &widths, |k| format!("{:^w$}", columns[k], w = widths[k]));
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    out.push_str(&rule.join("+"));
    out.push('\n');
    for row in rows {
        // A value of several lines makes a row of several lines.
        let height = (0..columns.len()).map(|k| cell(row, k).split('\n').count()).max();
        for part in 0..height.unwrap_or(1) {
            line(&mut out, &widths, |k| {
                let text = cell(row, k).split('\n').nth(part).unwrap_or_default();
                match is_number(cell(row, k)) {
                    true => format!("{text:>w$}", w = widths[k]),
                    false => format!("{text:<w$}", w = widths[k]),
                }
            });
        }
    }
    let ending = if rows.len() == 1 { "" } else { "s" };
    let _ = writeln!(out, "({} row{ending})\n", rows.len());
    out
}

fn line(out: &mut String, widths: &[usize], cell: impl Fn(usize) -> String) {
    let cells: Vec<_> = (0..widths.len()).map(|k| format!(" {} ", cell(k))).collect();
    out.push_str(cells.join("|").trim_end());
    out.push('\n');
}

fn cell(row: &Row, k: usize) -> &str {
    row.get(k).and_then(Option::as_deref).unwrap_or_default()
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// An array of objects; every value is text or null, as the simple protocol sends it.
fn json(columns: &[String], rows: &[Row]) -> String {
    let objects: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let pairs = columns.iter().zip(row);
            pairs
                .map(|(name, value)| (name.clone(), serde_json::Value::from(value.clone())))
                .collect()
        })
        .collect();
    format!("{}\n", serde_json::Value::from(objects))
}

/// RFC 4180, with line feeds. NULL is empty, an empty text is quoted.
fn csv(columns: &[String], rows: &[Row]) -> String {
    let names: Vec<_> = columns.iter().map(|name| Some(name.clone())).collect();
    let mut out = String::new();
    for row in std::iter::once(&names).chain(rows) {
        let cells: Vec<_> = row.iter().map(csv_cell).collect();
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn csv_cell(value: &Option<String>) -> String {
    match value {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> QueryResult {
        let text = |text: &str| Some(text.to_owned());
        QueryResult {
            tag: "SELECT 3".to_owned(),
            columns: Some(vec!["id".to_owned(), "name".to_owned()]),
            rows: vec![
                vec![text("1"), text("öl, \"fine\"")],
                vec![text("-20"), text("two\nlines")],
                vec![None, text("")],
            ],
        }
    }

    #[test]
    fn a_table_looks_as_in_psql() {
        let expected = " \
 id  |    name
-----+------------
   1 | öl, \"fine\"
 -20 | two
     | lines
     |
(3 rows)

";
        assert_eq!(render(&sample(), Format::Table), expected);
        let command = QueryResult { tag: "CREATE TABLE".to_owned(), ..QueryResult::default() };
        assert_eq!(render(&command, Format::Table), "CREATE TABLE\n");
    }

    #[test]
    fn json_is_one_line() {
        let expected = concat!(
            r#"[{"id":"1","name":"öl, \"fine\""},{"id":"-20","name":"two\nlines"},"#,
            r#"{"id":null,"name":""}]"#,
            "\n"
        );
        assert_eq!(render(&sample(), Format::Json), expected);
    }

    #[test]
    fn csv_tells_null_from_nothing() {
        let expected = "id,name\n1,\"öl, \"\"fine\"\"\"\n-20,\"two\nlines\"\n,\"\"\n";
        assert_eq!(render(&sample(), Format::Csv), expected);
    }
}
