//! The reactor end to end over loopback, driving a toy machine that speaks lines of text.
//!
//! ```text
//! send ADDR TEXT     a message to a peer          log          what the machine saw, `|` between
//! flood ADDR N SIZE  N bulk messages of SIZE      big N        N bytes
//! disk TEXT          writes and syncs a file      tick MS      answers when the timer has fired
//! quit               closes the connection        pause MS     reads nothing from this connection
//! open               connections but this one
//! anything else comes back as it is
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use basalt_core::base::codec::CodecResult;
use basalt_core::base::{ConnId, OpId};
use basalt_core::seam::{
    ConnKind, DiskOk, DiskOp, Effect, Effects, Event, FileId, Lane, Now, OpenMode, PeerAddr,
    StopReason, Sync,
};
use basalt_net::disk::DataDir;
use basalt_net::peer_client::PeerClient;
use basalt_net::{
    Bound, Config, InstanceThread, Machine, Neighbours, StartError, ThreadConfig, Wire,
};
use bytes::Bytes;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
struct Text(Bytes);

impl Wire for Text {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: Bytes) -> CodecResult<Text> {
        Ok(Text(bytes))
    }
}

#[derive(Default)]
struct Toy {
    lines: BTreeMap<ConnId, Vec<u8>>,
    log: Vec<String>,
    flushed: usize,
    bulk: usize,
    ticks: Vec<ConnId>,
    paused: Vec<ConnId>,
    writes: BTreeMap<OpId, ConnId>,
    next_op: u64,
    turns: usize,
    /// Asks for its next turn at once, each time.
    busy: bool,
}

impl Machine for Toy {
    type Msg = Text;

    fn step(&mut self, now: Now, event: Event<Text>, effects: &mut Effects<Text>) {
        match event {
            Event::Boot => self.log.push("boot".to_owned()),
            Event::Tick => {
                if self.busy {
                    effects.push(Effect::Wake { at: now.mono });
                }
                for conn in std::mem::take(&mut self.ticks) {
                    reply(effects, conn, "tick");
                }
                for conn in std::mem::take(&mut self.paused) {
                    effects.push(Effect::Throttle { conn, paused: false });
                }
            }
            Event::Accepted { conn, kind, .. } => {
                self.lines.insert(conn, Vec::new());
                if kind == ConnKind::Admin {
                    reply(effects, conn, "hello admin");
                }
            }
            Event::Bytes { conn, bytes } => {
                let mut held = self.lines.remove(&conn).expect("bytes of an open connection");
                held.extend_from_slice(&bytes);
                while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line[..end]).into_owned();
                    self.command(now, conn, &line, effects);
                }
                self.lines.insert(conn, held);
            }
            Event::Flushed { conn, bytes } => {
                assert!(self.lines.contains_key(&conn), "an event of a closed connection");
                self.flushed += bytes;
            }
            Event::Closed { conn } => {
                assert!(self.lines.remove(&conn).is_some(), "closed twice");
            }
            Event::Peer { from, msg } if msg.0.starts_with(b"bulk") => {
                assert!(!from.0.is_empty());
                self.bulk += msg.0.len();
            }
            Event::Peer { from, msg } => {
                let text = String::from_utf8_lossy(&msg.0).into_owned();
                if from.0.starts_with("client:") {
                    let msg = Text(Bytes::from(format!("you said {text}")));
                    effects.push(Effect::Send { to: from, lane: Lane::Fast, msg });
                } else {
                    self.log.push(format!("{} says {text}", from.0));
                }
            }
            Event::LinkUp { peer } => self.log.push(format!("up {}", peer.0)),
            Event::LinkDown { peer } => self.log.push(format!("down {}", peer.0)),
            Event::DiskDone { op, result } => {
                let Some(conn) = self.writes.remove(&op) else { return };
                reply(effects, conn, if result == Ok(DiskOk::Done) { "synced" } else { "failed" });
            }
            Event::Inspect { request, .. } => {
                let body = format!(r#"{{"live":true,"ready":false,"turns":{}}}"#, self.turns);
                effects.push(Effect::Inspected { request, body });
            }
            Event::Shutdown => effects.push(Effect::Stop(StopReason::Shutdown)),
        }
    }

    fn end_turn(&mut self, _: Now, _: &mut Effects<Text>) {
        self.turns += 1;
    }
}

