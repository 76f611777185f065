//! The governor's hands: facts in, steps out.
//!
//! Every instance reports to the leader of the ring, now and then and when something changed. The
//! leader of the ring turns reports into a [`GovernorView`], asks the pure
//! [`governor::plan`](crate::topology::governor::plan), and carries each step out as a task. Nothing
//! here is remembered that a new leader would miss: it hears the same reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::message::{Body, GroupReport, Join, JoinReply, Report, RequestKind, ResponseKind};
use super::requests::Answer;
use super::ring::{Proposed, RingMember};
use super::serve;
use super::shard::ShardMember;
use super::state::{Phase, Shared, State};
use crate::base::{
    CatalogVersion, GroupId, InstanceId, LogIndex, SqlError, SqlResult, SqlState, Term,
};
use crate::group::Group;
use crate::raft::Change;
use crate::seam::{Lane, Mono, PeerAddr, StopReason};
use crate::topology::entry::Bootstrap;
use crate::topology::governor::{
    self, GovernorView, GroupFacts, InstanceFacts, MembershipChange, Step,
};
use crate::topology::model::{
    Endpoints, FORMAT_VERSION, FailureDomain, InstanceSeed, Presence, ReplicasetSeed, Tier,
};
use crate::topology::placement::{self, JoinPlan, JoinRequest};
use crate::topology::users::Secret;
use crate::topology::{RingEntry, RingState};

/// A silent instance counts as unreachable after this many report periods.
const SILENT_PERIODS: u32 = 4;
/// Period of reports of a leader with learners on their way: they wait for their vote, or to be online.
const LEARNER_REPORT: Duration = Duration::from_millis(50);
/// How long a step may take before it is planned again.
const STEP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a stopping instance waits for others to take over, and for statements to end.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);
/// Statements that run so long after the stop began are interrupted: what is left is for their last
/// words.
const INTERRUPT_AFTER: Duration = Duration::from_millis(2500);

#[derive(Clone, Copy, Debug)]
struct Heard {
    last: Mono,
    leaving: bool,
    /// It was not heard lately.
    silent: bool,
    /// Neither silent nor leaving.
    reachable: bool,
    /// Since when it is reachable, or is not.
    since: Mono,
    /// Silent for longer than the cluster tolerates.
    lost: bool,
}

impl Heard {
    /// Heard at `now` for the first time.
    fn first(now: Mono, leaving: bool, reachable: bool) -> Heard {
        Heard { last: now, leaving, silent: false, reachable, since: now, lost: false }
    }
}

/// What the leader of the ring has heard, and what it is doing about it.
#[derive(Debug, Default)]
pub struct Governing {
    heard: BTreeMap<InstanceId, Heard>,
    /// The newest word of each group's leader, and its term. Once it has said that it leads no more, or is
    /// stalled, without the leader, and of the schema the newest word of any member.
    groups: BTreeMap<GroupId, (Term, GroupFacts)>,
    in_flight: Vec<Step>,
    /// Since the last plan a fact changed, a step ended, or this instance began to lead.
    dirty: bool,
    planned_at: LogIndex,
    next_report: Mono,
    last_report: Vec<GroupReport>,
    /// The ring's leader when the last report was sent.
    reported_to: Option<InstanceId>,
    founding: bool,
    updating: bool,
    /// The ring said at this index where this instance is reached, and was right.
    known_at: LogIndex,
    leads_ring: bool,
}

impl Governing {
    /// Takes a report.
    pub fn reported(&mut self, now: Mono, report: Report) {
        let fresh = || Heard::first(now, report.leaving, false);
        let heard = self.heard.entry(report.from).or_insert_with(fresh);
        heard.last = now;
        // Whom it makes reachable or not is for `watch` to see.
        heard.leaving = report.leaving;
        for group in report.groups {
            let known = self.groups.get_mut(&group.group);
            let is_news = known.as_ref().is_none_or(|(term, _)| group.term >= *term);
            if group.leads && is_news {
                let facts = facts_of(report.from, &group);
                self.dirty |= known.is_none_or(|(_, known)| *known != facts);
                self.groups.insert(group.group, (group.term, facts));
            } else if let Some((_, facts)) = known
                && is_news
            {
                // A word of before it led, come late, is put right by its next.
                self.dirty |= facts.leader.take_if(|leader| *leader == report.from).is_some();
                self.dirty |= facts.leader.is_none() && follow_schema(facts, &group);
            }
        }
    }

