//! The simulated world Basalt is tested in.
//!
//! The life of a seed:
//! 1. [`scenario`] draws a plan: topology, limits, clients' operations, faults ([`faults`]).
//! 2. [`world`] carries it out: machines with a [`disk`] and a [`clock`], a [`network`] between them,
//!    clients ([`workload`]) that speak real protocol bytes, all under one clock of true time.
//! 3. [`check`] watches the run and reads its history.
//! 4. [`run`] puts it together: a verdict and a trace hash, the same on any machine.
//! 5. [`sweep`] does many seeds on many threads; [`shrink`] makes a failing plan smaller;
//!    [`mutants`] plants bugs to see that the checks find them; [`report`] leaves a bundle.
//!
//! [`replay`] is not of a seed: it gives an instance what a real one was given.
//!
//! Nothing here reads a clock, a file or a random number while a world runs.

pub mod basalt;
pub mod check;
pub mod clock;
pub mod disk;
pub mod faults;
pub mod mutants;
pub mod network;
pub mod node;
pub mod plan;
pub mod queue;
pub mod repeat;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shrink;
pub mod sweep;
pub mod toy;
pub mod workload;
pub mod world;

#[cfg(test)]
mod tests;
