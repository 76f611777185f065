//! Messages between the instances of one process: a bounded ring for each ordered pair.
//!
//! Messages cross as values, without a codec. A full ring drops the message, as a network may.

use std::sync::Arc;

use basalt_core::seam::PeerAddr;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::doorbell::Doorbell;

/// Messages one ring holds.
const RING_MESSAGES: usize = 4096;

struct Neighbour<M> {
    address: PeerAddr,
    outgoing: Producer<M>,
    incoming: Consumer<M>,
    doorbell: Arc<Doorbell>,
    gone: bool,
}

/// One instance's ends of the rings to and from the others of its process, and its own doorbell.
pub struct Neighbours<M> {
    all: Vec<Neighbour<M>>,
    doorbell: Arc<Doorbell>,
}

impl<M> Neighbours<M> {
    /// For an instance that is alone in its process.
    pub fn none() -> Neighbours<M> {
        Neighbours { all: Vec::new(), doorbell: Arc::default() }
    }

    /// Connects the instances with these advertised addresses; one set of ends each, in order.
    pub fn connect(addresses: &[PeerAddr]) -> Vec<Neighbours<M>> {
        let mut sets: Vec<_> = addresses.iter().map(|_| Neighbours::none()).collect();
        for left in 0..addresses.len() {
            for right in left + 1..addresses.len() {
                let (to_right, from_left) = RingBuffer::new(RING_MESSAGES);
                let (to_left, from_right) = RingBuffer::new(RING_MESSAGES);
                let doorbells = (sets[left].doorbell.clone(), sets[right].doorbell.clone());
                sets[left].add(&addresses[right], to_right, from_right, doorbells.1);
                sets[right].add(&addresses[left], to_left, from_left, doorbells.0);
            }
        }
        sets
    }

    fn add(
        &mut self,
        address: &PeerAddr,
        outgoing: Producer<M>,
        incoming: Consumer<M>,
        doorbell: Arc<Doorbell>,
    ) {
        let address = address.clone();
        self.all.push(Neighbour { address, outgoing, incoming, doorbell, gone: false });
    }

    pub fn doorbell(&self) -> &Arc<Doorbell> {
        &self.doorbell
    }

    pub fn addresses(&self) -> impl Iterator<Item = &PeerAddr> {
        self.all.iter().map(|neighbour| &neighbour.address)
    }

    /// Sends to a neighbour: `Ok(true)` if sent, `Ok(false)` if dropped, the message back if `to`
    /// is none of them.
    pub fn send(&mut self, to: &PeerAddr, msg: M) -> Result<bool, M> {
        let Some(neighbour) = self.all.iter_mut().find(|neighbour| neighbour.address == *to) else {
            return Err(msg);
        };
        let sent = neighbour.outgoing.push(msg).is_ok();
        if sent {
            neighbour.doorbell.ring();
        }
        Ok(sent)
    }

    /// Whether a message waits or a neighbour has just ended.
    pub fn has_news(&self) -> bool {
        self.all.iter().any(|neighbour| {
            !neighbour.incoming.is_empty() || (!neighbour.gone && neighbour.incoming.is_abandoned())
        })
    }

    /// Hands every waiting message to `take`, and to `gone` each neighbour that has ended, once.
    pub fn receive(&mut self, mut take: impl FnMut(&PeerAddr, M), mut gone: impl FnMut(&PeerAddr)) {
        for neighbour in &mut self.all {
            // Asked first: a neighbour pushes before it ends.
            let ended = !neighbour.gone && neighbour.incoming.is_abandoned();
            while let Ok(msg) = neighbour.incoming.pop() {
                take(&neighbour.address, msg);
            }
            if ended {
                neighbour.gone = true;
                gone(&neighbour.address);
            }
        }
    }
}

impl<M> Drop for Neighbours<M> {
    fn drop(&mut self) {
        for neighbour in self.all.drain(..) {
            let doorbell = neighbour.doorbell.clone();
            drop(neighbour);
            doorbell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_order_and_an_end_is_told_once_after_them() {
        let addresses = ["a:1", "b:2", "c:3"].map(PeerAddr::new);
        let mut sets = Neighbours::<u32>::connect(&addresses);
        let mut third = sets.pop().unwrap();
        let mut second = sets.pop().unwrap();
        for number in 0..5 {
            assert_eq!(third.send(&addresses[1], number), Ok(true));
        }
        assert_eq!(third.send(&PeerAddr::new("d:4"), 9), Err(9));
        drop(third);
        assert!(second.has_news());
        let mut got = Vec::new();
        let mut ends = Vec::new();
        second.receive(
            |from, msg| got.push((from.clone(), msg)),
            |address| ends.push(address.clone()),
        );
        assert_eq!(got, (0..5).map(|k| (addresses[2].clone(), k)).collect::<Vec<_>>());
        assert_eq!(ends, [addresses[2].clone()]);
        assert!(!second.has_news());
    }

    #[test]
    fn a_full_ring_drops_and_says_so() {
        let addresses = ["a:1", "b:2"].map(PeerAddr::new);
        let mut sets = Neighbours::<usize>::connect(&addresses);
        let _second = sets.pop().unwrap();
        let mut first = sets.pop().unwrap();
        for number in 0..RING_MESSAGES {
            assert_eq!(first.send(&addresses[1], number), Ok(true));
        }
        assert_eq!(first.send(&addresses[1], 0), Ok(false));
    }
}