    pub fn next_wake(&self) -> Mono {
        self.next_report
    }

    /// Whether this instance leads the ring, and a fact changed since the last plan.
    pub fn wants_to_plan(&self) -> bool {
        self.leads_ring && self.dirty
    }

    /// Steps begun and not ended.
    pub fn steps_under_way(&self) -> usize {
        self.in_flight.len()
    }

    /// Follows who is reachable at `now`, and who has been silent for too long. There is something to
    /// plan in the moment in which either changes, not for as long as it lasts.
    fn watch(&mut self, now: Mono, patience: Duration, tolerated: impl Fn() -> Duration) {
        let mut limit = None;
        for heard in self.heard.values_mut() {
            let silent = now.since(heard.last) > patience;
            self.dirty |= silent != heard.silent;
            heard.silent = silent;
            let reachable = !heard.leaving && !silent;
            if reachable != heard.reachable {
                *heard = Heard { reachable, since: now, ..*heard };
                self.dirty = true;
            }
            // The limit may change during a silence, so this is worked out anew.
            let lost = !reachable && now.since(heard.since) > *limit.get_or_insert_with(&tolerated);
            if lost != heard.lost {
                heard.lost = lost;
                self.dirty = true;
            }
        }
    }

    /// Whether an instance reported lately.
    fn hears(&self, id: InstanceId) -> bool {
        self.heard.get(&id).is_some_and(|heard| heard.reachable)
    }

    pub fn instance_facts(&self, now: Mono) -> BTreeMap<InstanceId, InstanceFacts> {
        let facts =
            |h: &Heard| InstanceFacts { reachable: h.reachable, for_time: now.since(h.since) };
        self.heard.iter().map(|(id, heard)| (*id, facts(heard))).collect()
    }

    /// What is known of each group. Whether one that is silent still leads is not known: nothing is
    /// asked of a group in its name.
    pub fn group_facts(&self) -> BTreeMap<GroupId, GroupFacts> {
        let speaks = |id: &InstanceId| self.heard.get(id).is_some_and(|heard| !heard.silent);
        let facts = |facts: &GroupFacts| GroupFacts {
            leader: facts.leader.filter(speaks),
            ..facts.clone()
        };
        self.groups.iter().map(|(id, (_, known))| (*id, facts(known))).collect()
    }
}

/// Where a leader has said that it leads no more, what any member has applied tells how far the group's log
/// is. Whether it is news.
fn follow_schema(facts: &mut GroupFacts, report: &GroupReport) -> bool {
    let is_further = report.schema > facts.schema;
    facts.schema = facts.schema.max(report.schema);
    let version = |refused: &Option<(CatalogVersion, SqlError)>| refused.as_ref().map(|r| r.0);
    let is_refused = version(&report.refused) > version(&facts.refused).max(Some(facts.schema));
    if is_refused {
        facts.refused.clone_from(&report.refused);
    }
    is_further || is_refused
}

/// Whether a group is led here and can be asked for something: a stalled leader would be asked for ever.
fn brings_forward(group: &Group) -> bool {
    group.is_leader() && !group.is_stalled()
}

fn facts_of(leader: InstanceId, report: &GroupReport) -> GroupFacts {
    let membership = report.membership.clone().unwrap_or_default();
    let lag = |matched: &LogIndex| report.committed.0.saturating_sub(matched.0);
    GroupFacts {
        leader: Some(leader),
        voters: membership.voters.iter().copied().collect(),
        learners: membership.learners.iter().copied().collect(),
        changing: report.changing || membership.is_joint(),
        lag: report.progress.iter().map(|(id, matched, _)| (*id, lag(matched))).collect(),
        schema: report.schema,
        refused: report.refused.clone(),
    }
}

impl State {
    /// Keeps the report timer honest; the rest happens in [`advance`].
    pub fn governing_advance(&mut self) {
        let leads = self.ring.as_ref().is_some_and(|r| r.group.is_leader());
        if leads && !self.governing.leads_ring {
            // A new leader knows nothing yet: silence counts from now.
            let now = self.now.mono;
            self.governing.groups.clear();
            self.governing.heard.clear();
            let all = self.ring.iter().flat_map(|r| r.state.instances.values());
            let members = all.filter(|i| i.current.presence != Presence::Expelled).map(|i| i.id);
            let heard = members.map(|id| (id, Heard::first(now, false, true)));
            self.governing.heard.extend(heard);
            self.governing.dirty = true;
        }
        self.governing.leads_ring = leads;
    }

