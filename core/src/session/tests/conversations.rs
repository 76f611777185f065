//! Scripts and properties.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::script::{World, check};
use crate::pgwire::client::{self, BindRequest, Client, ClientEvent, Login};
use crate::pgwire::transcript::transcript;
use crate::seam::ConnKind;
use crate::session::SessionLimits;

const SCRIPT: &str = include_str!("conversations.txt");

#[test]
fn conversations_go_as_written() {
    check("conversations.txt", SCRIPT, usize::MAX);
}

/// The replies do not depend on how TCP cuts the requests.
#[test]
fn conversations_do_not_depend_on_cutting() {
    for chunk in [1, 2, 7, 30] {
        check("conversations.txt", SCRIPT, chunk);
    }
}

/// Logs in as `user` with `password` and gives the client and what the server said last.
fn log_in(user: &str, password: &str) -> (World, Client, ClientEvent) {
    let mut world = World::new(ConnKind::Postgres, SessionLimits::default());
    let login = Login { user, database: "x", password: Some(password), nonce: "abc" };
    let mut client = Client::new(login);
    let mut out = BytesMut::new();
    client.startup(&mut out);
    loop {
        let replies = world.exchange(&out.split());
        client.receive(replies.into(), &mut out).expect("a sound server");
        if let Some(event) = client.event() {
            return (world, client, event);
        }
    }
}

#[test]
fn a_password_lets_in() {
    let (mut world, mut client, event) = log_in("bob", "secret");
    assert_eq!(event, ClientEvent::Ready);
    assert_eq!(client.parameters()["session_authorization"], "bob");
    assert_eq!(world.sessions.count(), 1);
    let mut out = BytesMut::new();
    client::query(&mut out, "SHOW is_superuser");
    let replies = world.exchange(&out);
    client.receive(replies.into(), &mut BytesMut::new()).unwrap();
    let Some(ClientEvent::Reply(reply)) = client.event() else { panic!() };
    assert_eq!(reply.single_value(), Some("off"));
    world.handle.closed();
    world.executor.run_until_stalled();
    assert!(world.handle.is_finished());
    assert_eq!(world.sessions.count(), 0);
}

#[test]
fn wrong_users_and_passwords_look_alike() {
    for (user, password) in [("bob", "wrong"), ("nobody", "x"), ("admin", "x")] {
        let (world, _, event) = log_in(user, password);
        let ClientEvent::Closed(error) = event else { panic!("{event:?}") };
        let expected = format!("FATAL 28P01: password authentication failed for user \"{user}\"");
        assert_eq!(error.to_string(), expected);
        assert!(world.closed);
    }
}

#[test]
fn a_cancel_request_on_another_connection_reaches_the_statement() {
    let (mut world, client, _) = log_in("bob", "secret");
    let mut out = BytesMut::new();
    client::query(&mut out, "SELECT * FROM slow");
    world.exchange(&out.split());
    let other = world.sessions.open(&world.engine, crate::base::ConnId(2), ConnKind::Postgres);
    client::cancel_request(&mut out, client.cancel_key().unwrap());
    other.receive(out.split().freeze());
    let replies = transcript(&world.collect());
    assert!(replies.contains("57014 canceling statement due to user request"), "{replies}");
    assert!(other.drain().close);
}

/// A reader that does not read stops the session, not the server.
#[test]
fn a_full_output_stops_reading() {
    let limits = SessionLimits { output_bytes: 2000, input_bytes: 1000, ..Default::default() };
    let mut world = World::new(ConnKind::Admin, limits);
    world.connect();
    let mut out = BytesMut::new();
    for _ in 0..400 {
        client::query(&mut out, "SHOW work_mem");
    }
    let mut throttled = None;
    for chunk in out.chunks(100) {
        world.handle.receive(Bytes::copy_from_slice(chunk));
        world.run();
        // Nothing is reported as flushed.
        throttled = world.handle.drain().throttle.or(throttled);
    }
    assert_eq!(throttled, Some(true));
    let mut answers = 0;
    for _ in 0..1000 {
        world.handle.flushed(1000);
        world.run();
        let flush = world.handle.drain();
        throttled = flush.throttle.or(throttled);
        answers += transcript(&flush.bytes).matches("ReadyForQuery").count();
    }
    assert_eq!(throttled, Some(false));
    assert!(answers > 300, "{answers}");
}

#[test]
fn word_that_bytes_left_wakes_a_session_only_where_it_waits_for_room() {
    let limits = SessionLimits { output_bytes: 2000, ..Default::default() };
    let mut world = World::new(ConnKind::Admin, limits);
    world.connect();
    let mut answers_leave = |questions: usize| {
        let mut out = BytesMut::new();
        (0..questions).for_each(|_| client::query(&mut out, "SHOW work_mem"));
        world.handle.receive(out.freeze());
        world.run();
        let left = world.handle.drain().bytes.len();
        world.handle.flushed(left);
        world.executor.has_ready()
    };
    assert!(!answers_leave(1), "it waits for the next question");
    assert!(answers_leave(400), "it has more to tell");
}

