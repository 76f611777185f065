//! Operations as SQL over PostgreSQL's protocol.
//!
//! | table | rows | what it is for |
//! |---|---|---|
//! | `registers` | `k` 0.., `v` 0 | single-row writes and reads |
//! | `inserted` | none at first | rows added once and never changed |
//! | `pairs` | `k` 0.., `v` 0 | two rows in one statement |
//! | `accounts` | `k` 0.., `v` 100 | a sum that never changes |
//! | `own` | `k` = client · 1,000 + row, `v` 0 | rows of one client, for the model |
//!
//! Clients of even number speak the simple protocol, those of odd number the extended one.

use basalt_core::pgwire::client::{
    self, Client as PgClient, ClientEvent, Login, Reply, ServerError,
};
use bytes::{Bytes, BytesMut};

use super::op::{ACCOUNT_START, ACCOUNTS, OWN_MODULUS, Op, PAIRS, REGISTERS};
use super::wire::{Answer, Request, Said, Wire};

/// Clients with rows of their own, at most.
const CLIENTS_MAX: u64 = 40;
const OWN_ROWS: u64 = 3;

/// PostgreSQL's protocol, from the client's side.
#[derive(Debug)]
pub struct PgWire {
    client: PgClient,
    in_flight: Option<Request>,
}

impl Wire for PgWire {
    fn new(name: &str, has_password: bool) -> PgWire {
        let password = has_password.then_some(PASSWORD);
        let login = Login { user: "admin", database: "basalt", password, nonce: name };
        PgWire { client: PgClient::new(login), in_flight: None }
    }

    fn setup_steps() -> usize {
        setup().len()
    }

    fn audit() -> Vec<Op> {
        let pairs = (0..PAIRS).map(|pair| Op::PairRead { pair });
        let registers = (0..REGISTERS).map(|key| Op::Read { key });
        registers.chain(pairs).chain([Op::ReadInserted, Op::BankRead]).collect()
    }

    fn greet(&mut self, out: &mut Vec<u8>) {
        let mut buffer = BytesMut::new();
        self.client.startup(&mut buffer);
        out.extend_from_slice(&buffer);
    }

