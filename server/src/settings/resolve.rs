//! Merged texts read into options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};

use super::Values;
use super::parse::{self, HostPort};

/// What a server process was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerOptions {
    pub data_dir: PathBuf,
    pub listen: HostPort,
    pub advertise: Option<HostPort>,
    pub peers: Vec<HostPort>,
    pub pg_listen: HostPort,
    pub http_listen: HostPort,
    pub init_replication_factor: u8,
    /// Keys in upper case.
    pub failure_domain: BTreeMap<String, String>,
    pub tier: String,
    pub cluster_name: Option<String>,
    pub instance_name: Option<String>,
    pub replicaset_name: Option<String>,
    /// Empty: one instance on any core.
    pub cores: Vec<usize>,
    pub memory_bytes: u64,
    pub admin_sock: Option<PathBuf>,
    /// Where recordings are made.
    pub record: Option<PathBuf>,
    pub log_level: String,
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Plain,
    Json,
}

/// Reads every setting of `values`, which hold at least the defaults.
pub fn options(values: &Values) -> Result<ServerOptions> {
    let required = |name| read(values, name, HostPort::parse)?.ok_or_else(|| missing(name));
    let text = |name| read(values, name, |text| Ok(text.to_owned()));
    let path = |name| read(values, name, |text| Ok(PathBuf::from(text)));
    let options = ServerOptions {
        data_dir: path("data-dir")?.ok_or_else(|| missing("data-dir"))?,
        listen: required("listen")?,
        advertise: read(values, "advertise", HostPort::parse)?,
        peers: read(values, "peer", parse::peers)?.unwrap_or_default(),
        pg_listen: required("pg-listen")?,
        http_listen: required("http-listen")?,
        init_replication_factor: read(values, "init-replication-factor", replication_factor)?
            .ok_or_else(|| missing("init-replication-factor"))?,
        failure_domain: read(values, "failure-domain", parse::failure_domain)?.unwrap_or_default(),
        tier: text("tier")?.ok_or_else(|| missing("tier"))?,
        cluster_name: text("cluster-name")?,
        instance_name: text("instance-name")?,
        replicaset_name: text("replicaset-name")?,
        cores: read(values, "cores", parse::cores)?.unwrap_or_default(),
        memory_bytes: read(values, "memory", parse::size)?.ok_or_else(|| missing("memory"))?,
        admin_sock: path("admin-sock")?,
        record: path("record")?,
        log_level: text("log-level")?.ok_or_else(|| missing("log-level"))?,
        log_format: read(values, "log-format", log_format)?.unwrap_or(LogFormat::Plain),
    };
    if options.listen.is_wildcard() && options.advertise.is_none() {
        bail!(
            "listening on {} needs --advertise HOST:PORT, an address that other instances can reach",
            options.listen
        );
    }
    if options.advertise.as_ref().is_some_and(HostPort::is_wildcard) {
        bail!("--advertise must be an address that other instances can reach");
    }
    Ok(options)
}

/// Reads one setting; `None` if nothing sets it. An error names the place of the value.
fn read<T>(
    values: &Values,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T>,
) -> Result<Option<T>> {
    let Some(given) = values.get(name) else { return Ok(None) };
    if given.text.is_empty() && name != "failure-domain" && name != "peer" {
        return Err(anyhow!("{}: an empty value", given.place));
    }
    match parse(&given.text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(anyhow!("{}: {error}", given.place)),
    }
}

fn missing(name: &str) -> anyhow::Error {
    anyhow!("--{name} is needed")
}

fn replication_factor(text: &str) -> Result<u8> {
    match text.parse() {
        Ok(factor @ 1..=9) => Ok(factor),
        _ => bail!("{text:?} is not a replication factor; expected 1 to 9"),
    }
}

fn log_format(text: &str) -> Result<LogFormat> {
    match text {
        "plain" => Ok(LogFormat::Plain),
        "json" => Ok(LogFormat::Json),
        _ => bail!("{text:?} is not a log format; expected plain or json"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn resolve(name: &'static str, text: &str) -> Result<ServerOptions> {
        let mut sources = Sources::default();
        sources.flags.set(name, text, format!("--{name}"));
        sources.resolve()
    }

    #[test]
    fn a_wildcard_address_must_be_advertised_as_another() {
        let error = resolve("listen", "0.0.0.0:3301").unwrap_err().to_string();
        assert!(error.contains("--advertise"), "{error}");
        assert!(resolve("advertise", "[::]:1").is_err());
        assert!(resolve("pg-listen", "0.0.0.0:4327").is_ok());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (name, text) in [
            ("init-replication-factor", "0"),
            ("init-replication-factor", "10"),
            ("log-format", "xml"),
            ("tier", ""),
            ("data-dir", ""),
        ] {
            assert!(resolve(name, text).is_err(), "{name} {text:?}");
        }
    }
}
