//! Operations as SQL over PostgreSQL's protocol.
//!
//! | table | rows | what it is for |
//! |---|---|---|
//! | `registers` | `k` 0.., `v` 0 | single-row writes and reads |
//! | `inserted` | none at first | rows added once and never changed |
//! | `pairs` | `k` 0.., `v` 0 | two rows in one statement |
//! | `accounts` | `k` 0.., `v` 100 | a sum that never changes |
//! | `own` | `k` = client · 1,000 + row, `v` 0 | rows of one client, for the model |
//! | `items` | `k` as in `own`; none at first | a unique column, an indexed one, a text; come and go |
//! | `batches` | none at first | many rows in one statement |
//! | `scratch` | is not there at first | a table that comes and goes |
//!
//! Of four clients one speaks the simple protocol, the others the extended one: one with statements it
//! prepared once, whose rows it fetches in two parts, and one now and then in a pipeline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use basalt_core::pgwire::client::{
    self, BindRequest, Client as PgClient, ClientEvent, Login, Reply, ServerError,
};
use bytes::{Bytes, BytesMut};

use super::op::{
    ACCOUNT_START, ACCOUNTS, BATCH_ROWS_MAX, GROUPS, Item, ItemChange, ItemKey, OWN_MODULUS, Op,
    PAIRS, REGISTERS, SchemaChange, UNIQUES, text,
};
use super::wire::{Answer, Manner, Request, Said, Tight, Wire};

/// Clients with rows of their own, at most.
const CLIENTS_MAX: u64 = 40;
pub const OWN_ROWS: u64 = 3;

/// Rows of the largest table before clients add any.
pub const ROWS_OF_SETUP: u64 = CLIENTS_MAX * OWN_ROWS;
/// Keys of a client's rows start at its number times this.
pub const KEYS_PER_CLIENT: i64 = 1_000;
/// Instances that a last look at the catalog is likely to come by, if it is repeated so often.
const CATALOG_READS: usize = 4;

/// PostgreSQL's protocol, from the client's side.
#[derive(Debug)]
pub struct PgWire {
    client: PgClient,
    /// Each with the bytes it took.
    in_flight: VecDeque<(Request, u64)>,
    prepared: Prepared,
    tight: Option<Tight>,
}

/// The statements a client prepared on its connection, by their text.
#[derive(Debug, Default)]
struct Prepared {
    names: BTreeMap<&'static str, String>,
    /// The one that is being prepared.
    fresh: Option<&'static str>,
    /// How many were prepared, for a name of its own each.
    made: u32,
}

impl Prepared {
    /// Sends a statement, prepared if it is not yet; what a read finds comes in two parts.
    fn ask(
        &mut self,
        (sql, parameters): (&'static str, Vec<Value>),
        is_read: bool,
        out: &mut BytesMut,
    ) {
        self.fresh = None;
        let name = self.names.entry(sql).or_insert_with(|| {
            self.made += 1;
            self.fresh = Some(sql);
            let name = format!("s{}", self.made);
            client::parse(out, &name, sql, &[]);
            name
        });
        let parameters = parameters.iter().map(|value| value.text().map(Bytes::from)).collect();
        let statement = name.as_str();
        client::bind(out, BindRequest { statement, parameters, ..BindRequest::default() });
        if is_read {
            client::execute(out, "", FIRST_PART_ROWS);
        }
        client::execute(out, "", 0);
        client::sync(out);
    }

    /// An error came: whether the fresh statement was prepared before is not known.
    fn failed(&mut self) {
        if let Some(sql) = self.fresh.take() {
            self.names.remove(sql);
        }
    }
}

/// Rows of the first part of a result that is fetched in two.
const FIRST_PART_ROWS: i32 = 2;

/// A parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    Null,
    Number(i64),
    Text(String),
}

impl Value {
    fn text(&self) -> Option<String> {
        match self {
            Value::Null => None,
            Value::Number(number) => Some(number.to_string()),
            Value::Text(text) => Some(text.clone()),
        }
    }

