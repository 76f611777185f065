//! The cores a thread may run on. A thread starts with those of the one that started it.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A set of cores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cores(CpuSet);

impl Cores {
    /// Those this thread may run on now.
    pub fn of_this_thread() -> io::Result<Cores> {
        Ok(Cores(sched_getaffinity(None)?))
    }

    /// One core by its number. An error if no machine has that many.
    pub fn only(core: usize) -> io::Result<Cores> {
        if core >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut cores = CpuSet::new();
        cores.set(core);
        Ok(Cores(cores))
    }

    /// Keeps this thread on them. An error if none of them is there for this process.
    pub fn take(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.0)?)
    }
}
