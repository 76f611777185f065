//! Statements that take many turns.

use super::*;

const ROWS: usize = 20_000;
const LONG: ConnId = ConnId(1);
const SHORT: ConnId = ConnId(2);

/// One instance, a table with values all 1, and two connections to it.
fn one() -> World {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_secs(2));
    world.connect(0, LONG);
    world.connect(0, SHORT);
    fill(&mut world, 0);
    world.turn_time = MS;
    world
}

fn fill(world: &mut World, at: usize) {
    world.query(at, LONG, "create table t (id int primary key, v bigint) distributed globally");
    world.run(Duration::from_secs(1));
    world.query(at, LONG, &format!("insert into t select g, 1 from generate_series(1, {ROWS}) g"));
    world.run(Duration::from_secs(1));
    let (answer, _) = world.answer(at, LONG).unwrap();
    assert!(answer.contains("INSERT 0 20000"), "{answer}");
}

/// Three instances with the table, and which one leads; a turn takes a millisecond.
fn three_filled() -> (World, usize) {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    for conn in [LONG, SHORT] {
        world.connect(leader, conn);
    }
    fill(&mut world, leader);
    world.turn_time = MS;
    (world, leader)
}

#[test]
fn a_long_query_is_of_one_moment_and_holds_nobody_up() {
    let mut world = one();
    world.query(0, LONG, "select 'sum', sum(v) from t, generate_series(1, 50) g");
    world.query(0, SHORT, "update t set v = 500000 where id = 20000");
    world.run(Duration::from_secs(1));
    let ((sum, summed), (update, updated)) =
        (world.answer(0, LONG).unwrap(), world.answer(0, SHORT).unwrap());
    assert!(sum.contains("sum") && sum.contains("1000000CSELECT 1"), "{sum}");
    assert!(update.contains("UPDATE 1"), "{update}");
    assert!(updated < summed, "the short statement came later and ended first");
    world.query(0, LONG, "select sum(v) from t");
    world.run(Duration::from_secs(1));
    assert!(world.answer(0, LONG).unwrap().0.contains("519999"));
}

/// While it runs, garbage collection keeps what it reads, and lets it go at its end.
#[test]
fn what_a_long_query_reads_is_held() {
    let mut world = one();
    world.query(0, LONG, "select sum(a.v) from t a, generate_series(1, 200) g");
    for _ in 0..5 {
        world.query(0, SHORT, "update t set v = v + 1 where id > 19000");
        world.run(Duration::from_millis(5));
    }
    assert!(world.answer(0, LONG).is_none(), "the columns are known, the rows are not");
    let superseded =
        |world: &World| world.state(0, |s| s.shard.as_ref().unwrap().store.superseded());
    assert!(superseded(&world) >= 1000);
    world.run(Duration::from_secs(2));
    let (answer, _) = world.answer(0, LONG).unwrap();
    assert!(answer.contains("4000000CSELECT 1"), "{answer}");
    assert_eq!(superseded(&world), 0);
}

/// What it counts for its memory is nothing when it has ended, or its client has gone.
#[test]
fn what_a_long_query_keeps_is_given_back() {
    let mut world = one();
    let keeps = |world: &World| world.kept(0).statement_bytes;
    for client_goes in [false, true] {
        let query = "select count(distinct a.id + 100000 * g) from t a, generate_series(1, 10) g";
        world.query(0, LONG, query);
        world.run(Duration::from_millis(10));
        assert!(keeps(&world) > 0);
        if client_goes {
            world.push(0, 0, Happening::Event(Box::new(Event::Closed { conn: LONG })));
            world.run(Duration::from_millis(100));
        } else {
            world.run(Duration::from_secs(2));
            assert!(world.said(0, LONG, "200000"), "{:?}", world.answer(0, LONG));
        }
        assert_eq!(keeps(&world), 0);
    }
}

