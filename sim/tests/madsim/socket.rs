//! TCP of madsim behind the halves that `net` wants.
//!
//! madsim's stream has one end for both directions, never fills up, and cannot be half closed. So a
//! stream carries segments, and each half stands alone:
//!
//! ```text
//!   length u32, little-endian | bytes …        length 0: the sender will send no more
//! ```
//! Now and then a writer stalls for some milliseconds or takes a part only, as a full socket does.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use basalt_net::platform::{Reader, Writer};
use madsim::net::TcpStream;
use madsim::rand::{Rng, thread_rng};
use madsim::time::{Sleep, sleep, timeout};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const HEADER_BYTES: usize = 4;
/// How often a write finds the socket full, and how often it is taken in part.
const STALLS: f64 = 0.02;
const PARTS: f64 = 0.05;

type Shared = Rc<RefCell<TcpStream>>;

/// The receiving half.
pub struct SimReader {
    stream: Shared,
    header: Vec<u8>,
    /// Bytes of the current segment yet to come.
    left: usize,
    ended: bool,
}

/// The sending half.
pub struct SimWriter {
    stream: Shared,
    stalled: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

pub async fn connect(address: &str) -> io::Result<(SimReader, SimWriter)> {
    match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(stream) => Ok(split(stream?)),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

pub fn split(stream: TcpStream) -> (SimReader, SimWriter) {
    let stream = Rc::new(RefCell::new(stream));
    let reader = SimReader { stream: stream.clone(), header: Vec::new(), left: 0, ended: false };
    (reader, SimWriter { stream, stalled: None, ended: false })
}

impl SimReader {
    fn poll_some(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let mut stream = self.stream.borrow_mut();
        ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
        self.ended |= buffer.filled().is_empty();
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_header(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; HEADER_BYTES];
        while !self.ended && self.left == 0 {
            let wanted = HEADER_BYTES - self.header.len();
            let read = ready!(self.poll_some(context, &mut piece[..wanted]))?;
            self.header.extend_from_slice(&piece[..read]);
            if let Ok(length) = <[u8; HEADER_BYTES]>::try_from(self.header.as_slice()) {
                self.header.clear();
                self.left = u32::from_le_bytes(length) as usize;
                self.ended = self.left == 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Reader for SimReader {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_header(context))?;
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let wanted = buffer.len().min(self.left);
        let read = ready!(self.poll_some(context, &mut buffer[..wanted]))?;
        self.left -= read;
        Poll::Ready(Ok(read))
    }
}

impl SimWriter {
    fn send(&mut self, segment: &[u8], context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.stream.borrow_mut();
        ready!(Pin::new(&mut *stream).poll_write(context, segment))?;
        Pin::new(&mut *stream).poll_flush(context)
    }
}

impl Writer for SimWriter {
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        chunks: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.stalled.is_none() && thread_rng().gen_bool(STALLS) {
            let pause = Duration::from_millis(thread_rng().gen_range(1..30));
            self.stalled = Some(Box::pin(sleep(pause)));
        }
        if let Some(stall) = &mut self.stalled {
            ready!(stall.as_mut().poll(context));
            self.stalled = None;
        }
        let mut taken: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        if taken > 1 && thread_rng().gen_bool(PARTS) {
            taken = thread_rng().gen_range(1..taken);
        }
        let length = u32::try_from(taken).map_err(io::Error::other)?;
        let mut segment = length.to_le_bytes().to_vec();
        segment.extend(chunks.iter().flat_map(|chunk| chunk.iter()).take(taken));
        ready!(self.send(&segment, context))?;
        Poll::Ready(Ok(taken))
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(Ok(()));
        }
        self.send(&[0; HEADER_BYTES], context)
    }
}

impl Drop for SimWriter {
    fn drop(&mut self) {
        // Where the other side is gone already there is nobody to tell.
        let _ = self.poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}
