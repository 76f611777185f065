//! The sending side of a connection.
//!
//! A turn's bytes are gathered and written with one call by the reactor itself. Only when the socket
//! takes no more does a task get the writer and what is left; when it has written that, the writer
//! comes back through the inbox with the count. Bytes queued meanwhile wait here.
//!
//! ```text
//!           write                 full                  Drained
//!   Idle ─────────▶ (written) ──────────▶ Draining ──────────────▶ Idle
//! ```

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::gate::Gate;
use crate::inbox::{Inbox, Input, OutletId};
use crate::platform::{Platform, Writer};

/// Chunks given to one system call.
const CHUNKS_A_WRITE: usize = 64;

/// Bytes on their way out of one connection.
#[derive(Debug)]
pub struct Outlet<W> {
    /// `None` while a task drains, and before a link is up.
    writer: Option<W>,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    gate: Rc<Gate>,
}

/// The connection cannot be written to any more.
#[derive(Debug)]
pub struct Broken(pub io::Error);

impl<W: Writer> Outlet<W> {
    pub fn new(writer: Option<W>, gate: Rc<Gate>) -> Outlet<W> {
        Outlet { writer, queue: VecDeque::new(), queued_bytes: 0, gate }
    }

    pub fn gate(&self) -> &Rc<Gate> {
        &self.gate
    }

    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queued_bytes += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Bytes waiting here; those a draining task holds are not counted.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether everything pushed has left.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.writer.is_some()
    }

    pub fn put_back(&mut self, writer: W) {
        self.writer = Some(writer);
    }

    /// Forgets what is queued and the writer.
    pub fn reset(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
        self.writer = None;
    }

    /// Tells the other side that no more will come; best effort.
    pub fn shut_down(&mut self) {
        if let Some(writer) = &mut self.writer {
            let _ = writer.poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Writes what is queued and gives the bytes that left. What the socket does not take now is
    /// written by a task, which reports to `inbox` under `id`.
    pub fn flush<P, M>(
        &mut self,
        platform: &P,
        inbox: &Rc<Inbox<P, M>>,
        id: impl FnOnce() -> OutletId,
    ) -> Result<usize, Broken>
    where
        P: Platform<Writer = W>,
        M: 'static,
    {
        let Some(writer) = &mut self.writer else { return Ok(0) };
        let mut context = Context::from_waker(Waker::noop());
        let mut written = 0;
        while !self.queue.is_empty() {
            match poll_write_front(writer, &mut self.queue, &mut context) {
                Poll::Ready(Ok(bytes)) => written += bytes,
                Poll::Ready(Err(error)) => return Err(Broken(error)),
                Poll::Pending => {
                    let queue = std::mem::take(&mut self.queue);
                    self.queued_bytes = 0;
                    if let Some(writer) = self.writer.take() {
                        let gate = self.gate.clone();
                        platform.spawn(drain(writer, queue, gate, inbox.clone(), id()));
                    }
                    return Ok(written);
                }
            }
        }
        self.queued_bytes = 0;
        Ok(written)
    }
}

/// Writes a queue to its end, unless the gate shuts first: then what is left is lost, and its connection
/// with it.
async fn drain<P: Platform, M>(
    mut writer: P::Writer,
    mut queue: VecDeque<Bytes>,
    gate: Rc<Gate>,
    inbox: Rc<Inbox<P, M>>,
    outlet: OutletId,
) {
    let bytes = queue.iter().map(Bytes::len).sum();
    let drained = poll_fn(|context| {
        while !queue.is_empty() {
            if gate.poll_may_write(context).is_err() {
                return Poll::Ready(false);
            }
            match poll_write_front(&mut writer, &mut queue, context) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(true)
    })
    .await;
    inbox.push(match drained {
        true => Input::Drained { outlet, writer, bytes },
        false => Input::Broken { outlet },
    });
}

/// One write of the front chunks; takes what was written off the queue.
fn poll_write_front<W: Writer>(
    writer: &mut W,
    queue: &mut VecDeque<Bytes>,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); CHUNKS_A_WRITE];
    let mut count = 0;
    for (slice, chunk) in slices.iter_mut().zip(queue.iter()) {
        *slice = IoSlice::new(chunk);
        count += 1;
    }
    let written = match writer.poll_write(context, &slices[..count]) {
        Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        Poll::Ready(Ok(written)) => written,
        other => return other,
    };
    let mut left = written;
    while let Some(front) = queue.front_mut() {
        if front.len() > left {
            front.advance(left);
            break;
        }
        left -= front.len();
        queue.pop_front();
    }
    Poll::Ready(Ok(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes as many bytes a call as the script says, over and over; 0 stands for a full buffer.
    struct Stingy {
        script: Vec<usize>,
        calls: usize,
        taken: Vec<u8>,
    }

    impl Writer for Stingy {
        fn poll_write(
            &mut self,
            _: &mut Context<'_>,
            chunks: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let room = self.script[self.calls % self.script.len()];
            self.calls += 1;
            if room == 0 {
                return Poll::Pending;
            }
            let bytes = chunks.iter().flat_map(|chunk| chunk.iter().copied()).take(room);
            let before = self.taken.len();
            self.taken.extend(bytes);
            Poll::Ready(Ok(self.taken.len() - before))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn every_byte_leaves_once_and_in_order_however_little_fits(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..100),
            mut script in prop::collection::vec(0usize..50, 0..10),
        ) {
            script.push(1);
            let mut writer = Stingy { script, calls: 0, taken: Vec::new() };
            let mut queue: VecDeque<Bytes> = chunks.iter().cloned().map(Bytes::from).collect();
            let mut context = Context::from_waker(Waker::noop());
            let mut written = 0;
            while !queue.is_empty() {
                if let Poll::Ready(bytes) = poll_write_front(&mut writer, &mut queue, &mut context) {
                    written += bytes.unwrap();
                }
            }
            prop_assert_eq!(&writer.taken, &chunks.concat());
            prop_assert_eq!(written, writer.taken.len());
        }
    }
}
