//! The golden scripts of SQL, told to an instance as a client tells them: what the parts of a database do with a
//! statement, the whole has to do as well.

use bytes::BytesMut;

use super::*;
use crate::pgwire::client::{self, Client, ClientEvent, Login, Reply, ResultEnd, ServerError};
use crate::sql::golden;

const CONN: ConnId = ConnId(7);
const STEP: Duration = Duration::from_millis(5);
/// Simulated seconds that a statement may take, in steps.
const PATIENCE: u32 = 2_000;

struct Session {
    world: World,
    client: Client,
}

impl Session {
    fn new() -> Session {
        let mut world = World::new();
        world.add(1);
        world.run(Duration::from_secs(2));
        let login = Login { user: "admin", database: "basalt", password: None, nonce: "n" };
        let mut session = Session { world, client: Client::new(login) };
        let accepted = Event::Accepted { conn: CONN, kind: ConnKind::Admin, remote: "x".into() };
        session.world.push(0, 0, Happening::Event(Box::new(accepted)));
        let mut startup = BytesMut::new();
        session.client.startup(&mut startup);
        assert_eq!(session.say(startup), ClientEvent::Ready);
        session
    }

    fn say(&mut self, bytes: BytesMut) -> ClientEvent {
        self.world.send(0, CONN, bytes.to_vec());
        for _ in 0..PATIENCE {
            self.world.run(STEP);
            if let Some((said, _)) = self.world.nodes[0].said.remove(&CONN) {
                let mut more = BytesMut::new();
                self.client.receive(said.into(), &mut more).unwrap();
                assert!(more.is_empty(), "nobody asks for a password");
            }
            if let Some(event) = self.client.event() {
                return event;
            }
        }
        panic!("no answer");
    }

    /// Runs what `\bind a, b` gives its parameters, or a plain text.
    fn run(&mut self, statement: &str) -> String {
        let mut message = BytesMut::new();
        match statement.split_once("\\bind") {
            None if statement.contains("$1") => {
                client::extended_query(&mut message, statement, &[]);
            }
            None => client::query(&mut message, statement),
            Some((text, params)) => {
                let params = params.split(',').map(str::trim).filter(|p| !p.is_empty());
                let params: Vec<Option<&str>> =
                    params.map(|p| (p != "NULL").then_some(p)).collect();
                client::extended_query(&mut message, text, &params);
            }
        }
        match self.say(message) {
            ClientEvent::Reply(reply) => shown(&reply),
            other => panic!("{statement}: {other:?}"),
        }
    }
}

/// As the scripts show an answer.
fn shown(reply: &Reply) -> String {
    if let Some(error) = &reply.error {
        return shown_error(error);
    }
    let mut lines: Vec<String> =
        reply.notices.iter().map(|notice| format!("NOTICE {}", notice.message())).collect();
    for result in &reply.results {
        if !result.columns.is_empty() || !result.rows.is_empty() {
            let names: Vec<&str> = result.columns.iter().map(|c| c.name.as_str()).collect();
            lines.push(names.join(" | "));
        }
        for row in &result.rows {
            let cell = |value: &Option<Bytes>| match value {
                None => "NULL".to_owned(),
                Some(value) => String::from_utf8(value.to_vec()).unwrap(),
            };
            lines.push(row.iter().map(cell).collect::<Vec<_>>().join(" | "));
        }
        if let ResultEnd::Complete(tag) = &result.end {
            lines.push(tag.clone());
        }
    }
    lines.join("\n")
}

fn shown_error(error: &ServerError) -> String {
    let mut text = format!("ERROR {} {}", error.code(), error.message());
    for (letter, prefix) in [(b'P', " @"), (b'D', "\n  DETAIL "), (b'H', "\n  HINT ")] {
        if let Some(field) = error.fields.get(&letter) {
            text += &format!("{prefix}{field}");
        }
    }
    // The scripts run statements that have no name.
    text.replace("prepared statement \"\" requires", "prepared statement requires")
}

fn check(name: &str, script: &str) {
    let mut session = Session::new();
    golden::check_rows(name, script, |statement| session.run(statement));
}

#[test]
fn select_script() {
    check("select.txt", include_str!("../../sql/golden/select.txt"));
}

#[test]
fn subquery_script() {
    check("subquery.txt", include_str!("../../sql/golden/subquery.txt"));
}

#[test]
fn join_script() {
    check("join.txt", include_str!("../../sql/golden/join.txt"));
}

#[test]
fn aggregate_script() {
    check("aggregate.txt", include_str!("../../sql/golden/aggregate.txt"));
}

#[test]
fn change_script() {
    check("change.txt", include_str!("../../sql/golden/change.txt"));
}

#[test]
fn error_script() {
    check("errors.txt", include_str!("../../sql/golden/errors.txt"));
}