impl Toy {
    fn command(&mut self, now: Now, conn: ConnId, line: &str, effects: &mut Effects<Text>) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words[..] {
            ["send", to, text] => {
                let msg = Text(Bytes::from(text.to_owned()));
                effects.push(Effect::Send { to: PeerAddr::new(to), lane: Lane::Fast, msg });
                reply(effects, conn, "ok");
            }
            ["flood", to, numbers] => {
                let (count, size) = numbers.split_once(' ').expect("two numbers");
                let msg = format!("bulk{}", "x".repeat(size.parse::<usize>().unwrap() - 4));
                for _ in 0..count.parse().unwrap() {
                    let msg = Text(Bytes::from(msg.clone()));
                    effects.push(Effect::Send { to: PeerAddr::new(to), lane: Lane::Bulk, msg });
                }
                reply(effects, conn, "ok");
            }
            ["busy"] => {
                self.busy = true;
                effects.push(Effect::Wake { at: now.mono });
                reply(effects, conn, "ok");
            }
            ["big", count] => {
                let bytes = Bytes::from(vec![b'x'; count.parse().unwrap()]);
                effects.push(Effect::Write { conn, bytes });
                reply(effects, conn, "");
            }
            ["disk", text] => {
                let (file, open) = (FileId(1), OpId(self.next_op));
                let write = OpId(self.next_op + 1);
                self.next_op += 2;
                let what = DiskOp::Open { file, path: "toy".into(), mode: OpenMode::Create };
                effects.push(Effect::Disk { op: open, what });
                let data = Bytes::from(text.to_owned());
                let what = DiskOp::WriteAt { file, offset: 0, data, then: Sync::Data };
                effects.push(Effect::Disk { op: write, what });
                self.writes.insert(write, conn);
            }
            ["tick", ms] => {
                self.ticks.push(conn);
                effects.push(Effect::Wake {
                    at: now.mono + Duration::from_millis(ms.parse().unwrap()),
                });
            }
            ["pause", ms] => {
                self.paused.push(conn);
                effects.push(Effect::Throttle { conn, paused: true });
                effects.push(Effect::Wake {
                    at: now.mono + Duration::from_millis(ms.parse().unwrap()),
                });
            }
            ["log"] => reply(effects, conn, &self.log.join("|")),
            ["flushed"] => reply(effects, conn, &self.flushed.to_string()),
            ["open"] => reply(effects, conn, &self.lines.len().to_string()),
            ["bulk"] => reply(effects, conn, &self.bulk.to_string()),
            ["quit"] => {
                reply(effects, conn, "bye");
                effects.push(Effect::Close { conn });
            }
            _ => reply(effects, conn, line),
        }
    }
}

fn reply(effects: &mut Effects<Text>, conn: ConnId, text: &str) {
    effects.push(Effect::Write { conn, bytes: Bytes::from(format!("{text}\n")) });
}

struct Running {
    bound: Bound,
    thread: InstanceThread,
    ended: Receiver<Result<StopReason, StartError>>,
}

impl Running {
    fn stop(self) -> StopReason {
        self.thread.request_shutdown();
        let outcome = self.ended.recv_timeout(PATIENCE).unwrap().unwrap();
        self.thread.join();
        outcome
    }

    fn client(&self) -> Client<TcpStream> {
        client(self.bound.pg.as_ref().unwrap())
    }

    fn address(&self) -> &str {
        &self.bound.advertise.0
    }
}

fn config(data_dir: &Path) -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        advertise: None,
        pg_listen: Some("127.0.0.1:0".to_owned()),
        http_listen: Some("127.0.0.1:0".to_owned()),
        admin_socket: Some(data_dir.join("admin.sock")),
        connections_max: 1000,
        peer_connections_max: 1000,
        spin: Duration::from_micros(20),
    }
}