#[test]
fn a_long_change_starts_over_when_its_rows_have_changed() {
    let mut world = one();
    world.query(0, LONG, "update t set v = v * 2");
    world.run(Duration::from_millis(1));
    world.query(0, SHORT, "update t set v = 10 where id = 20000");
    world.run(Duration::from_secs(2));
    assert!(world.answer(0, LONG).unwrap().0.contains("UPDATE 20000"));
    world.query(0, LONG, "select sum(v) from t");
    world.run(Duration::from_secs(1));
    assert!(world.answer(0, LONG).unwrap().0.contains("40018"), "19,999 twos and a twenty");
}

/// Somebody always writes to its table; in the end they wait.
#[test]
fn a_long_change_ends_under_any_load() {
    let mut world = one();
    world.query(0, LONG, "update t set v = v * 2");
    world.query(0, SHORT, "update t set v = v + 1 where id = 20000");
    let mut writes = 1;
    while !world.said(0, LONG, "UPDATE 20000") {
        if world.said(0, SHORT, "UPDATE 1") {
            world.query(0, SHORT, "update t set v = v + 1 where id = 20000");
            writes += 1;
        }
        world.run(Duration::from_millis(1));
        assert!(writes < 500, "the long one never comes to its end");
    }
    assert!(writes > 3, "it was under load: {writes}");
    assert!(world.state(0, |s| !s.slices.are_wanted()));
}

#[test]
fn a_forwarded_statement_is_waited_for_and_withdrawn() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let other = (leader + 1) % 3;
    world.connect(leader, LONG);
    fill(&mut world, leader);
    world.turn_time = 50 * MS;
    world.connect(other, SHORT);
    world.run(Duration::from_secs(1));
    world.query(other, SHORT, "select count(*) from t a, t b");
    // Longer than anybody waits for an instance that says nothing.
    world.run(Duration::from_secs(15));
    let running = |world: &World| world.state(leader, |s| s.slices.are_wanted());
    assert!(world.answer(other, SHORT).is_none());
    assert!(running(&world));
    let closed = Event::Closed { conn: SHORT };
    world.push(other, 0, Happening::Event(Box::new(closed)));
    world.run(Duration::from_secs(1));
    assert!(!running(&world));
}

/// A leader that runs a text of many statements goes on leading, and tells of them as they commit.
#[test]
fn a_query_of_many_statements_holds_nobody_up() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.connect(leader, LONG);
    fill(&mut world, leader);
    world.turn_time = 5 * MS;
    let insert = |k: usize| format!("insert into t values ({}, 1);", ROWS + 1 + k);
    world.query(leader, LONG, &(0..5_000).map(insert).collect::<String>());
    let (mut steps, mut last) = (0, 0);
    while last < 5_000 {
        world.run(Duration::from_micros(20));
        let answer = world.answer(leader, LONG);
        let now = answer.map_or(0, |(said, _)| said.matches("INSERT 0 1").count());
        steps += u32::from(now > last);
        last = now;
        assert_eq!(world.leaders(GroupId(1)), [leader]);
        assert!(world.now < 100_000 * MS, "{last}");
    }
    assert!(steps > 1, "all of them at once");
}

#[test]
fn what_a_session_knows_of_itself_does_not_depend_on_where_it_runs() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let other = (leader + 1) % 3;
    world.connect(leader, LONG);
    fill(&mut world, leader);
    world.connect(other, SHORT);
    let mut ask = |at, conn| {
        let (mut said, asked) = (String::new(), [
            "set work_mem = '77MB'",
            "select current_schema(), version(), current_user, session_user, current_database(),
                 (select setting from pg_settings where name = 'work_mem'),
                 (select count(*) > 50 from pg_settings)
             from t where v = 1 and id = 7 or id < 0",
        ]);
        for sql in asked {
            world.query(at, conn, sql);
            world.run(Duration::from_secs(1));
            said = world.answer(at, conn).unwrap().0;
        }
        said
    };
    let (here, forwarded) = (ask(leader, LONG), ask(other, SHORT));
    assert_eq!(here, forwarded);
    assert!(here.contains("PostgreSQL 15") && here.contains("public"), "{here}");
    assert!(here.contains("77MB") && here.contains("t"), "{here}");
}

