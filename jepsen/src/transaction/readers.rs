//! The anti-dependencies of one version: from all who read it to all who wrote over it.

use crate::graph::EdgeList;
use crate::history::{History, OperationId};
use crate::verdict::EdgeReason;

/// Where readers and writers of one version make more edges than this, only the writers that ended
/// first take part: in real time those are the first to be missed.
const EDGES_MAX: usize = 1 << 16;

/// Relates the readers of a version to those who wrote over it, and returns how many edges are left
/// out because they were too many.
pub(super) fn relate(
    history: &History,
    readers: &[OperationId],
    mut writers: Vec<OperationId>,
    edges: &mut EdgeList,
) -> usize {
    let most = (EDGES_MAX / readers.len().max(1)).max(1);
    let left_out = writers.len().saturating_sub(most);
    if left_out > 0 {
        writers.sort_by_key(|&id| history.operation(id).deadline());
        writers.truncate(most);
    }
    for reader in readers {
        for writer in &writers {
            edges.push(reader.0, writer.0, EdgeReason::ReadWrite);
        }
    }
    left_out * readers.len()
}
