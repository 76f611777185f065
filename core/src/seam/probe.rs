//! Probes of the simulator in the code: planted bugs, reach-marks and rare choices.
//!
//! - [`canary!`](crate::canary) is true when the simulator planted that bug, to prove that a check
//!   finds it.
//! - [`sometimes!`](crate::sometimes) marks a rare branch; a sweep lists the marks never reached.
//! - [`buggify!`](crate::buggify) is true now and then in some simulated runs, to take a legal but
//!   unlikely way: a smaller batch, an early flush, an answer held back. A site that fires counts as a
//!   mark that was reached.
//!
//! Without the cargo feature `canaries`, which only the simulator turns on, all three are constants
//! and leave no trace in the program. With it they read a thread-local, since a simulated world
//! lives on one thread.

/// Whether this program was built with the probes in it.
pub const PRESENT: bool = cfg!(feature = "canaries");

/// Declares the bugs that can be planted: name, what is broken, the checks that fit.
macro_rules! canaries {
    ($($(#[$doc:meta])* $name:ident => $check:literal,)*) => {
        /// A bug that the simulator can plant.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Canary { $($(#[$doc])* $name,)* }

        impl Canary {
            /// Every bug, and the names of the checks that may find it.
            pub const ALL: &'static [(Canary, &'static str)] = &[$((Canary::$name, $check),)*];

            pub fn name(self) -> &'static str {
                match self { $(Canary::$name => stringify!($name),)* }
            }

            pub fn by_name(name: &str) -> Option<Canary> {
                match name { $(stringify!($name) => Some(Canary::$name),)* _ => None }
            }
        }
    };
}

canaries! {
    /// A leader answers a client before a majority has the entry.
    AckBeforeCommit => "acks linearizability",
    /// A member answers, and counts, an entry or a vote before the sync that makes it durable.
    AckBeforePersist => "raft acks liveness replicas",
    /// Whoever waits for a commit is told that it happened when the leader steps down.
    AckAfterLosingLead => "acks linearizability sql invariants",
    /// Whoever waits for an entry of a lost lead is told that it was committed, though another one took its
    /// place.
    AckReplaced => "acks linearizability sql invariants",
    /// The log is written and never synced.
    SkipSync => "raft acks replicas",
    /// A failed write or sync of the log is taken as done.
    IgnoreSyncError => "raft acks crash replicas",
    /// New files are not made durable in their directory.
    SkipSyncDir => "raft acks crash liveness replicas",
    /// Recovery takes a batch with a bad checksum as good.
    IgnoreBatchChecksum => "raft crash replicas liveness",
    /// An instance that lost what it had acknowledged starts over under its old name.
    KeepIdentity => "raft acks",
    /// A statement of several slices reads in each what is newest then.
    SliceReadsNewest => "linearizability sql invariants",
    /// A change of several slices is made whatever others did to its rows meanwhile.
    SliceWritesBlindly => "linearizability sql invariants acks",
    /// A leader serves when its lease has ended.
    ServeWithoutLease => "leases linearizability",
    /// A lease lasts for two election timeouts.
    LeaseTooLong => "leases linearizability",
    /// Who hands leadership over serves on until its lease ends.
    KeepLeaseOnTransfer => "leases linearizability",
    /// Versions that lost their leader stay visible.
    KeepSpeculation => "replicas linearizability",
    /// A read may show what is not committed, and is answered at once.
    ReadUncommitted => "linearizability sql invariants acks",
    /// A new leader leaves the writes of others that are not committed yet out of its memory.
    SkipTail => "replicas linearizability",
    /// A statement that writes several rows loses the last.
    LoseLastRow => "invariants sql linearizability",
    /// A request that arrives twice is carried out twice.
    CarryOutTwice => "sql invariants linearizability",
    /// A restarted member does not know that a change of membership was completed.
    ForgetMembership => "liveness replicas",
    /// An instance serves clients before it knows the newest catalog, and tells them what is wrong by its own.
    ServeOldCatalog => "sql linearizability acks",
    /// A snapshot leaves out the first row of each chunk.
    SnapshotDropsRow => "replicas",
    /// The entries of a version stay in the indexes when it is undone or collected.
    KeepIndexEntry => "sql invariants",
    /// A row is written though another one has its key in a unique index.
    SkipUniqueCheck => "sql",
    /// Garbage collection takes a delete away and leaves what it deleted.
    CollectDeleteAlone => "sql invariants replicas",
    /// A statement runs though its tables changed since it was planned.
    RunOldPlan => "sql",
    /// What a snapshot held back from garbage collection is held back for ever.
    KeepHold => "resources",
    /// What the first slice of a long statement kept is counted for ever.
    KeepMemory => "resources",
}

#[cfg(feature = "canaries")]
mod active {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Canary;
    use crate::seam::Rng;

    /// How often a chosen site of `buggify!` fires, in a million.
    const FIRE_PER_MILLION: u32 = 250_000;
    /// How many sites are chosen in a run that has them at all, in a million.
    const CHOSEN_PER_MILLION: u32 = 250_000;

    #[derive(Default)]
    struct Probes {
        planted: Vec<Canary>,
        marks: BTreeMap<&'static str, u64>,
        root: Option<Rng>,
        /// By number of the site.
        sites: Vec<Met>,
    }

    /// A site in this run.
    #[derive(Default)]
    enum Met {
        #[default]
        NotYet,
        NotChosen,
        Chosen(Box<Rng>),
    }

    /// Sites met by any run of this process.
    static SITES: AtomicUsize = AtomicUsize::new(0);