/// A change of the schema that could not be sent was not made; one that was sent may have been.
#[test]
fn a_schema_change_that_times_out_says_what_it_knows() {
    for (leads, expected) in [(false, "57014"), (true, "08007")] {
        let mut world = three();
        let leader = world.leaders(GroupId::RING)[0];
        let at = if leads { leader } else { (leader + 1) % 3 };
        world.connect(at, LONG);
        assert!(world.says(at, LONG, "set statement_timeout = 50", "SET"));
        for other in (0..3).filter(|other| *other != at) {
            world.kill(other);
        }
        if !leads {
            // Nobody leads any more, and this one knows.
            world.run(Duration::from_secs(3));
        }
        world.query(at, LONG, "create table t (id int primary key)");
        world.run(Duration::from_millis(200));
        let (answer, _) = world.answer(at, LONG).unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
}

#[test]
fn a_forwarded_statement_knows_its_session() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let other = (leader + 1) % 3;
    world.connect(leader, LONG);
    fill(&mut world, leader);
    world.connect(other, SHORT);
    let mut ask = |sql| {
        world.run(Duration::from_secs(1));
        world.query(other, SHORT, sql);
        world.run(Duration::from_secs(1));
        world.answer(other, SHORT).unwrap().0
    };
    ask("set application_name = 'one of mine'");
    ask("set my.own = 'a,b'");
    let pid = ask("select 'pid', pg_backend_pid()").split("pid").last().unwrap().to_owned();
    let seen = ask(
        "select current_setting('application_name'), current_setting('my.own'), 'pid', pg_backend_pid()
         from t where v = 1 and id = 7 or id < 0",
    );
    assert!(seen.contains("one of mine") && seen.contains("a,b"), "{seen}");
    assert!(seen.ends_with(&pid), "{seen} does not end with {pid}");
    let refused = ask("select set_config('my.own', 'c', false) from t where id < 2 and v = 1");
    assert!(refused.contains("0A000"), "{refused}");
}

/// Begins a schema change, and after each of many delays a statement that takes longer than a turn, so that
/// the change takes effect in every part of one of them. What both answered is given to `check`.
fn race(change: &str, statement: &str, check: impl Fn(&mut World, &str, &str)) {
    let mut world = one();
    // With a pause after each slice: the change comes between two of them.
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.slice_rows = 1_000;
    for delay in 0..40 {
        assert!(world.says(0, LONG, "drop table t", "DROP TABLE"));
        fill(&mut world, 0);
        assert!(world.says(0, LONG, "update t set v = id", "UPDATE 20000"));
        world.query(0, SHORT, change);
        world.run(Duration::from_millis(delay));
        world.query(0, LONG, statement);
        world.run(Duration::from_secs(2));
        let answer = |world: &World, conn| world.answer(0, conn).unwrap().0;
        let (changed, ran) = (answer(&world, SHORT), answer(&world, LONG));
        check(&mut world, &changed, &ran);
        world.check_stores();
    }
}

#[test]
fn a_long_query_sees_all_of_a_table_that_is_truncated_or_nothing() {
    race("truncate table t", "select count(*), 'rows' from t", |_, truncated, counted| {
        assert!(truncated.contains("TRUNCATE"), "{truncated}");
        assert!(counted.contains("D20000rows") || counted.contains("D0rows"), "{counted}");
    });
}

#[test]
fn a_long_change_does_not_bring_back_what_was_truncated() {
    race("truncate table t", "update t set v = 7", |world, truncated, updated| {
        assert!(truncated.contains("TRUNCATE"), "{truncated}");
        assert!(updated.contains("UPDATE"), "{updated}");
        assert!(world.says(0, LONG, "select * from t", "SELECT 0"), "{updated}");
    });
}

