//! The settings of a session: `SET`, `SHOW`, `RESET`, and what the server reports unasked.
//!
//! [`table`] has one row for each setting: its spelling, its default, which values it takes. A value
//! has three sources, the later one winning: the table, the startup packet, `SET`. `RESET` goes back
//! one step, to the startup packet.
//!
//! A value that PostgreSQL takes but Basalt could not honour is refused with `0A000` instead of being
//! taken and ignored: `DateStyle` other than ISO, a time zone other than UTC. Drivers send the time
//! zone and the encoding of their host in the startup packet without being asked, so there it is a
//! warning, and UTC and UTF8 stay in force and are what the server reports. Settings that only tune a planner or a storage
//! engine Basalt does not have are taken and shown: no answer depends on them.
//!
//! Names with a dot belong to applications: any may be set, to any text.

mod table;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{SqlError, SqlResult, SqlState};
use crate::topology::virtual_table::SettingRow;
use table::{SETTINGS, Setting};

pub use table::SERVER_VERSION;

/// What a login fixes for the session.
#[derive(Clone, Debug)]
pub struct Fixed<'a> {
    pub user: &'a str,
    pub superuser: bool,
}

/// The settings of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    user: String,
    superuser: bool,
    /// From the startup packet, by position in the table.
    startup: BTreeMap<usize, String>,
    /// From `SET`, by position in the table.
    changed: BTreeMap<usize, String>,
    custom_startup: BTreeMap<String, String>,
    custom: BTreeMap<String, String>,
    /// Values of the reported settings as the client knows them.
    reported: Vec<String>,
    statement_timeout: Option<Duration>,
    read_only: bool,
    /// Grows with every change.
    changes: u64,
}

impl Settings {
    pub fn new(fixed: &Fixed<'_>) -> Settings {
        Settings {
            user: fixed.user.to_owned(),
            superuser: fixed.superuser,
            startup: BTreeMap::new(),
            changed: BTreeMap::new(),
            custom_startup: BTreeMap::new(),
            custom: BTreeMap::new(),
            reported: Vec::new(),
            statement_timeout: None,
            read_only: false,
            changes: 0,
        }
    }

    /// Takes a setting of the startup packet. `Ok(Some(_))` is a warning: the value is not in force.
    pub fn start_with(&mut self, name: &str, text: &str) -> SqlResult<Option<SqlError>> {
        if is_custom(name) {
            self.custom_startup.insert(name.to_lowercase(), text.to_owned());
            return Ok(None);
        }
        let at = find(name)?;
        match value::check(&SETTINGS[at], &words(&SETTINGS[at], text)) {
            Ok(value) => self.startup.insert(at, value),
            Err(refusal) if matches!(SETTINGS[at].name, "TimeZone" | "client_encoding") => {
                return Ok(Some(refusal));
            }
            Err(error) => return Err(error),
        };
        self.refresh();
        Ok(None)
    }

    /// `SET name = values`.
    pub fn set(&mut self, name: &str, values: &[String]) -> SqlResult<()> {
        if is_custom(name) {
            self.custom.insert(name.to_lowercase(), values.join(", "));
            return Ok(());
        }
        let at = find(name)?;
        let value = value::check(&SETTINGS[at], values)?;
        if SETTINGS[at].name == "role" && value != "none" && value != self.user {
            return Err(SqlError::unsupported("SET ROLE to another role"));
        }
        self.changed.insert(at, value);
        self.refresh();
        Ok(())
    }

    /// Sets from one text, as `set_config` and the startup packet have it.
    pub fn set_text(&mut self, name: &str, text: &str) -> SqlResult<()> {
        let values = if is_custom(name) {
            vec![text.to_owned()]
        } else {
            words(&SETTINGS[find(name)?], text)
        };
        self.set(name, &values)
    }

    /// `RESET name` and `SET name = DEFAULT`.
    pub fn reset(&mut self, name: &str) -> SqlResult<()> {
        if is_custom(name) {
            self.custom.remove(&name.to_lowercase());
            return Ok(());
        }
        let at = find(name)?;
        if SETTINGS[at].name == "session_authorization" {
            // It is the user who logged in, always.
            return Ok(());
        }
        if SETTINGS[at].kind == table::Kind::Fixed {
            return Err(SETTINGS[at].unchangeable());
        }
        self.changed.remove(&at);
        self.refresh();
        Ok(())
    }

