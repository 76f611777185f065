//! Query texts built from choices, so that nearly all of them parse: each byte of the input decides
//! between parts of a statement.

use std::fmt::{self, Display, Formatter};

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::{Seeds, sql_text};

/// See the module.
pub fn run(data: &[u8]) {
    if let Ok(statement) = Statement::arbitrary(&mut Unstructured::new(data)) {
        sql_text::plan_all(&statement.to_string());
    }
}

const DEPTH_MAX: usize = 4;

const COLUMNS: [&str; 16] = [
    "id",
    "owner",
    "balance",
    "since",
    "key",
    "value",
    "a.id",
    "b.id",
    "c_text",
    "c_numeric",
    "c_bytea",
    "c_date",
    "c_timestamp",
    "c_uuid",
    "c__int4",
    "c_float8",
];
const TABLES: [&str; 7] = [
    "accounts",
    "accounts a",
    "everything",
    "everything b",
    "settings",
    "pg_class",
    "_pico_instance",
];
const LITERALS: [&str; 24] = [
    "NULL",
    "TRUE",
    "0",
    "1",
    "-1",
    "2147483647",
    "-9223372036854775808",
    "9223372036854775807",
    "1.5",
    "1e400",
    "1e-400",
    "'NaN'",
    "'infinity'",
    "''",
    "'a'",
    "'é%_\\'",
    "'2024-02-29'",
    "'294276-12-31 23:59:59.999999'",
    "'{1,NULL,3}'",
    "'\\x00ff'",
    "$1",
    "$2",
    "1e131071",
    "'00000000-0000-0000-0000-000000000001'",
];
const BINARY: [&str; 25] = [
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "||",
    "=",
    "<>",
    "<",
    ">",
    "<=",
    ">=",
    "AND",
    "OR",
    "LIKE",
    "ILIKE",
    "~",
    "!~*",
    "IS DISTINCT FROM",
    "&",
    "|",
    "#",
    "<<",
    ">>",
];
const TYPES: [&str; 22] = [
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "numeric(5,2)",
    "numeric(3,-2)",
    "text",
    "varchar(3)",
    "char(3)",
    "name",
    "\"char\"",
    "bytea",
    "bool",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "json",
    "int4[]",
    "text[]",
];
const FUNCTIONS: [&str; 40] = [
    "abs",
    "ceil",
    "floor",
    "round",
    "trunc",
    "sqrt",
    "power",
    "mod",
    "length",
    "lower",
    "upper",
    "substr",
    "substring",
    "replace",
    "repeat",
    "lpad",
    "rpad",
    "left",
    "right",
    "strpos",
    "concat",
    "concat_ws",
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "string_agg",
    "date_trunc",
    "date_part",
    "to_char",
    "to_date",
    "split_part",
    "reverse",
    "chr",
    "encode",
];

/// Up to `max` of something, separated by commas.
struct List<T>(Vec<T>);

impl<T> List<T> {
    fn of(
        u: &mut Unstructured<'_>,
        max: usize,
        mut one: impl FnMut(&mut Unstructured<'_>) -> Result<T>,
    ) -> Result<List<T>> {
        let count = u.int_in_range(1..=max)?;
        Ok(List((0..count).map(|_| one(u)).collect::<Result<_>>()?))
    }
}

impl<T: Display> Display for List<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if at > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A statement, already as text: nothing looks at its parts again.
struct Statement(String);

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Arbitrary<'a> for Statement {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Statement> {
        let depth = DEPTH_MAX;
        let table = *u.choose(&TABLES[..5])?;
        Ok(Statement(match u.int_in_range(0..=9)? {
            0 => {
                let columns = List::of(u, 4, |u| Ok(*u.choose(&COLUMNS)?))?;
                let rows = List::of(u, 3, |u| {
                    Ok(format!("({})", List::of(u, 4, |u| expression(u, depth))?))
                })?;
                format!("INSERT INTO {table} ({columns}) VALUES {rows}{}", conflict(u)?)
            }
            1 => format!("INSERT INTO {table} {}", query(u, depth)?),
            2 => {
                let set = List::of(u, 3, |u| {
                    Ok(format!("{} = {}", u.choose(&COLUMNS)?, expression(u, depth)?))
                })?;
                format!("UPDATE {table} SET {set}{}", tail(u, depth)?)
            }
            3 => format!("DELETE FROM {table}{}", tail(u, depth)?),
            4 => format!("EXPLAIN {}", query(u, depth)?),
            5 => {
                let columns = List::of(u, 4, |u| {
                    Ok(format!("{} {}", u.choose(&COLUMNS[..6])?, u.choose(&TYPES)?))
                })?;
                format!("CREATE TABLE t ({columns}, PRIMARY KEY ({}))", u.choose(&COLUMNS[..6])?)
            }
            _ => query(u, depth)?,
        }))
    }
}

