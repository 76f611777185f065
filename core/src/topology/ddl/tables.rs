//! The tables there are, found by id and by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::schema::{TableDef, TableRef};
use crate::base::{IndexId, TableId, Wire};

/// What a name in the schema `public` stands for. Tables and indexes share their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Table(TableId),
    /// A secondary index, or the index of a primary key.
    Index(TableId, IndexId),
}

/// All tables of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    by_id: BTreeMap<TableId, TableRef>,
    /// Derived from `by_id`; names are unique among tables and indexes.
    by_name: BTreeMap<String, Relation>,
}

impl Tables {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &TableRef> {
        self.by_id.values()
    }

    pub fn get(&self, id: TableId) -> Option<&TableRef> {
        self.by_id.get(&id)
    }

    /// What `name` stands for, operable or not.
    pub fn relation(&self, name: &str) -> Option<Relation> {
        self.by_name.get(name).copied()
    }

    /// The table called `name`, operable or not.
    pub fn by_name(&self, name: &str) -> Option<&TableRef> {
        match self.relation(name)? {
            Relation::Table(id) => self.get(id),
            Relation::Index(..) => None,
        }
    }

    /// Adds a table, or replaces its definition.
    pub(in crate::topology) fn put(&mut self, table: TableRef) {
        self.remove(table.id);
        for (name, relation) in names(&table) {
            let taken = self.by_name.insert(name.to_owned(), relation);
            assert!(taken.is_none(), "relation name {name} given to {relation:?} and {taken:?}");
        }
        self.by_id.insert(table.id, table);
    }

    /// Takes a table away; nothing if there is none.
    pub(in crate::topology) fn remove(&mut self, id: TableId) {
        let Some(table) = self.by_id.remove(&id) else { return };
        for (name, _) in names(&table) {
            self.by_name.remove(name);
        }
    }

    /// Switches whether statements may use the table; nothing if there is none.
    pub(in crate::topology) fn set_operable(&mut self, id: TableId, operable: bool) {
        if let Some(table) = self.by_id.get_mut(&id) {
            Arc::make_mut(table).operable = operable;
        }
    }
}

fn names(table: &TableDef) -> impl Iterator<Item = (&str, Relation)> {
    let secondary = table
        .indexes
        .iter()
        .map(|index| (index.name.as_str(), Relation::Index(table.id, index.id)));
    [
        (table.name.as_str(), Relation::Table(table.id)),
        (table.primary_key_name.as_str(), Relation::Index(table.id, table.primary_key_id)),
    ]
    .into_iter()
    .chain(secondary)
}

impl Wire for Tables {
    fn write(&self, w: &mut Writer) {
        w.varint(self.by_id.len() as u64);
        for table in self.by_id.values() {
            table.write(w);
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        let mut tables = Tables::default();
        for table in r.list(TableRef::read)? {
            if names(&table).any(|(name, _)| tables.by_name.contains_key(name)) {
                return r.invalid("one name for two relations");
            }
            let mut own: Vec<&str> = names(&table).map(|(name, _)| name).collect();
            own.sort_unstable();
            if own.windows(2).any(|pair| pair[0] == pair[1]) {
                return r.invalid("one name twice in a table");
            }
            tables.put(table);
        }
        Ok(tables)
    }
}
