//! How often something took how long, in few fixed steps.

use std::time::Duration;

/// Upper bounds of the buckets in microseconds: three a decade from 10 µs to 10 s.
pub const BOUNDS_US: [u64; 19] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// Counts of times. A time on a bound counts below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// One a bound; longer times are in `count` only.
    pub buckets: [u64; BOUNDS_US.len()],
    pub count: u64,
    pub sum_us: u64,
}

impl Histogram {
    /// Counts one time.
    pub fn observe(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_the_first_bucket_it_fits() {
        let mut histogram = Histogram::default();
        for us in [0, 10, 11, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(us));
        }
        assert_eq!(histogram.buckets[..2], [2, 1]);
        assert_eq!(histogram.buckets[BOUNDS_US.len() - 1], 1);
        assert_eq!((histogram.count, histogram.sum_us), (5, 20_000_022));
    }
}
