//! The only place that names raft-rs.