fn try_start(
    data_dir: &Path,
    reactor: Config,
    neighbours: Neighbours<Text>,
) -> Result<Running, StartError> {
    let data_dir = DataDir::lock(data_dir).unwrap();
    let (send_bound, bound) = channel();
    let (send_ended, ended) = channel();
    let config = ThreadConfig { name: "toy".to_owned(), core: None, data_dir, reactor };
    let make = move |bound: &Bound, _| {
        send_bound.send(bound.clone()).unwrap();
        Toy::default()
    };
    let thread = InstanceThread::spawn(config, neighbours, make, move |outcome| {
        let _ = send_ended.send(outcome);
    })?;
    match bound.recv_timeout(PATIENCE) {
        Ok(bound) => Ok(Running { bound, thread, ended }),
        Err(_) => Err(ended.recv_timeout(PATIENCE).unwrap().unwrap_err()),
    }
}

fn start(data_dir: &Path, config: Config) -> Running {
    try_start(data_dir, config, Neighbours::none()).unwrap()
}

struct Client<S: Read + Write>(BufReader<S>);

fn client(address: &str) -> Client<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Client(BufReader::new(stream))
}

impl<S: Read + Write> Client<S> {
    fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn ask(&mut self, text: &str) -> String {
        self.write(&format!("{text}\n"));
        self.line()
    }

    /// Asks until the answer is as wished.
    fn ask_until(&mut self, text: &str, wished: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let answer = self.ask(text);
            if wished(&answer) {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "{text}: {answer}");
        }
    }
}

/// An address nobody listens on and no outgoing connection is given: below the ephemeral range.
fn free_port() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = (std::process::id() % 1000) as u16 * 16;
    let mut ports =
        std::iter::repeat_with(|| 10_000 + offset + NEXT.fetch_add(1, Ordering::Relaxed));
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    format!("127.0.0.1:{}", free.expect("the search goes on until it finds one"))
}

#[test]
fn many_connections_get_their_own_answers_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    let mut clients: Vec<_> = (0..200).map(|_| toy.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let lines: String = (0..50).map(|line| format!("{number}/{line}\n")).collect();
        client.write(&lines);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for line in 0..50 {
            assert_eq!(client.line(), format!("{number}/{line}"));
        }
    }
    drop(clients);
    assert_eq!(toy.stop(), StopReason::Shutdown);
}

#[test]
fn a_reply_larger_than_the_sockets_buffer_arrives_whole_and_is_reported_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    let mut slow = toy.client();
    slow.write("big 30000000\nbig 1000000\nlast\n");
    // Another connection is served while this one is blocked.
    assert_eq!(toy.client().ask("hello"), "hello");
    assert_eq!(slow.line().len(), 30_000_000);
    assert_eq!(slow.line().len(), 1_000_000);
    assert_eq!(slow.line(), "last");
    let near = |flushed: &str| flushed.parse::<usize>().unwrap() > 31_000_000 - 16_384;
    toy.client().ask_until("flushed", near);
    toy.stop();
}

#[test]
fn a_machine_that_always_has_work_hears_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    assert_eq!(toy.client().ask("busy"), "ok");
    let mut other = toy.client();
    for _ in 0..50 {
        other.ask("flushed");
    }
    toy.stop();
}

#[test]
fn closing_delivers_the_last_words_and_a_deaf_client_cannot_prevent_it() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    for size in [0, 100_000, 400_000, 1_000_000, 3_000_000] {
        let mut polite = toy.client();
        polite.write(&format!("big {size}\nquit\n"));
        polite.0.get_ref().peek(&mut [0]).unwrap();
        // What comes after the end would reset a closed socket, and with it the words under way.
        for _ in 0..1000 {
            let _ = polite.0.get_mut().write_all(b"unread\n");
        }
        assert_eq!(polite.line().len(), size);
        assert_eq!(polite.line(), "bye");
        let mut rest = Vec::new();
        polite.0.read_to_end(&mut rest).unwrap();
    }
    let mut deaf = toy.client();
    deaf.write("big 30000000\nquit\n");
    let mut other = toy.client();
    assert_eq!(other.ask("still here"), "still here");
    // It holds its connection open and yet the machine hears that it is closed.
    other.ask_until("open", |count| count == "0");
    let half_closed = toy.client();
    half_closed.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    toy.stop();
}

