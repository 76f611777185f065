//! What one machine's clocks show at a moment of true time.
//!
//! Two clocks: monotonic and wall. Each is a line through an anchor: `shown = anchor_shown +
//! (true − anchor_true) · (1 + rate)`. A change of rate or a step re-anchors the line at the moment
//! of the change, so the past stays as it was. The monotonic clock can run fast or slow and stand
//! still, and never goes back; the wall clock can do anything.

use basalt_core::seam::{Mono, Now, Wall};

/// 2026-01-01 00:00:00 UTC, in microseconds since the Unix epoch: wall time at true time 0.
pub const EPOCH_US: u64 = 1_767_225_600_000_000;

/// A straight line of shown nanoseconds over true nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Line {
    anchor_true_ns: u64,
    anchor_shown_ns: u64,
    /// Deviation of the rate from 1, in parts per million; −1,000,000 stands still.
    rate_ppm: i64,
}

const STANDS_STILL_PPM: i64 = -1_000_000;

impl Line {
    fn at(&self, true_ns: u64) -> u64 {
        let passed_ns = true_ns.saturating_sub(self.anchor_true_ns);
        if self.rate_ppm == 0 {
            return self.anchor_shown_ns + passed_ns;
        }
        let passed = i128::from(passed_ns);
        let shown = passed + passed * i128::from(self.rate_ppm) / 1_000_000;
        self.anchor_shown_ns + u64::try_from(shown).expect("a clock's rate is never below zero")
    }

    fn bend(&mut self, true_ns: u64, rate_ppm: i64) {
        assert!(rate_ppm >= STANDS_STILL_PPM, "a rate of {rate_ppm} ppm runs backwards");
        *self = Line { anchor_true_ns: true_ns, anchor_shown_ns: self.at(true_ns), rate_ppm };
    }

    /// The first true time at which `shown_ns` is shown; `None` while the clock stands still.
    fn when(&self, shown_ns: u64) -> Option<u64> {
        if shown_ns <= self.anchor_shown_ns {
            return Some(self.anchor_true_ns);
        }
        if self.rate_ppm == STANDS_STILL_PPM {
            return None;
        }
        if self.rate_ppm == 0 {
            return Some(self.anchor_true_ns.saturating_add(shown_ns - self.anchor_shown_ns));
        }
        let ahead = u128::from(shown_ns - self.anchor_shown_ns);
        let rate = u128::try_from(1_000_000 + self.rate_ppm).expect("the clock runs");
        let passed = u64::try_from(ahead * 1_000_000 / rate).unwrap_or(u64::MAX);
        let mut when = self.anchor_true_ns.saturating_add(passed);
        // Rounding is a nanosecond or two off; the alarm rings neither early nor late.
        while when < u64::MAX && self.at(when) < shown_ns {
            when += 1;
        }
        while when > self.anchor_true_ns && self.at(when - 1) >= shown_ns {
            when -= 1;
        }
        Some(when)
    }
}

/// A wall clock that jumps to and fro.
#[derive(Clone, Copy, Debug)]
struct Strobe {
    amplitude_us: u64,
    period_ns: u64,
}

/// Both clocks of one machine.
#[derive(Clone, Debug)]
pub struct Clock {
    mono: Line,
    wall: Line,
    strobe: Option<Strobe>,
}

impl Clock {
    /// `mono_start_ns` differs from machine to machine, as uptime does.
    pub fn new(mono_start_ns: u64, wall_offset_us: i64) -> Clock {
        let wall_us = EPOCH_US.saturating_add_signed(wall_offset_us);
        Clock {
            mono: Line { anchor_true_ns: 0, anchor_shown_ns: mono_start_ns, rate_ppm: 0 },
            wall: Line { anchor_true_ns: 0, anchor_shown_ns: wall_us * 1_000, rate_ppm: 0 },
            strobe: None,
        }
    }

    pub fn read(&self, true_ns: u64) -> Now {
        Now { mono: self.mono(true_ns), wall: self.wall(true_ns) }
    }

    pub fn mono(&self, true_ns: u64) -> Mono {
        Mono(self.mono.at(true_ns))
    }

