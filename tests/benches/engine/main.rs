//! What the engine costs on one core: the parts of a statement apart, and whole statements.
//!
//! | group | measured |
//! |---|---|
//! | `instance` | point get and insert, from the client's bytes to the bytes of the answer |
//! | `recovery` | from the log of 100,000 inserts to an instance that answers |
//! | `storage` | a row read from and written to a store of a million |
//! | `codec` | a message between instances, a row, a key |
//! | `sql` | parsing a statement, and binding and planning it |
//!
//! Nothing here has a network, a real disk or a second thread: these are the costs of the core alone.
//! Every answer is compared with what it must be, within the time measured.
//!
//! ```text
//! cargo bench -p basalt-tests                      # all of it, in about a minute and a half
//! cargo bench -p basalt-tests -- instance/get      # what has this in its name
//! ```
//!
//! With `-p`: in a build of the whole workspace the simulator turns on the planted bugs of `core`, and
//! they cost time.

mod accounts;
mod codec;
mod instance;
mod recovery;
mod sql;
mod statements;
mod storage;
mod world;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn config() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = engine;
    config = config();
    targets = instance::get, instance::insert, recovery::recovery, storage::storage, codec::codec, sql::sql
}
criterion_main!(engine);
