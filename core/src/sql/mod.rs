//! From text to plan.
