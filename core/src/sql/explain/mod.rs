//! Plans as text, in the shape of PostgreSQL's EXPLAIN without costs.
//!
//! ```text
//!   Sort
//!     Sort Key: a DESC
//!     ->  Index Scan using t_pkey on t
//!           Index Cond: (id = $1)
//!           Buckets: one, by (id)
//! ```
//!
//! A *motion* is how rows get from the instance that has them to the one that needs them; all work
//! is done where the data is, so it is `local`.

mod expr;

use std::fmt::Write as _;

use super::plan::logical::{AggregateCall, MarkKind, SetKind, SortKey};
use super::plan::physical::{Access, Buckets, Physical, TableScan};
use super::plan::{Explain, Plan, PointPlan, Prepared, SubqueryKind};
use crate::base::schema::{Distribution, TableDef};
use crate::expr::Expr;
use expr::{shown, shown_all};

/// The lines of an EXPLAIN.
pub fn lines(explain: &Explain) -> Vec<String> {
    let root = statement(&explain.of);
    if explain.json {
        let json = serde_json::json!([{ "Plan": root.json() }]);
        return vec![serde_json::to_string_pretty(&json).unwrap_or_default()];
    }
    let mut lines = Vec::new();
    root.write(0, &mut lines);
    if explain.buckets {
        lines.push(format!("Buckets: {}", buckets_of(&explain.of.plan)));
    }
    lines
}

/// A node of the printed tree.
struct Node {
    title: String,
    /// `Name: text` lines under the title.
    notes: Vec<(&'static str, String)>,
    children: Vec<Node>,
    /// Names of its columns, for the node above.
    columns: Vec<String>,
}

impl Node {
    fn new(title: impl Into<String>, columns: Vec<String>) -> Node {
        Node { title: title.into(), notes: Vec::new(), children: Vec::new(), columns }
    }

    fn note(mut self, name: &'static str, text: impl Into<String>) -> Node {
        self.notes.push((name, text.into()));
        self
    }

    fn note_some(self, name: &'static str, text: Option<String>) -> Node {
        match text {
            Some(text) => self.note(name, text),
            None => self,
        }
    }

    fn over(mut self, children: Vec<Node>) -> Node {
        self.children = children;
        self
    }

    /// PostgreSQL indents a child by six, and what stands under an arrow by two more.
    fn write(&self, depth: usize, lines: &mut Vec<String>) {
        let (title, notes) = if depth == 0 {
            (String::new(), 2)
        } else {
            (format!("{}->  ", " ".repeat(depth * 6 - 4)), depth * 6 + 2)
        };
        lines.push(format!("{title}{}", self.title));
        for (name, text) in &self.notes {
            lines.push(format!("{}{name}: {text}", " ".repeat(notes)));
        }
        for child in &self.children {
            child.write(depth + 1, lines);
        }
    }

