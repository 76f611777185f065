//! Statements on their way to the instance that can run them.
