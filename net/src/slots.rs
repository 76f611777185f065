//! Connections by id, in constant time.
//!
//! An id is `serial << 20 | index`: the index finds the slot, the serial is never used twice, so an
//! id that outlived its connection finds nothing.

use basalt_core::base::ConnId;

const INDEX_BITS: u32 = 20;

/// The most connections an instance can have at once.
pub const CAPACITY: usize = 1 << INDEX_BITS;

/// Values under ids that this table chooses.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Option<(ConnId, T)>>,
    free: Vec<usize>,
    serial: u64,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new(), serial: 0 }
    }
}

impl<T> Slots<T> {
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps `value` under a new id. `None` when [`CAPACITY`] is reached.
    pub fn insert(&mut self, value: T) -> Option<ConnId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() == CAPACITY => return None,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.serial += 1;
        let id = ConnId(self.serial << INDEX_BITS | index as u64);
        self.slots[index] = Some((id, value));
        Some(id)
    }

    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.slots.get_mut(index(id)) {
            Some(Some((held, value))) if *held == id => Some(value),
            _ => None,
        }
    }

    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get_mut(id)?;
        self.free.push(index(id));
        self.slots[index(id)].take().map(|(_, value)| value)
    }
}

fn index(id: ConnId) -> usize {
    (id.0 & (CAPACITY as u64 - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_outlived_its_value_finds_nothing() {
        let mut slots = Slots::default();
        let first = slots.insert("first").unwrap();
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second").unwrap();
        assert_eq!(index(first), index(second));
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.len(), 1);
    }
}
