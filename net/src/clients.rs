//! Client connections: accepting, reading, writing, refusing and closing them.
//!
//! ```text
//!   accept task ──Accepted──▶ reactor: id, gate, outlet ──spawns──▶ read task ──Bytes, Gone──▶ reactor
//! ```
//! The read task reads into a buffer that all tasks share and copies what came, so that an idle
//! connection costs a task, a socket and nothing else. After a full read it steps behind the
//! reactor, which bounds what a fast sender can queue to two reads a turn.
//!
//! `Event::Flushed` is not sent for every reply: bytes are summed up and reported once
//! [`FLUSHED_BYTES_MIN`] have left, or when a blocked connection has drained. A sender that waits
//! for room must therefore tolerate less than that amount unreported.

use std::future::poll_fn;
use std::io::IoSlice;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use basalt_core::base::ConnId;
use basalt_core::seam::{ConnKind, Event};
use bytes::Bytes;

use crate::counters::add;
use crate::gate::Gate;
use crate::inbox::{Inbox, Input, OutletId, READ_BYTES_MAX, step_back};
use crate::outlet::Outlet;
use crate::platform::{Listener, Platform, Writer};
use crate::slots::Slots;

/// Bytes that may leave a connection before it is worth an event.
pub const FLUSHED_BYTES_MIN: usize = 16 << 10;
/// How long a closed connection may take to receive its last bytes, and to close its side.
const LINGER: Duration = Duration::from_secs(2);
/// How long to wait when no descriptor is left for a new connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Connections a listener takes before the reactor, who refuses those too many, has its turn.
const ACCEPTS_A_TURN: usize = 32;
/// Connections being told that there are too many when they ask; more are told before, and closed,
/// which a client may hear as a reset.
const REFUSALS_MAX: usize = 64;

struct Client<W> {
    outlet: Outlet<W>,
    /// Written but not yet reported.
    unreported_bytes: usize,
    dirty: bool,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    No,
    /// The instance wants it closed once the outlet is idle.
    Wanted,
    /// The instance has been told that it is closed.
    Told,
}

/// The connections of one reactor.
pub struct Clients<P: Platform, M> {
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    slots: Slots<Client<P::Writer>>,
    /// Written to in this turn.
    dirty: Vec<ConnId>,
    /// Closed by the other side: written to once more at the end of the turn, then forgotten.
    leaving: Vec<ConnId>,
    connections_max: usize,
    refusals: Rc<()>,
}