#[test]
fn a_long_change_keeps_to_a_unique_index_that_came_meanwhile() {
    race("create unique index u on t (v)", "update t set v = 7", |world, created, updated| {
        assert!(created.contains("CREATE") || created.contains("23505"), "{created}");
        let (created, updated) = (created.contains("CREATE"), updated.contains("UPDATE"));
        assert!(created != updated, "created {created}, updated {updated}");
        let rows = if created { "SELECT 1" } else { "SELECT 20000" };
        assert!(world.says(0, LONG, "select * from t where v = 7", rows));
    });
}

#[test]
fn an_index_is_built_beside_other_work() {
    let (mut world, leader) = three_filled();
    world.query(leader, LONG, "create index by_v on t (v)");
    let mut wrote = 0;
    while !world.said(leader, LONG, "CREATE INDEX") {
        if world.kept(leader).indexes_under_way > 0 {
            wrote += 1;
            world.query(leader, SHORT, &format!("update t set v = 0 where id = {wrote}"));
        }
        world.run(Duration::from_micros(20));
    }
    assert!(wrote > 0, "it was built in one turn");
    world.run(Duration::from_secs(1));
    world.check_stores();
    let schemas = (0..3).map(|at| world.state(at, |s| s.shard.as_ref().unwrap().schema));
    assert_eq!(schemas.collect::<std::collections::BTreeSet<_>>().len(), 1);
    // The last one may have come when the old definition was not in force any more.
    let rows = |world: &mut World, rows: usize| {
        world.says(leader, LONG, "select id from t where v = 0", &format!("SELECT {rows}"))
    };
    assert!(rows(&mut world, wrote) || rows(&mut world, wrote - 1));
    assert!(world.says(leader, LONG, "explain select id from t where v = 0", "by_v"));
}

#[test]
fn a_unique_index_is_refused_alike_everywhere_and_nothing_of_it_stays() {
    let (mut world, leader) = three_filled();
    assert!(world.says(leader, LONG, "update t set v = id where id < 19999", "UPDATE 19998"));
    world.query(leader, LONG, "create unique index by_v on t (v)");
    world.run(Duration::from_secs(2));
    let (refused, _) = world.answer(leader, LONG).unwrap();
    assert!(refused.contains("23505"), "{refused}");
    world.check_stores();
    assert!(world.says(leader, LONG, "update t set v = id where id >= 19999", "UPDATE 2"));
    // Who writes meanwhile waits, and is told of the rule.
    world.query(leader, LONG, "create unique index by_v on t (v)");
    while world.kept(leader).indexes_under_way == 0 {
        assert!(!world.said(leader, LONG, "CREATE INDEX"), "it was built in one turn");
        world.run(Duration::from_micros(20));
    }
    world.query(leader, SHORT, "update t set v = 5 where id = 6");
    world.run(Duration::from_secs(2));
    let answer = world.answer(leader, LONG);
    assert!(answer.as_ref().is_some_and(|(said, _)| said.contains("CREATE INDEX")), "{answer:?}");
    assert!(!world.said(leader, SHORT, "UPDATE 1"));
    assert!(world.says(leader, SHORT, "update t set v = 5 where id = 6", "23505"));
    world.check_stores();
    for at in 0..3 {
        assert_eq!(world.kept(at).indexes_under_way, 0);
    }
}

#[test]
fn garbage_goes_a_part_a_turn_and_does_not_pile_up() {
    let mut world = one();
    let superseded = |world: &World| world.kept(0).superseded as usize;
    let mut most = 0;
    for _ in 0..30 {
        world.query(0, LONG, "update t set v = v + 1");
        while !world.said(0, LONG, "UPDATE 20000") {
            let before = superseded(&world);
            world.run(Duration::from_micros(500));
            let freed = before.saturating_sub(superseded(&world));
            assert!(
                freed <= crate::exec::slice::SLICE_ROWS * 4,
                "{freed} rows in half a millisecond"
            );
            most = most.max(superseded(&world));
        }
    }
    assert!(most <= 2 * ROWS, "{most}");
    world.run(Duration::from_secs(1));
    assert_eq!(superseded(&world), 0);
    world.check_stores();
}