    fn group_report(&self, group: &Group, applied: LogIndex) -> GroupReport {
        let leads = brings_forward(group);
        let shard = self.shard.as_ref().filter(|s| s.group.id() == group.id());
        GroupReport {
            group: group.id(),
            term: group.term(),
            leads,
            committed: group.committed(),
            applied,
            schema: shard.map_or_else(Default::default, |s| s.schema),
            membership: leads.then(|| group.membership().clone()),
            changing: leads && group.change_pending(applied),
            progress: group
                .progress()
                .into_iter()
                .map(|p| (p.id, p.matched, p.recent_active))
                .collect(),
            refused: shard.and_then(|s| s.refused.clone()),
        }
    }

    /// The groups here, and how far each is applied.
    fn groups_here(&self) -> impl Iterator<Item = (&Group, LogIndex)> {
        let ring = self.ring.as_ref().map(|ring| (&ring.group, ring.applied));
        let shard = self.shard.as_ref().map(|shard| (&shard.group, shard.applied));
        ring.into_iter().chain(shard)
    }

    fn report(&self) -> Report {
        let groups = self.groups_here().map(|(group, applied)| self.group_report(group, applied));
        let groups = groups.collect();
        Report { from: self.me(), leaving: self.phase == Phase::Leaving, groups }
    }

    /// Whether something changed since the last report, but for what moves all the time.
    fn differs_from_last_report(&self) -> bool {
        let last = &self.governing.last_report;
        let same = |((group, applied), last): ((&Group, LogIndex), &GroupReport)| {
            let leads = brings_forward(group);
            let shard = self.shard.as_ref().filter(|s| s.group.id() == group.id());
            last.group == group.id()
                && last.term == group.term()
                && last.leads == leads
                && last.membership.as_ref() == leads.then(|| group.membership())
                && last.changing == (leads && group.change_pending(applied))
                && last.schema == shard.map_or_else(Default::default, |s| s.schema)
                && last.refused.as_ref() == shard.and_then(|s| s.refused.as_ref())
        };
        self.groups_here().count() != last.len() || !self.groups_here().zip(last).all(same)
    }

    /// Whether somebody in a group led here joins or comes back, and is still behind.
    fn has_learner_on_its_way(&self, group: &GroupReport) -> bool {
        let Some(membership) = &group.membership else { return false };
        let Some(ring) = &self.ring else { return false };
        let is_away = |id: InstanceId| {
            let target = ring.state.instances.get(&id).map(|i| i.target);
            target.is_some_and(|t| t.presence != Presence::Online && t.incarnation > 0)
        };
        let behind = group.progress.iter().filter(|(_, matched, _)| *matched < group.committed);
        let mut behind = behind.map(|(id, ..)| *id);
        behind.any(|id| membership.learners.contains(&id) && !is_away(id))
    }

    /// Reports when it is time, or when something changed that somebody waits for.
    fn report_when_due(&mut self) {
        let now = self.now.mono;
        let leader = self.leader_of(GroupId::RING);
        let changed = leader != self.governing.reported_to || self.differs_from_last_report();
        if now < self.governing.next_report && !changed {
            return;
        }
        let report = self.report();
        let period = self.config.times.report;
        let learns = report.groups.iter().any(|group| self.has_learner_on_its_way(group));
        self.governing.next_report = now + if learns { period.min(LEARNER_REPORT) } else { period };
        self.governing.last_report.clone_from(&report.groups);
        self.governing.reported_to = leader;
        match leader {
            Some(id) if id == self.me() => self.governing.reported(now, report),
            Some(id) => {
                self.send_to(id, Lane::Fast, Body::Report(report));
            }
            // A newcomer hears of no leader before the governor knows that it is there.
            None => {
                for to in self.everyone_known() {
                    self.send(to, Lane::Fast, Body::Report(report.clone()));
                }
            }
        }
        for group in
            [self.ring.as_mut().map(|r| &mut r.group), self.shard.as_mut().map(|s| &mut s.group)]
                .into_iter()
                .flatten()
        {
            if group.is_leader() && group.membership().is_joint() {
                // Refused while the change is still under way; then raft leaves it by itself.
                let _ = group.leave_joint();
            }
        }
    }
}