impl<P: Platform, M: 'static> Clients<P, M> {
    pub fn new(platform: P, inbox: Rc<Inbox<P, M>>, connections_max: usize) -> Clients<P, M> {
        Clients {
            platform,
            inbox,
            slots: Slots::default(),
            dirty: Vec::new(),
            leaving: Vec::new(),
            connections_max,
            refusals: Rc::new(()),
        }
    }

    /// Takes a new connection in, or refuses it if there are too many. The superuser always fits.
    pub fn accept(
        &mut self,
        kind: ConnKind,
        reader: P::Reader,
        writer: P::Writer,
        remote: String,
    ) -> Option<Event<M>> {
        if kind == ConnKind::Postgres && self.slots.len() >= self.connections_max {
            self.refuse(reader, writer);
            return None;
        }
        let gate = Rc::new(Gate::default());
        let outlet = Outlet::new(Some(writer), gate.clone());
        let client = Client { outlet, unreported_bytes: 0, dirty: false, end: End::No };
        let conn = self.slots.insert(client)?;
        add(&self.inbox.counters.connections_accepted, 1);
        self.platform.spawn(read(self.platform.clone(), self.inbox.clone(), conn, reader, gate));
        Some(Event::Accepted { conn, kind, remote: remote.into_boxed_str() })
    }

    fn refuse(&self, reader: P::Reader, mut writer: P::Writer) {
        add(&self.inbox.counters.connections_refused, 1);
        if Rc::strong_count(&self.refusals) <= REFUSALS_MAX {
            let permit = self.refusals.clone();
            let (platform, inbox) = (self.platform.clone(), self.inbox.clone());
            self.platform.spawn(async move {
                let _permit = permit;
                tell_too_many(platform, inbox, reader, writer).await;
            });
        } else {
            let mut context = Context::from_waker(Waker::noop());
            let _ = writer.poll_write(&mut context, &[IoSlice::new(&too_many_clients())]);
            let _ = writer.poll_shutdown(&mut context);
        }
    }

    pub fn write(&mut self, conn: ConnId, bytes: Bytes) {
        let Some(client) = self.slots.get_mut(conn) else { return };
        client.outlet.push(bytes);
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(conn);
        }
    }

    pub fn close(&mut self, conn: ConnId) {
        let Some(client) = self.slots.get_mut(conn) else { return };
        if client.end != End::No {
            return;
        }
        client.end = End::Wanted;
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(conn);
        }
        // A client that does not read must not keep its connection for ever: the end of the draining task
        // tells of it.
        let (platform, gate) = (self.platform.clone(), Rc::downgrade(client.outlet.gate()));
        if !client.outlet.is_idle() {
            self.platform.spawn(async move {
                platform.sleep(LINGER).await;
                if let Some(gate) = gate.upgrade() {
                    gate.shut();
                }
            });
        }
    }

    pub fn throttle(&mut self, conn: ConnId, paused: bool) {
        if let Some(client) = self.slots.get_mut(conn) {
            client.outlet.gate().set_paused(paused);
        }
    }

    /// Bytes of a client, unless its connection has been closed since they were read.
    pub fn heard(&mut self, conn: ConnId, bytes: Bytes) -> Option<Event<M>> {
        self.slots.get_mut(conn).filter(|client| client.end != End::Told)?;
        Some(Event::Bytes { conn, bytes })
    }

    /// The other side is gone. What this turn still writes is attempted once.
    pub fn gone(&mut self, conn: ConnId) -> Option<Event<M>> {
        let client = self.slots.get_mut(conn).filter(|client| client.end != End::Told)?;
        client.end = End::Told;
        self.leaving.push(conn);
        Some(Event::Closed { conn })
    }

    /// A blocked connection has written `bytes`.
    pub fn drained(&mut self, conn: ConnId, writer: P::Writer, bytes: usize) -> Option<Event<M>> {
        let client = self.slots.get_mut(conn).filter(|client| client.end != End::Told)?;
        client.outlet.put_back(writer);
        if !client.dirty {
            client.dirty = true;
            self.dirty.push(conn);
        }
        add(&self.inbox.counters.client_bytes_sent, bytes);
        let bytes = bytes + std::mem::take(&mut client.unreported_bytes);
        Some(Event::Flushed { conn, bytes })
    }

    /// One write for each connection of this turn; appends what the instance must know of it.
    pub fn flush(&mut self, events: &mut Vec<Event<M>>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            self.flush_one(conn, events);
        }
        self.dirty = dirty;
        for conn in std::mem::take(&mut self.leaving) {
            if let Some(client) = self.slots.remove(conn) {
                client.outlet.gate().shut();
            }
        }
    }

    fn flush_one(&mut self, conn: ConnId, events: &mut Vec<Event<M>>) {
        let Some(client) = self.slots.get_mut(conn) else { return };
        client.dirty = false;
        match client.outlet.flush(&self.platform, &self.inbox, || OutletId::Client(conn)) {
            Ok(bytes) => {
                add(&self.inbox.counters.client_bytes_sent, bytes);
                client.unreported_bytes += bytes;
                if client.unreported_bytes >= FLUSHED_BYTES_MIN && client.end != End::Told {
                    let bytes = std::mem::take(&mut client.unreported_bytes);
                    events.push(Event::Flushed { conn, bytes });
                }
                if client.end == End::Wanted && client.outlet.is_idle() {
                    client.outlet.shut_down();
                    self.forget(conn, events);
                }
            }
            // Its reader, if still there, ends with the gate.
            Err(_) => self.forget(conn, events),
        }
    }

    fn forget(&mut self, conn: ConnId, events: &mut Vec<Event<M>>) {
        if let Some(client) = self.slots.remove(conn) {
            client.outlet.gate().shut();
            if client.end != End::Told {
                events.push(Event::Closed { conn });
            }
        }
    }
}

