//! A key as trees hold it: short ones inline, so that a comparison stays in the node.

use std::borrow::Borrow;
use std::cmp::Ordering;

use super::memory::allocation_bytes;

/// Longest key that needs no allocation.
const INLINE_BYTES: usize = 22;

/// Bytes compared as bytes; 24 bytes in size.
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    Heap(Box<[u8]>),
}

const _: () = assert!(size_of::<Key>() == 24);

impl Key {
    pub fn new(key: &[u8]) -> Key {
        if key.len() > INLINE_BYTES {
            return Key(Repr::Heap(key.into()));
        }
        let mut bytes = [0; INLINE_BYTES];
        bytes[..key.len()].copy_from_slice(key);
        Key(Repr::Inline { len: key.len() as u8, bytes })
    }

    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(bytes) => bytes,
        }
    }

    /// Bytes allocated besides the key itself.
    pub fn heap_bytes(&self) -> u64 {
        match &self.0 {
            Repr::Inline { .. } => 0,
            Repr::Heap(bytes) => allocation_bytes(bytes.len()),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
