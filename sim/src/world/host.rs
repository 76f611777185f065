//! One machine: its configuration, disk, clocks and the process on it, if one runs.

use basalt_core::base::{GroupId, InstanceId};
use basalt_core::seam::{Event, Mono, PeerAddr, StopReason};
use bytes::Bytes;

use super::blackout::KillSwitch;
use crate::clock::Clock;
use crate::disk::{Disk, Image};
use crate::node::{GroupView, Identity, Node};

/// A group, and voters of which it needs a majority.
pub type Electorate = (GroupId, Vec<InstanceId>);

/// One machine.
pub struct Host<N: Node> {
    pub identity: Identity,
    pub clock: Clock,
    pub disk: Disk,
    pub process: Option<Process<N>>,
    /// How many processes ran here; part of every event on its way to one.
    pub incarnation: u32,
    /// Active faults that keep the machine off.
    pub held_down: u32,
    /// Active faults that keep the process from running.
    pub paused: u32,
    pub cpu_factor: u64,
    pub kill_switch: Option<KillSwitch>,
    /// Active faults, by index, that will take its power and have not yet.
    pub doomed: Vec<u32>,
    /// Why the last process ended itself.
    pub stopped: Option<StopReason>,
    /// The operator's message that has the instance expelled, as bytes.
    pub expulsion: Option<Bytes>,
    /// Taken at the start of an old-image fault.
    pub saved_image: Option<Image>,
    /// Whether its durable copy was damaged, so that it may refuse to run.
    pub is_damaged: bool,
    /// Members of groups as of the last turn.
    pub views: Vec<GroupView>,
    /// What the last process knew of who votes, and the names it went by.
    pub last_electorates: Vec<Electorate>,
    pub last_members: Vec<InstanceId>,
}

/// What waits for a process' next turn.
pub enum Arrival<M> {
    Event(Event<M>),
    /// A message as it came over the wire.
    Message {
        from: PeerAddr,
        wire: Bytes,
    },
}

/// A running process.
pub struct Process<N: Node> {
    pub node: N,
    pub inbox: Vec<Arrival<N::Msg>>,
    pub turn_scheduled: bool,
    pub busy_until_ns: u64,
    /// The time it asked to be woken at.
    pub wake: Option<Mono>,
    /// When the world will look at `wake` next; `u64::MAX` when not at all.
    pub wake_check_ns: u64,
}

impl<N: Node> Process<N> {
    pub fn new(node: N) -> Process<N> {
        Process {
            node,
            inbox: Vec::new(),
            turn_scheduled: false,
            busy_until_ns: 0,
            wake: None,
            wake_check_ns: u64::MAX,
        }
    }
}

impl<N: Node> Host<N> {
    pub fn new(identity: Identity, clock: Clock, disk: Disk) -> Host<N> {
        Host {
            identity,
            clock,
            disk,
            process: None,
            incarnation: 0,
            held_down: 0,
            paused: 0,
            cpu_factor: 1,
            kill_switch: None,
            doomed: Vec::new(),
            stopped: None,
            expulsion: None,
            saved_image: None,
            is_damaged: false,
            views: Vec::new(),
            last_electorates: Vec::new(),
            last_members: Vec::new(),
        }
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }
}