    /// `RESET ALL`.
    pub fn reset_all(&mut self) {
        self.changed.clear();
        self.custom.clear();
        self.refresh();
    }

    /// The name as the table spells it and the value as `SHOW` prints it.
    pub fn show<'a>(&'a self, name: &'a str) -> SqlResult<(&'a str, Cow<'a, str>)> {
        if is_custom(name) {
            let key = name.to_lowercase();
            let value = self.custom.get(&key).or_else(|| self.custom_startup.get(&key));
            return match value {
                Some(value) => Ok((name, Cow::Borrowed(value))),
                None => Err(unknown(name)),
            };
        }
        let at = find(name)?;
        Ok((SETTINGS[at].name, self.shown(at)))
    }

    /// Every setting as name, value, description, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>, &'static str)> {
        SETTINGS.iter().enumerate().map(|(at, s)| (s.name, self.shown(at), s.description))
    }

    /// Every setting as a row of `pg_settings`.
    pub fn rows(&self) -> Vec<SettingRow> {
        let row = |(at, setting): (usize, &Setting)| SettingRow {
            name: setting.name.to_owned(),
            value: self.shown(at).into_owned(),
            default: value::shown(setting, Cow::Borrowed(setting.default)).into_owned(),
            description: setting.description.to_owned(),
        };
        SETTINGS.iter().enumerate().map(row).collect()
    }

    /// The reported settings whose value the client does not know yet; they count as told.
    pub fn unreported(&mut self) -> Vec<(&'static str, String)> {
        let reported = (0..SETTINGS.len()).filter(|at| SETTINGS[*at].reported);
        let now: Vec<(usize, String)> = reported.map(|at| (at, self.shown(at).into())).collect();
        let known = &self.reported;
        let news = now.iter().enumerate().filter(|(k, (_, value))| known.get(*k) != Some(value));
        let news = news.map(|(_, (at, value))| (SETTINGS[*at].name, value.clone())).collect();
        self.reported = now.into_iter().map(|(_, value)| value).collect();
        news
    }

    /// What differs from a new session's, each as [`Settings::set_text`] takes it.
    pub fn changed(&self) -> Vec<(String, String)> {
        let mut own: BTreeMap<usize, &String> =
            self.startup.iter().map(|(at, v)| (*at, v)).collect();
        own.extend(self.changed.iter().map(|(at, value)| (*at, value)));
        let mut custom = self.custom_startup.clone();
        custom.extend(self.custom.clone());
        let own = own.into_iter().map(|(at, value)| (SETTINGS[at].name.to_owned(), value.clone()));
        own.chain(custom).collect()
    }

    /// `statement_timeout`; `None` for no limit.
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    /// A number that grows with every change of a setting.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether statements must not write.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The schemas of `search_path` in order, unquoted; `$user` stays as it is.
    pub fn search_path(&self) -> Vec<String> {
        value::split_list(&self.raw(table::position("search_path")))
    }

    /// The value in the unit of the table.
    fn raw(&self, at: usize) -> Cow<'_, str> {
        let setting = &SETTINGS[at];
        match setting.name {
            "session_authorization" => return Cow::Borrowed(&self.user),
            "is_superuser" => return Cow::Borrowed(if self.superuser { "on" } else { "off" }),
            "transaction_isolation" if !self.changed.contains_key(&at) => {
                return self.raw(table::position("default_transaction_isolation"));
            }
            "transaction_read_only" if !self.changed.contains_key(&at) => {
                return self.raw(table::position("default_transaction_read_only"));
            }
            _ => {}
        }
        let given = self.changed.get(&at).or_else(|| self.startup.get(&at));
        given.map_or(Cow::Borrowed(setting.default), |value| Cow::Borrowed(value))
    }

    fn shown(&self, at: usize) -> Cow<'_, str> {
        value::shown(&SETTINGS[at], self.raw(at))
    }

    /// Reads out the settings that statements look at.
    fn refresh(&mut self) {
        let number = |name: &str| self.raw(table::position(name)).parse::<u64>().unwrap_or(0);
        let timeout = number("statement_timeout");
        let read_only = self.raw(table::position("transaction_read_only")) == "on";
        self.changes += 1;
        self.statement_timeout = (timeout > 0).then(|| Duration::from_millis(timeout));
        self.read_only = read_only;
    }
}

/// The position of a setting in the table. Error: 42704.
fn find(name: &str) -> SqlResult<usize> {
    let found = SETTINGS.iter().position(|s| s.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| unknown(name))
}

