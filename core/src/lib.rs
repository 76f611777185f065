//! Basalt's core: a database as a pure function of its events.
//!
//! Nothing here reads a clock, opens a file or a socket, starts a thread or draws a random number.
//! An [`instance::Instance`] is given one event at a time and answers with effects; a shell (pinned
//! threads in `net`, the simulated world in `sim`) owns everything that is not a function.
//!
//! # The map
//!
//! A folder is a layer; each uses only earlier ones, and a test reads the paths that are named.
//!
//! | layer | what it is | what it never does |
//! |---|---|---|
//! | [`base`] | ids, types, values, rows, keys, codecs, errors | know what a table's rows are for |
//! | [`seam`] | events, effects, time, randomness, the local executor, the trace hash, recordings | decide anything |
//! | [`expr`] | typed expressions; operators, functions, casts, aggregates as tables | see a row's place |
//! | [`storage`] | versions of rows in memory, their indexes; the write-ahead log; snapshots | know Raft |
//! | [`pgwire`] | PostgreSQL messages, connection, SCRAM | know SQL |
//! | [`raft`] | raft-rs, behind our own words | persist or send |
//! | [`group`] | one Raft group: ticks, lease, answers held until durable | know what entries mean |
//! | [`txn`] | the hybrid clock and the log entries of a replica set | wait |
//! | [`bucket`] | which bucket a row belongs to | know who owns it |
//! | [`topology`] | the ring's state: catalog, users, instances; the governor's plan | send or propose |
//! | [`sql`] | text to plan | read rows |
//! | [`exec`] | plan to rows and writes, over a reader | write |
//! | [`session`] | one client: statements, portals, settings, gated output | know where rows live |
//! | [`admin`] | status and metrics as text | change anything |
//! | [`instance`] | all of it behind one `step` | block |
//!
//! # The life of a statement
//!
//! `UPDATE account SET balance = $1 WHERE id = $2`, prepared, on the leader of the replica set:
//!
//! 1. The shell read bytes from a socket: `Event::Bytes`. [`instance`] hands them to the session.
//! 2. [`pgwire`] cuts frames; the [`session`] finds the prepared statement and binds the parameters.
//! 3. The plan, made once by [`sql`], gets its one row by the primary key. (A SELECT by the primary key
//!    has a plan of its own that needs no operators at all.)
//! 4. The instance checks that it leads, under a lease ([`group::lease`]), and that its memory shows
//!    its whole log.
//! 5. [`exec`] encodes the key, hashes the bucket ([`bucket`]), reads the row, evaluates the new values,
//!    and returns one write.
//! 6. The write gets a timestamp ([`txn::clock`]), is proposed to [`raft`] and applied to
//!    [`storage`] in the same turn: the next statement sees it.
//! 7. The reply is encoded into the session's output behind a gate on the log index.
//! 8. The turn ends: one `Ready` a group; entries of all groups go into one batch of the
//!    write-ahead log, and appends leave for the followers at once.
//! 9. A majority has it on disk: the commit index passes the gate, and the reply leaves.
//!
//! A leader that is replaced before step 9 does not guess: the reply waits for what the next leader puts
//! at that position of the log, and then leaves, or the client is told that nothing was done; that nobody
//! knows, after a while.
//!
//! Where step 2 or 3 finds an error that an old catalog could be to blame for (no such table, say), the
//! ring's leader is asked how new the catalog has to be, and the statement is prepared once more.
//!
//! On a follower, step 4 finds that another instance leads; the statement is forwarded and its rows
//! come back as a message. A reader at step 4 needs no log entry: the lease is enough. If it could
//! have seen step 6's row before step 9, its reply waits behind the same gate. Where the way to the
//! leader is broken for this instance alone, messages travel by way of a third ([`instance`]).
//!
//! A statement that looks at thousands of rows, or computes long over each, does step 5 in slices
//! ([`exec::slice`]), with the other work of the instance between them; what one row may take is bounded
//! ([`expr::work`]).
//! A session with many short statements does its share of them in a turn ([`session`]), and an index is
//! built some rows a turn ([`instance`]).

pub mod admin;
pub mod base;
pub mod bucket;
pub mod exec;
pub mod expr;
pub mod group;
pub mod instance;
pub mod pgwire;
pub mod raft;
pub mod seam;
pub mod session;
pub mod sql;
pub mod storage;
pub mod topology;
pub mod txn;