/// Lets a session have one turn; how many statements it told the end of, and what else it said.
fn one_turn(world: &mut World) -> (usize, String) {
    world.turn();
    let flush = world.handle.drain();
    world.handle.flushed(flush.bytes.len());
    let replies = transcript(&flush.bytes);
    let done = replies.matches("CommandComplete INSERT 0 1").count();
    (done, replies)
}

/// The statements of a long text run over many turns; what is done is told meanwhile, and a cancel
/// request ends the rest.
#[test]
fn a_query_of_many_statements_takes_many_turns() {
    let mut world = World::new(ConnKind::Admin, SessionLimits::default());
    world.connect();
    let inserts = (0..5_000).map(|k| format!("INSERT INTO kv VALUES ({k}, 'x');"));
    let mut out = BytesMut::new();
    client::query(&mut out, &inserts.collect::<String>());
    world.handle.receive(out.split().freeze());
    world.executor.run_until_stalled();
    let (mut done, mut turns) = (0, 0);
    while done < 2_000 {
        assert!(world.sessions.turns().are_wanted(), "it waits for nothing but the next turn");
        let (more, _) = one_turn(&mut world);
        assert!(more <= 300, "{more} statements in one turn");
        done += more;
        turns += 1;
    }
    // All of it is read first.
    assert!(turns > 5_000 / 256 + 2_000 / 300, "{turns}");
    world.handle.cancel();
    let (more, said) = one_turn(&mut world);
    let canceled = "ErrorResponse ERROR 57014 canceling statement due to user request\n\
        ReadyForQuery I\n";
    assert!(more == 0 && said.ends_with(canceled), "{said}");
    assert!(!world.sessions.turns().are_wanted());
    client::query(&mut out, "SELECT count(*) FROM kv");
    let counted = transcript(&world.exchange(&out));
    assert!(counted.contains(&format!("DataRow {done}\n")), "{done} of {counted}");
}

/// So do the messages of a long pipeline, and a client that leaves ends them.
#[test]
fn a_long_pipeline_takes_many_turns() {
    let mut world = World::new(ConnKind::Admin, SessionLimits::default());
    world.connect();
    let mut out = BytesMut::new();
    client::parse(&mut out, "put", "INSERT INTO kv VALUES ($1, 'x')", &[20]);
    for k in 0..1_000 {
        let parameters = vec![Some(Bytes::from(k.to_string()))];
        client::bind(&mut out, BindRequest { statement: "put", parameters, ..Default::default() });
        client::execute(&mut out, "", 0);
    }
    client::sync(&mut out);
    world.handle.receive(out.freeze());
    world.executor.run_until_stalled();
    let mut done = transcript(&world.handle.drain().bytes).matches("INSERT 0 1").count();
    assert!((200..300).contains(&done), "{done}");
    done += one_turn(&mut world).0;
    assert!((500..600).contains(&done), "{done}");
    world.handle.closed();
    world.run();
    assert!(world.handle.is_finished());
}

#[test]
fn names_are_bounded() {
    let limits = SessionLimits { statements: 2, portals: 1, ..Default::default() };
    let mut world = World::new(ConnKind::Admin, limits);
    world.connect();
    let mut out = BytesMut::new();
    for name in ["a", "b", "c"] {
        client::parse(&mut out, name, "SHOW work_mem", &[]);
    }
    client::sync(&mut out);
    for portal in ["p", "q"] {
        client::bind(&mut out, BindRequest { portal, statement: "a", ..Default::default() });
    }
    client::sync(&mut out);
    let replies = transcript(&world.exchange(&out));
    let expected = "ParseComplete\nParseComplete\n\
        ErrorResponse ERROR 53400 a session may have at most 2 prepared statements \
        | H: Close those that are not needed any more.\nReadyForQuery I\nBindComplete\n\
        ErrorResponse ERROR 53400 a session may have at most 1 portals \
        | H: Close those that are not needed any more.\nReadyForQuery I\n";
    assert_eq!(replies, expected);
}

proptest! {
    /// After a login any bytes give replies or the end, never a panic; and the same bytes give the
    /// same replies however they are cut.
    #[test]
    fn garbage_is_answered_alike_however_cut(
        messages in prop::collection::vec(
            (prop::sample::select(&b"QPBDECHSFdcfXz"[..]), prop::collection::vec(any::<u8>(), 0..24)),
            0..20,
        ),
        cut in 1usize..40,
    ) {
        let mut bytes = Vec::new();
        for (tag, body) in &messages {
            bytes.push(*tag);
            bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
            bytes.extend_from_slice(body);
        }
        let replies = |chunk: usize| {
            let mut world = World::new(ConnKind::Admin, SessionLimits::default());
            let mut replies = world.connect();
            world.chunk = chunk;
            replies.extend(world.exchange(&bytes));
            (replies, world.closed)
        };
        prop_assert_eq!(replies(usize::MAX), replies(cut));
    }
}
