//! A peer without an address: asks an instance and waits for the answer, as `basalt status` does.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use basalt_core::base::codec::CodecError;
use basalt_core::seam::Lane;

use crate::frame::{self, Decoder, FrameError, Kind};
use crate::machine::Wire;

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("{address} did not answer: {source}")]
    Silent { address: String, source: io::Error },
    #[error("{0} closed the connection without an answer; is it the peer port of an instance?")]
    Closed(String),
    #[error("an answer that cannot be read: {0}")]
    Frame(#[from] FrameError),
    #[error("an answer that cannot be read: {0}")]
    Message(#[from] CodecError),
}

/// A blocking connection to the peer port of an instance.
#[derive(Debug)]
pub struct PeerClient {
    address: String,
    stream: TcpStream,
    decoder: Decoder,
}

impl PeerClient {
    /// Connects and says hello; waits at most `within` for the connection.
    pub fn connect(address: &str, within: Duration) -> Result<PeerClient, AskError> {
        let failed = |source| AskError::Connect { address: address.to_owned(), source };
        let mut failure = failed(io::ErrorKind::NotFound.into());
        for resolved in address.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&resolved, within) {
                Ok(stream) => return PeerClient::greet(address, stream),
                Err(error) => failure = failed(error),
            }
        }
        Err(failure)
    }

    fn greet(address: &str, mut stream: TcpStream) -> Result<PeerClient, AskError> {
        let failed = |source| AskError::Connect { address: address.to_owned(), source };
        stream.set_nodelay(true).map_err(failed)?;
        stream.write_all(&frame::hello(None)?).map_err(failed)?;
        let mut decoder = Decoder::new();
        decoder.allow_messages();
        Ok(PeerClient { address: address.to_owned(), stream, decoder })
    }

    pub fn send<M: Wire>(&mut self, msg: &M) -> Result<(), AskError> {
        let mut out = Vec::new();
        frame::append(&mut out, Kind::Message(Lane::Fast), |out| msg.encode(out))?;
        let sent = self.stream.write_all(&out);
        sent.map_err(|source| AskError::Silent { address: self.address.clone(), source })
    }

    /// The next message, which must be complete within `within`.
    pub fn receive<M: Wire>(&mut self, within: Duration) -> Result<M, AskError> {
        let end = Instant::now() + within;
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some((_, payload)) = self.decoder.next_frame()? {
                return Ok(M::decode(payload)?);
            }
            let left = end.saturating_duration_since(Instant::now());
            let read = if left.is_zero() {
                Err(io::ErrorKind::TimedOut.into())
            } else {
                self.stream
                    .set_read_timeout(Some(left))
                    .and_then(|()| self.stream.read(&mut buffer))
            };
            match read {
                Ok(0) => return Err(AskError::Closed(self.address.clone())),
                Ok(len) => self.decoder.push(&buffer[..len]),
                Err(source) => {
                    return Err(AskError::Silent { address: self.address.clone(), source });
                }
            }
        }
    }
}
