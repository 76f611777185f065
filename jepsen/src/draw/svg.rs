//! Cycles drawn as rings: each operation a box, each edge an arrow with its reason.

use std::f64::consts::TAU;

use super::{color, escaped};
use crate::history::History;
use crate::verdict::{Anomaly, Verdict};

const WIDTH: f64 = 900.0;
const BOX_WIDTH: f64 = 250.0;
const BOX_HEIGHT: f64 = 44.0;

/// All cycles of a verdict, one under the other.
pub fn svg(history: &History, verdict: &Verdict) -> String {
    let mut body = String::new();
    let mut top = 10.0;
    for anomaly in verdict.anomalies.iter().filter(|anomaly| !anomaly.cycle.is_empty()) {
        top += ring(history, anomaly, top, &mut body);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" \
         font-family=\"monospace\" font-size=\"12\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto-start-reverse\"><path d=\"M0 0L10 5L0 10z\"/></marker>\
         </defs>\n{body}</svg>\n"
    )
}

/// Draws one cycle and returns its height.
fn ring(history: &History, anomaly: &Anomaly, top: f64, body: &mut String) -> f64 {
    let count = anomaly.cycle.len();
    let radius = 60.0 + 30.0 * count as f64;
    let (center_x, center_y) = (WIDTH / 2.0, top + 50.0 + radius);
    let place = |index: usize| {
        let turn = TAU * (index % count) as f64 / count as f64 - TAU / 4.0;
        (center_x + 2.2 * radius.min(140.0) * turn.cos(), center_y + radius * turn.sin())
    };
    *body += &format!(
        "<text x=\"10\" y=\"{}\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
        top + 16.0,
        anomaly.kind.name()
    );
    for (index, edge) in anomaly.cycle.iter().enumerate() {
        let (from, to) = (place(index), place(index + 1));
        // Two arrows between the same boxes must not lie on each other.
        let (middle_x, middle_y) = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
        let (across_x, across_y) = (from.1 - to.1, to.0 - from.0);
        let length = across_x.hypot(across_y).max(1.0);
        let bend_x = middle_x - 36.0 * across_x / length;
        let bend_y = middle_y - 36.0 * across_y / length;
        let color = color(edge.reason);
        let (start, end) = (edge_of_box(from, (bend_x, bend_y)), edge_of_box(to, (bend_x, bend_y)));
        *body += &format!(
            "<path d=\"M{:.1} {:.1}Q{bend_x:.1} {bend_y:.1} {:.1} {:.1}\" fill=\"none\" \
             stroke=\"{color}\" stroke-width=\"2\" marker-end=\"url(#tip)\"><title>{}</title>\
             </path>\n<text x=\"{bend_x:.1}\" y=\"{bend_y:.1}\" fill=\"{color}\" \
             text-anchor=\"middle\">{}</text>\n",
            start.0,
            start.1,
            end.0,
            end.1,
            escaped(&edge.words),
            edge.reason.name(),
        );
    }
    for (index, edge) in anomaly.cycle.iter().enumerate() {
        let (x, y) = place(index);
        *body += &format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"6\" \
             fill=\"#fdfefe\" stroke=\"#2c3e50\"/>\n<text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\" font-weight=\"bold\">T{}</text>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}<title>{}</title></text>\n",
            x - BOX_WIDTH / 2.0,
            y - BOX_HEIGHT / 2.0,
            y - 6.0,
            edge.from.0,
            y + 12.0,
            escaped(&shortened(&history.describe_steps(edge.from), 34)),
            escaped(&history.describe(edge.from)),
        );
    }
    2.0 * radius + 100.0
}

/// Where the line from the middle of a box towards a point leaves it.
fn edge_of_box(middle: (f64, f64), towards: (f64, f64)) -> (f64, f64) {
    let (x, y) = (towards.0 - middle.0, towards.1 - middle.1);
    let by_width = (BOX_WIDTH / 2.0) / x.abs().max(0.001);
    let by_height = (BOX_HEIGHT / 2.0) / y.abs().max(0.001);
    let share = by_width.min(by_height).min(1.0);
    (middle.0 + x * share, middle.1 + y * share)
}

fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_string();
    }
    text.chars().take(letters - 1).chain(['…']).collect()
}