    fn literal(&self) -> String {
        match self {
            Value::Null => "NULL".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => format!("'{text}'"),
        }
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Number(number)
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Value {
        number.map_or(Value::Null, Value::Number)
    }
}

impl Wire for PgWire {
    fn new(name: &str, manner: Manner) -> PgWire {
        let password = manner.has_password.then_some(PASSWORD);
        let login = Login { user: "admin", database: "basalt", password, nonce: name };
        PgWire {
            client: PgClient::new(login),
            in_flight: VecDeque::new(),
            prepared: Prepared::default(),
            tight: manner.tight,
        }
    }

    fn setup_steps() -> usize {
        SETUP.len()
    }

    fn audit() -> Vec<Op> {
        let pairs = (0..PAIRS).map(|pair| Op::PairRead { pair });
        let registers = (0..REGISTERS).map(|key| Op::Read { key });
        let groups = (0..GROUPS).flat_map(|g| [ItemKey::Group(g), ItemKey::GroupByScan(g)]);
        let uniques = (0..UNIQUES).step_by(4).map(ItemKey::U);
        let items = groups.chain(uniques).chain([ItemKey::All]).map(|by| Op::ItemRead { by });
        let all = [Op::ReadInserted, Op::BankRead, Op::OwnReadAll, Op::BatchRead];
        let catalog = std::iter::repeat_n(Op::CatalogRead, CATALOG_READS);
        registers.chain(pairs).chain(all).chain(items).chain(catalog).collect()
    }

    fn greet(&mut self, out: &mut Vec<u8>) {
        let mut buffer = BytesMut::new();
        self.client.startup(&mut buffer);
        out.extend_from_slice(&buffer);
    }

    fn ask(&mut self, client: u16, request: Request, out: &mut Vec<u8>) {
        let mut buffer = BytesMut::new();
        match request {
            Request::Setup(step) => client::query(&mut buffer, &SETUP[step]),
            Request::Op(op) => {
                let (sql, parameters) = statement(client, op);
                match client % 4 {
                    0 => client::query(&mut buffer, &inline(sql, &parameters)),
                    1 | 2 => {
                        let texts: Vec<_> = parameters.iter().map(Value::text).collect();
                        let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
                        client::extended_query(&mut buffer, sql, &texts);
                    }
                    _ => self.prepared.ask((sql, parameters), op.is_read(), &mut buffer),
                }
            }
        }
        self.in_flight.push_back((request, buffer.len() as u64));
        out.extend_from_slice(&buffer);
    }

    fn pipelines(client: u16) -> bool {
        client % 4 == 1
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
                ClientEvent::Ready => Said::Ready { warned: !self.client.greeting().is_empty() },
                ClientEvent::Closed(error) => {
                    let too_long = error.code() == "08P01" && self.asked_too_long();
                    let undone = error.code() == "40001" || too_long;
                    let why = format!("{} {}", error.code(), error.message());
                    Said::Goodbye { why, undone }
                }
                ClientEvent::Reply(reply) => {
                    let Some((request, _)) = self.in_flight.pop_front() else {
                        return Err(format!("a reply to nothing: {reply:?}"));
                    };
                    if reply.error.is_some() {
                        self.prepared.failed();
                    }
                    Said::Answer(answer(request, &reply, self.tight)?)
                }
            });
        }
        Ok(said)
    }
}

impl PgWire {
    /// Whether a message may have been too long: nothing of it is looked at, nor what comes behind it.
    fn asked_too_long(&self) -> bool {
        let Some(Tight::Message { bytes }) = self.tight else { return false };
        self.in_flight.iter().any(|(_, asked)| *asked > bytes)
    }
}

/// The superuser's password in every simulated cluster.
pub const PASSWORD: &str = "Simulated1";

/// Keys of `own` before any client begins, in order; all rows hold 0 then, and none comes or goes.
pub fn own_keys() -> impl Iterator<Item = i64> {
    let of_client = |client| (0..OWN_ROWS).map(move |row| client * KEYS_PER_CLIENT + row as i64);
    (1..=CLIENTS_MAX as i64).flat_map(of_client)
}

/// Statements that make the tables; each may be sent again.
static SETUP: LazyLock<Vec<String>> = LazyLock::new(setup);

