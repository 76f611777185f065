//! From plan to rows and writes.
