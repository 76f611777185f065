//! Three instances behind the production `net`, on madsim's executor and network.
//!
//! `basalt-sim` runs the state machine in a world of its own; here the tasks, sockets, framing,
//! reconnects and listeners around it run as well, under a second and independent executor that
//! picks the next task at random. Only sockets, clock and disk are simulated.
//!
//! A seed: form a cluster, make tables over the admin console, let clients add rows and write and
//! read registers on any instance over PostgreSQL's protocol while processes die, machines lose power
//! and the network is cut; heal, let everybody finish, read everything twice, judge the history with
//! the simulator's checks (and through them with those of `basalt-jepsen`). Then do it all again: the
//! history must be the same to the nanosecond.
//!
//! ```text
//! cargo madsim                                     the sweep
//! BASALT_MADSIM_SEED=7 cargo madsim                one seed
//! BASALT_MADSIM_SEED=100..200 cargo madsim         other seeds
//! ```
//! madsim simulates only where its sources are compiled with `--cfg madsim`, which `.cargo/config.toml` sets
//! for the whole tree; nothing else reads it.
//!
//! Not here: loss of a whole connection by a long silence (madsim's TCP waits for ever), clocks that
//! drift, disks that lie; `basalt-sim` has those.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[cfg(madsim)]
mod clients;
#[cfg(madsim)]
mod cluster;
#[cfg(madsim)]
mod disk;
#[cfg(madsim)]
mod faults;
#[cfg(madsim)]
mod platform;
#[cfg(madsim)]
mod socket;
#[cfg(madsim)]
mod sweep;

#[cfg(not(madsim))]
#[test]
fn the_flag_of_madsim_is_set() {
    panic!(
        "madsim is compiled without its simulator: RUSTFLAGS in the environment, or `rustflags` of a \
         target in another configuration of cargo, replace those of `.cargo/config.toml`; add \
         `--cfg madsim` to them"
    );
}
