//! Who hears whom, and the detours round links that are broken for some only.
//!
//! A network may break so that everybody still reaches *somebody*: one way only, or between two
//! instances that a third still reaches. Raft elects around such a break, or does not, but a client
//! of the wrong instance waits for as long as it lasts. So every instance says now and then, to
//! every other, whom it hears, and passes on what others said of themselves:
//!
//! ```text
//!     n1 ◄────► n2      n3 says "I hear n2" and, as heard from n1, n1 says "I hear n2, not n3":
//!      ▲  ╲      ▲      what n3 has for n1 goes to n2, in an envelope, and n2 hands it on
//!      │   ✗     │
//!      ▼    ╲    ▼      (n3 cannot reach n1 itself, whether or not n1 reaches n3)
//!            n3 ─┘
//! ```
//! An envelope makes one stop only. What an instance said of itself counts for a few periods by its
//! listener's clock; with nothing known of a peer (it is new, or down) messages go straight to it.
//! A late or lost word costs a detour or a retry, never an answer: Raft and requests do not care how
//! a message travelled, nor in which order.
//!
//! Partial connectivity stops leader-based replication that has no such layer; see Ng, Haridi and
//! Carbone, "Omni-Paxos: Breaking the Barriers of Partial Connectivity" (2023).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::message::{Body, Envelope, Hello, HelloRow, Msg};
use super::state::State;
use crate::base::InstanceId;
use crate::seam::{Effect, Lane, Mono, PeerAddr};

/// Silence of this many periods means that one instance does not hear another.
const SILENT_PERIODS: u32 = 4;

/// What one instance said of itself.
#[derive(Debug)]
struct Row {
    /// When it said so, as far as this instance can tell.
    at: Mono,
    hears: BTreeSet<InstanceId>,
}

/// What this instance knows about links.
#[derive(Debug, Default)]
pub struct Reach {
    /// When each instance was last heard without a detour.
    heard: BTreeMap<InstanceId, Mono>,
    rows: BTreeMap<InstanceId, Row>,
    /// Where to send what is for an address that does not hear this instance.
    detours: BTreeMap<PeerAddr, PeerAddr>,
    next_hello: Mono,
}

impl Reach {
    /// Whom to send a message for `to` to instead.
    pub fn detour(&self, to: &PeerAddr) -> Option<&PeerAddr> {
        if self.detours.is_empty() { None } else { self.detours.get(to) }
    }

    pub fn next_wake(&self) -> Mono {
        self.next_hello
    }

    /// Takes the word of an instance that was heard without a detour.
    fn told(&mut self, me: InstanceId, now: Mono, hello: Hello) {
        self.heard.insert(hello.from, now);
        for row in hello.rows {
            let at = Mono(now.0.saturating_sub(row.age_ns));
            let is_news = self.rows.get(&row.of).is_none_or(|known| known.at < at);
            if row.of != me && is_news {
                self.rows.insert(row.of, Row { at, hears: row.hears.into_iter().collect() });
            }
        }
    }

    /// Forgets what was said or heard before `since`.
    fn forget_before(&mut self, since: Mono) {
        self.heard.retain(|_, at| *at >= since);
        self.rows.retain(|_, row| row.at >= since);
    }

    /// What this instance says at `now`.
    fn hello(&self, me: InstanceId, now: Mono) -> Hello {
        let own = HelloRow { of: me, age_ns: 0, hears: self.heard.keys().copied().collect() };
        let others = self.rows.iter().map(|(of, row)| HelloRow {
            of: *of,
            age_ns: now.0.saturating_sub(row.at.0),
            hears: row.hears.iter().copied().collect(),
        });
        Hello { from: me, rows: std::iter::once(own).chain(others).collect() }
    }

    /// Who hands on what `me` has for `to`; `None` if `to` hears `me`, or nobody can help.
    fn stop_on_the_way(&self, me: InstanceId, to: InstanceId) -> Option<InstanceId> {
        let target = self.rows.get(&to)?;
        if target.hears.contains(&me) && !crate::buggify!("reach: a detour without need") {
            return None;
        }
        let hears_me =
            |id: &InstanceId| self.rows.get(id).is_some_and(|row| row.hears.contains(&me));
        target.hears.iter().copied().find(hears_me)
    }
}

impl State {
    /// Says whom this instance hears, when it is time, and looks for detours.
    pub fn reach_advance(&mut self) {
        let (me, now) = (self.me(), self.now.mono);
        if now < self.reach.next_hello || me == InstanceId(0) {
            return;
        }
        let period: Duration = self.config.times.report;
        self.reach.next_hello = now + period;
        let window = (period * SILENT_PERIODS).as_nanos() as u64;
        self.reach.forget_before(Mono(now.0.saturating_sub(window)));
        let others = self.other_members();
        if others.is_empty() {
            return;
        }
        let hello = self.reach.hello(me, now);
        for (_, address) in &others {
            let msg = Msg { cluster: self.cluster_tag(), body: Body::Hello(hello.clone()) };
            self.effects.push(Effect::Send { to: address.clone(), lane: Lane::Fast, msg });
        }
        let detour = |(id, address): &(InstanceId, PeerAddr)| {
            let stop = self.reach.stop_on_the_way(me, *id)?;
            let (_, via) = others.iter().find(|(other, _)| *other == stop)?;
            Some((address.clone(), via.clone()))
        };
        let detours: BTreeMap<_, _> = others.iter().filter_map(detour).collect();
        if detours != self.reach.detours {
            tracing::info!(?detours, "links are broken for some: other ways to reach them");
            self.reach.detours = detours;
        }
    }

