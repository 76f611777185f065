//! The database itself as the system under test.

use std::marker::PhantomData;
use std::time::Duration;

use basalt_core::base::codec::CodecResult;
use basalt_core::base::{GroupId, InstanceId, LogIndex, Term};
use basalt_core::instance::message::Body;
use basalt_core::instance::{Config, Instance, Limits, Msg, Times};
use basalt_core::seam::{Effects, Event, Now};
use basalt_core::storage::wal::WAL_DIR;
use basalt_core::topology::placement::voter_count;
use bytes::Bytes;

use crate::node::{GroupView, Identity, Inspectable, Node, SNAPSHOTS_READ, Votes};
use crate::workload::{NoWire, PgWire, Wire};

/// One instance of Basalt, and how its clients speak.
pub struct Basalt<W> {
    instance: Instance,
    replication_factor: usize,
    /// What may be left of the log after a rest.
    log_bytes_max: u64,
    wire: PhantomData<W>,
}

/// The subject of a way to speak.
pub trait Spoken: Wire {
    const SUBJECT: &'static str;
}

impl Spoken for PgWire {
    const SUBJECT: &'static str = "basalt";
}

/// Elections, membership and recovery alone.
impl Spoken for NoWire {
    const SUBJECT: &'static str = "basalt-idle";
}

impl<W: Spoken> Node for Basalt<W> {
    type Msg = Msg;
    type Wire = W;
    const SUBJECT: &'static str = W::SUBJECT;
    /// The log's present segment, and its next.
    const OPEN_FILES: u64 = 2;
    const LOG_DIR: &str = WAL_DIR;
    const USED_BY_OTHERS: &[&str] = &["questions of others being worked on", SNAPSHOTS_READ];

    fn boot(identity: &Identity, seed: [u8; 32]) -> Basalt<W> {
        let config = config(identity);
        let Limits { log_before_snapshot, wal_segment, .. } = config.limits;
        Basalt {
            instance: Instance::new(config, seed),
            replication_factor: usize::from(identity.replication_factor),
            // Two snapshots' worth of log and two segments, beyond which another one is due; with one
            // more each, the older is given up. Whole segments only are cut.
            log_bytes_max: 3 * log_before_snapshot + 5 * wal_segment,
            wire: PhantomData,
        }
    }

    fn step(&mut self, now: Now, event: Event<Msg>, effects: &mut Effects<Msg>) {
        self.instance.step(now, event, effects);
    }

    fn end_turn(&mut self, now: Now, effects: &mut Effects<Msg>) {
        self.instance.end_turn(now, effects);
    }

    fn expulsion(&self) -> Option<Bytes> {
        let body = Body::Expel { request: 1, uuid: self.instance.uuid()?, force: true };
        let mut bytes = Vec::new();
        Msg { cluster: 0, body }.encode(&mut bytes);
        Some(Bytes::from(bytes))
    }

    fn encode(msg: &Msg, out: &mut Vec<u8>) {
        msg.encode(out);
    }

    fn decode(bytes: Bytes) -> CodecResult<Msg> {
        Msg::decode(bytes)
    }
}

impl<W> Inspectable for Basalt<W> {
    fn groups(&self, now: Now, out: &mut Vec<GroupView>) {
        self.instance.members(now, &mut |member| {
            out.push(GroupView {
                group: member.group,
                member: member.member,
                term: member.term,
                is_leader: member.is_leader,
                last: member.last,
                commit: member.commit,
                applied: member.applied,
                lease_until: member.lease_until,
                votes: Votes {
                    voters: member.voters,
                    is_voter: member.is_voter,
                    is_changing: member.changing,
                },
            });
        });
    }

    fn electorates(&self, out: &mut Vec<(GroupId, Vec<InstanceId>)>) {
        self.instance.electorates(&mut |group, voters| out.push((group, voters.to_vec())));
    }

    fn keeps_state(&self, group: GroupId) -> bool {
        self.instance.keeps_state(group)
    }

    fn entry(&self, group: GroupId, index: LogIndex) -> Option<(Term, u64)> {
        self.instance.entry_digest(group, index)
    }

    fn acknowledged(&self, group: GroupId, see: &mut dyn FnMut(InstanceId, LogIndex)) {
        self.instance.acknowledged(group, see);
    }

    fn states(
        &self,
        wanted: &dyn Fn(GroupId, LogIndex) -> bool,
        out: &mut Vec<(GroupId, LogIndex, u64)>,
    ) {
        self.instance.state_digests(wanted, &mut |group, applied, digest| {
            out.push((group, applied, digest));
        });
    }

    fn check_stores(&self) -> Result<(), String> {
        self.instance.check_stores()
    }