/// A client that sends more and more and waits for nothing.
#[test]
fn writes_wait_for_those_that_nobody_confirmed() {
    let mut world = one();
    world.kill(0);
    world.nodes[0].config.limits.uncommitted = 1_000;
    world.start(0);
    world.run(Duration::from_secs(2));
    world.connect(0, LONG);
    let insert = |id: usize| {
        let sql = format!("insert into t values ({}, 1)", id + 2 * ROWS);
        [b"Q", &(sql.len() as u32 + 5).to_be_bytes()[..], sql.as_bytes(), b"\0"].concat()
    };
    world.send(0, LONG, (0..200).flat_map(insert).collect());
    let mut most = 0;
    for _ in 0..4_000 {
        world.run(Duration::from_millis(1));
        most = most.max(world.kept(0).uncommitted_bytes);
    }
    assert!((1..1_100).contains(&most), "{most}");
    assert!(world.says(0, LONG, "select * from t where id > 40000", "SELECT 199"));
    assert_eq!(world.kept(0).uncommitted_bytes, 0);
}

#[test]
fn an_index_that_would_not_fit_is_refused() {
    let mut world = one();
    let used = world.state(0, |s| s.shard.as_ref().unwrap().store.bytes());
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.memory = (used + 100_000) * 100 / 85;
    assert!(world.says(0, LONG, "create index by_v on t (v)", "53200"));
    assert!(world.says(0, LONG, "insert into t values (40000, 1)", "INSERT 0 1"));
    me.borrow_mut().config.limits.memory *= 2;
    assert!(world.says(0, LONG, "create index by_v on t (v)", "CREATE INDEX"));
    world.check_stores();
}

#[test]
fn an_error_by_an_old_catalog_is_not_told() {
    let mut world = three();
    let leaders = [GroupId::RING, GroupId(1)].map(|group| world.leaders(group)[0]);
    let away = (0..3).find(|at| !leaders.contains(at)).unwrap();
    let [leader, _] = leaders;
    let (here, there) = (ConnId(1), ConnId(2));
    world.connect(leader, here);
    world.connect(away, there);
    let cut = |world: &mut World| {
        for at in 0..3 {
            world.nodes[at].deaf =
                (0..3).filter(|to| *to != at && [*to, at].contains(&away)).collect();
        }
    };
    let heal = |world: &mut World| world.nodes.iter_mut().for_each(|node| node.deaf.clear());
    cut(&mut world);
    world.query(leader, here, "create table t (id int primary key)");
    world.run(Duration::from_secs(2));
    assert!(world.said(leader, here, "CREATE TABLE"), "{:?}", world.answer(leader, here));
    // The cut ends, and before anybody else speaks, a client does.
    heal(&mut world);
    assert!(
        world.says(away, there, "select id from t", "SELECT 0"),
        "{:?}",
        world.answer(away, there)
    );
    assert!(
        world.says(away, there, "select id from u", "42P01"),
        "{:?}",
        world.answer(away, there)
    );
    // Where nobody can be asked, that is what a client is told.
    cut(&mut world);
    world.query(away, there, "select id from u");
    world.run(Duration::from_secs(3));
    assert!(world.said(away, there, "57P03"), "{:?}", world.answer(away, there));
}

/// How long a statement took to answer, and what it said; one instance is gone and still called online.
fn with_one_gone(clause: &str) -> (Duration, String) {
    let mut world = three();
    let at = world.leaders(GroupId::RING)[0];
    let gone = (0..3).find(|k| *k != at && world.leaders(GroupId(1)) != [*k]).unwrap();
    world.connect(at, SHORT);
    world.kill(gone);
    let asked = world.now;
    world.query(at, SHORT, &format!("create table w (id int primary key) {clause}"));
    world.run(Duration::from_secs(15));
    let (said, when) = world.answer(at, SHORT).unwrap();
    assert!(said.contains("CREATE TABLE"), "{clause}: {said}");
    (Duration::from_nanos(when - asked), said)
}