#[test]
fn a_paused_connection_is_not_read_until_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    let mut paused = toy.client();
    let start = Instant::now();
    assert_eq!(paused.ask("warm"), "warm");
    paused.write("pause 300\n");
    assert_eq!(toy.client().ask("other"), "other");
    assert!(start.elapsed() < Duration::from_millis(250), "the pause held others up");
    // Sent after the pause took effect, as the other client's answer shows.
    assert_eq!(paused.ask("late"), "late");
    assert!(start.elapsed() >= Duration::from_millis(290));
    toy.stop();
}

#[test]
fn a_timer_fires_at_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    for ms in [0, 1, 30] {
        let start = Instant::now();
        assert_eq!(toy.client().ask(&format!("tick {ms}")), "tick");
        assert!(start.elapsed() >= Duration::from_millis(ms));
        assert!(start.elapsed() < Duration::from_millis(ms + 500));
    }
    toy.stop();
}

#[test]
fn a_write_is_on_disk_when_it_completes() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    assert_eq!(toy.client().ask("disk words"), "synced");
    assert_eq!(std::fs::read(dir.path().join("toy")).unwrap(), b"words");
    toy.stop();
}

#[test]
fn peers_exchange_messages_and_find_each_other_again_after_a_restart() {
    let (dir_a, dir_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(dir_a.path(), config(dir_a.path()));
    let address_b = free_port();
    let config_b = Config { listen: address_b.clone(), ..config(dir_b.path()) };
    let b = start(dir_b.path(), config_b.clone());
    let mut client_a = a.client();
    let mut client_b = b.client();
    for number in 0..100 {
        assert_eq!(client_a.ask(&format!("send {address_b} number {number}")), "ok");
    }
    let expected = (0..100).fold("boot".to_owned(), |log, number| {
        format!("{log}|{} says number {number}", a.address())
    });
    client_b.ask_until("log", |log| log == expected);
    assert_eq!(client_a.ask("log"), format!("boot|up {address_b}"));
    assert_eq!(client_b.ask(&format!("send {} back", a.address())), "ok");
    client_a.ask_until("log", |log| log.ends_with(&format!("{address_b} says back")));

    b.stop();
    client_a.ask_until("log", |log| log.ends_with(&format!("down {address_b}")));
    let b = start(dir_b.path(), config_b);
    client_a.ask_until("log", |log| log.ends_with(&format!("down {address_b}|up {address_b}")));
    assert_eq!(client_a.ask(&format!("send {address_b} again")), "ok");
    b.client().ask_until("log", |log| log == format!("boot|{} says again", a.address()));
    a.stop();
    b.stop();
}

#[test]
fn bulk_messages_do_not_hold_up_fast_ones_and_arrive_whole() {
    let (dir_a, dir_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let a = start(dir_a.path(), config(dir_a.path()));
    let b = start(dir_b.path(), config(dir_b.path()));
    let mut client_a = a.client();
    assert_eq!(client_a.ask(&format!("flood {} 40 1000000", b.address())), "ok");
    assert_eq!(client_a.ask(&format!("send {} quick", b.address())), "ok");
    let mut client_b = b.client();
    client_b.ask_until("log", |log| log.ends_with("quick"));
    client_b.ask_until("bulk", |bulk| bulk == "40000000");
    a.stop();
    b.stop();
}

#[test]
fn a_message_to_oneself_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    let address = toy.address().to_owned();
    toy.client().ask(&format!("send {address} hi"));
    toy.client().ask_until("log", |log| log == format!("boot|{address} says hi"));
    toy.stop();
}

#[test]
fn instances_of_one_process_use_their_mailboxes() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let addresses = [free_port(), free_port()].map(PeerAddr::new);
    let mut running: Vec<_> = Neighbours::connect(&addresses)
        .into_iter()
        .zip(&dirs)
        .zip(&addresses)
        .map(|((neighbours, dir), address)| {
            let config = Config { listen: address.0.to_string(), ..config(dir.path()) };
            try_start(dir.path(), config, neighbours).unwrap()
        })
        .collect();
    let mut first = running[0].client();
    assert_eq!(first.ask(&format!("send {} over", addresses[1].0)), "ok");
    let expected = format!("boot|up {}|{} says over", addresses[0].0, addresses[0].0);
    running[1].client().ask_until("log", |log| log == expected);
    running.pop().unwrap().stop();
    first.ask_until("log", |log| log.ends_with(&format!("down {}", addresses[1].0)));
    running.pop().unwrap().stop();
}