fn setup() -> Vec<String> {
    let table = |name: &str| {
        format!("CREATE TABLE IF NOT EXISTS {name} (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)")
    };
    let fill = |name: &str, keys: &mut dyn Iterator<Item = i64>, value: i64| {
        let rows: Vec<String> = keys.map(|k| format!("({k}, {value})")).collect();
        format!("INSERT INTO {name} (k, v) VALUES {}", rows.join(", "))
    };
    vec![
        format!("ALTER USER admin WITH PASSWORD '{PASSWORD}'"),
        table("registers"),
        table("pairs"),
        table("accounts"),
        table("own"),
        "CREATE TABLE IF NOT EXISTS inserted (id BIGINT PRIMARY KEY)".to_owned(),
        "CREATE TABLE IF NOT EXISTS batches (id BIGINT PRIMARY KEY, b BIGINT NOT NULL)".to_owned(),
        "CREATE TABLE IF NOT EXISTS items (k BIGINT PRIMARY KEY, u BIGINT UNIQUE, g BIGINT, t TEXT) \
         DISTRIBUTED GLOBALLY"
            .to_owned(),
        "CREATE INDEX IF NOT EXISTS items_g ON items (g)".to_owned(),
        fill("registers", &mut (0..REGISTERS as i64), 0),
        fill("pairs", &mut (0..PAIRS as i64 * 2), 0),
        fill("accounts", &mut (0..ACCOUNTS as i64), ACCOUNT_START),
        fill("own", &mut own_keys(), 0),
    ]
}

/// The statement of an operation with `$n` for its parameters.
fn statement(client: u16, op: Op) -> (&'static str, Vec<Value>) {
    let first_key = i64::from(client) * KEYS_PER_CLIENT;
    let own = |row: u64| first_key + row as i64;
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
        Op::OwnReadAll => ("SELECT k, v FROM own ORDER BY k", vec![]),
        Op::ItemInsert { row, item } => return insert_item(first_key + row as i64, item),
        Op::ItemUpdate { row, to } => return update_item(first_key + row as i64, to),
        Op::ItemDelete { row } => ("DELETE FROM items WHERE k = $1", vec![own(row as u64)]),
        Op::ItemDeleteGroup { g } => (
            "DELETE FROM items WHERE g = $1 AND k >= $2 AND k < $3",
            vec![g, first_key, first_key + KEYS_PER_CLIENT],
        ),
        Op::ItemRead { by } => read_items(first_key, by),
        Op::BatchInsert { batch, rows } => (
            "INSERT INTO batches (id, b) SELECT $1::BIGINT + n, $2::BIGINT \
             FROM generate_series(1, $3::BIGINT) AS s(n)",
            vec![batch * BATCH_IDS, batch, rows as i64],
        ),
        Op::BatchRead => ("SELECT b, count(*) FROM batches GROUP BY b ORDER BY b", vec![]),
        Op::Schema { change } => return (schema(change), vec![]),
        Op::ScratchInsert { id } => ("INSERT INTO scratch (id) VALUES ($1)", vec![id]),
        Op::ScratchRead => ("SELECT id FROM scratch ORDER BY id", vec![]),
        Op::CatalogRead => ("SELECT id, schema_version FROM _pico_table ORDER BY id", vec![]),
    };
    (sql, parameters.into_iter().map(Value::from).collect())
}

/// A batch's rows have ids from its number times this.
const BATCH_IDS: i64 = BATCH_ROWS_MAX as i64 + 1;

fn insert_item(key: i64, Item { u, g, t }: Item) -> (&'static str, Vec<Value>) {
    let sql = "INSERT INTO items (k, u, g, t) VALUES ($1, $2, $3, $4)";
    (sql, vec![key.into(), u.into(), g.into(), t.map_or(Value::Null, |t| Value::Text(text(t)))])
}

fn update_item(key: i64, to: ItemChange) -> (&'static str, Vec<Value>) {
    let (sql, value) = match to {
        ItemChange::U(u) => ("UPDATE items SET u = $2 WHERE k = $1", u.into()),
        ItemChange::G(g) => ("UPDATE items SET g = $2 WHERE k = $1", g.into()),
        ItemChange::T(t) => (
            "UPDATE items SET t = $2 WHERE k = $1",
            t.map_or(Value::Null, |t| Value::Text(text(t))),
        ),
    };
    (sql, vec![key.into(), value])
}

