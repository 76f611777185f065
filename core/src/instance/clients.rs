//! Client connections and their sessions.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::engine::InstanceEngine;
use super::state::{Phase, Shared, State};
use crate::base::{ConnId, SqlError, SqlState};
use crate::pgwire::{Severity, backend};
use crate::seam::{ConnKind, Effect};
use crate::session::{Counters, Handle, Notice, SessionLimits, Sessions};

/// The connections of an instance.
#[derive(Debug, Default)]
pub struct Clients {
    sessions: Option<Rc<Sessions>>,
    open: BTreeMap<ConnId, Handle>,
    /// Reused from turn to turn.
    to_flush: Vec<ConnId>,
}

/// Starts a session, or refuses when there are too many. The superuser's own socket answers as soon as
/// there is a catalog, be it an old one: somebody has to be able to see what is wrong.
pub fn accepted(shared: &Shared, state: &mut State, conn: ConnId, kind: ConnKind, remote: &str) {
    let full = state.clients.open.len() >= state.config.limits.connections;
    if full && kind == ConnKind::Postgres {
        tracing::warn!(remote, "too many clients");
        state.counting.metrics.connections_refused += 1;
        let error = SqlError::new(SqlState::TooManyConnections, "sorry, too many clients already");
        refuse(state, conn, &error);
        return;
    }
    if state.phase == Phase::Leaving {
        let message = "the database system is shutting down";
        refuse(state, conn, &SqlError::new(SqlState::CannotConnectNow, message));
        return;
    }
    let is_let_in = state.caught_up || (kind == ConnKind::Admin && state.knows_cluster());
    if !is_let_in {
        let error = SqlError::new(SqlState::CannotConnectNow, "the database system is starting up");
        refuse(state, conn, &error);
        return;
    }
    if state.clients.sessions.is_none() {
        state.clients.sessions = Some(new_sessions(state));
    }
    let Some(sessions) = &state.clients.sessions else { return };
    state.counting.metrics.connections_opened += 1;
    let engine = Rc::new(InstanceEngine::new(shared.clone()));
    let handle = sessions.open(&engine, conn, kind);
    state.clients.open.insert(conn, handle);
}

fn refuse(state: &mut State, conn: ConnId, error: &SqlError) {
    let mut out = Vec::new();
    backend::error_response(&mut out, Severity::Fatal, error);
    state.effects.push(Effect::Write { conn, bytes: out.into() });
    state.effects.push(Effect::Close { conn });
}

fn new_sessions(state: &mut State) -> Rc<Sessions> {
    let limits = SessionLimits {
        message_bytes: state.config.limits.message,
        result_bytes: state.config.limits.statement_memory,
        ..SessionLimits::default()
    };
    let results = state.workbench.results.clone();
    Sessions::new(state.spawner.clone(), state.rng.fork("sessions"), limits, results)
}

impl Clients {
    pub fn bytes(&mut self, conn: ConnId, bytes: Bytes) {
        if let Some(handle) = self.open.get(&conn) {
            handle.receive(bytes);
        }
    }

    pub fn flushed(&mut self, conn: ConnId, bytes: usize) {
        if let Some(handle) = self.open.get(&conn) {
            handle.flushed(bytes);
        }
    }

    /// `false` if it was not open.
    pub fn closed(&mut self, conn: ConnId) -> bool {
        let Some(handle) = self.open.remove(&conn) else { return false };
        handle.closed();
        true
    }

    /// What the sessions did so far.
    pub fn counters(&self) -> Counters {
        self.sessions.as_ref().map_or_else(Counters::default, |sessions| sessions.counters())
    }

    /// A turn begins.
    pub fn begin_turn(&self) {
        if let Some(sessions) = &self.sessions {
            sessions.turns().begin();
        }
    }

    /// Whether a session waits for the next turn, or has more to say.
    pub fn want_a_turn(&self) -> bool {
        let wants = |s: &Rc<Sessions>| s.turns().are_wanted() || !s.flush_list().is_empty();
        self.sessions.as_ref().is_some_and(wants)
    }

    /// Connections open now.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Ends every session that has answered what it was asked.
    pub fn wind_down(&self) {
        for handle in self.open.values() {
            handle.wind_down();
        }
    }

    /// Tells every client that the server stops, in the middle of a statement too.
    pub fn shutdown(&self) {
        for handle in self.open.values() {
            handle.shutdown();
        }
    }
}

impl State {
    /// Whether this instance has a catalog of its cluster.
    fn knows_cluster(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.state.cluster.is_some())
    }

    /// What makes the salts of users that do not exist.
    ///
    /// A cluster without a secret makes them from its uuid: whoever knows that can tell which users
    /// exist.
    pub fn salt_secret(&self) -> [u8; 32] {
        let known = self.ring.as_ref().and_then(|ring| ring.state.secret.as_ref());
        let of_uuid = || {
            let mut secret = [0; 32];
            if let Some(identity) = &self.identity {
                secret[..16].copy_from_slice(identity.cluster.as_bytes());
            }
            secret
        };
        known.map_or_else(of_uuid, |secret| secret.0)
    }

    /// A warning for the superuser, who may come in before anybody leads the ring.
    pub fn greeting(&self) -> Option<Notice> {
        let message = "nobody has led the ring since this instance started";
        let warning = SqlError::new(SqlState::Warning, message)
            .with_detail("What it knows of users, tables and instances may be old.");
        (!self.caught_up).then(|| Notice::warning(warning))
    }

    /// Hands the shell what the sessions have to say.
    pub fn flush_clients(&mut self) {
        let Some(sessions) = &self.clients.sessions else { return };
        sessions.flush_list().take(&mut self.clients.to_flush);
        for conn in self.clients.to_flush.drain(..) {
            let Some(handle) = self.clients.open.get(&conn) else { continue };
            let flush = handle.drain();
            if let Some(error) = flush.error {
                sessions.count_error(error);
            }
            if !flush.bytes.is_empty() {
                self.effects.push(Effect::Write { conn, bytes: flush.bytes });
            }
            if let Some(paused) = flush.throttle {
                self.effects.push(Effect::Throttle { conn, paused });
            }
            if flush.close {
                self.effects.push(Effect::Close { conn });
            }
        }
    }
}
