//! The YAML file and `-c PATH=VALUE`: nested keys flattened to settings.

use anyhow::{Context, Result, bail};
use serde_yaml_ng::Value;

use super::{Setting, Values};

/// The settings in a file's text. `null` leaves a setting unset.
pub fn values(name: &str, text: &str) -> Result<Values> {
    let root: Value = serde_yaml_ng::from_str(text)?;
    let mut values = Values::default();
    flatten("", &root, &mut |path, setting, text| {
        values.set(setting.name, text, format!("{path} in {name}"));
    })?;
    Ok(values)
}

/// The setting in one `PATH=VALUE`.
pub fn override_values(text: &str) -> Result<Values> {
    let Some((path, value)) = text.split_once('=') else {
        bail!("-c {text}: expected PATH=VALUE, for example instance.memory=2G");
    };
    let value: Value =
        serde_yaml_ng::from_str(value).with_context(|| format!("-c {path}: not a YAML value"))?;
    let mut values = Values::default();
    flatten(path, &value, &mut |path, setting, text| {
        values.set(setting.name, text, format!("-c {path}"));
    })?;
    Ok(values)
}

/// Hands each setting under `path` to `take`.
fn flatten(
    path: &str,
    value: &Value,
    take: &mut impl FnMut(&str, &'static Setting, String),
) -> Result<()> {
    if let Some(setting) = Setting::of_file_path(path) {
        if let Some(text) = flat_text(path, value)? {
            take(path, setting, text);
        }
        return Ok(());
    }
    let Value::Mapping(mapping) = value else {
        // An empty section or an empty file.
        if value.is_null() && matches!(path, "" | "cluster" | "instance" | "cluster.tier") {
            return Ok(());
        }
        if path.is_empty() {
            bail!("expected keys such as instance.listen");
        }
        bail!("unknown key {path}");
    };
    for (key, value) in mapping {
        let key = scalar(path, key)?.unwrap_or_default();
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        flatten(&path, value, take)?;
    }
    Ok(())
}

/// A value as a flag would spell it: lists with commas, maps as `key=value`.
fn flat_text(path: &str, value: &Value) -> Result<Option<String>> {
    match value {
        Value::Sequence(items) => {
            let items: Result<Vec<_>> =
                items.iter().map(|item| Ok(scalar(path, item)?.unwrap_or_default())).collect();
            Ok(Some(items?.join(",")))
        }
        Value::Mapping(entries) => {
            let mut pairs = Vec::new();
            for (key, value) in entries {
                let (key, value) = (scalar(path, key)?, scalar(path, value)?);
                pairs.push(format!("{}={}", key.unwrap_or_default(), value.unwrap_or_default()));
            }
            Ok(Some(pairs.join(",")))
        }
        value => scalar(path, value),
    }
}

/// `None` for `null`.
fn scalar(path: &str, value: &Value) -> Result<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Number(value) => Ok(Some(value.to_string())),
        Value::String(value) => Ok(Some(value.clone())),
        _ => bail!("{path}: expected a plain value"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_maps_and_other_spellings_are_understood() {
        let text = "
cluster:
  tier: {default: {replication_factor: 3}}
instance:
  iproto_listen: ':3301'
  instance_dir: /data
  peer: [a:1, b:2]
  failure_domain: {dc: east, rack: 7}
  cores: null
";
        let values = values("f.yaml", text).unwrap();
        let text = |name: &str| values.get(name).map(|given| given.text.as_str());
        assert_eq!(text("init-replication-factor"), Some("3"));
        assert_eq!(text("listen"), Some(":3301"));
        assert_eq!(text("data-dir"), Some("/data"));
        assert_eq!(text("peer"), Some("a:1,b:2"));
        assert_eq!(text("failure-domain"), Some("dc=east,rack=7"));
        assert_eq!(text("cores"), None);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        for text in ["", "instance:\n", "# nothing\n"] {
            assert_eq!(values("f.yaml", text).unwrap(), Values::default());
        }
    }
}
