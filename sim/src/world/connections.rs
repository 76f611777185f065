//! Client connections: byte streams with latency that arrive in odd pieces and break.

use std::collections::VecDeque;

use basalt_core::base::ConnId;
use basalt_core::seam::{ConnKind, Event, Rng};
use bytes::Bytes;

use super::{Happening, World};
use crate::check::Check;
use crate::faults::Kind;
use crate::node::Node;
use crate::workload::{Move, Op, Role, Situation};

/// One direction: what is on its way, in order.
#[derive(Default)]
struct Stream {
    pieces: VecDeque<(u64, Bytes)>,
    last_ns: u64,
}

/// One connection of a client to an instance.
pub(super) struct Connection {
    client: u16,
    node: u16,
    kind: ConnKind,
    /// The process it was accepted by.
    incarnation: u32,
    client_open: bool,
    node_open: bool,
    /// The instance wants no more bytes for now.
    throttled: bool,
    /// A cut swallowed bytes: nothing arrives any more, either way.
    is_broken: bool,
    to_node: Stream,
    to_client: Stream,
    rng: Rng,
}

fn conn_id(connection: u32) -> ConnId {
    ConnId(u64::from(connection) + 1)
}

fn connection_of(conn: ConnId) -> Option<usize> {
    usize::try_from(conn.0.checked_sub(1)?).ok()
}