    /// The other members of the cluster and where they are reached.
    fn other_members(&self) -> Vec<(InstanceId, PeerAddr)> {
        let Some(ring) = &self.ring else { return Vec::new() };
        let members = ring.state.instances.values().filter(|i| i.is_member() && i.id != self.me());
        members.filter_map(|i| Some((i.id, self.address_of(i.id)?))).collect()
    }

    pub fn hello_arrived(&mut self, from: PeerAddr, hello: Hello) {
        if !self.is_member(hello.from, &from) {
            return;
        }
        self.learned(hello.from, &from);
        let (me, now) = (self.me(), self.now.mono);
        self.reach.told(me, now, hello);
    }

    /// Takes an envelope: opens it if it is for this instance, else hands it on to the member that
    /// it is for.
    pub fn envelope_arrived(&mut self, envelope: Envelope) -> Option<(PeerAddr, Msg)> {
        if envelope.to != self.config.address {
            let to = PeerAddr::new(envelope.to.as_str());
            if self.instance_at(&to).is_some() {
                crate::sometimes!("reach: an envelope handed on");
                let lane = envelope.lane;
                let msg = Msg { cluster: self.cluster_tag(), body: Body::Envelope(envelope) };
                self.effects.push(Effect::Send { to, lane, msg });
            }
            return None;
        }
        match Msg::decode(envelope.message) {
            Ok(Msg { body: Body::Envelope(_) | Body::Hello(_), .. }) => None,
            Ok(msg) => Some((PeerAddr::new(envelope.from.as_str()), msg)),
            Err(error) => {
                tracing::warn!(%error, from = envelope.from, "message in an envelope dropped");
                None
            }
        }
    }

    /// `msg` for `to` as it leaves: straight, or in an envelope by way of another.
    pub fn on_its_way(&self, to: PeerAddr, lane: Lane, msg: Msg) -> Effect<Msg> {
        let Some(via) = self.reach.detour(&to) else { return Effect::Send { to, lane, msg } };
        let mut message = Vec::new();
        msg.encode(&mut message);
        let envelope = Envelope {
            from: self.config.address.clone(),
            to: to.0.to_string(),
            lane,
            message: message.into(),
        };
        let msg = Msg { cluster: msg.cluster, body: Body::Envelope(envelope) };
        Effect::Send { to: via.clone(), lane, msg }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: InstanceId = InstanceId(1);

    fn row(of: u64, hears: &[u64], age_ns: u64) -> HelloRow {
        HelloRow {
            of: InstanceId(of),
            age_ns,
            hears: hears.iter().copied().map(InstanceId).collect(),
        }
    }

    fn told(hellos: &[(u64, &[HelloRow])]) -> Reach {
        let mut reach = Reach::default();
        for (from, rows) in hellos {
            let hello = Hello { from: InstanceId(*from), rows: rows.to_vec() };
            reach.told(ME, Mono(1_000), hello);
        }
        reach
    }

    #[test]
    fn who_hears_us_is_reached_straight_and_so_is_who_said_nothing() {
        let reach = told(&[(2, &[row(2, &[1, 3], 0)])]);
        assert_eq!(reach.stop_on_the_way(ME, InstanceId(2)), None);
        assert_eq!(reach.stop_on_the_way(ME, InstanceId(3)), None);
    }

    #[test]
    fn who_does_not_hear_us_is_reached_through_one_who_does_and_whom_it_hears() {
        let reach = told(&[(2, &[row(2, &[1, 3], 0), row(3, &[2, 4], 10), row(4, &[3], 10)])]);
        assert_eq!(reach.stop_on_the_way(ME, InstanceId(3)), Some(InstanceId(2)));
        assert_eq!(reach.stop_on_the_way(ME, InstanceId(4)), None, "n3 does not hear us");
    }

    #[test]
    fn newer_words_win_whoever_passed_them_on_and_old_ones_are_forgotten() {
        let mut reach = told(&[
            (2, &[row(2, &[1], 0), row(3, &[2], 10)]),
            (4, &[row(4, &[1], 0), row(3, &[1], 500)]),
        ]);
        assert_eq!(reach.stop_on_the_way(ME, InstanceId(3)), Some(InstanceId(2)));
        assert_eq!(reach.hello(ME, Mono(1_000)).rows[0], row(1, &[2, 4], 0));
        reach.forget_before(Mono(995));
        assert_eq!(reach.stop_on_the_way(ME, InstanceId(3)), None);
    }
}
