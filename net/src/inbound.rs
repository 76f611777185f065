//! Connections that peers dialled: a hello, then messages.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use basalt_core::base::codec::CodecError;
use basalt_core::seam::PeerAddr;
use bytes::Bytes;

use crate::clients::accept_each;
use crate::counters::add;
use crate::frame::{Decoder, FrameError, Kind, read_hello};
use crate::gate::Gate;
use crate::inbox::{Inbox, Input, READ_BYTES_MAX, step_back};
use crate::machine::Wire;
use crate::platform::Platform;

/// A stranger must have said hello by then.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// Why a peer's connection is dropped.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message that cannot be read: {0}")]
    Message(#[from] CodecError),
    #[error("the first frame is not a hello")]
    NoHello,
    #[error("a second hello")]
    SecondHello,
}

/// Accepts connections on the peer port until the runtime ends; at most so many at once.
pub async fn accept<P: Platform, M: Wire>(
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    listener: P::Listener,
    connections_max: usize,
) {
    let open = Rc::new(());
    let mut full = false;
    accept_each(&platform, &listener, |reader, writer, remote| {
        if Rc::strong_count(&open) > connections_max {
            // Once: a stranger decides how often this happens.
            if !std::mem::replace(&mut full, true) {
                tracing::warn!(remote, "too many connections of peers");
            }
            return;
        }
        full = false;
        let gate = Rc::new(Gate::default());
        let greeted = Rc::new(Cell::new(false));
        platform.spawn(limit_hello(platform.clone(), greeted.clone(), Rc::downgrade(&gate)));
        let connection = Inbound {
            inbox: inbox.clone(),
            decoder: Decoder::new(),
            from: From::Stranger(writer),
            greeted,
            gate,
            _open: open.clone(),
        };
        platform.spawn(connection.run(reader, remote));
    })
    .await;
}

async fn limit_hello<P: Platform>(platform: P, greeted: Rc<Cell<bool>>, gate: Weak<Gate>) {
    platform.sleep(HELLO_WITHIN).await;
    if let Some(gate) = gate.upgrade().filter(|_| !greeted.get()) {
        gate.shut();
    }
}

/// Who is at the other end.
enum From<W> {
    Stranger(W),
    /// The writer is kept because dropping it would end the connection.
    Peer(PeerAddr, W),
    Asker(PeerAddr),
}

struct Inbound<P: Platform, M> {
    inbox: Rc<Inbox<P, M>>,
    decoder: Decoder,
    from: From<P::Writer>,
    greeted: Rc<Cell<bool>>,
    gate: Rc<Gate>,
    /// Counts the open connections.
    _open: Rc<()>,
}

impl<P: Platform, M: Wire> Inbound<P, M> {
    async fn run(mut self, mut reader: P::Reader, remote: String) {
        if let Err(fault) = self.read(&mut reader).await {
            tracing::warn!(remote, reason = %fault, "dropping the connection of a peer");
        }
        if let From::Asker(asker) = self.from {
            self.inbox.push(Input::AskerGone { asker });
        }
    }

    async fn read(&mut self, reader: &mut P::Reader) -> Result<(), Fault> {
        loop {
            let (inbox, decoder, gate) = (&self.inbox, &mut self.decoder, &self.gate);
            let len = poll_fn(|context| {
                if let Poll::Ready(Err(_)) = gate.poll_may_read(context) {
                    return Poll::Ready(None);
                }
                let keep = |bytes: &[u8]| {
                    decoder.push(bytes);
                    bytes.len()
                };
                inbox.poll_read(reader, context, keep).map(|outcome| outcome.ok().flatten())
            })
            .await;
            let Some(len) = len else { return Ok(()) };
            while let Some((kind, payload)) = self.decoder.next_frame()? {
                self.take(kind, payload)?;
            }
            if len == READ_BYTES_MAX {
                step_back().await;
            }
        }
    }

    fn take(&mut self, kind: Kind, payload: Bytes) -> Result<(), Fault> {
        match (&self.from, kind) {
            (From::Stranger(_), Kind::Message(_)) => Err(Fault::NoHello),
            (From::Stranger(_), Kind::Hello) => {
                let address = read_hello(payload)?;
                self.greet(address);
                Ok(())
            }
            (_, Kind::Hello) => Err(Fault::SecondHello),
            (From::Peer(from, _) | From::Asker(from), Kind::Message(_)) => {
                let msg = M::decode(payload)?;
                add(&self.inbox.counters.peer_messages_received, 1);
                self.inbox.push(Input::Peer { from: from.clone(), msg });
                Ok(())
            }
        }
    }

    fn greet(&mut self, address: Option<PeerAddr>) {
        self.decoder.allow_messages();
        self.greeted.set(true);
        let asker = self.inbox.name_asker();
        let From::Stranger(writer) = std::mem::replace(&mut self.from, From::Asker(asker.clone()))
        else {
            return;
        };
        match address {
            Some(peer) => {
                self.inbox.push(Input::PeerCame { peer: peer.clone() });
                self.from = From::Peer(peer, writer);
            }
            None => {
                let gate = self.gate.clone();
                self.inbox.push(Input::AskerCame { asker, writer, gate });
            }
        }
    }
}