impl State {
    /// Every address that may be an instance of the cluster, but this one's.
    fn everyone_known(&self) -> BTreeSet<PeerAddr> {
        let members = self.ring.iter().flat_map(|r| r.state.instances.values());
        let told = members.filter(|i| i.is_member()).map(|i| i.endpoints.peer.as_str());
        // One that was taken back and stopped before it heard of the ring knows others from the file only.
        let peers = self.peers_to_ask();
        let peers = peers.iter().map(String::as_str);
        let mut all: BTreeSet<PeerAddr> = told.chain(peers).map(PeerAddr::new).collect();
        all.extend(self.addresses.values().cloned());
        all.remove(&PeerAddr::new(self.config.address.as_str()));
        all
    }
}

/// In every turn with something to do: report; and on the ring's leader, plan and begin the steps.
pub fn advance(me: &Shared) {
    let steps = {
        let state = &mut *me.borrow_mut();
        if !matches!(state.phase, Phase::Running | Phase::Leaving) {
            return;
        }
        state.report_when_due();
        found_when_due(me, state);
        update_when_due(me, state);
        plan(state)
    };
    for step in steps {
        let task = carry_out(me.clone(), step);
        me.borrow().spawner.spawn(task);
    }
}

/// Steps to begin now; they are in flight from here on.
fn plan(state: &mut State) -> Vec<Step> {
    let now = state.now;
    let Some(ring) = &state.ring else { return Vec::new() };
    if !ring.group.may_serve(now.mono) {
        return Vec::new();
    }
    let patience = state.config.times.report * SILENT_PERIODS;
    state.governing.watch(now.mono, patience, || governor::silence_tolerated(&ring.state));
    let has_news = state.governing.dirty || state.governing.planned_at != ring.applied;
    // Who is heard is followed all the same.
    if !has_news || ring.group.is_stalled() {
        return Vec::new();
    }
    if crate::buggify!("governor: plans later") {
        return Vec::new();
    }
    state.governing.dirty = false;
    state.governing.planned_at = ring.applied;
    let view = GovernorView {
        now,
        ring: &ring.state,
        instances: state.governing.instance_facts(now.mono),
        groups: state.governing.group_facts(),
    };
    let mut steps = governor::plan(&view);
    steps.retain(|step| !state.governing.in_flight.iter().any(|other| same_step(step, other)));
    state.governing.in_flight.extend(steps.iter().cloned());
    steps
}

/// Whether two steps do the same thing: entries carry times, which do not count.
fn same_step(a: &Step, b: &Step) -> bool {
    a.to_string() == b.to_string()
}

async fn carry_out(me: Shared, step: Step) {
    tracing::debug!(%step, "governor");
    let (deadline, late) = {
        let state = &mut *me.borrow_mut();
        state.counting.metrics.governor_steps += 1;
        let deadline = state.now.mono + STEP_PATIENCE;
        (deadline, state.deadline(deadline))
    };
    let request = match step.clone() {
        Step::ProposeRing(entry) => (GroupId::RING, RequestKind::Ring { entry: entry.encode() }),
        Step::ChangeMembership { group, change } => {
            (group, RequestKind::Membership { group, changes: changes_of(&change) })
        }
        Step::TransferLeader { group, to } => (group, RequestKind::Transfer { group, to }),
        Step::PushSchema { group, change } => {
            let (version, change) = (change.version, change.encode().into());
            (group, RequestKind::Schema { group, version, change })
        }
    };
    let answer = async { Some(serve::ask_leader(&me, request.0, request.1, deadline).await) };
    // Nor is one waited for that is still at it: its reports tell whether the step is due again.
    let answer = serve::in_time(answer, late).await;
    if let Some(Answer::Response(ResponseKind::Failed(error))) = answer {
        tracing::warn!(%step, %error, "step refused");
    }
    let state = &mut *me.borrow_mut();
    state.governing.in_flight.retain(|other| !same_step(other, &step));
    state.governing.dirty = true;
}

fn changes_of(change: &MembershipChange) -> Vec<Change> {
    let learners = change.add_learners.iter().map(|id| Change::AddLearner(*id));
    let voters = change.promote.iter().map(|id| Change::AddVoter(*id));
    // A voter that is added as a learner loses its vote.
    let demoted = change.demote.iter().map(|id| Change::AddLearner(*id));
    let gone = change.remove.iter().map(|id| Change::Remove(*id));
    learners.chain(voters).chain(demoted).chain(gone).collect()
}

