//! Where the tasks of one reactor leave what happened, until the next turn takes all of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use basalt_core::base::ConnId;
use basalt_core::seam::{ConnKind, Inspect, Lane, PeerAddr};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::counters::Counters;
use crate::doorbell::Doorbell;
use crate::gate::Gate;
use crate::platform::Platform;

/// The most a connection's task reads at once.
pub const READ_BYTES_MAX: usize = 64 << 10;

/// Which outlet a drained writer belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OutletId {
    Client(ConnId),
    /// A dialled peer; `dial` tells one connection to it from the next.
    Peer {
        peer: PeerAddr,
        lane: Lane,
        dial: u64,
    },
    /// A connection that asked without an address of its own.
    Asker(PeerAddr),
}

/// One thing a task has to tell the reactor.
pub enum Input<P: Platform, M> {
    Accepted {
        kind: ConnKind,
        reader: P::Reader,
        writer: P::Writer,
        remote: String,
    },
    Bytes {
        conn: ConnId,
        bytes: Bytes,
    },
    /// The client closed or failed.
    Gone {
        conn: ConnId,
    },
    /// A blocked outlet has written everything it was given.
    Drained {
        outlet: OutletId,
        writer: P::Writer,
        bytes: usize,
    },
    /// An outlet failed, or its gate was shut before it had written everything.
    Broken {
        outlet: OutletId,
    },
    /// A dial succeeded and the hello is sent.
    Dialled {
        peer: PeerAddr,
        lane: Lane,
        dial: u64,
        writer: P::Writer,
    },
    DialFailed {
        peer: PeerAddr,
        lane: Lane,
    },
    /// A dialled connection was closed by the peer.
    Hung {
        peer: PeerAddr,
        lane: Lane,
        dial: u64,
    },
    /// A peer that can be dialled has dialled here.
    PeerCame {
        peer: PeerAddr,
    },
    AskerCame {
        asker: PeerAddr,
        writer: P::Writer,
        gate: Rc<Gate>,
    },
    AskerGone {
        asker: PeerAddr,
    },
    Peer {
        from: PeerAddr,
        msg: M,
    },
    Inspect {
        what: Inspect,
        reply: oneshot::Sender<String>,
    },
}

/// The queue of inputs, with what else the tasks of one reactor share.
pub struct Inbox<P: Platform, M> {
    queue: RefCell<Vec<Input<P, M>>>,
    doorbell: Arc<Doorbell>,
    /// Where every connection reads to first, so that an idle one holds no buffer.
    scratch: RefCell<Box<[u8]>>,
    next_asker: Cell<u64>,
    pub counters: Counters,
}

impl<P: Platform, M> Inbox<P, M> {
    pub fn new(doorbell: Arc<Doorbell>) -> Inbox<P, M> {
        Inbox {
            queue: RefCell::new(Vec::new()),
            doorbell,
            scratch: RefCell::new(vec![0; READ_BYTES_MAX].into_boxed_slice()),
            next_asker: Cell::new(1),
            counters: Counters::default(),
        }
    }

    pub fn push(&self, input: Input<P, M>) {
        self.queue.borrow_mut().push(input);
        self.doorbell.ring();
    }

    pub fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Exchanges the queue for `empty`, so that neither side allocates again.
    pub fn take(&self, empty: &mut Vec<Input<P, M>>) {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut *self.queue.borrow_mut(), empty);
    }

    /// The address under which answers go to the next peer without one.
    pub fn name_asker(&self) -> PeerAddr {
        let number = self.next_asker.get();
        self.next_asker.set(number + 1);
        PeerAddr::new(format!("client:{number}"))
    }

    /// Reads once and hands the bytes to `take`; gives what it returns, `None` at the end of the stream.
    pub fn poll_read<T>(
        &self,
        reader: &mut P::Reader,
        context: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> T,
    ) -> Poll<std::io::Result<Option<T>>> {
        use crate::platform::Reader;
        let mut scratch = self.scratch.borrow_mut();
        match reader.poll_read(context, &mut scratch) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(None)),
            Poll::Ready(Ok(len)) => Poll::Ready(Ok(Some(take(&scratch[..len])))),
        }
    }
}

/// Steps behind every task that is ready now, once.
pub async fn step_back() {
    let mut stepped = false;
    std::future::poll_fn(|context| {
        if stepped {
            return Poll::Ready(());
        }
        stepped = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