/// One text as the values `SET` would have: the elements of a list setting, else the text.
fn words(setting: &Setting, text: &str) -> Vec<String> {
    match setting.kind {
        table::Kind::List => value::split_list(text),
        _ => vec![text.to_owned()],
    }
}

fn is_custom(name: &str) -> bool {
    name.contains('.')
}

fn unknown(name: &str) -> SqlError {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    SqlError::new(SqlState::UndefinedObject, message)
}

impl Setting {
    fn unchangeable(&self) -> SqlError {
        let message = format!("parameter \"{}\" cannot be changed", self.name);
        SqlError::new(SqlState::CantChangeRuntimeParam, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings::new(&Fixed { user: "bob", superuser: false })
    }

    /// Runs `name = value` lines: what `SHOW` prints after each, or the error.
    fn run(script: &[&str]) -> Vec<String> {
        let mut settings = settings();
        let mut one = |line: &&str| -> SqlResult<String> {
            let (name, value) = line.split_once(" = ").expect("name = value");
            let values: Vec<String> = value.split(", ").map(str::to_owned).collect();
            settings.set(name, &values)?;
            Ok(settings.show(name)?.1.into_owned())
        };
        script.iter().map(|line| one(line).unwrap_or_else(|e| e.to_string())).collect()
    }

    #[test]
    fn what_changed_makes_another_session_alike() {
        let mut here = settings();
        here.start_with("application_name", "psql").unwrap();
        here.start_with("my.start", "x, y").unwrap();
        here.set("search_path", &["a b".into(), "$user".into(), "c\"d".into()]).unwrap();
        here.set("statement_timeout", &["1500".into()]).unwrap();
        here.set("application_name", &["it's mine".into()]).unwrap();
        here.set("my.own", &["a, 'b'".into()]).unwrap();
        let mut there = settings();
        for (name, value) in here.changed() {
            there.set_text(&name, &value).unwrap();
        }
        assert!(here.all().eq(there.all()));
        assert_eq!(here.search_path(), there.search_path());
        for name in ["my.start", "my.own"] {
            assert_eq!(here.show(name).unwrap(), there.show(name).unwrap());
        }
    }

    #[test]
    fn values_are_checked_and_shown_as_postgresql_does() {
        let script = [
            ("statement_timeout = 30000", "30s"),
            ("statement_timeout = 90s", "90s"),
            ("statement_timeout = 2min", "2min"),
            ("statement_timeout = 1500", "1500ms"),
            ("statement_timeout = 1.5s", "1500ms"),
            ("statement_timeout = 0", "0"),
            (
                "statement_timeout = -1",
                "-1 ms is outside the valid range for parameter \"statement_timeout\" (0 .. 2147483647) (SQLSTATE 22023)",
            ),
            (
                "statement_timeout = soon",
                "invalid value for parameter \"statement_timeout\": \"soon\" (SQLSTATE 22023)",
            ),
            ("work_mem = 65536", "64MB"),
            ("work_mem = 1GB", "1GB"),
            ("client_encoding = utf-8", "UTF8"),
            ("client_encoding = 'Utf_8'", "UTF8"),
            ("client_encoding = sql-ascii", "SQL_ASCII"),
            (
                "client_encoding = latin1",
                "client_encoding \"latin1\" is not supported (SQLSTATE 0A000)",
            ),
            ("datestyle = ISO", "ISO, MDY"),
            ("datestyle = iso, mdy", "ISO, MDY"),
            ("datestyle = German", "DateStyle \"German\" is not supported (SQLSTATE 0A000)"),
            ("timezone = utc", "UTC"),
            (
                "timezone = Europe/Berlin",
                "TimeZone \"Europe/Berlin\" is not supported (SQLSTATE 0A000)",
            ),
            ("standard_conforming_strings = t", "on"),
            (
                "standard_conforming_strings = off",
                "standard_conforming_strings \"off\" is not supported (SQLSTATE 0A000)",
            ),
            (
                "row_security = maybe",
                "parameter \"row_security\" requires a Boolean value (SQLSTATE 22023)",
            ),
            (
                "client_min_messages = x",
                "invalid value for parameter \"client_min_messages\": \"x\" (SQLSTATE 22023)",
            ),
            ("search_path = app, public", "app, public"),
            ("search_path = My Schema", "\"My Schema\""),
            (
                "server_version = 16",
                "parameter \"server_version\" cannot be changed (SQLSTATE 55P02)",
            ),
            ("nonsense = 1", "unrecognized configuration parameter \"nonsense\" (SQLSTATE 42704)"),
            ("my.own = a, b", "a, b"),
            ("role = none", "none"),
            ("role = alice", "SET ROLE to another role is not supported (SQLSTATE 0A000)"),
        ];
        let lines: Vec<&str> = script.iter().map(|(line, _)| *line).collect();
        let expected: Vec<&str> = script.iter().map(|(_, shown)| *shown).collect();
        assert_eq!(run(&lines), expected);
    }

    #[test]
    fn reset_goes_back_to_the_startup_packet() {
        let mut settings = settings();
        assert_eq!(settings.start_with("application_name", "app"), Ok(None));
        settings.set("application_name", &["other".into()]).unwrap();
        assert_eq!(settings.show("application_name").unwrap().1, "other");
        settings.reset("application_name").unwrap();
        assert_eq!(settings.show("application_name").unwrap().1, "app");
        settings.set("a.b", &["1".into()]).unwrap();
        settings.reset_all();
        assert!(settings.show("a.b").is_err());
    }

    #[test]
    fn a_time_zone_of_the_driver_is_a_warning() {
        let mut settings = settings();
        let warning = settings.start_with("TimeZone", "Europe/Berlin").unwrap();
        assert!(warning.is_some());
        assert_eq!(settings.show("timezone").unwrap(), ("TimeZone", "UTC".into()));
        assert_eq!(settings.start_with("TimeZone", "Etc/UTC"), Ok(None));
        assert!(settings.start_with("DateStyle", "German").is_err());
    }

    #[test]
    fn an_encoding_of_the_driver_is_a_warning() {
        let mut settings = settings();
        assert!(settings.start_with("client_encoding", "LATIN1").unwrap().is_some());
        assert_eq!(settings.show("client_encoding").unwrap().1, "UTF8");
        assert_eq!(settings.start_with("client_encoding", "'utf-8'"), Ok(None));
        assert_eq!(settings.show("client_encoding").unwrap().1, "UTF8");
        assert_eq!(settings.start_with("client_encoding", "SQL_ASCII"), Ok(None));
        assert_eq!(settings.show("client_encoding").unwrap().1, "SQL_ASCII");
    }

    #[test]
    fn changes_are_reported_once() {
        let mut settings = settings();
        let names: Vec<&str> = settings.unreported().iter().map(|(name, _)| *name).collect();
        let expected = [
            "application_name",
            "client_encoding",
            "DateStyle",
            "default_transaction_read_only",
            "in_hot_standby",
            "integer_datetimes",
            "IntervalStyle",
            "is_superuser",
            "server_encoding",
            "server_version",
            "session_authorization",
            "standard_conforming_strings",
            "TimeZone",
        ];
        assert_eq!(names, expected);
        assert_eq!(settings.unreported(), []);
        settings.set("application_name", &["x".into()]).unwrap();
        settings.set("work_mem", &["1MB".into()]).unwrap();
        assert_eq!(settings.unreported(), [("application_name", "x".to_owned())]);
    }

    #[test]
    fn statements_see_their_settings() {
        let mut settings = settings();
        assert_eq!(settings.search_path(), ["$user", "public"]);
        settings.set("search_path", &["a\"b".into(), "c,d".into()]).unwrap();
        assert_eq!(settings.search_path(), ["a\"b", "c,d"]);
        settings.set("statement_timeout", &["1s".into()]).unwrap();
        assert_eq!(settings.statement_timeout(), Some(Duration::from_secs(1)));
        settings.set("default_transaction_read_only", &["on".into()]).unwrap();
        assert!(settings.read_only());
    }

    #[test]
    fn lists_come_as_one_text_at_startup() {
        let mut settings = settings();
        assert_eq!(settings.start_with("search_path", "App, \"B c\""), Ok(None));
        assert_eq!(settings.search_path(), ["app", "B c"]);
    }

    #[test]
    fn the_table_is_sound() {
        let lower = |s: &Setting| s.name.to_lowercase();
        assert!(SETTINGS.is_sorted_by(|a, b| lower(a) < lower(b)));
        for setting in SETTINGS {
            if setting.kind != table::Kind::Fixed && !setting.default.is_empty() {
                let checked = value::check(setting, &words(setting, setting.default));
                assert_eq!(checked.as_deref(), Ok(setting.default), "{}", setting.name);
            }
        }
    }
}
