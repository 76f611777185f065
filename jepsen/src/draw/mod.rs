//! Pictures of a verdict: cycles as Graphviz or SVG, and a timeline by process as HTML.

mod dot;
mod html;
mod svg;

pub use dot::dot;
pub use html::html;
pub use svg::svg;

use crate::verdict::EdgeReason;

/// Text as it may stand in XML and in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

fn color(reason: EdgeReason) -> &'static str {
    match reason {
        EdgeReason::WriteWrite => "#c0392b",
        EdgeReason::WriteRead => "#2471a3",
        EdgeReason::ReadWrite | EdgeReason::PredicateReadWrite => "#7d3c98",
        EdgeReason::Process => "#566573",
        EdgeReason::Realtime => "#1e8449",
    }
}