    fn json(&self) -> serde_json::Value {
        let mut map = serde_json::Map::new();
        map.insert("Node Type".into(), self.title.clone().into());
        for (name, text) in &self.notes {
            map.insert((*name).into(), text.clone().into());
        }
        if !self.children.is_empty() {
            map.insert("Plans".into(), self.children.iter().map(Node::json).collect());
        }
        map.into()
    }
}

fn statement(prepared: &Prepared) -> Node {
    let mut node = match &prepared.plan {
        Plan::Query(plan) => operator(plan),
        Plan::Point(plan) => point(plan),
        Plan::Insert(plan) => Node::new(format!("Insert on {}", plan.table.name), Vec::new())
            .over(vec![operator(&plan.source)]),
        Plan::Update(plan) => Node::new(format!("Update on {}", plan.table.name), Vec::new())
            .over(vec![operator(&plan.source)]),
        Plan::Delete(plan) => Node::new(format!("Delete on {}", plan.table.name), Vec::new())
            .over(vec![operator(&plan.source)]),
        other => Node::new(format!("{other:?}"), Vec::new()),
    };
    for (at, subquery) in prepared.subqueries.iter().enumerate() {
        let name = match subquery.kind {
            SubqueryKind::Scalar => "InitPlan",
            SubqueryKind::Exists => "InitPlan (exists)",
        };
        let number = prepared.params.len() + at + 1;
        let init = Node::new(format!("{name} (returns ${number})"), Vec::new())
            .over(vec![operator(&subquery.plan)]);
        node.children.insert(at, init);
    }
    node
}

fn operator(plan: &Physical) -> Node {
    let children: Vec<Node> = plan.inputs().into_iter().map(operator).collect();
    let below = children.first().map(|child| child.columns.clone()).unwrap_or_default();
    match plan {
        Physical::Scan(scan) => table_scan(scan),
        Physical::VirtualScan(scan) => {
            let names: Vec<String> = scan.table.columns.iter().map(|c| c.name.clone()).collect();
            let columns = scan.columns.iter().map(|at| names[*at].clone()).collect();
            let filter = scan.filter.as_ref().map(|filter| shown(filter, &names));
            Node::new(titled("Virtual Scan", &scan.table.name, &scan.alias), columns)
                .note_some("Filter", filter)
        }
        Physical::Series(_) => {
            Node::new("Function Scan on generate_series", vec!["generate_series".into()])
        }
        Physical::Values { rows } => {
            let width = rows.first().map_or(0, Vec::len);
            let columns = (1..=width).map(|at| format!("column{at}")).collect();
            let title = match (rows.len(), width) {
                (0 | 1, _) => "Result".to_owned(),
                _ => format!("Values Scan ({} rows)", rows.len()),
            };
            let node = Node::new(title, columns);
            if rows.is_empty() { node.note("One-Time Filter", "false") } else { node }
        }
        Physical::Filter { condition, .. } => {
            let text = shown(condition, &below);
            Node::new("Filter", below).note("Filter", text).over(children)
        }
        Physical::Project { exprs, .. } => {
            let columns = shown_all(exprs, &below);
            Node::new("Project", columns.clone()).note("Output", columns.join(", ")).over(children)
        }
        Physical::Distinct { .. } => Node::new("Unique", below).over(children),
        Physical::Sort { keys, top, .. } => {
            let title = if top.is_some() { "Top-N Sort" } else { "Sort" };
            let text = sort_keys(keys, &below);
            Node::new(title, below).note("Sort Key", text).over(children)
        }
        Physical::Limit { .. } => Node::new("Limit", below).over(children),
        Physical::Append { .. } => Node::new("Append", below).over(children),
        Physical::SetOperation { kind, all, .. } => {
            let name = match kind {
                SetKind::Except => "Except",
                SetKind::Intersect => "Intersect",
                SetKind::Union => "Union",
            };
            let all = if *all { " All" } else { "" };
            Node::new(format!("SetOp {name}{all}"), below).over(children)
        }
        Physical::Aggregate(node) => aggregate(&node.keys, &node.calls, below).over(children),
        Physical::HashJoin(join) => {
            let right = children.get(1).map(|c| c.columns.clone()).unwrap_or_default();
            let pairs: Vec<String> = join
                .left_keys
                .iter()
                .zip(&join.right_keys)
                .map(|(l, r)| format!("({} = {})", shown(l, &below), shown(r, &right)))
                .collect();
            let columns = [below, right].concat();
            let filter = join.condition.as_ref().map(|c| shown(c, &columns));
            Node::new(format!("Hash {}Join", join.kind.name()), columns)
                .note("Hash Cond", pairs.join(" AND "))
                .note_some("Join Filter", filter)
                .note("Motion", "local")
                .over(children)
        }
        Physical::NestedLoop(join) => {
            let right = children.get(1).map(|c| c.columns.clone()).unwrap_or_default();
            let columns = [below, right].concat();
            let filter = join.condition.as_ref().map(|c| shown(c, &columns));
            let title = match join.kind.name() {
                "" => "Nested Loop".to_owned(),
                kind => format!("Nested Loop {kind}Join"),
            };
            Node::new(title, columns)
                .note_some("Join Filter", filter)
                .note("Motion", "local")
                .over(children)
        }
        Physical::Mark(mark) => {
            let right = children.get(1).map(|c| c.columns.clone()).unwrap_or_default();
            let mut columns = below.clone();
            let (title, condition) = match &mark.kind {
                MarkKind::In { keys, matches } => {
                    let (keys, matches) = (shown_all(keys, &below), shown_all(matches, &right));
                    let text = format!("({}) IN ({})", keys.join(", "), matches.join(", "));
                    ("Hash Mark Join", text)
                }
                MarkKind::Scalar => ("SubPlan", "(SubPlan)".to_owned()),
                MarkKind::Exists => ("SubPlan", "EXISTS(SubPlan)".to_owned()),
            };
            columns.push(condition.clone());
            let arguments: Vec<String> = mark
                .arguments
                .iter()
                .map(|a| format!("{} = {}", shown(&a.param, &below), shown(&a.value, &below)))
                .collect();
            Node::new(title, columns)
                .note("Output", condition)
                .note_some("Parameters", (!arguments.is_empty()).then(|| arguments.join(", ")))
                .note("Motion", "local")
                .over(children)
        }
    }
}

fn aggregate(keys: &[Expr], calls: &[AggregateCall], below: Vec<String>) -> Node {
    let mut columns = shown_all(keys, &below);
    let group = columns.join(", ");
    for call in calls {
        let args = if call.args.is_empty() {
            "*".into()
        } else {
            shown_all(&call.args, &below).join(", ")
        };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        columns.push(format!("{}({distinct}{args})", call.aggregate.name));
    }
    let title = if keys.is_empty() { "Aggregate" } else { "HashAggregate" };
    let node = Node::new(title, columns);
    if keys.is_empty() { node } else { node.note("Group Key", group) }
}

fn sort_keys(keys: &[SortKey], below: &[String]) -> String {
    let mut text = String::new();
    for (at, key) in keys.iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let descending = if key.descending { " DESC" } else { "" };
        let nulls = match (key.descending, key.nulls_first) {
            (false, true) => " NULLS FIRST",
            (true, false) => " NULLS LAST",
            _ => "",
        };
        let shown = shown(&key.expr, below);
        write!(text, "{comma}{shown}{descending}{nulls}").expect("strings take any text");
    }
    text
}

