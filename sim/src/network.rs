//! The network between instances: directed links with latency, loss and everything worse.
//!
//! A link goes from one instance to another and stands for the connection the first one dials. It is
//! down, being dialled, or up; a message sent while it is dialled waits, one sent while it is down is
//! lost. Each link has two lanes and keeps order within a lane, unless a reorder fault says otherwise.
//! Frames carry a checksum, so a damaged frame never reaches the state machine: the link drops.
//!
//! ```text
//!   send ── cut? ── drop? ── clogged? ── bandwidth ── latency + jitter ── order of the lane ──► deliver
//! ```

use basalt_core::seam::{Lane, Rng};
use bytes::Bytes;

use crate::faults::{Kind, Struck};
use crate::plan::{Fault, Topology};
use crate::queue::Queue;
use crate::world::Happening;

/// After so long without a way, a connection counts as dead.
pub const CUT_TIMEOUT_NS: u64 = 1_500_000_000;
/// A machine without power answers no dial.
const DIAL_TIMEOUT_NS: u64 = 1_000_000_000;
const REDIAL_NS: u64 = 50_000_000;
/// Messages that wait for a dial or a clog at most; more are lost.
const WAITING_MAX: usize = 4_096;
/// Bytes a second of a quiet link.
const BANDWIDTH: u64 = 1_000_000_000;
/// What has waited so long for a slow wire goes out at once: a link is behind for no longer than this when
/// its bandwidth is back.
const WIRE_WAIT_NS_MAX: u64 = 2_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nobody dialled yet, or the dialler is off.
    Idle,
    Dialling,
    Up,
}

/// What the active faults do to one link.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Rules {
    cut: Option<Kind>,
    clogged: Option<Kind>,
    extra_ns: u64,
    jitter_ns: u64,
    drop_ppm: u32,
    duplicate_ppm: u32,
    replay_ppm: u32,
    reorder_ppm: u32,
    corrupt_ppm: u32,
    truncate_ppm: u32,
    bandwidth: Option<u64>,
}

struct Link {
    state: State,
    /// Grows with every connection made or lost; what was sent on an older one never arrives.
    epoch: u32,
    waiting: Vec<(Lane, Bytes)>,
    clogged: Vec<(Lane, Bytes)>,
    last_arrival_ns: [u64; 2],
    wire_free_ns: u64,
    rules: Rules,
    rng: Rng,
}

/// What a frame suffers on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    FlippedBit,
    CutShort,
}

/// A message on its way, or what else can happen on a link.
#[derive(Debug)]
pub enum LinkEvent {
    Deliver {
        lane: Lane,
        bytes: Bytes,
        damage: Option<Damage>,
    },
    DialDone,
    Redial,
    /// The peer's operating system said that the connection is gone.
    Reset,
    CutTimeout,
}

/// What the world has to do after a link event.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkOutcome {
    Nothing,
    Deliver {
        lane: Lane,
        bytes: Bytes,
    },
    Up,
    Down,
    /// The receiver found a bad checksum: these are the bytes it saw.
    Damaged {
        bytes: Bytes,
    },
}

/// All links of a cluster.
pub struct Network {
    nodes: usize,
    links: Vec<Link>,
    dc_of: Vec<u8>,
    latency_us: Vec<Vec<u64>>,
    latency_jump_ns: u64,
    /// No fault touches the links among these.
    healed: Vec<u16>,
    pub messages: u64,
    /// How often a fault of each kind did something.
    pub struck: Struck,
}

impl Network {
    pub fn new(topology: &Topology, root: &Rng) -> Network {
        let nodes = topology.nodes.len();
        let link = |k: usize| Link {
            state: State::Idle,
            epoch: 0,
            waiting: Vec::new(),
            clogged: Vec::new(),
            last_arrival_ns: [0; 2],
            wire_free_ns: 0,
            rules: Rules::default(),
            rng: root.fork(&format!("net/n{}->n{}", k / nodes + 1, k % nodes + 1)),
        };
        Network {
            nodes,
            links: (0..nodes * nodes).map(link).collect(),
            dc_of: topology.nodes.clone(),
            latency_us: topology.latency_us.clone(),
            latency_jump_ns: 0,
            healed: Vec::new(),
            messages: 0,
            struck: Struck::default(),
        }
    }

