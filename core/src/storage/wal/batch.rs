//! Framing: what is written and made durable at once.
//!
//! | offset | bytes | field       | meaning                                                        |
//! |--------|-------|-------------|----------------------------------------------------------------|
//! | 0      | 4     | magic       | `BWAL`                                                         |
//! | 4      | 2     | version     | of this header, 1; later versions keep the header's shape      |
//! | 6      | 2     | zero        |                                                                |
//! | 8      | 8     | segment_seq | the segment the batch was written to                           |
//! | 16     | 8     | lsn         | number of the first record in it that is not carried           |
//! | 24     | 4     | n           | records, carried ones included                                 |
//! | 28     | 4     | len         | bytes of payload                                               |
//! | 32     | 4     | crc         | CRC-32 (IEEE) of bytes 0..32 and payload, seeded by segment_seq |
//! | 36     | 4     | zero        |                                                                |
//! | 40     | len   | payload     | the records                                                    |
//! |        |       | zeros       | up to the next multiple of 512                                 |
//!
//! A batch begins and ends on a sector boundary, so that writing one never touches a sector that
//! holds another. Integers are little-endian.

use bytes::Bytes;

use super::Lsn;

/// Batches start at multiples of this.
pub(super) const SECTOR: usize = 512;
pub(super) const HEADER: usize = 40;
const MAGIC: [u8; 4] = *b"BWAL";
const BATCH_VERSION: u16 = 1;

/// A batch's header, without magic, version and checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BatchHeader {
    pub segment_seq: u64,
    pub lsn: Lsn,
    pub records: u32,
    pub len: u32,
}

/// A batch whose checksum holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Batch {
    pub header: BatchHeader,
    /// From its first byte to the next batch's, padding included.
    pub bytes_on_disk: usize,
    pub payload: Bytes,
}

/// What is found at an offset of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Batch(Batch),
    /// The checksum holds, but a newer build wrote it.
    Newer(u16),
    /// No batch of this segment.
    Nothing,
}

/// The bytes a batch with `payload` bytes takes on disk.
pub(super) fn size_on_disk(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(SECTOR)
}

/// Fills the header into `bytes`, whose payload starts at `HEADER`, and pads to a sector.
pub(super) fn seal(bytes: &mut Vec<u8>, segment_seq: u64, lsn: Lsn, records: u32) {
    let payload = bytes.len() - HEADER;
    let len = u32::try_from(payload).expect("a batch is far below 4 GiB");
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&BATCH_VERSION.to_le_bytes());
    bytes[6..8].fill(0);
    bytes[8..16].copy_from_slice(&segment_seq.to_le_bytes());
    bytes[16..24].copy_from_slice(&lsn.0.to_le_bytes());
    bytes[24..28].copy_from_slice(&records.to_le_bytes());
    bytes[28..32].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(segment_seq, &bytes[..32], &bytes[HEADER..]);
    bytes[32..36].copy_from_slice(&crc.to_le_bytes());
    bytes[36..40].fill(0);
    bytes.resize(size_on_disk(payload), 0);
}

/// Looks for a batch of segment `segment_seq` at `offset`.
pub(super) fn read_at(segment: &Bytes, offset: usize, segment_seq: u64) -> Found {
    let Some(header) = segment.get(offset..offset + HEADER) else { return Found::Nothing };
    if header[0..4] != MAGIC {
        return Found::Nothing;
    }
    let seed = field_u64(header, 8);
    let len = field_u32(header, 28);
    let start = offset + HEADER;
    let Some(payload) = segment.get(start..start.saturating_add(len as usize)) else {
        return Found::Nothing;
    };
    let crc = checksum(segment_seq, &header[..32], payload);
    let is_whole = crc == field_u32(header, 32) || crate::canary!(IgnoreBatchChecksum);
    if seed != segment_seq || !is_whole {
        return Found::Nothing;
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    if version > BATCH_VERSION {
        return Found::Newer(version);
    }
    Found::Batch(Batch {
        header: BatchHeader {
            segment_seq,
            lsn: Lsn(field_u64(header, 16)),
            records: field_u32(header, 24),
            len,
        },
        bytes_on_disk: size_on_disk(len as usize),
        payload: segment.slice(start..start + len as usize),
    })
}

/// Whether a batch of this segment began here that did not arrive whole.
pub(super) fn looks_torn(sector: &[u8], segment_seq: u64) -> bool {
    sector.len() >= HEADER && sector[0..4] == MAGIC && field_u64(sector, 8) == segment_seq
}

/// The seed keeps a batch that a recycled file still holds from ever being taken for one of the
/// segment the file became.
fn checksum(segment_seq: u64, header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment_seq.to_le_bytes());
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

fn field_u32(header: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn field_u64(header: &[u8], at: usize) -> u64 {
    u64::from(field_u32(header, at)) | u64::from(field_u32(header, at + 4)) << 32
}