#[test]
fn garbage_on_the_peer_port_ends_that_connection_only() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 1000], &[0; 100]] {
        let mut stream = TcpStream::connect(toy.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    assert_eq!(toy.client().ask("fine"), "fine");
    toy.stop();
}

#[test]
fn an_asker_without_an_address_is_answered_on_its_connection() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    let mut asker = PeerClient::connect(toy.address(), PATIENCE).unwrap();
    asker.send(&Text(Bytes::from_static(b"hi"))).unwrap();
    assert_eq!(asker.receive::<Text>(PATIENCE).unwrap(), Text(Bytes::from_static(b"you said hi")));
    drop(asker);
    toy.client().ask_until("log", |log| log == "boot|up client:1|down client:1");
    toy.stop();
}

#[test]
fn a_client_too_many_is_refused_in_its_own_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), Config { connections_max: 2, ..config(dir.path()) });
    let mut first = toy.client();
    let mut second = toy.client();
    assert_eq!((first.ask("1"), second.ask("2")), ("1".to_owned(), "2".to_owned()));
    let mut third = TcpStream::connect(toy.bound.pg.as_ref().unwrap()).unwrap();
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    third.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    third.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");
    third.write_all(&[0, 0, 0, 9, 0, 3, 0, 0, 0]).unwrap();
    let mut rest = Vec::new();
    third.read_to_end(&mut rest).unwrap();
    let fields = b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0";
    assert_eq!(rest[0], b'E');
    assert_eq!(rest[1..5], (fields.len() as u32 + 4).to_be_bytes());
    assert_eq!(&rest[5..], fields);
    drop(first);
    // The place is free once the server has seen the end.
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut stream = TcpStream::connect(toy.bound.pg.as_ref().unwrap()).unwrap();
        stream.write_all(b"again\n").unwrap();
        let mut answer = [0; 6];
        if stream.read_exact(&mut answer).is_ok() && &answer == b"again\n" {
            toy.stop();
            return;
        }
    }
    panic!("the freed place was not given to another client");
}

fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn http_serves_metrics_health_and_pages() {
    let dir = tempfile::tempdir().unwrap();
    let toy = start(dir.path(), config(dir.path()));
    let http = toy.bound.http.clone().unwrap();
    let (status, body) = get(&http, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body.contains("basalt_net_turns_total"), "{body}");
    assert_eq!(get(&http, "/health/live").0, "HTTP/1.1 200 OK");
    assert_eq!(get(&http, "/health/ready").0, "HTTP/1.1 503 Service Unavailable");
    assert!(get(&http, "/api/v1/cluster").1.contains("turns"));
    assert!(get(&http, "/").1.contains("<title>Basalt</title>"));
    assert_eq!(get(&http, "/nothing").0, "HTTP/1.1 404 Not Found");
    toy.stop();
}

#[test]
fn the_admin_socket_is_its_owners_and_is_taken_over_from_the_dead_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let toy = start(dir.path(), config(dir.path()));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut admin = Client(BufReader::new(UnixStream::connect(&path).unwrap()));
    assert_eq!(admin.line(), "hello admin");
    assert_eq!(admin.ask("echo"), "echo");
    let other = tempfile::tempdir().unwrap();
    let error = try_start(other.path(), config(dir.path()), Neighbours::none()).err().unwrap();
    assert!(error.to_string().contains("for the admin console"), "{error}");
    toy.stop();
    assert!(!path.exists());
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let config = Config { pg_listen: Some(address.to_string()), ..config(dir.path()) };
    let error = try_start(dir.path(), config, Neighbours::none()).err().unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {address} for PostgreSQL clients: ")),
        "{text}"
    );
}