    pub fn ends(&self, link: u32) -> (u16, u16) {
        let link = link as usize;
        ((link / self.nodes) as u16, (link % self.nodes) as u16)
    }

    /// One-way latency between two data centres at present, without jitter.
    pub fn latency_ns(&self, from_dc: u8, to_dc: u8) -> u64 {
        let jump = if from_dc == to_dc { 0 } else { self.latency_jump_ns };
        self.latency_us[usize::from(from_dc)][usize::from(to_dc)] * 1_000 + jump
    }

    pub fn is_cut(&self, from: u16, to: u16) -> bool {
        self.links[self.index(from, to)].rules.cut.is_some()
    }

    pub fn send(
        &mut self,
        now_ns: u64,
        from: u16,
        to: u16,
        lane: Lane,
        bytes: Bytes,
        queue: &mut Queue<Happening>,
    ) {
        self.messages += 1;
        let k = self.index(from, to);
        match self.links[k].state {
            State::Up => self.transmit(k, now_ns, lane, bytes, queue),
            State::Idle | State::Dialling => {
                let link = &mut self.links[k];
                if link.waiting.len() < WAITING_MAX {
                    link.waiting.push((lane, bytes));
                }
                if link.state == State::Idle {
                    self.dial(k, now_ns, queue);
                }
            }
        }
    }

    /// Something came due on a link. `receiver_alive`: its process runs.
    pub fn happen(
        &mut self,
        now_ns: u64,
        link: u32,
        epoch: u32,
        event: LinkEvent,
        receiver_alive: bool,
        queue: &mut Queue<Happening>,
    ) -> LinkOutcome {
        let k = link as usize;
        if self.links[k].epoch != epoch {
            return LinkOutcome::Nothing;
        }
        match event {
            LinkEvent::Deliver { lane, bytes, damage } => {
                self.arrive(k, now_ns, lane, bytes, damage, receiver_alive, queue)
            }
            LinkEvent::DialDone => self.dial_done(k, now_ns, receiver_alive, queue),
            LinkEvent::Redial => {
                self.dial(k, now_ns, queue);
                LinkOutcome::Nothing
            }
            LinkEvent::Reset => self.break_link(k, now_ns, queue),
            LinkEvent::CutTimeout if self.links[k].rules.cut.is_some() => {
                self.break_link(k, now_ns, queue)
            }
            LinkEvent::CutTimeout => LinkOutcome::Nothing,
        }
    }

    /// The process of `node` ended. What it sent is gone with it; its peers learn of it at once if
    /// the operating system lives to say so, else when a timeout passes.
    pub fn process_ended(
        &mut self,
        now_ns: u64,
        node: u16,
        power: bool,
        queue: &mut Queue<Happening>,
    ) {
        for other in 0..self.nodes as u16 {
            let own = self.index(node, other);
            let link = &mut self.links[own];
            link.state = State::Idle;
            link.epoch += 1;
            link.waiting.clear();
            link.clogged.clear();
            let towards = self.index(other, node);
            if other != node && self.links[towards].state == State::Up {
                let after_ns = if power { CUT_TIMEOUT_NS } else { self.base_ns(other, node) };
                self.later(towards, now_ns + after_ns, LinkEvent::Reset, queue);
            }
        }
    }

    /// A peer that comes back after a power failure answers old connections with a reset.
    pub fn process_began(&mut self, now_ns: u64, node: u16, queue: &mut Queue<Happening>) {
        for other in 0..self.nodes as u16 {
            let towards = self.index(other, node);
            if other != node && self.links[towards].state == State::Up {
                let after_ns = self.base_ns(other, node);
                self.later(towards, now_ns + after_ns, LinkEvent::Reset, queue);
            }
        }
    }

