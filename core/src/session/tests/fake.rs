//! A database of one table `kv (k int8 primary key, v text)` in memory.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::{CatalogVersion, Datum, SqlError, SqlResult, SqlState, SqlType, TableId, UserId};
use crate::pgwire::scram::Verifier;
use crate::seam::{Completion, Mono, Resolver, Rng, Spawner};
use crate::session::engine::{Plan, Prepared, ResultColumn};
use crate::session::{
    Attempt, Call, Credentials, Done, Engine, Gate, Outcome, RowWriter, SessionContext, Tag,
};
use crate::sql::parse::{self, Stmt};

pub struct Fake {
    spawner: Spawner,
    rows: RefCell<BTreeMap<i64, String>>,
    /// Where set, writes wait for this gate.
    pub gate: RefCell<Option<Gate>>,
    version: Cell<u64>,
    /// Statements about the table `slow` wait here.
    pub waiting: RefCell<Vec<Resolver<()>>>,
    timers: RefCell<Vec<(Mono, Resolver<()>)>>,
    now: Cell<Mono>,
}

impl Fake {
    pub fn new(spawner: Spawner) -> Rc<Fake> {
        Rc::new(Fake {
            spawner,
            rows: RefCell::default(),
            gate: RefCell::default(),
            version: Cell::new(1),
            waiting: RefCell::default(),
            timers: RefCell::default(),
            now: Cell::new(Mono(0)),
        })
    }

    /// Lets time pass and timers fire.
    pub fn advance(&self, nanos: u64) {
        self.now.set(Mono(self.now.get().0 + nanos));
        let timers = std::mem::take(&mut *self.timers.borrow_mut());
        for (at, resolver) in timers {
            if at <= self.now.get() {
                resolver.resolve(());
            } else {
                self.timers.borrow_mut().push((at, resolver));
            }
        }
    }

    fn plan(&self, sql: &str) -> SqlResult<(Plan, Vec<SqlType>, Option<Vec<ResultColumn>>)> {
        let mut parsed = parse::parse(sql)?;
        if let Some(Stmt::Session(stmt)) = parsed.pop().map(|p| p.stmt) {
            return Ok((Plan::Session(stmt), Vec::new(), None));
        }
        let column =
            |name: &str, ty, origin| ResultColumn { name: name.to_owned(), ty, typmod: -1, origin };
        let kv = |attnum| Some((TableId(16_384), attnum));
        let (params, columns) = match sql {
            "SELECT v FROM kv WHERE k = $1" => {
                (vec![SqlType::Int8], Some(vec![column("v", SqlType::Text, kv(2))]))
            }
            "SELECT * FROM kv" => {
                let k = column("k", SqlType::Int8, kv(1));
                (vec![], Some(vec![k, column("v", SqlType::Text, kv(2))]))
            }
            "SELECT * FROM slow" => (vec![], Some(vec![column("n", SqlType::Int4, None)])),
            "INSERT INTO kv VALUES ($1, $2)" => (vec![SqlType::Int8, SqlType::Text], None),
            "ALTER TABLE kv ADD COLUMN w text" => (vec![], None),
            "SELECT 1/0" => (vec![], Some(vec![column("?column?", SqlType::Int4, None)])),
            _ => {
                let message = "relation \"nowhere\" does not exist";
                return Err(SqlError::new(SqlState::UndefinedTable, message).at(15));
            }
        };
        Ok((Plan::Other(sql.to_owned()), params, columns))
    }

    fn insert(&self, params: &[Datum]) -> Outcome {
        let [Datum::Int8(k), Datum::Text(v)] = params else { panic!("{params:?}") };
        let gate = self.gate.borrow().clone();
        let result = if self.rows.borrow().contains_key(k) {
            let message = "duplicate key value violates unique constraint \"kv_pkey\"";
            Err(SqlError::new(SqlState::UniqueViolation, message)
                .with_detail(format!("Key (k)=({k}) already exists."))
                .with_table("public", "kv")
                .with_constraint("kv_pkey"))
        } else {
            self.rows.borrow_mut().insert(*k, v.to_string());
            Ok(done("INSERT 0", Some(1)))
        };
        Outcome { result, gate }
    }

    fn select(&self, call: &Call<'_>, rows: &mut RowWriter<'_>, all: bool) -> SqlResult<Done> {
        for (k, v) in self.rows.borrow().iter() {
            if all {
                rows.row(&[Datum::Int8(*k), Datum::text(v.as_str())])?;
            } else if call.params == [Datum::Int8(*k)] {
                rows.stored_row(|_| Ok(Some(v.as_bytes())))?;
            }
        }
        Ok(done("SELECT", Some(rows.rows())))
    }
}

fn done(words: &'static str, rows: Option<u64>) -> Done {
    Done { tag: Tag { words, rows }, notices: Vec::new() }
}

impl Engine for Fake {
    fn login(&self, name: &str) -> Option<Credentials> {
        let mut rng = Rng::from_u64(5);
        let verifier = match name {
            "bob" => Some(Verifier::of_password("secret", 16, &mut rng)),
            "admin" => None,
            _ => return None,
        };
        Some(Credentials { id: UserId(1), superuser: name == "admin", verifier })
    }

    fn catalog_version(&self) -> CatalogVersion {
        CatalogVersion(self.version.get())
    }

    fn prepare(&self, _: &SessionContext, sql: &str, _: &[SqlType]) -> SqlResult<Arc<Prepared>> {
        let (plan, params, columns) = self.plan(sql)?;
        let catalog_version = self.catalog_version();
        Ok(Arc::new(Prepared { plan, params, columns, catalog_version }))
    }

    fn try_execute(&self, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Attempt {
        let Plan::Other(sql) = &call.prepared.plan else { panic!("{:?}", call.prepared.plan) };
        let result = match sql.as_str() {
            "SELECT * FROM slow" => return Attempt::MustWait,
            "INSERT INTO kv VALUES ($1, $2)" => return Attempt::Done(self.insert(call.params)),
            "ALTER TABLE kv ADD COLUMN w text" => {
                self.version.set(self.version.get() + 1);
                Ok(done("ALTER TABLE", None))
            }
            "SELECT 1/0" => Err(SqlError::new(SqlState::DivisionByZero, "division by zero")),
            sql => self.select(call, rows, sql == "SELECT * FROM kv"),
        };
        Attempt::Done(Outcome { result, gate: None })
    }

    async fn execute<'a>(&'a self, call: &'a Call<'a>, rows: &'a mut RowWriter<'_>) -> Outcome {
        let (released, resolver) = self.spawner.completion::<()>();
        self.waiting.borrow_mut().push(resolver);
        let mut released = std::pin::pin!(released);
        let result = std::future::poll_fn(|context| {
            if let Err(error) = call.interrupt.check() {
                return std::task::Poll::Ready(Err(error));
            }
            released.as_mut().poll(context).map(|_| Ok(()))
        })
        .await;
        let result = result
            .and_then(|()| rows.row(&[Datum::Int4(7)]))
            .map(|()| done("SELECT", Some(rows.rows())));
        Outcome { result, gate: None }
    }

    fn timer(&self, at: Mono) -> Completion<()> {
        let (completion, resolver) = self.spawner.completion();
        self.timers.borrow_mut().push((at, resolver));
        completion
    }

    fn now(&self) -> Mono {
        self.now.get()
    }
}
