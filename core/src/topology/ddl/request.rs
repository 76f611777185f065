//! What a DDL statement asks for: names and positions, no ids yet.

use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::schema::{ColumnDef, ColumnIndex, Engine};
use crate::base::{UserId, Wire};
use crate::wire_struct;

/// One schema change, as it stands in the ring's log. Names are folded to their stored spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DdlRequest {
    CreateTable(CreateTableRequest),
    DropTable(DropRequest),
    AlterTable(AlterTableRequest),
    CreateIndex(CreateIndexRequest),
    DropIndex(DropRequest),
    RenameIndex { schema: String, name: String, to: String },
    Truncate { schema: String, name: String },
}

/// `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTableRequest {
    pub schema: String,
    pub name: String,
    pub if_not_exists: bool,
    pub owner: UserId,
    /// As declared, in order; none hidden.
    pub columns: Vec<ColumnDef>,
    /// Empty: the table gets a hidden one.
    pub primary_key: Vec<ColumnIndex>,
    /// `CONSTRAINT name`; `None` gives `t_pkey`.
    pub primary_key_name: Option<String>,
    pub uniques: Vec<UniqueRequest>,
    pub distribution: DistributionRequest,
    pub engine: Engine,
    pub unlogged: bool,
}

/// A `UNIQUE` constraint of a new table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueRequest {
    /// `None` gives `t_a_key`.
    pub name: Option<String>,
    pub columns: Vec<ColumnIndex>,
}

/// The `DISTRIBUTED` clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributionRequest {
    Global,
    /// No columns: by the primary key. No tier: the default one.
    Sharded {
        columns: Vec<ColumnIndex>,
        tier: Option<String>,
    },
}

/// `DROP TABLE` or `DROP INDEX`, of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropRequest {
    pub schema: String,
    pub name: String,
    pub if_exists: bool,
}

/// `ALTER TABLE`, one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTableRequest {
    pub schema: String,
    pub name: String,
    pub if_exists: bool,
    pub alteration: TableAlteration,
}

/// The action of an `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableAlteration {
    RenameTo(String),
    RenameColumn {
        from: String,
        to: String,
    },
    AddColumn {
        column: ColumnDef,
        if_not_exists: bool,
    },
    /// For rows inserted from now on; `None` drops it.
    SetDefault {
        column: String,
        default: Option<String>,
    },
    OwnerTo(UserId),
}

/// `CREATE INDEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndexRequest {
    pub schema: String,
    pub table: String,
    /// `None` gives `t_a_idx`.
    pub name: Option<String>,
    pub if_not_exists: bool,
    pub columns: Vec<IndexKeyRequest>,
    pub unique: bool,
}

/// One column of a new index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKeyRequest {
    pub column: String,
    pub descending: bool,
    pub nulls_first: bool,
}

impl Wire for DdlRequest {
    fn write(&self, w: &mut Writer) {
        match self {
            DdlRequest::CreateTable(request) => {
                w.u8(0);
                request.write(w);
            }
            DdlRequest::DropTable(request) => {
                w.u8(1);
                request.write(w);
            }
            DdlRequest::AlterTable(request) => {
                w.u8(2);
                request.write(w);
            }
            DdlRequest::CreateIndex(request) => {
                w.u8(3);
                request.write(w);
            }
            DdlRequest::DropIndex(request) => {
                w.u8(4);
                request.write(w);
            }
            DdlRequest::RenameIndex { schema, name, to } => {
                w.u8(5);
                schema.write(w);
                name.write(w);
                to.write(w);
            }
            DdlRequest::Truncate { schema, name } => {
                w.u8(6);
                schema.write(w);
                name.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(match r.u8()? {
            0 => DdlRequest::CreateTable(Wire::read(r)?),
            1 => DdlRequest::DropTable(Wire::read(r)?),
            2 => DdlRequest::AlterTable(Wire::read(r)?),
            3 => DdlRequest::CreateIndex(Wire::read(r)?),
            4 => DdlRequest::DropIndex(Wire::read(r)?),
            5 => DdlRequest::RenameIndex {
                schema: Wire::read(r)?,
                name: Wire::read(r)?,
                to: Wire::read(r)?,
            },
            6 => DdlRequest::Truncate { schema: Wire::read(r)?, name: Wire::read(r)? },
            tag => return r.unknown_tag(tag),
        })
    }
}

impl Wire for DistributionRequest {
    fn write(&self, w: &mut Writer) {
        match self {
            DistributionRequest::Global => w.u8(0),
            DistributionRequest::Sharded { columns, tier } => {
                w.u8(1);
                columns.write(w);
                tier.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(match r.u8()? {
            0 => DistributionRequest::Global,
            1 => DistributionRequest::Sharded { columns: Wire::read(r)?, tier: Wire::read(r)? },
            tag => return r.unknown_tag(tag),
        })
    }
}

impl Wire for TableAlteration {
    fn write(&self, w: &mut Writer) {
        match self {
            TableAlteration::RenameTo(to) => {
                w.u8(0);
                to.write(w);
            }
            TableAlteration::RenameColumn { from, to } => {
                w.u8(1);
                from.write(w);
                to.write(w);
            }
            TableAlteration::AddColumn { column, if_not_exists } => {
                w.u8(2);
                column.write(w);
                if_not_exists.write(w);
            }
            TableAlteration::SetDefault { column, default } => {
                w.u8(3);
                column.write(w);
                default.write(w);
            }
            TableAlteration::OwnerTo(owner) => {
                w.u8(4);
                owner.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(match r.u8()? {
            0 => TableAlteration::RenameTo(Wire::read(r)?),
            1 => TableAlteration::RenameColumn { from: Wire::read(r)?, to: Wire::read(r)? },
            2 => {
                TableAlteration::AddColumn { column: Wire::read(r)?, if_not_exists: Wire::read(r)? }
            }
            3 => TableAlteration::SetDefault { column: Wire::read(r)?, default: Wire::read(r)? },
            4 => TableAlteration::OwnerTo(Wire::read(r)?),
            tag => return r.unknown_tag(tag),
        })
    }
}

wire_struct!(CreateTableRequest {
    schema,
    name,
    if_not_exists,
    owner,
    columns,
    primary_key,
    primary_key_name,
    uniques,
    distribution,
    engine,
    unlogged,
});
wire_struct!(UniqueRequest { name, columns });
wire_struct!(DropRequest { schema, name, if_exists });
wire_struct!(AlterTableRequest { schema, name, if_exists, alteration });
wire_struct!(CreateIndexRequest { schema, table, name, if_not_exists, columns, unique });
wire_struct!(IndexKeyRequest { column, descending, nulls_first });