    /// Works out anew what the active faults do. `leader` is whom `isolate-leader` means.
    pub fn apply(
        &mut self,
        now_ns: u64,
        active: &[(Fault, Option<u16>)],
        queue: &mut Queue<Happening>,
    ) {
        self.latency_jump_ns = active
            .iter()
            .filter(|(fault, _)| fault.kind == Kind::DcLatency)
            .map(|(fault, _)| fault.amount * 1_000)
            .sum();
        for k in 0..self.links.len() {
            let (from, to) = self.ends(k as u32);
            let mut rules = Rules::default();
            let is_healed = self.healed.contains(&from) && self.healed.contains(&to);
            for (fault, leader) in active.iter().filter(|_| !is_healed) {
                add_rule(&mut rules, fault, *leader, from, to, self.nodes as u16);
            }
            let newly_cut = rules.cut.is_some() && self.links[k].rules.cut.is_none();
            self.links[k].rules = rules;
            if newly_cut && self.links[k].state == State::Up {
                self.later(k, now_ns + CUT_TIMEOUT_NS, LinkEvent::CutTimeout, queue);
            }
            if self.links[k].rules.clogged.is_none() {
                self.unclog(k, now_ns, queue);
            }
        }
    }

    /// From the next `apply` on, no fault touches the links among these instances.
    pub fn heal_between(&mut self, nodes: &[u16]) {
        self.healed = nodes.to_vec();
    }

    /// Whether a fault does something to a link with one of these instances.
    pub fn touches(&self, fault: &Fault, leader: Option<u16>, nodes: &[u16]) -> bool {
        (0..self.links.len()).map(|k| self.ends(k as u32)).any(|(from, to)| {
            let mut rules = Rules::default();
            add_rule(&mut rules, fault, leader, from, to, self.nodes as u16);
            (nodes.contains(&from) || nodes.contains(&to)) && rules != Rules::default()
        })
    }

    fn unclog(&mut self, k: usize, now_ns: u64, queue: &mut Queue<Happening>) {
        for (lane, bytes) in std::mem::take(&mut self.links[k].clogged) {
            self.transmit(k, now_ns, lane, bytes, queue);
        }
    }

    fn dial(&mut self, k: usize, now_ns: u64, queue: &mut Queue<Happening>) {
        let (from, to) = self.ends(k as u32);
        self.links[k].state = State::Dialling;
        let back = self.index(to, from);
        let cut = self.links[k].rules.cut.or(self.links[back].rules.cut).is_some();
        let round_trip_ns = self.base_ns(from, to) + self.base_ns(to, from);
        let after_ns = if cut { DIAL_TIMEOUT_NS } else { round_trip_ns };
        self.later(k, now_ns + after_ns, LinkEvent::DialDone, queue);
    }

    fn dial_done(
        &mut self,
        k: usize,
        now_ns: u64,
        receiver_alive: bool,
        queue: &mut Queue<Happening>,
    ) -> LinkOutcome {
        let (from, to) = self.ends(k as u32);
        let back = self.index(to, from);
        let cut = self.links[k].rules.cut.or(self.links[back].rules.cut).is_some();
        self.links[k].epoch += 1;
        if cut || !receiver_alive {
            // Dialling goes on as long as the dialler lives; nothing more is sent meanwhile.
            self.links[k].waiting.clear();
            let after_ns = REDIAL_NS + self.links[k].rng.below(REDIAL_NS);
            self.later(k, now_ns + after_ns, LinkEvent::Redial, queue);
            return LinkOutcome::Nothing;
        }
        let link = &mut self.links[k];
        link.state = State::Up;
        link.last_arrival_ns = [0; 2];
        for (lane, bytes) in std::mem::take(&mut link.waiting) {
            self.transmit(k, now_ns, lane, bytes, queue);
        }
        LinkOutcome::Up
    }

    fn break_link(&mut self, k: usize, now_ns: u64, queue: &mut Queue<Happening>) -> LinkOutcome {
        let link = &mut self.links[k];
        if link.state != State::Up {
            return LinkOutcome::Nothing;
        }
        link.epoch += 1;
        link.clogged.clear();
        link.state = State::Dialling;
        let after_ns = REDIAL_NS + link.rng.below(REDIAL_NS);
        self.later(k, now_ns + after_ns, LinkEvent::Redial, queue);
        LinkOutcome::Down
    }

