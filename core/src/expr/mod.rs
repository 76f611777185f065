//! Typed expressions and the tables of operators, functions, casts and aggregates.
