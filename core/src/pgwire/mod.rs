//! The PostgreSQL protocol: messages, connection, authentication.
