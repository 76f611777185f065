//! File descriptors: how many a process may have, and who gets them.
//!
//! Strangers decide how many connections there are, so connections must never take the descriptors
//! that the log needs for its next file:
//!
//! ```text
//!   limit of the process ÷ instances = share
//!   share:  files, listeners, refusals, HTTP, dialled links │ peers │ clients
//!           RESERVED, at most half                          │ ¼     │ ¾ of the rest
//! ```
//! Other processes can use up what the system has; then [`patiently`] waits.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::reactor::PEER_CONNECTIONS_MAX;

/// For all that is neither a client nor a peer: 64 refusals, 64 HTTP exchanges, what three listeners
/// accept in a turn, the log's files.
const RESERVED: usize = 320;
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// Connections an instance may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    pub clients: usize,
    pub peers: usize,
}

impl Budget {
    /// The budget of one of so many instances of this process, which wishes for so many `clients`.
    pub fn of_process(instances: usize, clients: usize) -> Budget {
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let budget = Budget::of_share(limit / instances.max(1), clients);
        if budget.clients < clients {
            tracing::warn!(
                wanted = clients,
                allowed = budget.clients,
                "fewer client connections: the limit of open files of this process is {limit}"
            );
        }
        budget
    }

    fn of_share(share: usize, clients: usize) -> Budget {
        let left = share - RESERVED.min(share / 2);
        let peers = (left / 4).min(PEER_CONNECTIONS_MAX);
        Budget { clients: clients.min(left - peers), peers }
    }
}

/// Tries again for a while as long as no descriptor is left. Blocks the thread.
pub fn patiently<T>(mut action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match action() {
            Err(error) if is_exhaustion(&error) && Instant::now() < end => {
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_log() {
        let budget = |share, clients| {
            let Budget { clients, peers } = Budget::of_share(share, clients);
            (clients, peers)
        };
        assert_eq!(budget(20_000, 10_000), (10_000, 4_920));
        assert_eq!(budget(usize::MAX, 10_000), (10_000, PEER_CONNECTIONS_MAX));
        assert_eq!(budget(1_024, 10_000), (528, 176));
        assert_eq!(budget(256, 10_000), (96, 32));
        assert_eq!(budget(256, 7), (7, 32));
        assert_eq!(budget(0, 7), (0, 0));
    }

    #[test]
    fn what_needs_a_descriptor_is_tried_again_and_what_fails_otherwise_is_not() {
        let mut tries = 0;
        let outcome = patiently(|| {
            tries += 1;
            if tries < 3 { Err(Errno::MFILE.into()) } else { Ok(tries) }
        });
        assert_eq!(outcome.unwrap(), 3);
        let outcome: io::Result<()> = patiently(|| {
            tries += 1;
            Err(Errno::NOENT.into())
        });
        assert_eq!((outcome.is_err(), tries), (true, 4));
    }
}