/// The founder of the ring writes its first entry, once it leads.
fn found_when_due(me: &Shared, state: &mut State) {
    let now = state.now;
    let Some(identity) = &state.identity else { return };
    let due = identity.ring_founder == identity.id
        && !state.governing.founding
        && state.ring.as_ref().is_some_and(|r| {
            r.state.cluster.is_none()
                && r.group.may_serve(now.mono)
                && r.applied >= r.group.committed()
        });
    if !due {
        return;
    }
    let identity = identity.clone();
    state.governing.founding = true;
    let secret = Secret(state.random());
    let entry = RingEntry::Bootstrap(Box::new(bootstrap(state, &identity)), Some(secret));
    let me = me.clone();
    state.spawner.clone().spawn(async move {
        let proposed = {
            let state = &mut *me.borrow_mut();
            state.ring.as_mut().and_then(|r| r.propose(&state.spawner, &entry))
        };
        if let Some(proposed) = proposed
            && let Some(Proposed::Applied(_, Err(error))) = proposed.await
        {
            me.borrow_mut().stop(StopReason::Refused(error.message));
            return;
        }
        me.borrow_mut().governing.founding = false;
    });
}

fn bootstrap(state: &mut State, identity: &super::identity::Identity) -> Bootstrap {
    let mut tier = Tier::default_with_factor(state.config.replication_factor);
    tier.name = state.config.tier.clone();
    let replicaset = ReplicasetSeed {
        id: identity.group,
        name: state.config.replicaset_name.clone().unwrap_or_else(|| format!("{}_1", tier.name)),
        uuid: state.random_uuid(),
        tier: tier.name.clone(),
    };
    Bootstrap {
        cluster_uuid: identity.cluster,
        cluster_name: state.config.cluster_name.clone().unwrap_or_else(|| "basalt".into()),
        version: FORMAT_VERSION,
        tiers: vec![tier],
        replicaset,
        instance: InstanceSeed {
            id: identity.id,
            name: identity.name.clone(),
            uuid: identity.uuid,
            replicaset: identity.group,
            failure_domain: FailureDomain(state.config.failure_domain.clone()),
            endpoints: endpoints(&state.config),
            version: env!("CARGO_PKG_VERSION").into(),
            format_version: FORMAT_VERSION,
        },
        admin: None,
        at: state.now.wall,
    }
}

fn is_reached_at(endpoints: &Endpoints, config: &super::Config) -> bool {
    endpoints.peer == config.address
        && endpoints.pg == config.pg_address
        && endpoints.http == config.http_address
}

fn endpoints(config: &super::Config) -> Endpoints {
    Endpoints {
        peer: config.address.clone(),
        pg: config.pg_address.clone(),
        http: config.http_address.clone(),
    }
}

/// An instance that came back elsewhere says so.
fn update_when_due(me: &Shared, state: &mut State) {
    let Some(ring) = &state.ring else { return };
    if state.governing.known_at == ring.applied {
        return;
    }
    let Some(own) = ring.state.instances.get(&state.me()) else { return };
    let version = env!("CARGO_PKG_VERSION");
    let known = is_reached_at(&own.endpoints, &state.config) && own.version == version;
    if known {
        state.governing.known_at = ring.applied;
    }
    if state.governing.updating || known {
        return;
    }
    state.governing.updating = true;
    let entry = RingEntry::UpdateInstance {
        id: own.id,
        endpoints: endpoints(&state.config),
        failure_domain: own.failure_domain.clone(),
        version: version.into(),
        format_version: FORMAT_VERSION,
    };
    let me = me.clone();
    let deadline = state.now.mono + STEP_PATIENCE;
    state.spawner.spawn(async move {
        let request = RequestKind::Ring { entry: entry.encode() };
        serve::ask_leader(&me, GroupId::RING, request, deadline).await;
        me.borrow_mut().governing.updating = false;
    });
}

/// Answers an instance that wants to join.
pub async fn answer_join(me: Shared, from: PeerAddr, join: Join) {
    if let Some(reply) = join_reply(&me, join).await {
        me.borrow_mut().send(from, Lane::Fast, Body::JoinReply(reply));
    }
}

/// Lost races with other joins are planned anew this often.
const JOIN_TRIES: usize = 8;

