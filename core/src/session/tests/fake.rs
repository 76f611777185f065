//! A database in memory with real plans: tables `kv (k int8 primary key, v text)` and `slow`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::base::{CatalogVersion, SqlError, SqlResult, SqlState, SqlType, UserId};
use crate::exec::{self, Memory, Pool};
use crate::expr::EvalContext;
use crate::expr::work::Work;
use crate::pgwire::scram::Verifier;
use crate::seam::{Completion, Mono, Resolver, Rng, Spawner};
use crate::session::functions::SessionFunctions;
use crate::session::{
    Attempt, Call, Credentials, Done, Engine, Gate, Interrupt, Outcome, RowWriter, SessionContext,
    Tag,
};
use crate::sql::bind::BindContext;
use crate::sql::catalog::Catalog;
use crate::sql::parse;
use crate::sql::plan::{Plan, Prepared};
use crate::sql::prepare;
use crate::sql::testing::TestDb;

pub struct Fake {
    spawner: Spawner,
    db: RefCell<TestDb>,
    /// Where set, writes wait for this gate.
    pub gate: RefCell<Option<Gate>>,
    /// Statements that read the table `slow` wait here.
    pub waiting: RefCell<Vec<Resolver<()>>>,
    timers: RefCell<Vec<(Mono, Resolver<()>)>>,
    now: Cell<Mono>,
    rng: RefCell<Rng>,
}

impl Fake {
    pub fn new(spawner: Spawner) -> Rc<Fake> {
        let mut db = TestDb::new();
        db.run("CREATE TABLE kv (k int8 PRIMARY KEY, v text)");
        db.run("CREATE TABLE slow (n int PRIMARY KEY); INSERT INTO slow VALUES (7)");
        Rc::new(Fake {
            spawner,
            db: RefCell::new(db),
            gate: RefCell::default(),
            waiting: RefCell::default(),
            timers: RefCell::default(),
            now: Cell::new(Mono(0)),
            rng: RefCell::new(Rng::from_u64(2)),
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

    fn is_slow(&self, prepared: &Prepared) -> bool {
        let db = self.db.borrow();
        prepared.touches.reads.iter().any(|id| db.table(*id).is_some_and(|t| t.name == "slow"))
    }

    fn run(&self, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Outcome {
        if let Plan::Ddl(change, _) = &call.prepared.plan {
            self.db.borrow_mut().change_schema(change);
            let tag = Tag { words: "CREATE TABLE", rows: None };
            return Outcome { result: Ok(Done { tag, notices: Vec::new() }), gate: None };
        }
        let functions = SessionFunctions { context: call.context, catalog: None };
        let eval = EvalContext {
            params: call.params,
            failures: &[],
            transaction_time: 0,
            statement_time: 0,
            session: &call.context.values,
            rng: &self.rng,
            catalog: Some(&functions),
            work: &Work::default(),
            case_operand: None,
        };
        let memory = Memory::new(1 << 20, &Pool::new(1 << 20, "All"));
        let outcome = exec::execute(call.prepared, &*self.db.borrow(), eval, memory, rows);
        let writes = matches!(call.prepared.plan, Plan::Insert(_) | Plan::Update(_));
        let gate = self.gate.borrow().clone().filter(|_| writes);
        let result = outcome.map(|outcome| {
            self.db.borrow_mut().apply(outcome.writes);
            Done { tag: outcome.tag.into(), notices: Vec::new() }
        });
        Outcome { result, gate }
    }
}

impl Engine for Fake {
    fn renew_catalog<'a>(
        &'a self,
        _: &'a SqlError,
        _: &'a Interrupt,
    ) -> impl Future<Output = SqlResult<()>> + 'a {
        std::future::ready(Ok(()))
    }

    fn login(&self, name: &str) -> Option<Credentials> {
        let mut rng = Rng::from_u64(5);
        let verifier = match name {
            "bob" => Some(Verifier::of_password("secret", 16, &mut rng)),
            "admin" => None,
            _ => return None,
        };
        Some(Credentials { id: UserId(1), superuser: name == "admin", verifier })
    }

    fn salt_secret(&self) -> [u8; 32] {
        [9; 32]
    }

    fn catalog_version(&self) -> CatalogVersion {
        self.db.borrow().version()
    }

    fn prepare(
        &self,
        context: &SessionContext,
        sql: &str,
        types: &[SqlType],
    ) -> SqlResult<Arc<Prepared>> {
        let db = self.db.borrow();
        let bind =
            BindContext { catalog: &*db, search_path: &context.search_path, user: context.user };
        let parsed = parse::parse(sql)?.remove(0);
        let prepared = prepare(&parsed.stmt, &parsed.source(sql), bind, types.to_vec())?;
        Ok(Arc::new(prepared))
    }

    fn try_execute(&self, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Attempt {
        if self.is_slow(call.prepared) {
            return Attempt::MustWait;
        }
        Attempt::Done(self.run(call, rows))
    }

    async fn execute<'a>(&'a self, call: &'a Call<'a>, rows: &'a mut RowWriter<'_>) -> Outcome {
        let (released, resolver) = self.spawner.completion::<()>();
        self.waiting.borrow_mut().push(resolver);
        let mut released = std::pin::pin!(released);
        let waited = std::future::poll_fn(|context| {
            if let Err(error) = call.interrupt.check() {
                return std::task::Poll::Ready(Err(error));
            }
            released.as_mut().poll(context).map(|_| Ok(()))
        })
        .await;
        match waited {
            Ok(()) => self.run(call, rows),
            // As of a statement that was sent to another instance.
            Err(_) if !call.prepared.touches.writes.is_empty() => {
                let unknown = SqlError::new(SqlState::TransactionResolutionUnknown, "unknown");
                Outcome { result: Err(unknown), gate: None }
            }
            Err(error) => Outcome { result: Err(error), gate: None },
        }
    }

    fn turn_is_full(&self) -> bool {
        false
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
