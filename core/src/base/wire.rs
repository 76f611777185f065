//! The byte form of values that live in logs, snapshots and messages.
//!
//! A type has one byte form, [`Wire`]. A struct's form is its fields one after another, and
//! [`wire_struct!`](crate::wire_struct) lists them in that order:
//!
//! ```text
//! wire_struct!(Tier { name, replication_factor });      // "name" bytes, then the factor's varint
//! ```
//!
//! The list *is* the format: it is append-only, and whoever frames the value (a log entry, a
//! snapshot) writes the format version in front. Enums are written by hand, a tag byte first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::codec::{CodecResult, Reader, Writer};
use super::error::{ErrorFields, SqlError, SqlState};
use super::ids::{
    BucketId, CatalogVersion, GroupId, IndexId, InstanceId, LogIndex, TableId, UserId,
};

/// A value with one byte form: what `write` appends, `read` takes off again.
pub trait Wire: Sized {
    fn write(&self, w: &mut Writer);
    fn read(r: &mut Reader) -> CodecResult<Self>;
}

/// Gives a struct its byte form: the named fields in the order of the list.
#[macro_export]
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::base::wire::Wire for $name {
            fn write(&self, w: &mut $crate::base::codec::Writer) {
                $($crate::base::wire::Wire::write(&self.$field, w);)*
            }
            fn read(
                r: &mut $crate::base::codec::Reader,
            ) -> $crate::base::codec::CodecResult<Self> {
                Ok($name { $($field: $crate::base::wire::Wire::read(r)?,)* })
            }
        }
    };
}

/// Gives an enum without fields its byte form: one tag byte a variant.
#[macro_export]
macro_rules! wire_tags {
    ($name:ident { $($variant:ident = $tag:literal),* $(,)? }) => {
        impl $crate::base::wire::Wire for $name {
            fn write(&self, w: &mut $crate::base::codec::Writer) {
                w.u8(match self { $($name::$variant => $tag,)* });
            }
            fn read(
                r: &mut $crate::base::codec::Reader,
            ) -> $crate::base::codec::CodecResult<Self> {
                match r.u8()? {
                    $($tag => Ok($name::$variant),)*
                    tag => r.unknown_tag(tag),
                }
            }
        }
    };
}

macro_rules! wire_varint {
    ($($name:ty),*) => {$(
        impl Wire for $name {
            fn write(&self, w: &mut Writer) {
                w.varint(u64::from(*self));
            }
            fn read(r: &mut Reader) -> CodecResult<Self> {
                r.varint_as()
            }
        }
    )*};
}

macro_rules! wire_id {
    ($($name:ident),*) => {$(
        impl Wire for $name {
            fn write(&self, w: &mut Writer) {
                self.0.write(w);
            }
            fn read(r: &mut Reader) -> CodecResult<Self> {
                Ok($name(Wire::read(r)?))
            }
        }
    )*};
}

wire_varint!(u8, u16, u32, u64);
wire_id!(BucketId, CatalogVersion, GroupId, IndexId, InstanceId, LogIndex, TableId, UserId);

impl Wire for bool {
    fn write(&self, w: &mut Writer) {
        w.bool(*self);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        r.bool()
    }
}

impl Wire for i32 {
    fn write(&self, w: &mut Writer) {
        w.i32(*self);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        r.i32()
    }
}

impl Wire for String {
    fn write(&self, w: &mut Writer) {
        w.str(self);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        r.string()
    }
}

impl Wire for Uuid {
    fn write(&self, w: &mut Writer) {
        w.raw(self.as_bytes());
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&r.raw(16)?);
        Ok(Uuid::from_bytes(bytes))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, w: &mut Writer) {
        w.option(self.as_ref(), |w, v| v.write(w));
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        r.option(T::read)
    }
}

impl<T: Wire> Wire for Arc<T> {
    fn write(&self, w: &mut Writer) {
        T::write(self, w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(Arc::new(T::read(r)?))
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, w: &mut Writer) {
        T::write(self, w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(Box::new(T::read(r)?))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, w: &mut Writer) {
        w.list(self, |w, v| v.write(w));
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        r.list(T::read)
    }
}

impl<T: Wire> Wire for VecDeque<T> {
    fn write(&self, w: &mut Writer) {
        w.varint(self.len() as u64);
        for v in self {
            v.write(w);
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(Vec::read(r)?.into())
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, w: &mut Writer) {
        self.0.write(w);
        self.1.write(w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok((A::read(r)?, B::read(r)?))
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn write(&self, w: &mut Writer) {
        w.varint(self.len() as u64);
        for (k, v) in self {
            k.write(w);
            v.write(w);
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(r.list(|r| Ok((K::read(r)?, V::read(r)?)))?.into_iter().collect())
    }
}

impl<K: Wire + Ord> Wire for BTreeSet<K> {
    fn write(&self, w: &mut Writer) {
        w.varint(self.len() as u64);
        for k in self {
            k.write(w);
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(r.list(K::read)?.into_iter().collect())
    }
}

impl Wire for SqlState {
    fn write(&self, w: &mut Writer) {
        w.str(self.code());
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        match SqlState::from_code(&r.string()?) {
            Some(state) => Ok(state),
            None => r.invalid("a SQLSTATE this build does not know"),
        }
    }
}

wire_struct!(ErrorFields { detail, hint, position, schema, table, column, data_type, constraint });

impl Wire for SqlError {
    fn write(&self, w: &mut Writer) {
        self.state.write(w);
        self.message.write(w);
        self.fields.write(w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(SqlError {
            state: Wire::read(r)?,
            message: Wire::read(r)?,
            fields: Box::new(Wire::read(r)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_trip() {
        let error = SqlError::new(SqlState::UniqueViolation, "no").with_constraint("t_pkey");
        let mut w = Writer::new();
        error.write(&mut w);
        let mut r = Reader::new(w.into_bytes(), "error");
        assert_eq!(SqlError::read(&mut r).unwrap(), error);
        r.finish().unwrap();
    }
}