async fn join_reply(me: &Shared, join: Join) -> Option<JoinReply> {
    let request = {
        let state = &mut *me.borrow_mut();
        join_request(state.random_uuid(), join.clone())
    };
    for _ in 0..JOIN_TRIES {
        let (entries, at) = {
            let state = me.borrow();
            let ring = state.ring.as_ref()?;
            if !ring.group.may_serve(state.now.mono) {
                let leader = ring.group.leader().filter(|id| *id != state.me());
                let address = leader.and_then(|id| state.address_of(id)).map(|a| a.0.to_string());
                return Some(JoinReply::Elsewhere(address));
            }
            let cluster = ring.state.cluster.as_ref()?;
            if join.cluster_name.as_ref().is_some_and(|name| *name != cluster.name) {
                return Some(JoinReply::Refused(format!(
                    "this is cluster \"{}\", not \"{}\"",
                    cluster.name,
                    join.cluster_name.unwrap_or_default()
                )));
            }
            if let Some(old) = placement::predecessor(&ring.state, &request)
                && state.governing.hears(old.id)
            {
                return Some(JoinReply::Later(format!(
                    "instance {} of that address or data directory still answers",
                    old.name
                )));
            }
            match placement::plan_join(&ring.state, &request, state.now.wall) {
                Ok(JoinPlan::Member(id)) => return accepted(&ring.state, &state, id),
                Ok(JoinPlan::Propose(entries)) => (entries, ring.applied),
                Err(error) => return Some(JoinReply::Refused(error.message)),
            }
        };
        tracing::info!(address = join.address, planned_at = %at, "an instance joins");
        for entry in entries {
            let proposed = {
                let state = &mut *me.borrow_mut();
                state.ring.as_mut().and_then(|r| r.propose(&state.spawner, &entry))
            };
            match proposed?.await? {
                Proposed::Applied(_, Ok(_)) => {}
                // Another join came first, or another leader: plan again.
                Proposed::Applied(_, Err(_)) | Proposed::Replaced => break,
            }
        }
    }
    None
}

fn join_request(new_replicaset_uuid: uuid::Uuid, join: Join) -> JoinRequest {
    JoinRequest {
        uuid: join.uuid,
        new_replicaset_uuid,
        replaces: join.replaces,
        tier: join.tier,
        failure_domain: FailureDomain(join.failure_domain.into_iter().collect()),
        instance_name: join.name,
        replicaset_name: join.replicaset,
        endpoints: Endpoints { peer: join.address, pg: join.pg_address, http: join.http_address },
        version: join.version,
        format_version: FORMAT_VERSION,
    }
}

fn accepted(ring: &RingState, state: &State, id: InstanceId) -> Option<JoinReply> {
    let instance = ring.instances.get(&id)?;
    let set = ring.replicasets.get(&instance.replicaset)?;
    let known = ring.instances.values().filter(|i| i.is_member());
    Some(JoinReply::Accepted {
        cluster: ring.cluster.as_ref()?.uuid,
        uuid: instance.uuid,
        id,
        name: instance.name.clone(),
        group: set.id,
        ring_founder: state.identity.as_ref()?.ring_founder,
        group_founder: set.founder.unwrap_or(id),
        addresses: known.map(|i| (i.id, i.endpoints.peer.clone())).collect(),
    })
}

/// Takes an instance out of the cluster for an operator, and tells what came of it.
pub async fn expel(me: Shared, from: PeerAddr, request: u64, uuid: uuid::Uuid, force: bool) {
    let outcome = expelled(&me, uuid, force).await;
    let body = Body::ExpelReply { request, outcome };
    me.borrow_mut().send(from, Lane::Fast, body);
}

async fn expelled(me: &Shared, uuid: uuid::Uuid, force: bool) -> SqlResult<String> {
    let (entry, name, deadline) = {
        let state = me.borrow();
        let known = state.ring.iter().flat_map(|r| r.state.instances.values());
        let Some(instance) = known.into_iter().find(|i| i.uuid == uuid) else {
            let message = format!("no instance has the uuid {uuid}");
            return Err(SqlError::new(SqlState::UndefinedObject, message)
                .with_hint("SELECT name, uuid FROM _pico_instance shows them all."));
        };
        let entry = RingEntry::Expel { id: instance.id, force, at: state.now.wall };
        let deadline = state.now.mono + state.config.times.statement_patience;
        (entry.encode(), instance.name.clone(), deadline)
    };
    match serve::ask_leader(me, GroupId::RING, RequestKind::Ring { entry }, deadline).await {
        Answer::Response(ResponseKind::Applied { .. }) => Ok(name),
        Answer::Response(ResponseKind::Failed(error)) => Err(error),
        Answer::Response(_) | Answer::Unknown => Err(serve::outcome_unknown()),
        Answer::NotDone => Err(SqlError::new(
            SqlState::CannotConnectNow,
            "nobody leads the ring now: a majority of its voters does not answer",
        )),
    }
}

