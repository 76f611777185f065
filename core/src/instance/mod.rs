//! The top: everything of one instance, behind one `step`.
