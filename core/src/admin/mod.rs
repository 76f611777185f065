//! Status and metrics.