/// A clean stop: hand leadership over, let statements end and gated replies go, then end.
pub async fn leave(me: Shared) {
    let (began, followers_known) = {
        let state = &mut *me.borrow_mut();
        if state.phase != Phase::Running {
            state.stop(StopReason::Shutdown);
            return;
        }
        state.phase = Phase::Leaving;
        tracing::info!("leaving: handing leadership over");
        // A leader forgets once an election timeout whom it has heard; their next answers tell.
        let times = &state.config.times.group;
        let ticks = u32::try_from(times.election_ticks + times.heartbeat_ticks);
        let began = state.now.mono;
        (began, began + times.tick * ticks.unwrap_or(u32::MAX))
    };
    loop {
        let pause = {
            let state = &mut *me.borrow_mut();
            state.report_when_due();
            let now = state.now.mono;
            let alone = !state.hand_over(now < followers_known);
            let settled = alone && state.shard.as_ref().is_none_or(|s| s.unsettled().is_none());
            if settled {
                // Everything acknowledged has left or is about to: the clients are told last.
                state.clients.wind_down();
            }
            if now >= began + INTERRUPT_AFTER {
                state.ring.iter_mut().for_each(RingMember::stop_waiting);
                state.shard.iter_mut().for_each(ShardMember::stop_waiting);
                state.clients.shutdown();
            }
            let late = now >= began + LEAVE_PATIENCE;
            let idle = state.clients.count() == 0 && state.serving.is_idle();
            if (settled && idle) || late {
                state.stop(StopReason::Shutdown);
                return;
            }
            let at = state.now.mono + state.config.times.group.tick;
            state.sleep_until(at)
        };
        pause.await;
    }
}