    fn ask(&mut self, client: u16, request: Request, out: &mut Vec<u8>) {
        let mut buffer = BytesMut::new();
        match request {
            Request::Setup(step) => client::query(&mut buffer, &setup()[step]),
            Request::Op(op) => {
                let (sql, parameters) = statement(client, op);
                if client.is_multiple_of(2) {
                    client::query(&mut buffer, &inline(&sql, &parameters));
                } else {
                    let texts: Vec<String> = parameters.iter().map(i64::to_string).collect();
                    let texts: Vec<Option<&str>> = texts.iter().map(|t| Some(t.as_str())).collect();
                    client::extended_query(&mut buffer, &sql, &texts);
                }
            }
        }
        self.in_flight = Some(request);
        out.extend_from_slice(&buffer);
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Vec<Said>, String> {
        let mut buffer = BytesMut::new();
        self.client
            .receive(Bytes::copy_from_slice(bytes), &mut buffer)
            .map_err(|error| format!("the server breaks the protocol: {error}"))?;
        out.extend_from_slice(&buffer);
        let mut said = Vec::new();
        while let Some(event) = self.client.event() {
            said.push(match event {
                ClientEvent::Ready => Said::Ready,
                ClientEvent::Closed(error) => Said::Goodbye(error.to_string()),
                ClientEvent::Reply(reply) => {
                    let Some(request) = self.in_flight.take() else {
                        return Err(format!("a reply to nothing: {reply:?}"));
                    };
                    Said::Answer(answer(request, &reply)?)
                }
            });
        }
        Ok(said)
    }
}

/// The superuser's password in every simulated cluster.
pub const PASSWORD: &str = "Simulated1";

/// Statements that make the tables; each may be sent again.
fn setup() -> Vec<String> {
    let table = |name: &str| {
        format!("CREATE TABLE IF NOT EXISTS {name} (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)")
    };
    let fill = |name: &str, keys: &mut dyn Iterator<Item = u64>, value: i64| {
        let rows: Vec<String> = keys.map(|k| format!("({k}, {value})")).collect();
        format!("INSERT INTO {name} (k, v) VALUES {}", rows.join(", "))
    };
    let own = &mut (1..=CLIENTS_MAX)
        .flat_map(|client| (0..OWN_ROWS).map(move |row| client * 1_000 + row));
    vec![
        format!("ALTER USER admin WITH PASSWORD '{PASSWORD}'"),
        table("registers"),
        table("pairs"),
        table("accounts"),
        table("own"),
        "CREATE TABLE IF NOT EXISTS inserted (id BIGINT PRIMARY KEY)".to_owned(),
        fill("registers", &mut (0..REGISTERS), 0),
        fill("pairs", &mut (0..PAIRS * 2), 0),
        fill("accounts", &mut (0..ACCOUNTS), ACCOUNT_START),
        fill("own", own, 0),
    ]
}

/// The statement of an operation with `$n` for its parameters.
fn statement(client: u16, op: Op) -> (String, Vec<i64>) {
    let own = |row: u64| i64::from(client) * 1_000 + row as i64;
    let (sql, parameters) = match op {
        Op::Write { key, value } => {
            ("UPDATE registers SET v = $2 WHERE k = $1", vec![key as i64, value])
        }
        Op::Read { key } => ("SELECT k, v FROM registers WHERE k = $1", vec![key as i64]),
        Op::Insert { id } => ("INSERT INTO inserted (id) VALUES ($1)", vec![id]),
        Op::ReadInserted => ("SELECT id FROM inserted ORDER BY id", vec![]),
        Op::ReadOneInserted { id } => ("SELECT id FROM inserted WHERE id = $1", vec![id]),
        Op::PairWrite { pair, value } => (
            "UPDATE pairs SET v = $3 WHERE k IN ($1, $2)",
            vec![pair as i64 * 2, pair as i64 * 2 + 1, value],
        ),
        Op::PairRead { pair } => (
            "SELECT k, v FROM pairs WHERE k IN ($1, $2) ORDER BY k",
            vec![pair as i64 * 2, pair as i64 * 2 + 1],
        ),
        Op::Transfer { from, to, amount } => (
            "UPDATE accounts SET v = CASE WHEN k = $1 THEN v - $3 ELSE v + $3 END \
             WHERE k IN ($1, $2)",
            vec![from as i64, to as i64, amount],
        ),
        Op::BankRead => ("SELECT k, v FROM accounts ORDER BY k", vec![]),
        Op::OwnUpdate { row, factor, add } => (
            "UPDATE own SET v = (v * $2 + $3) % $4 WHERE k = $1",
            vec![own(row), factor, add, OWN_MODULUS],
        ),
        Op::OwnRead { row } => ("SELECT k, v FROM own WHERE k = $1", vec![own(row)]),
    };
    (sql.to_owned(), parameters)
}

/// Puts parameters into the text, the last first, so that `$1` does not eat the head of `$10`.
fn inline(sql: &str, parameters: &[i64]) -> String {
    let mut text = sql.to_owned();
    for (k, value) in parameters.iter().enumerate().rev() {
        text = text.replace(&format!("${}", k + 1), &value.to_string());
    }
    text
}

fn answer(request: Request, reply: &Reply) -> Result<Answer, String> {
    if let Some(error) = &reply.error {
        return refusal(request, error);
    }
    match request {
        Request::Setup(_) => Ok(Answer::Done { rows: 0 }),
        Request::Op(op) if op.is_read() => rows(reply).map(Answer::Rows),
        Request::Op(_) => {
            let tag = reply.tag().unwrap_or_default();
            let count = tag.rsplit(' ').next().and_then(|word| word.parse().ok());
            count.map(|rows| Answer::Done { rows }).ok_or(format!("a write ended with {tag:?}"))
        }
    }
}

fn rows(reply: &Reply) -> Result<super::Rows, String> {
    let number = |value: &Option<Bytes>| -> Result<Option<i64>, String> {
        let Some(bytes) = value else { return Ok(None) };
        let text = std::str::from_utf8(bytes).map_err(|_| format!("not text: {bytes:?}"))?;
        text.parse().map(Some).map_err(|_| format!("not a number: {text}"))
    };
    let mut rows = Vec::new();
    for row in reply.rows() {
        match row.as_slice() {
            [key] => rows.push((number(key)?.ok_or("a key is NULL")?, None)),
            [key, value] => rows.push((number(key)?.ok_or("a key is NULL")?, number(value)?)),
            other => return Err(format!("a row of {} columns", other.len())),
        }
    }
    if !rows.is_sorted() {
        return Err(format!("rows out of order: {rows:?}"));
    }
    Ok(rows)
}

/// What an error says of the statement's fate. Errors that no such statement can have are a failure.
fn refusal(request: Request, error: &ServerError) -> Result<Answer, String> {
    let (code, message) = (error.code().to_owned(), error.message().to_owned());
    let passes = ["40001", "40P01", "55P03", "57P03", "57014", "25006"].contains(&code.as_str())
        || code.starts_with("53");
    let unknown = ["08006", "08007", "40003", "57P01"].contains(&code.as_str());
    match request {
        // The rows of a step that was done already.
        Request::Setup(_) if code == "23505" => Ok(Answer::Done { rows: 0 }),
        _ if unknown => Ok(Answer::Unknown { code, message }),
        _ if passes => Ok(Answer::Refused { code, message, retry: true }),
        _ => Err(format!("{request:?} was refused: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_go_into_the_text() {
        let (sql, parameters) = statement(3, Op::Transfer { from: 1, to: 4, amount: 7 });
        assert_eq!(
            inline(&sql, &parameters),
            "UPDATE accounts SET v = CASE WHEN k = 1 THEN v - 7 ELSE v + 7 END WHERE k IN (1, 4)"
        );
    }

    #[test]
    fn errors_say_what_became_of_the_statement() {
        let error = |code: &str| {
            let mut error = ServerError::default();
            error.fields.insert(b'C', code.to_owned());
            refusal(Request::Op(Op::BankRead), &error)
        };
        assert!(matches!(error("40001"), Ok(Answer::Refused { retry: true, .. })));
        assert!(matches!(error("08007"), Ok(Answer::Unknown { .. })));
        assert!(error("XX000").is_err(), "an internal error is a failure");
        assert!(error("42601").is_err(), "and so is a syntax error");
    }
}
