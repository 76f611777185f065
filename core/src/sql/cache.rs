//! The plan cache of an instance: statements it has prepared, by text and what gave it its meaning.
//!
//! Bounded by entries and by bytes of text. A plan is up to a hundred times as long as its text, and not
//! longer, since constants are folded only where they hardly grow. The one used longest ago goes first; plans of an older
//! catalog version are never found again and go the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::Prepared;
use crate::base::{CatalogVersion, SqlType};

/// What decides the meaning of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey {
    pub text: Arc<str>,
    /// As declared by the client.
    pub params: Vec<SqlType>,
    pub search_path: Arc<[String]>,
    pub catalog_version: CatalogVersion,
}

/// Prepared statements.
#[derive(Debug)]
pub struct PlanCache {
    entries: BTreeMap<CacheKey, Entry>,
    /// Uses so far; the age of an entry is counted in it.
    uses: u64,
    /// Keys by last use: the first is the one to go. As many as entries.
    by_use: BTreeMap<u64, CacheKey>,
    text_bytes: usize,
    limits: CacheLimits,
}

#[derive(Debug)]
struct Entry {
    plan: Arc<Prepared>,
    used: u64,
}

/// Bounds of a cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    pub entries: usize,
    /// Of all texts together.
    pub text_bytes: usize,
    /// Of one text: longer ones are bulk loads, which do not come again.
    pub longest_text: usize,
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits { entries: 4_096, text_bytes: 2 << 20, longest_text: 64 << 10 }
    }
}

impl PlanCache {
    pub fn new(limits: CacheLimits) -> PlanCache {
        PlanCache {
            entries: BTreeMap::new(),
            uses: 0,
            by_use: BTreeMap::new(),
            text_bytes: 0,
            limits,
        }
    }

    /// The plan of this key, if it is kept.
    pub fn get(&mut self, key: &CacheKey) -> Option<Arc<Prepared>> {
        if crate::buggify!("sql: a plan made again") {
            return None;
        }
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        let key = self.by_use.remove(&entry.used).expect("every entry has a use");
        entry.used = self.uses;
        self.by_use.insert(self.uses, key);
        Some(entry.plan.clone())
    }

    /// Keeps a plan; the ones used longest ago make room. A text above the bounds is not kept.
    pub fn insert(&mut self, key: CacheKey, plan: Arc<Prepared>) {
        let longest = self.limits.longest_text.min(self.limits.text_bytes);
        if key.text.len() > longest || self.limits.entries == 0 {
            return;
        }
        self.uses += 1;
        self.text_bytes += key.text.len();
        self.by_use.insert(self.uses, key.clone());
        if let Some(old) = self.entries.insert(key, Entry { plan, used: self.uses }) {
            let key = self.by_use.remove(&old.used).expect("every entry has a use");
            self.text_bytes -= key.text.len();
        }
        while self.entries.len() > self.limits.entries || self.text_bytes > self.limits.text_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.entries.remove(&oldest);
            self.text_bytes -= oldest.text.len();
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops every plan: memory is short, or settings changed that plans depend on.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
        self.text_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::SessionStmt;
    use crate::sql::plan::{Plan, Touches};

    fn key(text: &str) -> CacheKey {
        CacheKey {
            text: text.into(),
            params: vec![],
            search_path: Arc::new([]),
            catalog_version: CatalogVersion(1),
        }
    }

    fn plan() -> Arc<Prepared> {
        Arc::new(Prepared {
            text: "".into(),
            plan: Plan::Session(SessionStmt::ShowAll),
            params: vec![],
            columns: None,
            subqueries: vec![],
            outer_params: 0,
            touches: Touches::default(),
            catalog_version: CatalogVersion(1),
        })
    }

    #[test]
    fn the_one_used_longest_ago_goes_first() {
        let mut cache =
            PlanCache::new(CacheLimits { entries: 2, text_bytes: 100, longest_text: 99 });
        cache.insert(key("a"), plan());
        cache.insert(key("b"), plan());
        assert!(cache.get(&key("a")).is_some());
        cache.insert(key("c"), plan());
        assert!(cache.get(&key("b")).is_none());
        assert!(cache.get(&key("a")).is_some());
        cache.insert(key(&"x".repeat(99)), plan());
        assert_eq!(cache.len(), 2);
        assert!(cache.get(&key("c")).is_none());
        cache.insert(key(&"x".repeat(100)), plan());
        assert_eq!(cache.len(), 2);
        cache.insert(key("a"), plan());
        assert_eq!((cache.len(), cache.by_use.len(), cache.text_bytes), (2, 2, 100));
    }
}
