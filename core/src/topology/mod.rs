//! The ring: catalog, users, instances, placement.