fn read_items(first_key: i64, by: ItemKey) -> (&'static str, Vec<i64>) {
    match by {
        ItemKey::Row(row) => {
            ("SELECT k, u, g, t FROM items WHERE k = $1", vec![first_key + row as i64])
        }
        ItemKey::U(u) => ("SELECT k, u, g, t FROM items WHERE u = $1 ORDER BY k", vec![u]),
        ItemKey::Group(g) => ("SELECT k, u, g, t FROM items WHERE g = $1 ORDER BY k", vec![g]),
        ItemKey::GroupByScan(g) => {
            ("SELECT k, u, g, t FROM items WHERE g + 0 = $1 ORDER BY k", vec![g])
        }
        ItemKey::All => ("SELECT k, u, g, t FROM items ORDER BY k", vec![]),
    }
}

fn schema(change: SchemaChange) -> &'static str {
    match change {
        SchemaChange::CreateScratch => "CREATE TABLE scratch (id BIGINT PRIMARY KEY)",
        SchemaChange::DropScratch => "DROP TABLE scratch",
        SchemaChange::TruncateScratch => "TRUNCATE scratch",
        SchemaChange::AddColumn => "ALTER TABLE scratch ADD COLUMN IF NOT EXISTS note TEXT",
        SchemaChange::CreateIndex => "CREATE INDEX items_g ON items (g)",
        SchemaChange::DropIndex => "DROP INDEX items_g",
        SchemaChange::CreateUnique => "CREATE UNIQUE INDEX items_k_u ON items (k, u)",
        SchemaChange::DropUnique => "DROP INDEX items_k_u",
    }
}

/// Puts parameters into the text, the last first, so that `$1` does not eat the head of `$10`.
fn inline(sql: &str, parameters: &[Value]) -> String {
    let mut text = sql.to_owned();
    for (k, value) in parameters.iter().enumerate().rev() {
        text = text.replace(&format!("${}", k + 1), &value.literal());
    }
    text
}

fn answer(request: Request, reply: &Reply, tight: Option<Tight>) -> Result<Answer, String> {
    if let Some(error) = &reply.error {
        return refusal(request, error, tight);
    }
    match request {
        Request::Setup(_) => Ok(Answer::Done { rows: 0 }),
        Request::Op(op) if op.is_read() => rows(reply).map(Answer::Rows),
        Request::Op(Op::Schema { .. }) => Ok(Answer::Done { rows: 0 }),
        Request::Op(_) => {
            let tag = reply.tag().unwrap_or_default();
            let count = tag.rsplit(' ').next().and_then(|word| word.parse().ok());
            count.map(|rows| Answer::Done { rows }).ok_or(format!("a write ended with {tag:?}"))
        }
    }
}

/// Keys and values: a row of several values becomes so many entries.
fn rows(reply: &Reply) -> Result<super::Rows, String> {
    let mut rows = Vec::new();
    for row in reply.rows() {
        let [key, values @ ..] = row.as_slice() else {
            return Err("a row without columns".to_owned());
        };
        let key = number(key)?.ok_or("a key is NULL")?;
        if values.is_empty() {
            rows.push((key, None));
        }
        for value in values {
            rows.push((key, number(value)?));
        }
    }
    if !rows.is_sorted_by_key(|(key, _)| *key) {
        return Err(format!("rows out of order: {rows:?}"));
    }
    Ok(rows)
}

/// The number of a column; for a text, the one it was made of.
fn number(value: &Option<Bytes>) -> Result<Option<i64>, String> {
    let Some(bytes) = value else { return Ok(None) };
    let read = std::str::from_utf8(bytes).map_err(|_| format!("not text: {bytes:?}"))?;
    let (head, is_text) = read.split_once(':').map_or((read, false), |(head, _)| (head, true));
    let number = head.parse().map_err(|_| format!("not a number: {head}"))?;
    if is_text && text(number) != read {
        return Err(format!("text {number} came back as another one of {} bytes", read.len()));
    }
    Ok(Some(number))
}

/// Whether room that is `tight` explains an error.
fn has_no_room(request: Request, error: &ServerError, tight: Tight) -> bool {
    match request {
        // Each of them fits; it may come while another one is not confirmed.
        Request::Setup(_) => tight == Tight::Unconfirmed && error.code() == "53200",
        Request::Op(op) if tight == Tight::Rows && op.deletes() => {
            let detail = error.fields.get(&b'D').map_or("", String::as_str);
            error.code() == "53200" && detail.ends_with(DELETES_STOP)
        }
        Request::Op(op) => tight.refuses(op, error.code()),
    }
}

