//! Segments of the log with right frames, built from choices: what is in the records may be anything.
//!
//! Numbers follow one another as the log would count them, or are small, or lie at an edge.

use arbitrary::{Result, Unstructured};
use basalt_core::base::codec::Writer;
use basalt_core::storage::wal::WalOwner;

use crate::wal::{HEADER, SECTOR};

/// Number and bytes of each segment. The checksums are left to be repaired.
pub fn segments(choices: &[u8], owner: WalOwner) -> Vec<(u64, Vec<u8>)> {
    let mut builder = Builder { u: Unstructured::new(choices), owner, lsn: 1, last: [0; 3] };
    let mut segments = Vec::new();
    // Choices that run out end the log.
    let _ = builder.build(&mut segments);
    segments
}

struct Builder<'a> {
    u: Unstructured<'a>,
    owner: WalOwner,
    /// Of the next batch.
    lsn: u64,
    /// The last index written of each group.
    last: [u64; 3],
}

impl Builder<'_> {
    fn build(&mut self, segments: &mut Vec<(u64, Vec<u8>)>) -> Result<()> {
        let mut seq = if self.u.ratio(1, 16)? { self.number()? } else { 1 };
        if self.u.ratio(1, 16)? {
            self.lsn = self.number()?;
        }
        for _ in 0..self.u.int_in_range(1..=4)? {
            segments.push((seq, Vec::new()));
            for _ in 0..self.u.int_in_range(0..=4)? {
                let (_, segment) = segments.last_mut().expect("one was just added");
                self.batch(segment)?;
            }
            if self.u.ratio(1, 8)? {
                let (_, segment) = segments.last_mut().expect("one was just added");
                segment.truncate(self.u.int_in_range(0..=segment.len())?);
            }
            seq = seq.wrapping_add(1);
        }
        Ok(())
    }

    fn batch(&mut self, segment: &mut Vec<u8>) -> Result<()> {
        let mut w = Writer::new();
        let (mut records, mut carried) = (0, 0);
        if segment.is_empty() {
            carried = if self.u.ratio(1, 4)? { self.number()? } else { 0 };
            w.raw(&[9, 1, 0]);
            w.raw(&self.owner.cluster);
            w.raw(&self.owner.instance);
            w.varint(carried);
            (records, carried) = (1, carried.saturating_add(1));
        }
        for _ in 0..self.u.int_in_range(0..=5)? {
            self.record(&mut w)?;
            records += 1;
        }
        segment.extend_from_slice(&self.frame(records, w.as_slice()));
        segment.resize(segment.len().next_multiple_of(SECTOR), 0);
        self.lsn = self.lsn.wrapping_add(u64::from(records).saturating_sub(carried));
        Ok(())
    }

    fn frame(&self, records: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = b"BWAL\x01\0\0\0".to_vec();
        // The segment's number is left to be repaired, too.
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.lsn.to_le_bytes());
        bytes.extend_from_slice(&records.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn record(&mut self, w: &mut Writer) -> Result<()> {
        let kind = *self.u.choose(&[1, 1, 1, 1, 2, 2, 3, 4, 5])?;
        let group = self.u.int_in_range(0..=2)?;
        w.raw(&[kind, 1, group]);
        match kind {
            1 => {
                let last = self.last[usize::from(group)];
                let next = last.wrapping_add(1);
                let index = if self.u.ratio(1, 6)? { self.number()? } else { next };
                self.last[usize::from(group)] = index;
                w.varint(index);
                w.varint(self.number()?);
                w.u8(self.u.arbitrary()?);
                w.bytes(self.u.bytes(usize::from(self.u.len() > 8) * 3)?);
            }
            2 => {
                w.varint(self.number()?);
                w.varint(self.number()?);
                w.varint(self.below_last(group)?);
            }
            3 => {
                w.varint(self.below_last(group)?);
                w.varint(self.number()?);
                w.bytes(b"conf");
            }
            4 => w.varint(self.below_last(group)?),
            _ => {}
        }
        Ok(())
    }

    /// A number that is likely to be within what the group's log holds.
    fn below_last(&mut self, group: u8) -> Result<u64> {
        let last = self.last[usize::from(group)];
        if self.u.ratio(1, 4)? { self.number() } else { self.u.int_in_range(0..=last) }
    }

    fn number(&mut self) -> Result<u64> {
        Ok(match self.u.int_in_range(0..=11)? {
            0 => u64::MAX,
            1 => 1 << 63,
            2 => 1 << 62,
            3 => u64::from(u32::MAX),
            _ => self.u.int_in_range(0..=9)?,
        })
    }
}
