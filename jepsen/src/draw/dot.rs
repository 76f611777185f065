//! Cycles in the language of Graphviz.

use super::color;
use crate::history::History;
use crate::verdict::Verdict;

/// One cluster for each cycle of a verdict.
pub fn dot(history: &History, verdict: &Verdict) -> String {
    let mut text = "digraph anomalies {\n  node [shape=box, fontname=monospace];\n".to_string();
    let cycles = verdict.anomalies.iter().filter(|anomaly| !anomaly.cycle.is_empty());
    for (number, anomaly) in cycles.enumerate() {
        text +=
            &format!("  subgraph cluster_{number} {{\n    label=\"{}\";\n", anomaly.kind.name());
        for edge in &anomaly.cycle {
            let id = edge.from.0;
            let steps = quoted(&history.describe_steps(edge.from));
            text += &format!("    c{number}_t{id} [label=\"T{id}\\n{steps}\"];\n");
        }
        for edge in &anomaly.cycle {
            text += &format!(
                "    c{number}_t{} -> c{number}_t{} [label=\"{}\", tooltip=\"{}\", color=\"{}\"];\n",
                edge.from.0,
                edge.to.0,
                edge.reason.name(),
                quoted(&edge.words),
                color(edge.reason),
            );
        }
        text += "  }\n";
    }
    text + "}\n"
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
