//! Readers of single values. Their errors complete the sentence `PLACE: …`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail, ensure};

/// An address to listen on or to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl HostPort {
    /// `HOST:PORT`, `:PORT` for this machine only, `[IPV6]:PORT`.
    pub fn parse(text: &str) -> Result<HostPort> {
        let Some((host, port)) = text.rsplit_once(':') else {
            bail!("{text:?} has no port; expected HOST:PORT");
        };
        let Ok(port) = port.parse() else {
            bail!("{port:?} is not a port; expected a number up to 65535");
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        ensure!(
            bracketed || !host.contains([':', '[', ']', ' ', '/', '@']),
            "{host:?} is not a host; an IPv6 address needs brackets"
        );
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(HostPort { host: host.to_owned(), port })
    }

    /// Whether it stands for every address of the machine, which nobody can connect to.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "0.0.0.0" | "[::]" | "[::0]")
    }

    /// The same host, `step` ports on.
    pub fn shifted(&self, step: usize) -> Result<HostPort> {
        if self.port == 0 {
            return Ok(self.clone());
        }
        match u16::try_from(usize::from(self.port) + step) {
            Ok(port) => Ok(HostPort { host: self.host.clone(), port }),
            Err(_) => bail!("{self} and {step} ports on is beyond the last port"),
        }
    }
}

/// Addresses between commas.
pub fn peers(text: &str) -> Result<Vec<HostPort>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(HostPort::parse).collect()
}

/// Bytes: a number with an optional K, M, G or T (of 1,024).
pub fn size(text: &str) -> Result<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => bail!("{text:?} is not a size; expected for example 512M or 4G"),
    };
    let Ok(number) = number.parse::<u64>() else {
        bail!("{text:?} is not a size; expected for example 512M or 4G");
    };
    match number.checked_mul(1 << shift) {
        Some(bytes) => Ok(bytes),
        None => bail!("{text:?} is too large"),
    }
}

/// Core numbers: `0-3,6`. Sorted, each once.
pub fn cores(text: &str) -> Result<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>())
        else {
            bail!("{text:?} is not a list of cores; expected for example 0-3,6");
        };
        ensure!(first <= last && last < 4096, "{part:?} is not a range of cores");
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

/// A JSON object of text, or `key=value` pairs between commas. Keys in upper case.
pub fn failure_domain(text: &str) -> Result<BTreeMap<String, String>> {
    let text = text.trim();
    let mut domain = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        let known = domain.insert(key.trim().to_uppercase(), value.trim().to_owned());
        ensure!(!key.trim().is_empty(), "a failure domain without a name");
        ensure!(known.is_none(), "failure domain {key:?} is given twice");
        Ok(())
    };
    if text.starts_with('{') {
        let Ok(pairs) = serde_json::from_str::<BTreeMap<String, String>>(text) else {
            bail!(r#"{text} is not a JSON object of strings such as {{"dc": "east"}}"#);
        };
        for (key, value) in &pairs {
            add(key, value)?;
        }
        return Ok(domain);
    }
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("{pair:?} is not a failure domain; expected for example dc=east");
        };
        add(key, value)?;
    }
    Ok(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parse = |text: &str| HostPort::parse(text).map(|address| address.to_string()).ok();
        assert_eq!(parse(":3301").as_deref(), Some("127.0.0.1:3301"));
        assert_eq!(parse("db1:1").as_deref(), Some("db1:1"));
        assert_eq!(parse("[::1]:1").as_deref(), Some("[::1]:1"));
        for wrong in ["", "db1", "db1:", "db1:x", "db1:65536", "::1:1", "a b:1", "http://a:1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(HostPort::parse("a:65535").unwrap().shifted(1).is_err());
        assert_eq!(HostPort::parse("a:7").unwrap().shifted(2).unwrap().port, 9);
    }

    #[test]
    fn sizes() {
        let cases = [("0", 0), ("17", 17), ("1K", 1024), ("2m", 2 << 20), ("3GiB", 3 << 30)];
        for (text, bytes) in cases {
            assert_eq!(size(text).unwrap(), bytes);
        }
        for wrong in ["", "G", "1X", "-1", "1.5G", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn core_lists() {
        assert_eq!(cores("2,0-1,1").unwrap(), [0, 1, 2]);
        for wrong in ["", "a", "3-1", "1-", "0-99999"] {
            assert!(cores(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn failure_domains() {
        let expected = [("DC", "east"), ("RACK", "r1")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        assert_eq!(failure_domain("dc=east, rack=r1").unwrap(), expected);
        assert_eq!(failure_domain(r#"{"dc": "east", "Rack": "r1"}"#).unwrap(), expected);
        assert_eq!(failure_domain("").unwrap(), BTreeMap::new());
        for wrong in ["dc", "dc=a,DC=b", "=x", "{dc: 1}", r#"{"dc": 1}"#] {
            assert!(failure_domain(wrong).is_err(), "{wrong}");
        }
    }
}
