//! Rows in memory, their versions and indexes; the write-ahead log.