impl State {
    /// Asks the follower that is furthest to take over each group led here; `false` when no group
    /// with another voter is led here any more. A voter that is silent counts only while it `may_answer`.
    fn hand_over(&mut self, may_answer: bool) -> bool {
        let me = self.me();
        let mut leads = false;
        for group in
            [self.ring.as_mut().map(|r| &mut r.group), self.shard.as_mut().map(|s| &mut s.group)]
                .into_iter()
                .flatten()
        {
            let has_others = group.membership().voters.iter().any(|id| *id != me);
            leads |= may_answer && group.is_leader() && has_others;
            if let Some(successor) = group.successor() {
                leads = true;
                group.transfer_leader(successor);
            }
        }
        leads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there is something to plan after each turn, one every 10 ms.
    fn turns(governing: &mut Governing, turns: std::ops::Range<u64>) -> Vec<u64> {
        let plans = |at: &u64| {
            governing.dirty = false;
            let tolerated = || Duration::from_millis(300);
            governing.watch(Mono(at * 10_000_000), Duration::from_millis(100), tolerated);
            governing.dirty
        };
        turns.filter(plans).collect()
    }

    #[test]
    fn a_silent_instance_is_planned_for_when_it_falls_silent_and_when_it_is_lost() {
        let mut governing = Governing::default();
        let report = |from| Report { from: InstanceId(from), leaving: false, groups: Vec::new() };
        governing.reported(Mono(0), report(1));
        assert_eq!(turns(&mut governing, 0..1_000), [0, 11, 42]);
        governing.reported(Mono(10_000_000_000), report(1));
        assert_eq!(turns(&mut governing, 1_000..2_000), [1_000, 1_011, 1_042]);
    }

    /// What the leader of group 1 tells of it.
    fn group_report(term: u64, committed: u64) -> GroupReport {
        GroupReport {
            group: GroupId(1),
            term: Term(term),
            leads: true,
            committed: LogIndex(committed),
            applied: LogIndex(committed),
            schema: Default::default(),
            membership: None,
            changing: false,
            progress: vec![(InstanceId(2), LogIndex(committed.min(7)), true)],
            refused: None,
        }
    }

    /// What one that leads group 1, or follows there, tells of it.
    fn word(from: u64, term: u64, leads: bool) -> Report {
        let group = GroupReport { leads, ..group_report(term, 5) };
        Report { from: InstanceId(from), leaving: false, groups: vec![group] }
    }

    #[test]
    fn one_that_leads_no_more_or_is_not_heard_is_taken_for_no_leader() {
        let mut governing = Governing::default();
        let leader = |governing: &mut Governing, at_ms: u64| {
            let patience = Duration::from_millis(100);
            governing.watch(Mono(at_ms * 1_000_000), patience, || Duration::MAX);
            governing.group_facts()[&GroupId(1)].leader
        };
        governing.reported(Mono(0), word(1, 2, true));
        governing.reported(Mono(0), word(2, 3, false));
        assert_eq!(leader(&mut governing, 0), Some(InstanceId(1)), "another follows, later");
        governing.reported(Mono(0), word(1, 1, false));
        assert_eq!(leader(&mut governing, 0), Some(InstanceId(1)), "an old word");
        governing.dirty = false;
        governing.reported(Mono(0), word(1, 2, false));
        assert_eq!((governing.dirty, leader(&mut governing, 0)), (true, None));

        governing.reported(Mono(0), word(2, 3, true));
        assert_eq!(leader(&mut governing, 100), Some(InstanceId(2)));
        assert_eq!(leader(&mut governing, 110), None, "silent");
        governing.reported(Mono(200_000_000), Report { leaving: true, ..word(2, 3, true) });
        assert_eq!(
            leader(&mut governing, 200),
            Some(InstanceId(2)),
            "back, and leads until it is gone"
        );
        assert_eq!(leader(&mut governing, 310), None, "gone");
    }

    #[test]
    fn without_a_leader_any_member_tells_how_far_the_schema_is() {
        let mut governing = Governing::default();
        let refused = |version| {
            let error = SqlError::new(SqlState::UniqueViolation, "two rows are alike");
            Some((CatalogVersion(version), error))
        };
        let mut told = |from, leads, schema, refused| {
            let mut report = word(from, 2, leads);
            report.groups[0].schema = CatalogVersion(schema);
            report.groups[0].refused = refused;
            governing.dirty = false;
            governing.reported(Mono(0), report);
            let (_, facts) = &governing.groups[&GroupId(1)];
            (facts.schema.0, facts.refused.as_ref().map(|r| r.0.0), governing.dirty)
        };
        assert_eq!(told(1, true, 4, None), (4, None, true));
        assert_eq!(told(2, false, 5, None), (4, None, false), "the leader has the word");
        assert_eq!(told(1, false, 4, None), (4, None, true));
        assert_eq!(told(2, false, 5, refused(6)), (5, Some(6), true));
        assert_eq!(told(3, false, 4, refused(3)), (5, Some(6), false), "one that is behind");
    }

    #[test]
    fn a_longer_silence_that_is_tolerated_later_counts() {
        let mut governing = Governing::default();
        let report = Report { from: InstanceId(1), leaving: false, groups: Vec::new() };
        governing.reported(Mono(0), report);
        let mut watch = |at_ms: u64, tolerated_ms: u64| {
            governing.dirty = false;
            let tolerated = || Duration::from_millis(tolerated_ms);
            governing.watch(Mono(at_ms * 1_000_000), Duration::from_millis(100), tolerated);
            governing.dirty
        };
        assert!(watch(0, 300) && watch(110, 300), "heard, then silent");
        assert!(watch(420, 300), "lost");
        assert!(watch(430, 900), "not lost any more");
        assert!(!watch(1_000, 900) && watch(1_020, 900) && !watch(1_030, 900), "lost at last");
    }

    #[test]
    fn a_report_is_planned_for_where_a_fact_changed() {
        let mut governing = Governing::default();
        let mut plans = |from, term, committed| {
            governing.dirty = false;
            let (from, groups) = (InstanceId(from), vec![group_report(term, committed)]);
            governing.reported(Mono(0), Report { from, leaving: false, groups });
            governing.dirty
        };
        assert!(plans(1, 2, 5), "the first word of a group");
        assert!(!plans(1, 2, 6), "everyone as far as before");
        assert!(plans(1, 2, 9), "somebody is behind");
        assert!(plans(3, 3, 9), "another leads");
        assert!(!plans(1, 2, 7), "a word of an earlier term");
    }
}
