//! The hybrid logical clock that orders versions.
//!
//! 52 bits of microseconds and 12 of counter, merged from every timestamp seen. It orders versions
//! and cuts snapshots; it never decides who came first in real time.

use crate::base::Timestamp;
use crate::seam::Wall;

/// How far ahead of the wall clock a timestamp from elsewhere may be, in microseconds.
pub const MAX_AHEAD_US: u64 = 5_000_000;

/// One instance's clock.
#[derive(Debug, Default)]
pub struct Clock {
    last: Timestamp,
}

impl Clock {
    /// A timestamp above every one given or seen before.
    pub fn tick(&mut self, wall: Wall) -> Timestamp {
        let from_wall = Timestamp::from_micros(wall.0);
        self.last = from_wall.max(Timestamp(self.last.0 + 1));
        self.last
    }

    /// The newest timestamp given or seen.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Merges a timestamp of this group's own log: always taken, it is history.
    pub fn observe(&mut self, seen: Timestamp) {
        self.last = self.last.max(seen);
    }

    /// Merges a timestamp that another instance sent; `false` if it is too far ahead to be believed.
    pub fn observe_remote(&mut self, seen: Timestamp, wall: Wall) -> bool {
        let believable = seen.micros() <= wall.0.saturating_add(MAX_AHEAD_US);
        if believable {
            self.observe(seen);
        }
        believable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back_and_follows_the_wall_when_it_can() {
        let mut clock = Clock::default();
        let first = clock.tick(Wall(1_000));
        assert_eq!(first, Timestamp::from_micros(1_000));
        assert_eq!(clock.tick(Wall(900)), Timestamp(first.0 + 1));
        clock.observe(Timestamp::from_micros(5_000));
        assert!(clock.tick(Wall(1_000)) > Timestamp::from_micros(5_000));
        assert!(!clock.observe_remote(Timestamp::from_micros(10_000_000), Wall(1_000)));
    }
}