impl<N: Node> World<'_, N> {
    pub(super) fn client_timer(&mut self, client: u16, at_ns: u64) {
        let c = usize::from(client);
        if self.client_wake_ns[c] != at_ns {
            return;
        }
        self.client_wake_ns[c] = u64::MAX;
        self.with_client(client, |client, situation, history, moves| {
            client.on_timer(situation, history, moves);
            Ok(())
        });
    }

    /// Lets a client act, then does what it wants.
    fn with_client(
        &mut self,
        client: u16,
        act: impl FnOnce(
            &mut crate::workload::Client<N::Wire>,
            Situation<'_>,
            &mut crate::workload::History,
            &mut Vec<Move>,
        ) -> Result<(), String>,
    ) {
        let mut reachable = self.reachable();
        if let Role::Follower { of } = self.clients[usize::from(client)].role {
            let there = self.connected_to(of);
            reachable.retain(|node| Some(*node) == there);
        }
        if let Some(only) = self.stays_with.get(&client) {
            reachable.retain(|node| node == only);
        }
        let hurry = self.phase.is_over_with_faults();
        let situation = Situation { now_ns: self.now_ns, reachable: &reachable, hurry };
        let mut moves = Vec::new();
        let target = &mut self.clients[usize::from(client)];
        let result = act(target, situation, &mut self.history, &mut moves);
        let (is_done, has_left, begun) = (target.is_done(), target.has_left(), target.take_begun());
        if let Err(message) = result {
            self.fail(Check::Sql, format!("client c{client}: {message}"));
        }
        for what in moves {
            self.do_move(client, what);
        }
        if begun.is_some() || has_left {
            self.tell_followers(client, begun);
        }
        if is_done {
            self.check_phase();
        }
    }

    /// A client begins a write, or is done with all it had to do.
    fn tell_followers(&mut self, of: u16, begun: Option<Op>) {
        let there = self.connected_to(of);
        for follower in 0..self.clients.len() as u16 {
            if self.clients[usize::from(follower)].role != (Role::Follower { of }) {
                continue;
            }
            let beside = self.connected_to(follower) == there;
            let client = &mut self.clients[usize::from(follower)];
            let mut moves = Vec::new();
            match begun {
                Some(write) => client.cue(self.now_ns, write, beside, &mut moves),
                None => client.leave(&mut moves),
            }
            for what in moves {
                self.do_move(follower, what);
            }
        }
    }

    /// The instance a client is connected to.
    fn connected_to(&self, client: u16) -> Option<u16> {
        let connection = self.client_connection[usize::from(client)]?;
        Some(self.connections[connection as usize].node)
    }

    pub(super) fn do_move(&mut self, client: u16, what: Move) {
        let c = usize::from(client);
        match what {
            Move::Connect { node, has_password } => {
                self.client_connects(client, node, has_password)
            }
            Move::Send(bytes) => {
                if let Some(connection) = self.client_connection[c] {
                    self.client_sends(connection, Bytes::from(bytes));
                }
            }
            Move::Close => {
                if let Some(connection) = self.client_connection[c].take() {
                    let latency_ns = self.path_ns(connection);
                    let held = &mut self.connections[connection as usize];
                    held.client_open = false;
                    let at_ns = held.to_node.last_ns.max(self.now_ns + latency_ns);
                    self.queue.push(at_ns, Happening::NodeClosed { connection });
                }
            }
            Move::WakeAt(at_ns) => {
                self.client_wake_ns[c] = at_ns;
                self.queue.push(at_ns, Happening::ClientTimer { client, at_ns });
            }
        }
    }

    fn client_connects(&mut self, client: u16, node: u16, has_password: bool) {
        let connection = self.connections.len() as u32;
        let rng = self.root.fork(&format!("client/c{client}->n{}/{connection}", node + 1));
        self.connections.push(Connection {
            client,
            node,
            kind: if has_password { ConnKind::Postgres } else { ConnKind::Admin },
            incarnation: 0,
            client_open: true,
            node_open: false,
            throttled: false,
            is_broken: false,
            to_node: Stream::default(),
            to_client: Stream::default(),
            rng,
        });
        self.client_connection[usize::from(client)] = Some(connection);
        if !self.path_is_cut(connection) {
            let at_ns = self.now_ns + self.path_ns(connection);
            self.queue.push(at_ns, Happening::Dial { connection });
        }
    }

    pub(super) fn dial_arrives(&mut self, connection: u32) {
        let latency_ns = self.path_ns(connection);
        let held = &mut self.connections[connection as usize];
        let host = &self.hosts[usize::from(held.node)];
        if !held.client_open {
            return;
        }
        if host.is_running() {
            held.node_open = true;
            held.incarnation = host.incarnation;
            let remote = format!("10.0.0.{}:40000", held.client).into_boxed_str();
            let (node, kind) = (held.node, held.kind);
            let conn = conn_id(connection);
            self.give(node, Event::Accepted { conn, kind, remote });
            self.queue.push(self.now_ns + latency_ns, Happening::Dialled { connection });
        } else if host.held_down == 0 {
            // The operating system refuses; a machine without power says nothing.
            self.queue.push(self.now_ns + latency_ns, Happening::ClientClosed { connection });
        }
    }

    pub(super) fn dialled(&mut self, connection: u32) {
        let held = &self.connections[connection as usize];
        if held.client_open {
            let client = held.client;
            self.with_client(client, |client, situation, _, moves| {
                client.on_open(situation.now_ns, moves);
                Ok(())
            });
        }
    }

    fn client_sends(&mut self, connection: u32, bytes: Bytes) {
        if self.path_is_cut(connection) {
            self.connections[connection as usize].is_broken = true;
            return;
        }
        let latency_ns = self.path_ns(connection);
        let split_ppm = self.client_fault(connection, Kind::ClientSplit);
        let held = &mut self.connections[connection as usize];
        let at_ns = self.now_ns + latency_ns;
        let happening = || Happening::ToNode { connection };
        let times = push_pieces(&mut held.to_node, at_ns, bytes, split_ppm, &mut held.rng);
        self.struck.note_if(times.len() > 1, Kind::ClientSplit);
        for at_ns in times {
            self.queue.push(at_ns, happening());
        }
        self.note_delay(connection);
    }

    pub(super) fn bytes_to_node(&mut self, connection: u32) {
        let now_ns = self.now_ns;
        let held = &mut self.connections[connection as usize];
        let lives = self.hosts[usize::from(held.node)].incarnation == held.incarnation;
        if held.throttled || held.is_broken || !held.node_open || !lives {
            return;
        }
        let node = held.node;
        while let Some(bytes) =
            pop_piece(&mut self.connections[connection as usize].to_node, now_ns)
        {
            self.give(node, Event::Bytes { conn: conn_id(connection), bytes });
        }
    }

    pub(super) fn node_writes(&mut self, host: u16, at_ns: u64, conn: ConnId, bytes: Bytes) {
        let Some(connection) = self.own_connection(host, conn) else { return };
        if self.path_is_cut(connection) {
            self.connections[connection as usize].is_broken = true;
            return;
        }
        let latency_ns = self.path_ns(connection);
        let split_ppm = self.client_fault(connection, Kind::ClientSplit);
        let held = &mut self.connections[connection as usize];
        let at_ns = at_ns + latency_ns;
        let times = push_pieces(&mut held.to_client, at_ns, bytes, split_ppm, &mut held.rng);
        self.struck.note_if(times.len() > 1, Kind::ClientSplit);
        for at_ns in times {
            self.queue.push(at_ns, Happening::ToClient { connection });
        }
    }

    pub(super) fn bytes_to_client(&mut self, connection: u32) {
        let now_ns = self.now_ns;
        while let Some(bytes) =
            pop_piece(&mut self.connections[connection as usize].to_client, now_ns)
        {
            let held = &self.connections[connection as usize];
            if held.is_broken {
                return;
            }
            let (client, node, node_open) = (held.client, held.node, held.node_open);
            let client_open = held.client_open;
            if node_open && self.hosts[usize::from(node)].incarnation == held.incarnation {
                let conn = conn_id(connection);
                self.give(node, Event::Flushed { conn, bytes: bytes.len() });
            }
            if client_open {
                self.with_client(client, |client, situation, history, moves| {
                    client.on_bytes(situation, &bytes, history, moves)
                });
            }
        }
    }

    /// The instance closes: everything written goes first.
    pub(super) fn node_closes(&mut self, host: u16, at_ns: u64, conn: ConnId) {
        let Some(connection) = self.own_connection(host, conn) else { return };
        let latency_ns = self.path_ns(connection);
        let held = &self.connections[connection as usize];
        let at_ns = held.to_client.last_ns.max(at_ns + latency_ns);
        self.queue.push(at_ns, Happening::ClientClosed { connection });
        self.queue.push(at_ns, Happening::NodeClosed { connection });
    }

    pub(super) fn throttle(&mut self, host: u16, conn: ConnId, paused: bool) {
        let Some(connection) = self.own_connection(host, conn) else { return };
        self.connections[connection as usize].throttled = paused;
        if !paused {
            self.queue.push(self.now_ns, Happening::ToNode { connection });
        }
    }

    pub(super) fn client_sees_close(&mut self, connection: u32) {
        let held = &mut self.connections[connection as usize];
        if !std::mem::take(&mut held.client_open) {
            return;
        }
        let client = held.client;
        self.client_connection[usize::from(client)] = None;
        self.with_client(client, |client, situation, history, moves| {
            client.on_closed(situation.now_ns, history, moves);
            Ok(())
        });
    }

    pub(super) fn node_sees_close(&mut self, connection: u32) {
        let held = &mut self.connections[connection as usize];
        if std::mem::take(&mut held.node_open)
            && self.hosts[usize::from(held.node)].incarnation == held.incarnation
        {
            let node = held.node;
            self.give(node, Event::Closed { conn: conn_id(connection) });
        }
    }

    /// The process behind these connections is gone.
    pub(super) fn connections_of_ended(&mut self, host: u16, power: bool) {
        for connection in 0..self.connections.len() as u32 {
            let held = &mut self.connections[connection as usize];
            if held.node == host && held.node_open {
                held.node_open = false;
                if !power {
                    let at_ns = self.now_ns + self.path_ns(connection);
                    self.queue.push(at_ns, Happening::ClientClosed { connection });
                }
            }
        }
    }

    /// Breaks connections to an instance, each with this probability.
    pub(super) fn reset_connections(&mut self, host: u16, ppm: u32) {
        for connection in 0..self.connections.len() as u32 {
            let held = &mut self.connections[connection as usize];
            if held.node == host && held.node_open && held.rng.chance(ppm) {
                self.struck.note(Kind::ClientReset);
                self.queue.push(self.now_ns, Happening::ClientClosed { connection });
                self.queue.push(self.now_ns, Happening::NodeClosed { connection });
            }
        }
    }

    /// Clients go elsewhere.
    pub(super) fn break_connections(&mut self, host: u16) {
        for (held, connection) in self.connections.iter().zip(0..) {
            if held.node == host && held.client_open {
                self.queue.push(self.now_ns, Happening::ClientClosed { connection });
                self.queue.push(self.now_ns, Happening::NodeClosed { connection });
            }
        }
    }

    fn note_delay(&mut self, connection: u32) {
        let delayed = self.client_fault(connection, Kind::ClientDelay) > 0;
        self.struck.note_if(delayed, Kind::ClientDelay);
    }

    fn own_connection(&self, host: u16, conn: ConnId) -> Option<u32> {
        let k = connection_of(conn)?;
        let held = self.connections.get(k)?;
        let mine = held.node == host
            && held.node_open
            && held.incarnation == self.hosts[usize::from(host)].incarnation;
        mine.then_some(k as u32)
    }

    fn path_ns(&self, connection: u32) -> u64 {
        let held = &self.connections[connection as usize];
        let from = self.clients[usize::from(held.client)].dc;
        let to = self.hosts[usize::from(held.node)].identity.dc;
        let extra_us = self.client_fault(connection, Kind::ClientDelay);
        self.network.latency_ns(from, to) + u64::from(extra_us) * 1_000
    }

    /// Whether a cut data centre lies between the client and its instance.
    fn path_is_cut(&self, connection: u32) -> bool {
        let held = &self.connections[connection as usize];
        let from = self.clients[usize::from(held.client)].dc;
        let to = self.hosts[usize::from(held.node)].identity.dc;
        let is_healed = self.chosen_core.is_some() && self.heals(held.node);
        from != to
            && !is_healed
            && self.active.iter().any(|(_, fault, _)| {
                fault.kind == Kind::DcCut
                    && fault.nodes.iter().any(|node| {
                        let dc = self.plan.topology.nodes[usize::from(*node)];
                        dc == from || dc == to
                    })
            })
    }

    /// The sum of the amounts of active client faults of a kind on the connection's instance.
    fn client_fault(&self, connection: u32, kind: Kind) -> u32 {
        let node = self.connections[connection as usize].node;
        let amounts = self
            .active
            .iter()
            .filter(|(_, fault, _)| fault.kind == kind && fault.nodes.contains(&node))
            .map(|(_, fault, _)| fault.amount);
        u32::try_from(amounts.sum::<u64>()).unwrap_or(u32::MAX)
    }
}

/// Adds bytes to a stream, cut at random places; gives the times at which pieces arrive.
fn push_pieces(
    stream: &mut Stream,
    at_ns: u64,
    mut bytes: Bytes,
    split_ppm: u32,
    rng: &mut Rng,
) -> Vec<u64> {
    let mut times = Vec::with_capacity(1);
    let mut at_ns = at_ns.max(stream.last_ns);
    while bytes.len() > 1 && rng.chance(split_ppm) {
        let piece = bytes.split_to(rng.range(1, bytes.len() as u64 - 1) as usize);
        stream.pieces.push_back((at_ns, piece));
        times.push(at_ns);
        at_ns += rng.below(3_000_000);
    }
    stream.pieces.push_back((at_ns, bytes));
    times.push(at_ns);
    stream.last_ns = at_ns;
    times
}

fn pop_piece(stream: &mut Stream, now_ns: u64) -> Option<Bytes> {
    if stream.pieces.front()?.0 > now_ns {
        return None;
    }
    stream.pieces.pop_front().map(|(_, bytes)| bytes)
}
