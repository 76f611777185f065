//! Work on several cores, with results that do not depend on how many.

/// Does the work on each part, on threads of their own where there are several parts. Results are
/// in the order of the parts.
pub(crate) fn map_parts<P: Send, T: Send>(parts: Vec<P>, work: impl Fn(P) -> T + Sync) -> Vec<T> {
    if parts.len() <= 1 {
        return parts.into_iter().map(work).collect();
    }
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || work(part))).collect();
        workers.into_iter().map(|w| w.join().expect("a worker does not panic")).collect()
    })
}

/// So many numbers in so many ranges of about one size; fewer ranges where there is little to do.
pub(crate) fn ranges(count: u32, parts: usize) -> Vec<std::ops::Range<u32>> {
    let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    let share = count.div_ceil(parts).max(1);
    (0..count).step_by(share as usize).map(|from| from..(from + share).min(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_everything_once() {
        assert_eq!(ranges(0, 2), []);
        let whole = 0..7;
        assert_eq!(ranges(7, 0), std::slice::from_ref(&whole));
        assert_eq!(ranges(7, 1), std::slice::from_ref(&whole));
        assert_eq!(ranges(7, 2), [0..4, 4..7]);
        assert_eq!(ranges(2, 5), [0..1, 1..2]);
        assert_eq!(ranges(2, 1 << 32), [0..1, 1..2]);
    }

    #[test]
    fn one_part_needs_no_thread() {
        let here = std::thread::current().id();
        let at = |parts: Vec<u32>| map_parts(parts, |n| (n, std::thread::current().id() == here));
        assert_eq!(at(vec![3]), [(3, true)]);
        assert_eq!(at(vec![3, 1, 2]), [(3, false), (1, false), (2, false)]);
    }
}