    fn transmit(
        &mut self,
        k: usize,
        now_ns: u64,
        lane: Lane,
        bytes: Bytes,
        queue: &mut Queue<Happening>,
    ) {
        let (from, to) = self.ends(k as u32);
        let base_ns = self.base_ns(from, to);
        let jumped = self.latency_jump_ns > 0
            && self.dc_of[usize::from(from)] != self.dc_of[usize::from(to)];
        self.struck.note_if(jumped, Kind::DcLatency);
        let (link, struck) = (&mut self.links[k], &mut self.struck);
        if let Some(kind) = link.rules.cut {
            struck.note(kind);
            return;
        }
        if link.rng.chance(link.rules.drop_ppm) {
            struck.note(Kind::NetDrop);
            return;
        }
        if let Some(kind) = link.rules.clogged {
            struck.note(kind);
            if link.clogged.len() < WAITING_MAX {
                link.clogged.push((lane, bytes));
            }
            return;
        }
        let rate = link.rules.bandwidth.unwrap_or(BANDWIDTH).max(1);
        let queued_ns = now_ns.max(link.wire_free_ns) + bytes.len() as u64 * 1_000_000_000 / rate;
        let sent_ns = queued_ns.min(now_ns + WIRE_WAIT_NS_MAX);
        link.wire_free_ns = sent_ns;
        let spread_ns = base_ns / 8 + link.rules.jitter_ns;
        let mut arrival_ns =
            sent_ns + base_ns + link.rules.extra_ns + link.rng.below(spread_ns + 1);
        struck.note_if(link.rules.extra_ns > 0, Kind::NetDelay);
        struck.note_if(link.rules.jitter_ns > 0, Kind::NetJitter);
        struck.note_if(link.rules.bandwidth.is_some(), Kind::NetBandwidth);
        let damage = if link.rng.chance(link.rules.corrupt_ppm) {
            struck.note(Kind::NetCorrupt);
            Some(Damage::FlippedBit)
        } else if link.rng.chance(link.rules.truncate_ppm) {
            struck.note(Kind::NetTruncate);
            Some(Damage::CutShort)
        } else {
            None
        };
        if link.rng.chance(link.rules.reorder_ppm) {
            struck.note(Kind::NetReorder);
            arrival_ns += link.rng.below(50_000_000);
        } else {
            let last_ns = &mut link.last_arrival_ns[lane as usize];
            arrival_ns = arrival_ns.max(*last_ns);
            *last_ns = arrival_ns;
        }
        let mut again_ns = [None; 2];
        if link.rng.chance(link.rules.duplicate_ppm) {
            struck.note(Kind::NetDuplicate);
            again_ns[0] = Some(arrival_ns + link.rng.below(5_000_000));
        }
        if link.rng.chance(link.rules.replay_ppm) {
            struck.note(Kind::NetLateReplay);
            again_ns[1] = Some(arrival_ns + link.rng.range(500_000_000, 20_000_000_000));
        }
        let copies = again_ns.into_iter().flatten().map(|at_ns| (at_ns, bytes.clone()));
        let copies: Vec<_> = copies.collect();
        self.later(k, arrival_ns, LinkEvent::Deliver { lane, bytes, damage }, queue);
        for (at_ns, bytes) in copies {
            self.later(k, at_ns, LinkEvent::Deliver { lane, bytes, damage }, queue);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one caller; the parts of one event")]
    fn arrive(
        &mut self,
        k: usize,
        now_ns: u64,
        lane: Lane,
        bytes: Bytes,
        damage: Option<Damage>,
        receiver_alive: bool,
        queue: &mut Queue<Happening>,
    ) -> LinkOutcome {
        if let Some(kind) = self.links[k].rules.cut {
            self.struck.note(kind);
            return LinkOutcome::Nothing;
        }
        if !receiver_alive {
            return LinkOutcome::Nothing;
        }
        let Some(damage) = damage else { return LinkOutcome::Deliver { lane, bytes } };
        let bytes = damaged(&bytes, damage, &mut self.links[k].rng);
        let (from, to) = self.ends(k as u32);
        let after_ns = self.base_ns(to, from);
        self.later(k, now_ns + after_ns, LinkEvent::Reset, queue);
        LinkOutcome::Damaged { bytes }
    }

    fn later(&self, k: usize, at_ns: u64, event: LinkEvent, queue: &mut Queue<Happening>) {
        let (link, epoch) = (k as u32, self.links[k].epoch);
        queue.push(at_ns, Happening::Link { link, epoch, event });
    }

    fn base_ns(&self, from: u16, to: u16) -> u64 {
        if from == to {
            return 1_000;
        }
        self.latency_ns(self.dc_of[usize::from(from)], self.dc_of[usize::from(to)])
    }

    fn index(&self, from: u16, to: u16) -> usize {
        usize::from(from) * self.nodes + usize::from(to)
    }
}

/// A frame with a bit flipped or its end cut off.
fn damaged(bytes: &Bytes, damage: Damage, rng: &mut Rng) -> Bytes {
    let mut copy = bytes.to_vec();
    if !copy.is_empty() {
        let at = rng.below(copy.len() as u64) as usize;
        match damage {
            Damage::FlippedBit => copy[at] ^= 1 << rng.below(8),
            Damage::CutShort => copy.truncate(at),
        }
    }
    Bytes::from(copy)
}

fn add_rule(rules: &mut Rules, fault: &Fault, leader: Option<u16>, from: u16, to: u16, nodes: u16) {
    let touches = |list: &[u16]| list.contains(&from) || list.contains(&to);
    let directed = from != to && fault.nodes.contains(&from) && fault.peers.contains(&to);
    let ppm = u32::try_from(fault.amount).unwrap_or(u32::MAX);
    match fault.kind {
        Kind::NetDelay if directed => rules.extra_ns += fault.amount * 1_000,
        Kind::NetJitter if directed => rules.jitter_ns += fault.amount * 1_000,
        Kind::NetReorder if directed => rules.reorder_ppm += ppm,
        Kind::NetDrop if directed => rules.drop_ppm += ppm,
        Kind::NetDuplicate if directed => rules.duplicate_ppm += ppm,
        Kind::NetLateReplay if directed => rules.replay_ppm += ppm,
        Kind::NetCorrupt if directed => rules.corrupt_ppm += ppm,
        Kind::NetTruncate if directed => rules.truncate_ppm += ppm,
        Kind::NetClog if directed => rules.clogged = Some(fault.kind),
        Kind::NetSwizzle if from != to && touches(&fault.nodes) => {
            rules.clogged = Some(fault.kind);
        }
        Kind::NetBandwidth if directed => {
            let here = rules.bandwidth.unwrap_or(u64::MAX);
            rules.bandwidth = Some(here.min(fault.amount));
        }
        _ if from != to && cuts(fault, leader, from, to, nodes) => rules.cut = Some(fault.kind),
        _ => {}
    }
}

/// Whether a partition of this fault separates two instances, in this direction.
fn cuts(fault: &Fault, leader: Option<u16>, from: u16, to: u16, nodes: u16) -> bool {
    let place = |node: u16| fault.nodes.iter().position(|n| *n == node);
    match fault.kind {
        Kind::NetOneWay => fault.nodes.contains(&from) && fault.peers.contains(&to),
        Kind::NetHalves => {
            let side = |node: u16| fault.nodes.contains(&node);
            side(from) != side(to)
        }
        Kind::NetIsolateLeader => {
            let alone = leader.or(fault.nodes.first().copied());
            alone == Some(from) || alone == Some(to)
        }
        Kind::NetBridge => {
            let side = |node: u16| place(node).filter(|p| *p > 0).map(|p| p % 2);
            matches!((side(from), side(to)), (Some(a), Some(b)) if a != b)
        }
        Kind::NetRing => {
            let (Some(a), Some(b)) = (place(from), place(to)) else { return false };
            let apart = a.abs_diff(b);
            // Each sees a bare majority, itself included: its nearest on both sides.
            let reach = usize::from(nodes / 2).div_ceil(2);
            apart.min(usize::from(nodes) - apart) > reach
        }
        Kind::DcCut => fault.nodes.contains(&from) != fault.nodes.contains(&to),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind, nodes: &[u16], peers: &[u16]) -> Fault {
        Fault {
            kind,
            at_ms: 0,
            for_ms: Some(1),
            nodes: nodes.to_vec(),
            peers: peers.to_vec(),
            amount: 1,
        }
    }

    /// Who hears whom, one row a sender.
    fn picture(fault: &Fault, leader: Option<u16>, nodes: u16) -> String {
        let row = |from: u16| -> String {
            (0..nodes)
                .map(
                    |to| if from != to && cuts(fault, leader, from, to, nodes) { '.' } else { 'x' },
                )
                .collect()
        };
        (0..nodes).map(row).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn partitions_look_as_their_names_say() {
        let cases = [
            (fault(Kind::NetOneWay, &[0], &[1, 2]), "x.. xxx xxx"),
            (fault(Kind::NetHalves, &[0], &[1, 2]), "x.. .xx .xx"),
            (fault(Kind::NetIsolateLeader, &[0], &[]), "x.x .x. x.x"),
            (fault(Kind::NetBridge, &[0, 1, 2], &[]), "xxx xx. x.x"),
        ];
        for (fault, expected) in cases {
            assert_eq!(picture(&fault, Some(1), 3), expected, "{}", fault.kind.name());
        }
        let ring = fault(Kind::NetRing, &[0, 1, 2, 3, 4], &[]);
        assert_eq!(picture(&ring, None, 5), "xx..x xxx.. .xxx. ..xxx x..xx");
        for nodes in 3..12 {
            let ring = fault(Kind::NetRing, &(0..nodes).collect::<Vec<u16>>(), &[]);
            let picture = picture(&ring, None, nodes);
            for row in picture.split(' ') {
                let seen = row.matches('x').count();
                let majority = usize::from(nodes) / 2 + 1;
                assert!((majority..=majority + 1).contains(&seen), "{nodes} instances: {picture}");
            }
        }
    }

    fn topology(nodes: usize) -> Topology {
        Topology {
            nodes: vec![0; nodes],
            replication_factor: nodes as u8,
            latency_us: vec![vec![100]],
        }
    }

    /// Sends `count` messages from 0 to 1 under a fault and gives the order of arrival.
    fn arrivals(fault: Option<Fault>, count: u8) -> Vec<u8> {
        let mut queue = Queue::default();
        let mut network = Network::new(&topology(2), &Rng::from_u64(9));
        network.send(0, 0, 1, Lane::Fast, Bytes::from_static(&[255]), &mut queue);
        let mut seen = Vec::new();
        let mut sent = false;
        while let Some((now_ns, Happening::Link { link, epoch, event })) = queue.pop() {
            if now_ns > 60_000_000_000 {
                break;
            }
            let outcome = network.happen(now_ns, link, epoch, event, true, &mut queue);
            if let LinkOutcome::Deliver { bytes, .. } = &outcome {
                seen.extend_from_slice(bytes);
            }
            if !sent && seen == [255] {
                sent = true;
                let active: Vec<_> = fault.iter().map(|f| (f.clone(), None)).collect();
                network.apply(now_ns, &active, &mut queue);
                for k in 0..count {
                    network.send(now_ns, 0, 1, Lane::Fast, Bytes::from(vec![k]), &mut queue);
                }
            }
        }
        seen.split_off(1)
    }

    #[test]
    fn a_quiet_link_delivers_everything_in_order() {
        assert_eq!(arrivals(None, 100), (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn a_damaged_frame_is_one_bit_off_or_shorter() {
        let (frame, mut rng) = (Bytes::from(vec![0; 100]), Rng::from_u64(5));
        for _ in 0..50 {
            let flipped = damaged(&frame, Damage::FlippedBit, &mut rng);
            assert_eq!(flipped.len(), frame.len());
            assert_eq!(flipped.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
            let cut = damaged(&frame, Damage::CutShort, &mut rng);
            assert!(cut.len() < frame.len() && cut == frame.slice(..cut.len()));
        }
    }

    #[test]
    fn faults_of_a_link_do_what_their_names_say() {
        let with = |kind, amount| arrivals(Some(Fault { amount, ..fault(kind, &[0], &[1]) }), 100);
        let dropped = with(Kind::NetDrop, 500_000);
        assert!((30..70).contains(&dropped.len()) && dropped.is_sorted(), "{dropped:?}");
        let reordered = with(Kind::NetReorder, 500_000);
        assert!(reordered.len() == 100 && !reordered.is_sorted());
        assert!(with(Kind::NetDuplicate, 500_000).len() > 130);
        assert!(with(Kind::NetOneWay, 1).is_empty());
        let slow = with(Kind::NetBandwidth, 1);
        assert_eq!(slow.len(), 100, "a byte a second, and yet a hundred of them within a minute");
        assert!(with(Kind::NetClog, 1).is_empty(), "nothing passes before the clog clears");
        for kind in [Kind::NetCorrupt, Kind::NetTruncate] {
            assert!(with(kind, 500_000).len() < 90, "a damaged frame takes the link down");
        }
    }
}