    fn resources(&self, out: &mut Vec<(&'static str, u64, u64)>) {
        let kept = self.instance.kept();
        // Who is not heard goes on asking how far the ring is.
        let asks = u64::from(!self.instance.is_caught_up());
        out.extend([
            ("client sessions", kept.sessions, 0),
            ("tasks that wait for somebody", kept.tasks, asks),
            ("replies that wait for a commit", kept.gates, 0),
            ("tasks that wait for the ring", kept.ring_waiters, 0),
            ("requests without an answer", kept.requests, asks),
            ("questions of others being worked on", kept.serving, 0),
            ("steps of the governor under way", kept.steps, 0),
            ("statements that make others wait", kept.alone, 0),
            ("bytes that statements keep", kept.statement_bytes, 0),
            ("bytes of writes not committed", kept.uncommitted_bytes, 0),
            ("holds on old versions", kept.holds, 0),
            ("superseded rows", kept.superseded, 0),
            ("dropped tables and indexes not freed", kept.doomed, 0),
            ("bytes beyond the newest rows", self.instance.surplus_bytes(), 0),
            ("indexes under way", kept.indexes_under_way, 0),
            ("snapshots under way", kept.snapshots_under_way, 0),
            ("fetched snapshots not taken over", kept.snapshots_staged, 0),
            (SNAPSHOTS_READ, kept.snapshot_readers, 0),
            ("bytes of log", kept.log_bytes, self.log_bytes_max),
        ]);
    }

    fn is_formed(&self, instances: usize) -> bool {
        let mut complete = 0;
        self.instance.members(Now::default(), &mut |member| {
            let is_complete = match member.group {
                GroupId::RING => member.voters == voter_count(instances),
                // All replica sets are full but the last, which has the rest.
                _ => {
                    let full = instances.min(self.replication_factor);
                    let rest = instances % full;
                    member.is_voter && (member.voters == full || member.voters == rest)
                }
            };
            complete += usize::from(is_complete && !member.changing);
        });
        self.is_ready() && complete == 2
    }

    fn is_ready(&self) -> bool {
        self.instance.is_running()
    }

    fn is_healthy(&self) -> bool {
        let mut votes = false;
        self.instance.members(Now::default(), &mut |member| {
            votes |= member.group != GroupId::RING && member.is_voter && !member.changing;
        });
        self.instance.is_ready() && votes
    }
}

/// The configuration an operator would give the instance, with the plan's limits.
pub(crate) fn config(identity: &Identity) -> Config {
    let address = identity.address.0.to_string();
    let others = identity.peers.iter().filter(|peer| **peer != identity.address);
    let peers = if identity.may_bootstrap {
        vec![address.clone()]
    } else {
        others.map(|peer| peer.0.to_string()).collect()
    };
    // No two members of a replica set share a domain, so data centres are named only where each
    // holds one member.
    let domain = if identity.one_in_each_dc {
        ("DC".to_owned(), format!("DC{}", identity.dc + 1))
    } else {
        ("HOST".to_owned(), identity.name.to_uppercase())
    };
    Config {
        pg_address: address.replace(":3301", ":4327"),
        http_address: address.replace(":3301", ":5327"),
        address,
        peers,
        cluster_name: None,
        instance_name: None,
        replicaset_name: None,
        tier: "default".to_owned(),
        replication_factor: identity.replication_factor,
        failure_domain: [domain].into(),
        limits: limits(identity),
        times: times(identity),
    }
}

fn limits(identity: &Identity) -> Limits {
    let usual = Limits::default();
    let limit = |name: &str, usual: u64| identity.limits.get(name).copied().unwrap_or(usual);
    // The log counts in pages.
    let segment = limit("wal_segment_bytes", usual.wal_segment).next_multiple_of(4_096);
    let size = |name: &str, usual: usize| {
        usize::try_from(limit(name, usual as u64)).expect("no limit is larger than memory")
    };
    let statement_memory = size("statement_bytes", usual.statement_memory);
    Limits {
        memory: limit("memory_bytes", usual.memory),
        uncommitted: limit("uncommitted_bytes", usual.uncommitted),
        message: size("message_bytes", usual.message),
        statement_memory,
        // Two large ones at a time, as usual.
        statements_memory: 2 * statement_memory,
        wal_segment: segment,
        log_before_snapshot: limit("log_before_snapshot_bytes", usual.log_before_snapshot),
        snapshot_chunk: size("snapshot_chunk_bytes", usual.snapshot_chunk),
        // How slow a password is to guess is nothing a cluster can get wrong.
        scram_iterations: 8,
        connections: size("connections", usual.connections),
        slice_rows: size("slice_rows", usual.slice_rows),
    }
}

fn times(identity: &Identity) -> Times {
    let usual = Times::default();
    let number = |name: &str| identity.limits.get(name).copied();
    let millis = |name: &str, usual: Duration| number(name).map_or(usual, Duration::from_millis);
    let ticks = |name: &str, usual: usize| number(name).map_or(usual, |ticks| ticks as usize);
    let mut group = usual.group;
    group.tick = millis("tick_ms", group.tick);
    group.election_ticks = ticks("election_ticks", group.election_ticks);
    group.heartbeat_ticks = ticks("heartbeat_ticks", group.heartbeat_ticks);
    Times {
        group,
        report: millis("report_ms", usual.report),
        join_retry: millis("join_retry_ms", usual.join_retry),
        ..usual
    }
}
