//! TCP and Unix sockets behind one type.

use std::io::{self, IoSlice};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host};

use crate::platform::{Listener, Reader, Writer};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Sent bytes that are not acknowledged for so long end a peer's connection.
const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// The receiving half of a socket.
#[derive(Debug)]
pub enum ReadHalf {
    Tcp(tokio::net::tcp::OwnedReadHalf),
    Unix(tokio::net::unix::OwnedReadHalf),
}

/// The sending half of a socket.
#[derive(Debug)]
pub enum WriteHalf {
    Tcp(tokio::net::tcp::OwnedWriteHalf),
    Unix(tokio::net::unix::OwnedWriteHalf),
}

impl Reader for ReadHalf {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(match self {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(context, &mut buffer),
            ReadHalf::Unix(half) => Pin::new(half).poll_read(context, &mut buffer),
        })?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl Writer for WriteHalf {
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        chunks: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self, chunks) {
            (WriteHalf::Tcp(half), [one]) => Pin::new(half).poll_write(context, one),
            (WriteHalf::Tcp(half), many) => Pin::new(half).poll_write_vectored(context, many),
            (WriteHalf::Unix(half), many) => Pin::new(half).poll_write_vectored(context, many),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            WriteHalf::Tcp(half) => Pin::new(half).poll_shutdown(context),
            WriteHalf::Unix(half) => Pin::new(half).poll_shutdown(context),
        }
    }
}

/// A listening socket. A socket file goes when its listener does.
#[derive(Debug)]
pub enum SocketListener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl SocketListener {
    /// Listens on the first address `host:port` resolves to.
    pub async fn tcp(address: &str) -> io::Result<SocketListener> {
        let address = lookup_host(address).await?.next().ok_or_else(unresolved)?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(SocketListener::Tcp(socket.listen(BACKLOG)?))
    }

    /// Listens on a socket file that only its owner can open. A file left by a dead process is
    /// replaced, one that somebody answers on is not.
    pub fn unix(path: &Path) -> io::Result<SocketListener> {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket()) {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        socket.bind(&address)?;
        // Before `listen`, so that nobody connects before the file is closed to others.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        socket.listen(128)?;
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(SocketListener::Unix(listener, path.to_owned()))
    }
}

impl Listener for SocketListener {
    type Reader = ReadHalf;
    type Writer = WriteHalf;

    async fn accept(&self) -> io::Result<(ReadHalf, WriteHalf, String)> {
        match self {
            SocketListener::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // These fail only if the client is gone already, which reading will show.
                let _ = stream.set_nodelay(true);
                let _ = SockRef::from(&stream).set_keepalive(true);
                let (reader, writer) = stream.into_split();
                Ok((ReadHalf::Tcp(reader), WriteHalf::Tcp(writer), remote.to_string()))
            }
            SocketListener::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                let (reader, writer) = UnixStream::into_split(stream);
                let remote = path.display().to_string();
                Ok((ReadHalf::Unix(reader), WriteHalf::Unix(writer), remote))
            }
        }
    }

    fn address(&self) -> String {
        match self {
            SocketListener::Tcp(listener) => {
                listener.local_addr().map(|address| address.to_string()).unwrap_or_default()
            }
            SocketListener::Unix(_, path) => path.display().to_string(),
        }
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        if let SocketListener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Connects to the first of a peer's addresses that answers.
pub async fn connect(address: &str) -> io::Result<(ReadHalf, WriteHalf)> {
    let mut failure = unresolved();
    for address in lookup_host(address).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                let socket = SockRef::from(&stream);
                socket.set_keepalive(true)?;
                socket.set_tcp_user_timeout(Some(PEER_SILENCE_MAX))?;
                let (reader, writer) = stream.into_split();
                return Ok((ReadHalf::Tcp(reader), WriteHalf::Tcp(writer)));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn unresolved() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host name has no address")
}
