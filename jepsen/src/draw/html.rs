//! A page with the verdict, its cycles, and a timeline: a row for each process, a bar for each
//! operation, those of anomalies in red.
//!
//! A long history is shown only around its anomalies.

use std::collections::BTreeSet;

use super::{escaped, svg};
use crate::history::{History, NEVER, Operation, OperationId, Outcome};
use crate::verdict::Verdict;

const BARS_MAX: usize = 2000;
/// Operations shown before and after one of an anomaly where not all are shown.
const NEIGHBOURS: u32 = 20;
const ROW_HEIGHT: usize = 26;
const EVENT_WIDTH: usize = 28;
const LABEL_WIDTH: usize = 90;

/// The page.
pub fn html(history: &History, verdict: &Verdict, title: &str) -> String {
    let guilty: BTreeSet<OperationId> =
        verdict.anomalies.iter().flat_map(|anomaly| anomaly.operations.iter().copied()).collect();
    let shown = shown(history, &guilty);
    let title = escaped(title);
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
         body {{ font-family: sans-serif; margin: 2em; color: #1b2631 }}\n\
         pre {{ background: #f4f6f7; padding: 1em; overflow-x: auto }}\n\
         .scroll {{ overflow-x: auto; border: 1px solid #d5d8dc }}\n\
         rect.ok {{ fill: #aed6f1 }} rect.fail {{ fill: #e5e7e9 }} rect.info {{ fill: #f9e79f }}\n\
         rect.guilty {{ stroke: #c0392b; stroke-width: 2.5 }}\n</style>\n\
         <h1>{title}</h1>\n<p>{} operations; {}</p>\n<pre>{}</pre>\n{}\n<h2>Timeline</h2>\n{}",
        history.operation_count(),
        match verdict.is_clean() {
            true => "nothing was found".to_string(),
            false => format!("found {}", verdict.names().join(", ")),
        },
        escaped(&verdict.to_string()),
        svg(history, verdict),
        timeline(history, &shown, &guilty),
    )
}

fn shown(history: &History, guilty: &BTreeSet<OperationId>) -> Vec<OperationId> {
    let count = history.operation_count() as u32;
    if count as usize <= BARS_MAX {
        return (0..count).map(OperationId).collect();
    }
    let mut shown = BTreeSet::new();
    for id in guilty {
        let range = id.0.saturating_sub(NEIGHBOURS)..(id.0 + NEIGHBOURS + 1).min(count);
        shown.extend(range.map(OperationId));
        if shown.len() > BARS_MAX {
            break;
        }
    }
    if shown.is_empty() {
        shown.extend((0..BARS_MAX as u32).map(OperationId));
    }
    shown.into_iter().collect()
}

fn timeline(history: &History, shown: &[OperationId], guilty: &BTreeSet<OperationId>) -> String {
    let mut events: Vec<u32> = Vec::new();
    let mut processes: Vec<u32> = Vec::new();
    for &id in shown {
        let operation = history.operation(id);
        events.push(operation.invoked);
        if operation.completed != NEVER {
            events.push(operation.completed);
        }
        processes.push(operation.process);
    }
    events.sort_unstable();
    processes.sort_unstable();
    processes.dedup();
    let width = LABEL_WIDTH + (events.len() + 2) * EVENT_WIDTH;
    let height = (processes.len() + 1) * ROW_HEIGHT;
    let mut body = String::new();
    for (row, &process) in processes.iter().enumerate() {
        let y = row * ROW_HEIGHT + ROW_HEIGHT / 2 + 4;
        let name = escaped(&history.names.text(history.process_atom(process)));
        body += &format!("<text x=\"4\" y=\"{y}\">process {name}</text>\n");
    }
    for &id in shown {
        let operation = history.operation(id);
        let row = processes.partition_point(|&process| process < operation.process);
        body += &bar(history, id, operation, row, &events, guilty.contains(&id));
    }
    let note = match shown.len() < history.operation_count() {
        true => format!("<p>{} operations around what was found</p>\n", shown.len()),
        false => String::new(),
    };
    format!(
        "{note}<div class=\"scroll\"><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
         height=\"{height}\" font-family=\"monospace\" font-size=\"11\">\n{body}</svg></div>\n"
    )
}

fn bar(
    history: &History,
    id: OperationId,
    operation: &Operation,
    row: usize,
    events: &[u32],
    is_guilty: bool,
) -> String {
    let place = |event: u32| LABEL_WIDTH + events.partition_point(|&e| e < event) * EVENT_WIDTH;
    let (left, right) = (place(operation.invoked), place(operation.completed));
    let class = match operation.outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    };
    let guilty = if is_guilty { " guilty" } else { "" };
    let width = (right - left).max(EVENT_WIDTH / 2);
    let (y, text_y) = (row * ROW_HEIGHT + 2, row * ROW_HEIGHT + ROW_HEIGHT / 2 + 4);
    let height = ROW_HEIGHT - 4;
    let title = escaped(&history.describe(id));
    let letters = width / 7;
    let label: String =
        format!("T{} {}", id.0, history.describe_steps(id)).chars().take(letters).collect();
    let label = escaped(&label);
    format!(
        "<g><title>{title}</title><rect class=\"{class}{guilty}\" x=\"{left}\" y=\"{y}\" \
         width=\"{width}\" height=\"{height}\" rx=\"3\"/><text x=\"{}\" y=\"{text_y}\">{label}\
         </text></g>\n",
        left + 3
    )
}
