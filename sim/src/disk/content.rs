//! The bytes of a file, sparse: blocks never written are zeros and take no memory.

use std::collections::BTreeMap;
use std::sync::Arc;

pub const PAGE_BYTES: u64 = 4_096;
pub const SECTOR_BYTES: u64 = 512;

/// What is shared and copied as one: little more than a write of the log.
const BLOCK_BYTES: u64 = 1_024;

type Block = [u8; BLOCK_BYTES as usize];

/// A length and the blocks that are not all zeros. A clone shares blocks until one side writes.
///
/// Invariant: bytes at and past `len` are zero in every block held.
#[derive(Clone, Debug, Default)]
pub struct Content {
    len: u64,
    blocks: BTreeMap<u64, Arc<Block>>,
}

impl Content {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let (block, start, count) = piece(offset + done as u64, data.len() - done);
            let part = &data[done..done + count];
            done += count;
            // Zeros over a block never written change nothing: filling a file costs no memory.
            if !self.blocks.contains_key(&block) && part.iter().all(|byte| *byte == 0) {
                continue;
            }
            let held =
                self.blocks.entry(block).or_insert_with(|| Arc::new([0; BLOCK_BYTES as usize]));
            Arc::make_mut(held)[start..start + count].copy_from_slice(part);
        }
        if !data.is_empty() {
            self.len = self.len.max(offset + data.len() as u64);
        }
    }

    /// The bytes from `offset`, fewer than `len` at the end of the file.
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut out = vec![0; len.min(left)];
        let mut done = 0;
        while done < out.len() {
            let (block, start, count) = piece(offset + done as u64, out.len() - done);
            if let Some(held) = self.blocks.get(&block) {
                out[done..done + count].copy_from_slice(&held[start..start + count]);
            }
            done += count;
        }
        out
    }

    /// At least `len` bytes long; what is new is zero.
    pub fn extend(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Exactly `len` bytes long.
    pub fn truncate(&mut self, len: u64) {
        self.zero(len, self.len);
        self.len = len;
        self.blocks.retain(|block, _| block * BLOCK_BYTES < len);
    }

    /// Zeros from `from` to `to`, within the file.
    pub fn zero(&mut self, from: u64, to: u64) {
        let to = to.min(self.len);
        let mut at = from;
        while at < to {
            let (block, start, count) = piece(at, usize::try_from(to - at).unwrap_or(usize::MAX));
            if let Some(held) = self.blocks.get_mut(&block) {
                Arc::make_mut(held)[start..start + count].fill(0);
            }
            at += count as u64;
        }
    }

    pub fn flip_bit(&mut self, offset: u64, bit: u8) {
        let byte = self.read(offset, 1).first().copied().unwrap_or(0);
        self.write(offset, &[byte ^ (1 << (bit % 8))]);
    }

    /// Pages that hold something, in order: where rot can be seen.
    pub fn pages_written(&self) -> impl Iterator<Item = u64> + use<> {
        let mut pages: Vec<u64> =
            self.blocks.keys().map(|block| block * BLOCK_BYTES / PAGE_BYTES).collect();
        pages.dedup();
        pages.into_iter()
    }
}

/// Block number, start within the block and count of bytes of the first piece of a range.
fn piece(offset: u64, len: usize) -> (u64, usize, usize) {
    let start = (offset % BLOCK_BYTES) as usize;
    (offset / BLOCK_BYTES, start, len.min(BLOCK_BYTES as usize - start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_core::seam::Rng;

    #[test]
    fn behaves_as_a_plain_vector() {
        let mut rng = Rng::from_u64(1).fork("content");
        let (mut content, mut model) = (Content::default(), Vec::<u8>::new());
        for round in 0..2_000u32 {
            let offset = rng.below(20_000) as usize;
            let len = rng.below(9_000) as usize;
            match rng.below(4) {
                0 => {
                    let data = vec![round as u8; len];
                    content.write(offset as u64, &data);
                    if len > 0 {
                        model.resize(model.len().max(offset + len), 0);
                        model[offset..offset + len].copy_from_slice(&data);
                    }
                }
                1 if rng.below(10) == 0 => {
                    content.truncate(offset as u64);
                    model.resize(offset, 0);
                }
                2 => {
                    content.extend(offset as u64);
                    model.resize(model.len().max(offset), 0);
                }
                _ => {
                    let end = model.len().min(offset + len);
                    let expected = if offset < end { &model[offset..end] } else { &[] };
                    assert_eq!(content.read(offset as u64, len), expected);
                }
            }
            assert_eq!(content.len(), model.len() as u64);
        }
    }
}