    fn wall(&self, true_ns: u64) -> Wall {
        let shown_us = self.wall.at(true_ns) / 1_000;
        let Some(strobe) = self.strobe else { return Wall(shown_us) };
        let high = (true_ns / strobe.period_ns.max(1)).is_multiple_of(2);
        let amplitude = if high { strobe.amplitude_us } else { 0 };
        Wall(shown_us + amplitude)
    }

    /// When the monotonic clock will show `mono`; `None` while it stands still before that.
    pub fn when(&self, mono: Mono) -> Option<u64> {
        self.mono.when(mono.0)
    }

    /// Both clocks run at this rate from now on, as one crystal makes them.
    pub fn set_rate(&mut self, true_ns: u64, rate_ppm: i64) {
        self.mono.bend(true_ns, rate_ppm);
        self.wall.bend(true_ns, rate_ppm);
    }

    /// Only the wall clock's rate: a leap second smeared out.
    pub fn set_wall_rate(&mut self, true_ns: u64, rate_ppm: i64) {
        self.wall.bend(true_ns, rate_ppm);
    }

    /// The wall clock jumps.
    pub fn step_wall(&mut self, true_ns: u64, by_us: i64) {
        self.wall.bend(true_ns, self.wall.rate_ppm);
        self.wall.anchor_shown_ns =
            self.wall.anchor_shown_ns.saturating_add_signed(by_us.saturating_mul(1_000));
    }

    /// The monotonic clock jumps ahead: no machine may, so only beyond-budget runs do this.
    pub fn step_mono(&mut self, true_ns: u64, by_us: u64) {
        self.mono.bend(true_ns, self.mono.rate_ppm);
        self.mono.anchor_shown_ns += by_us * 1_000;
    }

    pub fn freeze_wall(&mut self, true_ns: u64) {
        self.set_wall_rate(true_ns, STANDS_STILL_PPM);
    }

    pub fn set_strobe(&mut self, amplitude_us: u64, period_ns: u64) {
        self.strobe = (amplitude_us > 0).then_some(Strobe { amplitude_us, period_ns });
    }

    /// The wall clock is set right, as NTP does; both run at the true rate.
    pub fn heal(&mut self, true_ns: u64) {
        self.strobe = None;
        self.mono.bend(true_ns, 0);
        self.wall = Line {
            anchor_true_ns: true_ns,
            anchor_shown_ns: EPOCH_US * 1_000 + true_ns,
            rate_ppm: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_core::seam::Rng;

    #[test]
    fn the_monotonic_clock_never_goes_back_and_alarms_never_ring_early() {
        let mut rng = Rng::from_u64(3).fork("clock");
        let mut clock = Clock::new(5_000, 0);
        let (mut true_ns, mut last) = (0, Mono(0));
        for _ in 0..10_000 {
            true_ns += rng.below(1_000_000);
            match rng.below(6) {
                0 => clock.set_rate(true_ns, rng.below(1_001) as i64 - 500),
                1 => clock.step_wall(true_ns, rng.below(2_000_001) as i64 - 1_000_000),
                2 => clock.heal(true_ns),
                _ => {}
            }
            let now = clock.mono(true_ns);
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
            let alarm = Mono(now.0 + rng.below(10_000_000));
            let when = clock.when(alarm).unwrap();
            assert!(clock.mono(when) >= alarm);
            assert!(when == 0 || when <= true_ns || clock.mono(when - 1) < alarm);
        }
    }

    #[test]
    fn five_hundred_ppm_is_half_a_millisecond_a_second() {
        let mut clock = Clock::new(0, 0);
        clock.set_rate(0, 500);
        assert_eq!(clock.mono(1_000_000_000).0, 1_000_500_000);
    }

    #[test]
    fn a_frozen_wall_clock_leaves_the_monotonic_one_running() {
        let mut clock = Clock::new(0, 0);
        clock.freeze_wall(1_000);
        let (a, b) = (clock.read(2_000_000), clock.read(9_000_000));
        assert_eq!(a.wall, b.wall);
        assert_eq!(b.mono.0 - a.mono.0, 7_000_000);
    }
}