fn table_scan(scan: &TableScan) -> Node {
    let table = &scan.table;
    let names: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    let columns = scan.columns.iter().map(|at| names[usize::from(*at)].clone()).collect();
    let primary = format!("Index Scan using {}", table.primary_key_name);
    let title = match &scan.access {
        Access::Full => "Seq Scan".to_owned(),
        Access::KeyRange { range, .. }
            if range.equal.is_empty() && range.lower.is_none() && range.upper.is_none() =>
        {
            "Seq Scan".to_owned()
        }
        Access::Get { .. } | Access::KeyRange { .. } => primary,
        Access::Index { index, .. } => {
            format!("Index Scan using {}", table.indexes[*index].name)
        }
    };
    let ensured: Vec<String> = scan.ensured.iter().map(|e| shown(e, &names)).collect();
    let condition = (!ensured.is_empty()).then(|| ensured.join(" AND "));
    let filter = scan.filter.as_ref().map(|filter| shown(filter, &names));
    Node::new(titled(&title, &table.name, &scan.alias), columns)
        .note_some("Index Cond", condition)
        .note_some("Filter", filter)
        .note("Buckets", scan_buckets(table, &scan.access))
}

fn point(plan: &PointPlan) -> Node {
    let table = &plan.table;
    let slots: Vec<String> = table
        .primary_key
        .iter()
        .zip(&plan.key)
        .map(|(column, slot)| {
            let name = &table.columns[usize::from(*column)].name;
            format!("({name} = {})", expr::slot(slot))
        })
        .collect();
    Node::new(format!("Point Get using {} on {}", table.primary_key_name, table.name), Vec::new())
        .note("Index Cond", slots.join(" AND "))
        .note("Buckets", by_distribution(table, "one"))
}

fn titled(what: &str, name: &str, alias: &str) -> String {
    if name == alias { format!("{what} on {name}") } else { format!("{what} on {name} {alias}") }
}

fn scan_buckets(table: &TableDef, access: &Access) -> String {
    if table.distribution == Distribution::Global {
        return "none (global table)".to_owned();
    }
    match access {
        Access::Get { keys } if keys.len() > 1 => {
            by_distribution(table, &format!("at most {}", keys.len()))
        }
        Access::Get { .. } | Access::KeyRange { buckets: Buckets::One(_), .. } => {
            by_distribution(table, "one")
        }
        Access::KeyRange { .. } | Access::Index { .. } | Access::Full => "all".to_owned(),
    }
}

fn by_distribution(table: &TableDef, count: &str) -> String {
    let names: Vec<&str> = table
        .distribution_columns()
        .iter()
        .map(|column| table.columns[usize::from(*column)].name.as_str())
        .collect();
    match names.is_empty() {
        true => "none (global table)".to_owned(),
        false => format!("{count}, by ({})", names.join(", ")),
    }
}

/// The buckets a whole statement touches, in words.
fn buckets_of(plan: &Plan) -> String {
    let source = match plan {
        Plan::Point(plan) => return by_distribution(&plan.table, "one"),
        Plan::Query(plan) => plan,
        Plan::Insert(plan) => &plan.source,
        Plan::Update(plan) => &plan.source,
        Plan::Delete(plan) => &plan.source,
        _ => return "none".to_owned(),
    };
    let mut scans = Vec::new();
    collect_scans(source, &mut scans);
    let mut texts: Vec<String> = scans
        .into_iter()
        .map(|scan| format!("{}: {}", scan.alias, scan_buckets(&scan.table, &scan.access)))
        .collect();
    texts.dedup();
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

fn collect_scans<'p>(plan: &'p Physical, scans: &mut Vec<&'p TableScan>) {
    if let Physical::Scan(scan) = plan {
        scans.push(scan);
    }
    for input in plan.inputs() {
        collect_scans(input, scans);
    }
}