fn maybe(
    u: &mut Unstructured<'_>,
    part: impl FnOnce(&mut Unstructured<'_>) -> Result<String>,
) -> Result<String> {
    if u.ratio(1, 3)? { part(u) } else { Ok(String::new()) }
}

fn conflict(u: &mut Unstructured<'_>) -> Result<String> {
    let updated = |u: &mut Unstructured<'_>| {
        Ok(format!(
            " ON CONFLICT ({}) DO UPDATE SET balance = {}",
            u.choose(&COLUMNS[..6])?,
            expression(u, 2)?
        ))
    };
    Ok(match u.int_in_range(0..=3)? {
        0 => " ON CONFLICT DO NOTHING".into(),
        1 => updated(u)?,
        2 => format!(" RETURNING {}", List::of(u, 3, |u| expression(u, 2))?),
        _ => String::new(),
    })
}

fn tail(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let condition = maybe(u, |u| Ok(format!(" WHERE {}", expression(u, depth)?)))?;
    let returning = maybe(u, |u| Ok(format!(" RETURNING {}", expression(u, depth)?)))?;
    Ok(condition + &returning)
}

fn query(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let depth = depth.saturating_sub(1);
    let distinct = *u.choose(&["", "DISTINCT ", ""])?;
    let items =
        List::of(u, 3, |u| if u.ratio(1, 5)? { Ok("*".into()) } else { expression(u, depth) })?;
    let mut text = format!("SELECT {distinct}{items}");
    text += &maybe(u, |u| Ok(format!(" FROM {}", from(u, depth)?)))?;
    text += &maybe(u, |u| Ok(format!(" WHERE {}", expression(u, depth)?)))?;
    text += &maybe(u, |u| Ok(format!(" GROUP BY {}", List::of(u, 2, |u| expression(u, 1))?)))?;
    text += &maybe(u, |u| Ok(format!(" HAVING {}", expression(u, depth)?)))?;
    if depth > 0 && u.ratio(1, 6)? {
        let set = *u.choose(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL"])?;
        text = format!("{text} {set} {}", query(u, depth)?);
    }
    text += &maybe(u, |u| {
        let order = *u.choose(&["", " DESC", " NULLS FIRST"])?;
        Ok(format!(" ORDER BY {}{order}", List::of(u, 2, |u| expression(u, 1))?))
    })?;
    text += &maybe(u, |u| Ok(format!(" LIMIT {}", u.choose(&LITERALS)?)))?;
    text += &maybe(u, |u| Ok(format!(" OFFSET {}", u.choose(&LITERALS)?)))?;
    Ok(text)
}

fn from(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    let table = *u.choose(&TABLES)?;
    if depth == 0 {
        return Ok(table.into());
    }
    Ok(match u.int_in_range(0..=6)? {
        0 => format!("({}) q", query(u, depth)?),
        1 => format!("(VALUES ({})) v (id)", expression(u, depth)?),
        2 => format!("{table}, {}", from(u, depth - 1)?),
        3 => {
            let kind = *u.choose(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])?;
            let right = u.choose(&TABLES)?;
            format!("{table} {kind} {right} ON {}", expression(u, depth)?)
        }
        4 => format!("{table} JOIN {} USING (id)", u.choose(&TABLES)?),
        _ => table.into(),
    })
}

fn expression(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    if depth == 0 || u.is_empty() {
        return Ok((*u.choose(&LITERALS)?).into());
    }
    let depth = depth - 1;
    Ok(match u.int_in_range(0..=17)? {
        0..=2 => (*u.choose(&LITERALS)?).into(),
        3..=5 => (*u.choose(&COLUMNS)?).into(),
        6..=8 => {
            let (left, right) = (expression(u, depth)?, expression(u, depth)?);
            format!("({left} {} {right})", u.choose(&BINARY)?)
        }
        9 => format!("({})::{}", expression(u, depth)?, u.choose(&TYPES)?),
        10 | 11 => {
            let name = *u.choose(&FUNCTIONS)?;
            format!("{name}({})", List::of(u, 3, |u| expression(u, depth))?)
        }
        12 => format!(
            "CASE WHEN {} THEN {} ELSE {} END",
            expression(u, depth)?,
            expression(u, depth)?,
            expression(u, depth)?
        ),
        13 => {
            let list = List::of(u, 3, |u| expression(u, depth))?;
            format!("({} {} ({list}))", expression(u, depth)?, u.choose(&["IN", "NOT IN"])?)
        }
        14 => format!(
            "({} BETWEEN {} AND {})",
            expression(u, depth)?,
            expression(u, depth)?,
            expression(u, depth)?
        ),
        15 => {
            let kind = *u.choose(&["", "EXISTS ", "1 IN ", "2 < ALL ", "3 = ANY "])?;
            format!("({kind}({}))", query(u, depth)?)
        }
        16 => {
            let test = u.choose(&["IS NULL", "IS NOT TRUE", "IS NOT NULL", "IS UNKNOWN"])?;
            format!("({} {test})", expression(u, depth)?)
        }
        _ => format!("{} {}", u.choose(&["NOT", "-", "+", "~"])?, expression(u, depth)?),
    })
}

/// Choices that lead far.
pub fn seeds() -> Seeds {
    let pattern =
        |step: u8| (format!("steps-of-{step}"), (0..200u8).map(|k| k.wrapping_mul(step)).collect());
    [1, 7, 31, 83, 131, 197].map(pattern).to_vec()
}
