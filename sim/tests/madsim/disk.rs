//! The simulated disk behind the interface that `net` wants.
//!
//! The medium belongs to the [`Machine`] and outlives its processes; what was written but not synced
//! is lost with the power. Operations complete one after another, as those of `net`'s disk thread do.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use basalt_core::base::OpId;
use basalt_core::seam::{DiskOp, DiskResult};
use basalt_net::Doorbell;
use basalt_net::platform::Disk;
use madsim::time::sleep;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::platform::{Machine, elapsed_ns};

/// An operation under way: its token, and when it completes unless the disk stalls.
type UnderWay = (OpId, u64, u64);
type Done = Rc<RefCell<Vec<(OpId, DiskResult)>>>;

/// One process's view of its machine's disk.
pub struct SimDisk {
    machine: Arc<Machine>,
    under_way: UnboundedSender<UnderWay>,
    done: Done,
}

impl SimDisk {
    pub fn start(machine: Arc<Machine>, doorbell: Arc<Doorbell>) -> SimDisk {
        let (under_way, submitted) = unbounded_channel();
        let done = Done::default();
        madsim::task::spawn_local(work(machine.clone(), submitted, done.clone(), doorbell));
        SimDisk { machine, under_way, done }
    }
}

impl Disk for SimDisk {
    fn submit(&mut self, op: OpId, what: DiskOp) {
        let issued = self.machine.disk().issue(elapsed_ns(), what);
        // The worker is gone only when the process is being killed.
        let _ = self.under_way.send((op, issued.token, issued.done_ns));
    }

    fn has_done(&self) -> bool {
        !self.done.borrow().is_empty()
    }

    fn take_done(&mut self, done: &mut Vec<(OpId, DiskResult)>) {
        done.append(&mut self.done.borrow_mut());
    }
}

async fn work(
    machine: Arc<Machine>,
    mut submitted: UnboundedReceiver<UnderWay>,
    done: Done,
    doorbell: Arc<Doorbell>,
) {
    while let Some((op, token, mut done_ns)) = submitted.recv().await {
        let result = loop {
            let left_ns = done_ns.saturating_sub(elapsed_ns());
            if left_ns > 0 {
                sleep(Duration::from_nanos(left_ns)).await;
            }
            let outcome = machine.disk().complete(elapsed_ns(), token);
            match outcome {
                Ok(result) => break result,
                Err(later_ns) => done_ns = later_ns,
            }
        };
        let result = result.expect("an operation is given up only with its process");
        done.borrow_mut().push((op, result));
        doorbell.ring();
    }
}