/// Accepts connections of one listener until the runtime ends.
pub async fn accept<P: Platform, M: 'static>(
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    listener: P::Listener,
    kind: ConnKind,
) {
    accept_each(&platform, &listener, |reader, writer, remote| {
        inbox.push(Input::Accepted { kind, reader, writer, remote });
    })
    .await;
}

/// Calls `take` for every connection; waits a little when the system has no room for one.
pub async fn accept_each<P: Platform>(
    platform: &P,
    listener: &P::Listener,
    mut take: impl FnMut(P::Reader, P::Writer, String),
) {
    let mut failing = false;
    let mut taken = 0;
    loop {
        taken += 1;
        if taken % ACCEPTS_A_TURN == 0 {
            step_back().await;
        }
        match listener.accept().await {
            Ok((reader, writer, remote)) => {
                failing = false;
                take(reader, writer, remote);
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !failing {
                    let address = listener.address();
                    tracing::warn!(%error, address, "cannot accept connections; trying on");
                }
                failing = true;
                platform.sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

enum Heard {
    Bytes(Bytes),
    Gone,
    Shut,
}

async fn read<P: Platform, M: 'static>(
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    conn: ConnId,
    mut reader: P::Reader,
    gate: Rc<Gate>,
) {
    loop {
        let heard = poll_fn(|context| match gate.poll_may_read(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Heard::Shut),
            Poll::Ready(Ok(())) => inbox
                .poll_read(&mut reader, context, Bytes::copy_from_slice)
                .map(|outcome| outcome.ok().flatten().map_or(Heard::Gone, Heard::Bytes)),
        })
        .await;
        match heard {
            Heard::Bytes(bytes) => {
                let full = bytes.len() == READ_BYTES_MAX;
                add(&inbox.counters.client_bytes_received, bytes.len());
                inbox.push(Input::Bytes { conn, bytes });
                if full {
                    step_back().await;
                }
            }
            Heard::Gone => return inbox.push(Input::Gone { conn }),
            Heard::Shut => return linger(&platform, &inbox, &mut reader).await,
        }
    }
}

/// Reads and forgets until the other side closes: closing a socket with unread bytes would reset
/// the connection and take our last words, often an error message, with it.
async fn linger<P: Platform, M: 'static>(
    platform: &P,
    inbox: &Inbox<P, M>,
    reader: &mut P::Reader,
) {
    let mut limit = std::pin::pin!(platform.sleep(LINGER));
    poll_fn(|context| {
        use std::future::Future;
        if limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            match inbox.poll_read(reader, context, |_| ()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(()))) => {}
                Poll::Ready(Ok(None) | Err(_)) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// The eight bytes by which a client asks for TLS or GSSAPI encryption before its start message.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// PostgreSQL's answer to a client over the limit: `FATAL`, 53300, at its start message.
async fn tell_too_many<P: Platform, M: 'static>(
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    mut reader: P::Reader,
    mut writer: P::Writer,
) {
    let mut limit = std::pin::pin!(platform.sleep(LINGER));
    let mut answer = Vec::new();
    poll_fn(|context| {
        use std::future::Future;
        if limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        while answer.is_empty() {
            let wants_encryption =
                |bytes: &[u8]| bytes == SSL_REQUEST.as_slice() || bytes == GSS_REQUEST.as_slice();
            match inbox.poll_read(&mut reader, context, wants_encryption) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(true))) => {
                    let _ = writer.poll_write(context, &[IoSlice::new(b"N")]);
                }
                Poll::Ready(Ok(Some(false))) => answer = too_many_clients(),
                Poll::Ready(Ok(None) | Err(_)) => return Poll::Ready(()),
            }
        }
        let _ = writer.poll_write(context, &[IoSlice::new(&answer)]);
        let _ = writer.poll_shutdown(context);
        Poll::Ready(())
    })
    .await;
    linger(&platform, &inbox, &mut reader).await;
}

fn too_many_clients() -> Vec<u8> {
    let fields = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0";
    let mut message = vec![b'E'];
    message.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(fields);
    message
}
