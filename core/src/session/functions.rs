//! SQL functions that look at the session: settings and the search path.
//!
//! [`SessionFunctions`] answers these and passes every other function on to the catalog.

use super::engine::SessionContext;
use crate::base::{Datum, SqlError, SqlResult, SqlState};
use crate::expr::CatalogFunctions;
use crate::expr::function::Function;

/// The functions of a session over those of the catalog.
#[derive(Clone, Copy)]
pub struct SessionFunctions<'a> {
    pub context: &'a SessionContext,
    /// `None`: functions of the catalog are refused.
    pub catalog: Option<&'a dyn CatalogFunctions>,
}

impl CatalogFunctions for SessionFunctions<'_> {
    fn call(&self, function: &'static Function, args: &[Datum]) -> SqlResult<Datum> {
        match (call(self.context, function.name, args), self.catalog) {
            (Some(answer), _) => answer,
            (None, Some(catalog)) => catalog.call(function, args),
            (None, None) => Err(SqlError::unsupported(format_args!("{}()", function.name))),
        }
    }
}

/// The value of `name(args)`, or `None` if the function is not about the session. Arguments are of
/// the types in the function table; those of strict functions are not NULL.
fn call(context: &SessionContext, name: &str, args: &[Datum]) -> Option<SqlResult<Datum>> {
    match (name, args) {
        ("current_setting", [Datum::Text(setting)]) => {
            Some(current_setting(context, setting, false))
        }
        ("current_setting", [Datum::Text(setting), Datum::Bool(missing_ok)]) => {
            Some(current_setting(context, setting, *missing_ok))
        }
        ("set_config", [setting, value, local]) => Some(set_config(context, setting, value, local)),
        ("current_schemas", [Datum::Bool(implicit)]) => Some(Ok(schemas(context, *implicit))),
        _ => None,
    }
}

fn current_setting(context: &SessionContext, name: &str, missing_ok: bool) -> SqlResult<Datum> {
    let settings = context.settings.borrow();
    match settings.show(name) {
        Ok((_, value)) => Ok(Datum::text(&*value)),
        Err(error) if missing_ok && error.state == SqlState::UndefinedObject => Ok(Datum::Null),
        Err(error) => Err(error),
    }
}

/// `set_config(name, value, is_local)`. A local change would end with the transaction, which ends
/// with the statement; so it is checked and then given up.
fn set_config(
    context: &SessionContext,
    name: &Datum,
    value: &Datum,
    local: &Datum,
) -> SqlResult<Datum> {
    let Datum::Text(name) = name else {
        let message = "SET requires parameter name";
        return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
    };
    let mut settings = context.settings.borrow_mut();
    let mut trial = settings.clone();
    match value {
        Datum::Text(value) => trial.set_text(name, value)?,
        _ => trial.reset(name)?,
    }
    let shown = Datum::text(&*trial.show(name)?.1);
    if *local != Datum::Bool(true) {
        if context.is_elsewhere {
            let what = "set_config() in a statement that runs on another instance";
            return Err(SqlError::unsupported(what).with_hint("Use SET, or SELECT it alone."));
        }
        *settings = trial;
    }
    Ok(shown)
}

/// The schemas names are looked up in; with those searched unasked if `implicit`.
fn schemas(context: &SessionContext, implicit: bool) -> Datum {
    let user = &context.values.current_user;
    let own = context.search_path.iter().filter(|name| name.as_str() != &**user);
    let first = implicit.then_some("pg_catalog");
    let all = first.into_iter().chain(own.map(String::as_str));
    Datum::Array(all.map(Datum::text).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;

    use super::*;
    use crate::base::UserId;
    use crate::expr::SessionValues;
    use crate::session::settings::{Fixed, Settings};

    fn context() -> SessionContext {
        let settings = Settings::new(&Fixed { user: "bob", superuser: false });
        let values = SessionValues {
            current_user: "bob".into(),
            session_user: "bob".into(),
            database: "basalt".into(),
            schema: Some("public".into()),
            version: "".into(),
            backend_pid: 1,
        };
        SessionContext {
            user: UserId(1),
            superuser: false,
            values,
            search_path: Arc::new(["bob".into(), "public".into()]),
            settings: Rc::new(RefCell::new(settings)),
            is_elsewhere: false,
        }
    }

    #[test]
    fn settings_are_read_and_changed() {
        let context = context();
        let text = |s: &str| Datum::text(s);
        let one = |name: &str, args: &[Datum]| call(&context, name, args).unwrap();
        assert_eq!(one("current_setting", &[text("work_mem")]), Ok(text("4MB")));
        assert!(one("current_setting", &[text("nothing")]).is_err());
        let missing_ok = [text("nothing"), Datum::Bool(true)];
        assert_eq!(one("current_setting", &missing_ok), Ok(Datum::Null));
        let local = [text("work_mem"), text("1MB"), Datum::Bool(true)];
        assert_eq!(one("set_config", &local), Ok(text("1MB")));
        assert_eq!(one("current_setting", &[text("work_mem")]), Ok(text("4MB")));
        let lasting = [text("search_path"), text("a, \"B\""), Datum::Bool(false)];
        assert_eq!(one("set_config", &lasting), Ok(text("a, \"B\"")));
        assert_eq!(context.settings.borrow().search_path(), ["a", "B"]);
        assert!(call(&context, "pg_get_indexdef", &[]).is_none());
    }

    #[test]
    fn schemas_of_the_path_that_exist() {
        let names = |names: &[&str]| {
            Some(Ok(Datum::Array(names.iter().map(|n| Datum::text(*n)).collect())))
        };
        let of = |implicit| call(&context(), "current_schemas", &[Datum::Bool(implicit)]);
        assert_eq!(of(false), names(&["public"]));
        assert_eq!(of(true), names(&["pg_catalog", "public"]));
    }
}