/// What an instance says that refuses a delete.
const DELETES_STOP: &str = "more exceed 95 %";

/// What an error says of the statement's fate. Errors that no such statement can have are a failure.
fn refusal(request: Request, error: &ServerError, tight: Option<Tight>) -> Result<Answer, String> {
    let (code, message) = (error.code().to_owned(), error.message().to_owned());
    let has_no_room = tight.is_some_and(|tight| has_no_room(request, error, tight));
    let passes = has_no_room || ["40001", "55P03", "57P03"].contains(&code.as_str());
    let unknown = ["08006", "08007", "40003", "57P01"].contains(&code.as_str());
    match request {
        // The rows of a step that was done already.
        Request::Setup(_) if code == "23505" => Ok(Answer::Done { rows: 0 }),
        Request::Op(op) if op.may_be_refused(&code) => {
            Ok(Answer::Refused { code, message, retry: false })
        }
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
            inline(sql, &parameters),
            "UPDATE accounts SET v = CASE WHEN k = 1 THEN v - 7 ELSE v + 7 END WHERE k IN (1, 4)"
        );
    }

    #[test]
    fn errors_say_what_became_of_the_statement() {
        let error = |code: &str| {
            let mut error = ServerError::default();
            error.fields.insert(b'C', code.to_owned());
            refusal(Request::Op(Op::BankRead), &error, None)
        };
        assert!(matches!(error("40001"), Ok(Answer::Refused { retry: true, .. })));
        assert!(matches!(error("08007"), Ok(Answer::Unknown { .. })));
        assert!(error("XX000").is_err(), "an internal error is a failure");
        assert!(error("42601").is_err(), "and so is a syntax error");
        assert!(error("23505").is_err(), "and a key that is taken, where nothing is added");
        assert!(error("57014").is_err(), "and a cancel that nobody asked for");
        assert!(error("53200").is_err(), "and too little room where there is enough");
    }

    #[test]
    fn too_little_room_explains_only_what_it_can_lead_to() {
        let add = Op::Write { key: 1, value: 2 };
        let delete = Op::ItemDelete { row: 1 };
        let drop = Op::Schema { change: SchemaChange::DropIndex };
        let read = Op::BankRead;
        let is_explained = |tight: Tight, code: &str, op: Op, detail: &str| {
            let fields = [(b'C', code.to_owned()), (b'D', detail.to_owned())].into();
            let told = refusal(Request::Op(op), &ServerError { fields }, Some(tight));
            matches!(told, Ok(Answer::Refused { retry: true, .. }))
        };
        let all = |tight, code| {
            [add, delete, drop, read].map(|op| is_explained(tight, code, op, "exceed 85 %"))
        };
        assert_eq!(all(Tight::Rows, "53200"), [true, false, false, false]);
        assert!(is_explained(Tight::Rows, "53200", delete, "9 more exceed 95 %"));
        assert_eq!(all(Tight::Rows, "54000"), [false; 4]);
        assert_eq!(all(Tight::Unconfirmed, "53200"), [true, true, true, false]);
        assert_eq!(all(Tight::Unconfirmed, "54000"), [false; 4]);
        assert_eq!(all(Tight::Message { bytes: 9 }, "53200"), [false; 4]);
        assert_eq!(all(Tight::Statement, "53200"), [true; 4]);
        assert_eq!(all(Tight::Statement, "54000"), [true; 4]);
        assert_eq!(all(Tight::Statement, "XX000"), [false; 4]);
    }

    #[test]
    fn only_a_long_message_is_undone_where_the_connection_ends() {
        let undone = |tight: Option<Tight>| {
            let mut wire = PgWire::new("c1", Manner { has_password: false, tight });
            let mut hello = Vec::new();
            wire.greet(&mut hello);
            wire.ask(4, Request::Op(Op::BankRead), &mut hello);
            wire.asked_too_long()
        };
        assert!(undone(Some(Tight::Message { bytes: 40 })));
        assert!(!undone(Some(Tight::Message { bytes: 400 })));
        assert!(!undone(Some(Tight::Rows)) && !undone(None));
    }
}
