//! The life of a session, as one straight line: log in, then serve messages until the end.

use std::rc::Rc;

use super::conversation::Conversation;
use super::engine::{Credentials, Engine};
use super::handle::Handle;
use super::sessions::Sessions;
use super::wire::Wire;
use crate::base::{SqlError, SqlState};
use crate::pgwire::{Item, Startup, scram};
use crate::seam::ConnKind;

/// The superuser; whoever reaches the admin socket is logged in as this.
pub const SUPERUSER: &str = "admin";

/// A client that may come in.
pub(super) struct LoggedIn {
    pub user: String,
    pub startup: Startup,
    pub credentials: Credentials,
}

pub(super) async fn run<E: Engine>(
    sessions: Rc<Sessions>,
    engine: Rc<E>,
    handle: Handle,
    kind: ConnKind,
) {
    watch_login(&sessions, &*engine, &handle);
    let mut wire = Wire::new(sessions.clone(), handle.shared.clone());
    let Some(login) = log_in(&mut wire, &*engine, kind).await else {
        wire.flush();
        handle.shared.finish();
        return;
    };
    handle.shared.logged_in();
    let key = sessions.register(&handle, if login.startup.minor >= 2 { 32 } else { 4 });
    let mut conversation = Conversation::new(wire, engine, login, &key);
    if conversation.greet(&key) {
        conversation.serve().await;
    }
    conversation.flush();
    sessions.unregister(key.pid);
    handle.shared.finish();
}

/// Ends the session if the client has not logged in when its time is up: connections are few.
fn watch_login<E: Engine>(sessions: &Sessions, engine: &E, handle: &Handle) {
    let timer = engine.timer(engine.now() + sessions.limits.login);
    let shared = Rc::downgrade(&handle.shared);
    sessions.spawner.spawn(async move {
        timer.await;
        if let Some(shared) = shared.upgrade() {
            shared.login_is_late();
        }
    });
}

/// Startup and password. `None`: the connection is over, and the client was told why.
async fn log_in<E: Engine>(wire: &mut Wire, engine: &E, kind: ConnKind) -> Option<LoggedIn> {
    let startup = match wire.next().await? {
        Item::Startup(startup) => startup,
        Item::Cancel(key) => {
            wire.sessions.cancel(&key);
            return None;
        }
        other => unreachable_item(wire, &other)?,
    };
    let user = match kind {
        ConnKind::Admin => SUPERUSER.to_owned(),
        ConnKind::Postgres => startup.user.clone(),
    };
    let found = engine.login(&user);
    let item = match kind {
        ConnKind::Admin => wire.connection.trust(&mut wire.out.bytes),
        ConnKind::Postgres => {
            challenge(wire, engine, &user, found.as_ref());
            wire.next().await?
        }
    };
    match (item, found) {
        (Item::Authenticated, Some(credentials)) => Some(LoggedIn { user, startup, credentials }),
        (Item::Authenticated, None) => {
            let message = format!("role \"{user}\" does not exist");
            let state = SqlState::InvalidAuthorizationSpecification;
            wire.fatal(&SqlError::new(state, message));
            None
        }
        (other, _) => unreachable_item(wire, &other),
    }
}

fn challenge<E: Engine>(wire: &mut Wire, engine: &E, user: &str, found: Option<&Credentials>) {
    let verifier = found.and_then(|c| c.verifier.clone());
    let rng = &mut wire.sessions.rng.borrow_mut();
    let server = scram::Server::new(user, verifier, &engine.salt_secret(), rng);
    wire.connection.challenge(server, &mut wire.out.bytes);
}

/// The connection gave an item that cannot come now: a bug of ours, told as such.
fn unreachable_item<T>(wire: &mut Wire, item: &Item) -> Option<T> {
    wire.fatal(&SqlError::internal(format!("unexpected item during login: {item:?}")));
    None
}