    /// A place where a run may take the unlikely way, alone in having its name. What it does depends on its name alone; its number,
    /// which depends on what this process ran before, only finds it.
    pub struct Site {
        name: &'static str,
        /// One more than its number; 0 before it was met.
        number: AtomicUsize,
    }

    impl Site {
        pub const fn new(name: &'static str) -> Site {
            Site { name, number: AtomicUsize::new(0) }
        }

        fn number(&self) -> usize {
            match self.number.load(Ordering::Relaxed) {
                0 => self.meet(),
                number => number - 1,
            }
        }

        #[cold]
        fn meet(&self) -> usize {
            let new = SITES.fetch_add(1, Ordering::Relaxed) + 1;
            // Another thread may have met it at the same time.
            match self.number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => new - 1,
                Err(known) => known - 1,
            }
        }
    }

    thread_local! {
        static PROBES: RefCell<Probes> = RefCell::default();
    }

    /// Starts a run on this thread: these bugs are planted, marks are at zero, and, with a stream,
    /// some sites of `buggify!` fire.
    pub fn begin_run(planted: Vec<Canary>, buggify: Option<Rng>) {
        PROBES.with_borrow_mut(|probes| {
            *probes = Probes { planted, root: buggify, ..Probes::default() };
        });
    }

    /// How often each mark was reached, and each site fired, since the run began.
    pub fn marks_reached() -> BTreeMap<&'static str, u64> {
        PROBES.with_borrow(|probes| probes.marks.clone())
    }

    #[inline]
    pub fn planted(canary: Canary) -> bool {
        PROBES.with_borrow(|probes| probes.planted.contains(&canary))
    }

    pub fn reached(mark: &'static str) {
        PROBES.with_borrow_mut(|probes| *probes.marks.entry(mark).or_default() += 1);
    }

    pub fn fires(site: &'static Site) -> bool {
        PROBES.with_borrow_mut(|probes| {
            let Some(root) = &probes.root else { return false };
            let number = site.number();
            if number >= probes.sites.len() {
                probes.sites.resize_with(number + 1, Met::default);
            }
            let met = &mut probes.sites[number];
            if let Met::NotYet = met {
                let mut stream = Box::new(root.fork(site.name));
                let is_chosen = stream.chance(CHOSEN_PER_MILLION);
                *met = if is_chosen { Met::Chosen(stream) } else { Met::NotChosen };
            }
            let Met::Chosen(stream) = met else { return false };
            let fires = stream.chance(FIRE_PER_MILLION);
            if fires {
                *probes.marks.entry(site.name).or_default() += 1;
            }
            fires
        })
    }
}

#[cfg(not(feature = "canaries"))]
mod inactive {
    use super::Canary;

    pub struct Site;

    impl Site {
        pub const fn new(_: &'static str) -> Site {
            Site
        }
    }

    #[inline(always)]
    pub const fn planted(_: Canary) -> bool {
        false
    }

    #[inline(always)]
    pub const fn reached(_: &'static str) {}

    #[inline(always)]
    pub const fn fires(_: &Site) -> bool {
        false
    }
}

#[cfg(feature = "canaries")]
pub use active::{Site, begin_run, fires, marks_reached, planted, reached};
#[cfg(not(feature = "canaries"))]
pub use inactive::{Site, fires, planted, reached};

/// Whether the simulator planted this bug: `canary!(AckBeforeCommit)`. Constant `false` in production.
#[macro_export]
macro_rules! canary {
    ($name:ident) => {
        $crate::seam::probe::planted($crate::seam::probe::Canary::$name)
    };
}

/// Marks a branch that a sweep must reach: `sometimes!("wal: torn tail cut")`.
#[macro_export]
macro_rules! sometimes {
    ($name:literal) => {
        $crate::seam::probe::reached($name)
    };
}

/// Whether to take the unlikely way here: `buggify!("raft: tiny append")`. Constant `false` in production.
#[macro_export]
macro_rules! buggify {
    ($site:literal) => {{
        static SITE: $crate::seam::probe::Site = $crate::seam::probe::Site::new($site);
        $crate::seam::probe::fires(&SITE)
    }};
}

#[cfg(all(test, feature = "canaries"))]
mod tests {
    use super::*;
    use crate::seam::Rng;

    #[test]
    fn only_planted_bugs_bite_and_marks_count() {
        begin_run(vec![Canary::SkipSync], None);
        assert!(crate::canary!(SkipSync));
        assert!(!crate::canary!(SkipTail));
        crate::sometimes!("test: here");
        crate::sometimes!("test: here");
        assert_eq!(marks_reached().get("test: here"), Some(&2));
        assert!(!crate::buggify!("test: site"), "no stream, no site");
    }

    #[test]
    fn a_quarter_of_the_sites_fire_a_quarter_of_the_time() {
        let (mut chosen, mut fired) = (0, 0);
        for seed in 0..400 {
            begin_run(vec![], Some(Rng::from_u64(seed)));
            let times = (0..100).filter(|_| crate::buggify!("test: site")).count();
            let counted = marks_reached().get("test: site").copied().unwrap_or(0);
            assert_eq!(counted, times as u64);
            chosen += usize::from(times > 0);
            fired += times;
        }
        assert!((70..130).contains(&chosen), "{chosen} of 400 runs chose the site");
        let share = fired * 100 / (chosen * 100);
        assert!((20..30).contains(&share), "{share} % of the visits fired");
    }

    #[test]
    fn names_round_trip() {
        for (canary, _) in Canary::ALL {
            assert_eq!(Canary::by_name(canary.name()), Some(*canary));
        }
    }
}
