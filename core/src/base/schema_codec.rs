//! Byte form of [`TableDef`] and its parts, for the catalog's log, snapshots and shards' logs.
//!
//! Fields in the order of the lists below; counts and ids are varints, `typmod` four bytes.

use super::codec::{CodecResult, Reader, Writer};
use super::schema::{ColumnDef, Distribution, Engine, IndexColumn, IndexDef, TableDef};
use super::types::SqlType;
use super::wire::Wire;
use crate::{wire_struct, wire_tags};

impl Wire for SqlType {
    fn write(&self, w: &mut Writer) {
        w.u8(*self as u8);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        let tag = r.u8()?;
        match SqlType::from_tag(tag) {
            Some(ty) => Ok(ty),
            None => r.unknown_tag(tag),
        }
    }
}

wire_tags!(Engine { Memtx = 0, Vinyl = 1 });
wire_struct!(ColumnDef { name, ty, typmod, nullable, default, hidden });
wire_struct!(IndexColumn { column, descending, nulls_first });
wire_struct!(IndexDef { id, name, columns, unique });

impl Wire for Distribution {
    fn write(&self, w: &mut Writer) {
        match self {
            Distribution::Global => w.u8(0),
            Distribution::Sharded { columns, tier } => {
                w.u8(1);
                columns.write(w);
                tier.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        match r.u8()? {
            0 => Ok(Distribution::Global),
            1 => Ok(Distribution::Sharded { columns: Wire::read(r)?, tier: Wire::read(r)? }),
            tag => r.unknown_tag(tag),
        }
    }
}

wire_struct!(TableDef {
    id,
    schema,
    name,
    owner,
    columns,
    primary_key,
    primary_key_name,
    primary_key_id,
    distribution,
    engine,
    unlogged,
    indexes,
    version,
    operable,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{CatalogVersion, IndexId, TableId, UserId};

    #[test]
    fn a_table_survives_the_trip() {
        let table = TableDef {
            id: TableId(16_384),
            schema: "public".into(),
            name: "t".into(),
            owner: UserId(10),
            columns: vec![ColumnDef {
                name: "a".into(),
                ty: SqlType::Int4,
                typmod: -1,
                nullable: false,
                default: Some("1".into()),
                hidden: false,
            }],
            primary_key: vec![0],
            primary_key_name: "t_pkey".into(),
            primary_key_id: IndexId(16_385),
            distribution: Distribution::Sharded { columns: vec![0], tier: "default".into() },
            engine: Engine::Memtx,
            unlogged: false,
            indexes: vec![IndexDef {
                id: IndexId(16_386),
                name: "t_a_idx".into(),
                columns: vec![IndexColumn { column: 0, descending: true, nulls_first: true }],
                unique: true,
            }],
            version: CatalogVersion(7),
            operable: true,
        };
        let mut w = Writer::new();
        table.write(&mut w);
        let mut r = Reader::new(w.into_bytes(), "table");
        assert_eq!(TableDef::read(&mut r).unwrap(), table);
        r.finish().unwrap();
    }
}