#[test]
fn a_schema_change_waits_for_the_others_as_it_is_told() {
    let (locally, said) = with_one_gone("wait applied locally");
    assert!(locally < Duration::from_millis(500) && !said.contains("WARNING"), "{said}");
    let (usually, said) = with_one_gone("");
    assert!((1_000..1_500).contains(&usually.as_millis()) && !said.contains("WARNING"), "{said}");
    let (globally, said) = with_one_gone("wait applied globally option (timeout = 2.5)");
    assert!((2_500..2_600).contains(&globally.as_millis()), "{globally:?}");
    assert!(
        said.contains("WARNING") && said.contains("not every instance has it in time: default_1_")
    );
    // Until it is known to be gone.
    let (globally, said) = with_one_gone("wait applied globally option (timeout = 14)");
    assert!((3_000..12_000).contains(&globally.as_millis()), "{globally:?}");
    assert!(!said.contains("WARNING"), "{said}");
}

#[test]
fn who_is_waited_for_globally_has_the_change() {
    let mut world = three();
    let at = world.leaders(GroupId::RING)[0];
    let late = (0..3).find(|k| *k != at && world.leaders(GroupId(1)) != [*k]).unwrap();
    world.connect(at, SHORT);
    world.connect(late, LONG);
    // Nothing of the ring reaches it for some seconds, and it is heard all the same.
    for from in (0..3).filter(|from| *from != late) {
        world.nodes[from].deaf.push(late);
    }
    world.query(at, SHORT, "create table w (id int primary key) wait applied globally");
    world.run(Duration::from_millis(2_500));
    assert!(!world.said(at, SHORT, "CREATE TABLE"), "it is waited for");
    for from in 0..3 {
        world.nodes[from].deaf.clear();
    }
    world.run(Duration::from_secs(3));
    assert!(world.said(at, SHORT, "CREATE TABLE") && !world.said(at, SHORT, "WARNING"));
    assert!(world.says(late, LONG, "select count(*) from w", "SELECT 1"));
}

/// One of four is heard and cannot be reached. Another one has the change, and does not hear of a later one.
#[test]
fn who_has_a_change_is_asked_once_and_not_named() {
    let mut world = four();
    let at = world.leaders(GroupId::RING)[0];
    let (away, behind) = (3, (0..3).find(|k| *k != at).unwrap());
    assert!(![away, behind].contains(&world.leaders(GroupId(1))[0]));
    let cut = |world: &mut World, to: usize| {
        for from in (0..4).filter(|from| *from != to) {
            world.nodes[from].deaf.push(to);
        }
    };
    for conn in [SHORT, LONG] {
        world.connect(at, conn);
    }
    cut(&mut world, away);
    let peer = PeerAddr::new(world.nodes[away].config.address.as_str());
    world.push(at, 0, Happening::Event(Box::new(Event::LinkDown { peer })));
    world.run(Duration::from_secs(2));
    world.nodes[at].asked.clear();
    let create = "create table w (id int primary key)";
    let asked_at = world.now;
    world.query(at, SHORT, &format!("{create} wait applied globally option (timeout = 3.5)"));
    world.run(Duration::from_millis(1_500));
    assert!(!world.said(at, SHORT, "CREATE TABLE"), "who is away is waited for");
    cut(&mut world, behind);
    world.query(at, LONG, "create user ann with password 'Xx123456'");
    world.run(Duration::from_secs(3));
    assert!(world.said(at, LONG, "CREATE ROLE"), "{:?}", world.answer(at, LONG));
    let (said, when) = world.answer(at, SHORT).unwrap();
    assert!(said.contains("CREATE TABLE") && said.contains("in time: default_1_4"), "{said}");
    assert!((3_500 * MS..3_600 * MS).contains(&(when - asked_at)), "{}", when - asked_at);
    let name = format!("default_1_{}", behind + 1);
    assert!(!said.contains(&name), "{name} has it: {said}");
    // Once for each of the two changes.
    let others = (0..3).filter(|k| *k != at);
    assert_eq!(world.nodes[at].asked, others.map(|k| (k, 2)).collect());
}
