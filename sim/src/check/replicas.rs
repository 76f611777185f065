//! Replicas: the state of a group is a function of its applied index.

use std::collections::BTreeMap;

use basalt_core::base::{GroupId, LogIndex};

use crate::node::Inspectable;

/// Digests seen, by group and applied index; old ones are forgotten.
#[derive(Default)]
pub struct ReplicaCheck {
    seen: BTreeMap<GroupId, BTreeMap<LogIndex, (u16, u64)>>,
    scratch: Vec<(GroupId, LogIndex, u64)>,
}

const KEPT: usize = 4_096;

impl ReplicaCheck {
    pub fn sample(&mut self, host: u16, node: &impl Inspectable) -> Result<(), String> {
        self.scratch.clear();
        node.states(&mut self.scratch);
        for (group, applied, digest) in &self.scratch {
            let digests = self.seen.entry(*group).or_default();
            let (first, known) = *digests.entry(*applied).or_insert((host, *digest));
            if known != *digest {
                return Err(format!(
                    "{group:?} at applied index {applied}: n{} has {known:016x}, n{} {digest:016x}",
                    first + 1,
                    host + 1
                ));
            }
            while digests.len() > KEPT {
                digests.pop_first();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct At(u64, u64);

    impl Inspectable for At {
        fn states(&self, out: &mut Vec<(GroupId, LogIndex, u64)>) {
            out.push((GroupId(1), LogIndex(self.0), self.1));
        }
    }

    #[test]
    fn equal_index_means_equal_state() {
        let mut check = ReplicaCheck::default();
        check.sample(0, &At(5, 50)).unwrap();
        check.sample(1, &At(6, 60)).unwrap();
        check.sample(2, &At(5, 50)).unwrap();
        assert!(check.sample(1, &At(5, 51)).is_err());
    }
}
