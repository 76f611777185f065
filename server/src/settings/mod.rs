//! What `basalt run` can be told, and by whom: flag, `-c`, environment, file or default.
//!
//! One table lists every setting. A value is text with the place it came from until all places are
//! merged; only the winner is read, and a mistake in it is reported with that place.

mod file;
mod parse;
mod resolve;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

pub use parse::{HostPort, peers};
pub use resolve::{LogFormat, ServerOptions};

/// One setting: its flag, environment variable and key in the file follow from its name.
pub struct Setting {
    /// The flag without dashes; `BASALT_<NAME>` and `instance.<name>` are made from it.
    pub name: &'static str,
    /// Another accepted spelling of the flag.
    pub alias: Option<&'static str>,
    /// Where the file has it, if not under `instance`.
    pub path: Option<&'static str>,
    pub value: &'static str,
    pub default: Option<&'static str>,
    pub help: &'static str,
}

const fn setting(name: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting { name, alias: None, path: None, value, default: None, help }
}

/// Every setting, in the order of the help.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    Setting { alias: Some("instance-dir"), default: Some("./data"), ..setting("data-dir", "DIR", "Where this instance keeps its data") },
    Setting { alias: Some("iproto-listen"), default: Some("127.0.0.1:3301"), ..setting("listen", "HOST:PORT", "Where other instances reach this one") },
    setting("advertise", "HOST:PORT", "What other instances are told to connect to, if not the listen address"),
    setting("peer", "HOST:PORT[,...]", "Instances to join the cluster through; none, or only itself, starts a cluster"),
    Setting { default: Some("127.0.0.1:4327"), ..setting("pg-listen", "HOST:PORT", "Where PostgreSQL clients connect") },
    Setting { default: Some("127.0.0.1:5327"), ..setting("http-listen", "HOST:PORT", "Metrics, health and the cluster page") },
    Setting { path: Some("cluster.init_replication_factor"), default: Some("1"), ..setting("init-replication-factor", "N", "Copies of each row; taken from the instance that starts the cluster") },
    setting("failure-domain", "JSON|K=V,...", "Where this instance runs, for example dc=east,rack=r1; copies are spread over domains"),
    Setting { default: Some("default"), ..setting("tier", "NAME", "The tier this instance belongs to") },
    Setting { path: Some("cluster.name"), ..setting("cluster-name", "NAME", "The cluster to start, or the only one to join") },
    Setting { path: Some("instance.name"), ..setting("instance-name", "NAME", "A name for this instance; given by the cluster if absent") },
    setting("replicaset-name", "NAME", "The replica set to belong to; chosen by the cluster if absent"),
    setting("cores", "LIST", "One instance on each of these cores, for example 0-3; the k-th listens on port + k"),
    Setting { default: Some("1G"), ..setting("memory", "SIZE", "Memory for rows and indexes of an instance") },
    setting("admin-sock", "PATH", "The admin console's socket; DIR/admin.sock if absent"),
    setting("record", "DIR", "Keep everything each instance is given in a new file here, for basalt-sim replay; it holds rows, statements and passwords, and grows without bound"),
    Setting { default: Some("info"), ..setting("log-level", "LEVEL", "error, warn, info, debug, trace, or a filter such as info,basalt_core=debug") },
    Setting { default: Some("plain"), ..setting("log-format", "FORMAT", "plain or json") },
];

impl Setting {
    /// `BASALT_DATA_DIR`
    pub fn variable(&self) -> String {
        format!("BASALT_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// `instance.data_dir`
    pub fn file_path(&self) -> String {
        match self.path {
            Some(path) => path.to_owned(),
            None => format!("instance.{}", self.name.replace('-', "_")),
        }
    }

    /// The setting with this place in the file.
    fn of_file_path(path: &str) -> Option<&'static Setting> {
        if path == "cluster.tier.default.replication_factor" {
            return Setting::of_file_path("cluster.init_replication_factor");
        }
        SETTINGS.iter().find(|setting| {
            let alias = setting.alias.map(|alias| format!("instance.{}", alias.replace('-', "_")));
            setting.file_path() == path || alias.as_deref() == Some(path)
        })
    }
}

/// A value and the place it came from, as a user would name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    pub text: String,
    pub place: String,
}

/// Settings by name, from one place or merged from several.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Values(BTreeMap<&'static str, Given>);

impl Values {
    pub fn set(&mut self, name: &'static str, text: impl Into<String>, place: impl Into<String>) {
        self.0.insert(name, Given { text: text.into(), place: place.into() });
    }

    fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(name)
    }

    /// These values, with `weaker` where they say nothing.
    fn or(mut self, weaker: Values) -> Values {
        for (name, given) in weaker.0 {
            self.0.entry(name).or_insert(given);
        }
        self
    }

    /// The environment's values, looked up with `variable`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Values {
        let mut values = Values::default();
        for setting in SETTINGS {
            if let Some(text) = variable(&setting.variable()) {
                values.set(setting.name, text, setting.variable());
            }
        }
        values
    }

    fn defaults() -> Values {
        let mut values = Values::default();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                values.set(setting.name, default, "the default");
            }
        }
        values
    }
}

/// Where values may come from besides flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub flags: Values,
    /// `-c PATH=VALUE`, in order; a later one wins.
    pub overrides: Vec<String>,
    pub environment: Values,
    /// `--config` or `BASALT_CONFIG`: the path, for messages, and the text.
    pub file: Option<(String, String)>,
}

impl Sources {
    /// Merges all places and reads the result.
    pub fn resolve(self) -> Result<ServerOptions> {
        let mut overrides = Values::default();
        for text in &self.overrides {
            overrides = file::override_values(text)?.or(overrides);
        }
        let file = match &self.file {
            Some((name, text)) => {
                file::values(name, text).with_context(|| format!("configuration file {name}"))?
            }
            None => Values::default(),
        };
        let merged = self.flags.or(overrides).or(self.environment).or(file).or(Values::defaults());
        resolve::options(&merged)
    }
}

/// A configuration file with every setting at its default.
pub fn default_file() -> String {
    let mut out = String::new();
    for section in ["cluster", "instance"] {
        out.push_str(section);
        out.push_str(":\n");
        for setting in SETTINGS {
            let path = setting.file_path();
            let Some(key) = path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let value = setting.default.unwrap_or("null");
            out.push_str(&format!("  # {}\n  {key}: {value}\n", setting.help));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        let file = "cluster: {name: from-file}\ninstance:\n  tier: from-file\n  memory: 2G\n  \
                    listen: 10.0.0.1:1\n  replicaset_name: from-file\n";
        let variables = |name: &str| match name {
            "BASALT_MEMORY" => Some("3G".to_owned()),
            "BASALT_LISTEN" => Some("10.0.0.2:2".to_owned()),
            "BASALT_REPLICASET_NAME" => Some("from-environment".to_owned()),
            _ => None,
        };
        let mut flags = Values::default();
        flags.set("listen", ":4", "--listen");
        Sources {
            flags,
            overrides: vec![
                "instance.listen=10.0.0.3:3".to_owned(),
                "instance.memory=1M".to_owned(),
                "instance.memory=4M".to_owned(),
            ],
            environment: Values::from_environment(variables),
            file: Some(("basalt.yaml".to_owned(), file.to_owned())),
        }
    }

    #[test]
    fn a_flag_beats_an_override_beats_the_environment_beats_the_file_beats_the_default() {
        let options = sources().resolve().unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:4");
        assert_eq!(options.memory_bytes, 4 << 20);
        assert_eq!(options.replicaset_name.as_deref(), Some("from-environment"));
        assert_eq!(options.tier, "from-file");
        assert_eq!(options.cluster_name.as_deref(), Some("from-file"));
        assert_eq!(options.pg_listen.to_string(), "127.0.0.1:4327");
    }

    #[test]
    fn a_mistake_is_reported_with_its_place() {
        let mistake = |change: fn(&mut Sources)| {
            let mut sources = sources();
            change(&mut sources);
            format!("{:#}", sources.resolve().unwrap_err())
        };
        type Change = fn(&mut Sources);
        let cases: [(Change, &str); 6] = [
            (|s| s.flags.set("pg-listen", "nonsense", "--pg-listen"), "--pg-listen: "),
            (|s| s.environment.set("cores", "3-1", "BASALT_CORES"), "BASALT_CORES: "),
            (|s| s.overrides.push("instance.memory=many".to_owned()), "-c instance.memory: "),
            (|s| s.overrides.push("instance.speed=9".to_owned()), "unknown key instance.speed"),
            (
                |s| s.file = Some(("b.yaml".to_owned(), "instance: {lisen: ':1'}".to_owned())),
                "configuration file b.yaml: unknown key instance.lisen",
            ),
            (
                |s| s.file = Some(("b.yaml".to_owned(), "instance: [".to_owned())),
                "configuration file b.yaml: ",
            ),
        ];
        for (change, expected) in cases {
            let message = mistake(change);
            assert!(message.starts_with(expected), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn the_default_file_says_what_the_defaults_say() {
        let file = Some(("default".to_owned(), default_file()));
        let from_file = Sources { file, ..Sources::default() }.resolve().unwrap();
        assert_eq!(from_file, Sources::default().resolve().unwrap());
    }
}
