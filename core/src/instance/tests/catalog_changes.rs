//! Statements that make several changes of users and rights.

use super::*;
use crate::base::{SqlError, SqlState};
use crate::instance::catalog_changes::after_changes;

const FIRST: ConnId = ConnId(1);
const SECOND: ConnId = ConnId(2);

/// Three instances, connections to one of them, a table and users.
fn with_users(users: usize) -> (World, usize) {
    let mut world = three();
    let at = world.leaders(GroupId::RING)[0];
    world.connect(at, FIRST);
    world.connect(at, SECOND);
    assert!(world.says(at, FIRST, "create table t (id int primary key)", "CREATE TABLE"));
    for user in 0..users {
        let create = format!("create user u{user} with password 'Xx123456'");
        assert!(world.says(at, FIRST, &create, "CREATE ROLE"), "{:?}", world.answer(at, FIRST));
    }
    (world, at)
}

fn names(users: usize) -> String {
    (0..users).map(|user| format!("u{user}")).collect::<Vec<_>>().join(", ")
}

fn rights(world: &World, at: usize) -> usize {
    world.state(at, |s| s.ring.as_ref().unwrap().state.catalog.users.grants().count())
}

#[test]
fn what_would_be_refused_half_way_does_nothing() {
    let (mut world, at) = with_users(2);
    let users = |world: &World| {
        world.state(at, |s| s.ring.as_ref().unwrap().state.catalog.users.iter().count())
    };
    let before = users(&world);
    assert!(world.says(at, FIRST, "drop user u0, admin, u1", "2BP01"));
    assert!(!world.said(at, FIRST, "made before"), "{:?}", world.answer(at, FIRST));
    assert_eq!(users(&world), before);
    assert!(world.says(at, FIRST, "drop user u0, u1", "DROP ROLE"));
    assert_eq!(users(&world), before - 2);
}

#[test]
fn repeated_names_are_one_change() {
    let (mut world, at) = with_users(2);
    let before = rights(&world, at);
    let grant = "grant read, read on table t, t to u0, u1, u0";
    assert!(world.says(at, FIRST, grant, "GRANT"));
    assert_eq!(rights(&world, at), before + 2);
    assert!(world.says(at, FIRST, "drop user u0, u1, u0", "DROP ROLE"));
    assert!(world.says(at, FIRST, "truncate t, t", "TRUNCATE TABLE"));
}

#[test]
fn a_statement_makes_a_bounded_number_of_changes() {
    let (mut world, at) = with_users(101);
    let repeated = names(100).repeat(3).replace("u99u0", "u99, u0");
    // Two privileges on five objects: a thousand, however often they are named.
    let tables = "create table a (id int primary key); create table b (id int primary key); \
                  create table c (id int primary key); create table d (id int primary key)";
    assert!(world.says(at, FIRST, tables, "CREATE TABLE"));
    let grant = format!("grant read, write on table t, a, b, c, d, t to {repeated}");
    world.query(at, FIRST, &grant);
    world.run(Duration::from_secs(9));
    assert!(world.said(at, FIRST, "GRANT"), "{:?}", world.answer(at, FIRST));
    let before = rights(&world, at);
    let grant = format!("grant read, alter on table t, a, b, c, d to {}", names(101));
    assert!(world.says(at, FIRST, &grant, "54000"), "{:?}", world.answer(at, FIRST));
    assert!(world.said(at, FIRST, "This one would make 1010."));
    assert_eq!(rights(&world, at), before);
}

/// The user goes between the rehearsal and the end: what was made is told.
#[test]
fn what_others_change_meanwhile_is_told() {
    let (mut world, at) = with_users(60);
    world.query(at, FIRST, &format!("grant read on table t to {}", names(60)));
    world.run(Duration::from_millis(30));
    assert!(world.says(at, SECOND, "drop user u59", "DROP ROLE"));
    world.run(Duration::from_secs(1));
    assert!(world.said(at, FIRST, "42704"), "{:?}", world.answer(at, FIRST));
    assert!(world.said(at, FIRST, "made before: 59."), "{:?}", world.answer(at, FIRST));
}

#[test]
fn an_error_half_way_keeps_what_it_said() {
    let refused = || {
        SqlError::new(SqlState::DependentObjectsStillExist, "in use")
            .with_detail("owner of table t")
            .with_hint("Drop it.")
    };
    assert_eq!(after_changes(refused(), 0), refused());
    let told = "owner of table t\nChanges of this statement that were made before: 1.";
    assert_eq!(after_changes(refused(), 1), refused().with_detail(told));
    let cut = after_changes(SqlError::new(SqlState::QueryCanceled, "canceled"), 2);
    assert_eq!(cut.state, SqlState::StatementCompletionUnknown);
    assert_eq!(cut.message, "the statement was carried out in part: canceled");
    let told = "Changes of this statement that were made before: 2.";
    assert_eq!(cut.fields.detail.as_deref(), Some(told));
}
