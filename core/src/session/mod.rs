//! One client: prepared statements, portals, settings.
