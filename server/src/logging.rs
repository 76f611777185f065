//! Logs, on stderr.
//!
//! A log that nobody reads any more, or that has filled its disk, is no reason to end a database: what
//! cannot be written is dropped.

use anyhow::{Context, Result, ensure};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::settings::LogFormat;

/// Starts logging for this process.
pub fn start(level: &str, format: LogFormat) -> Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level)?)
        .with_writer(std::io::stderr)
        // They would be printed to stderr, which panics when that is what cannot be written.
        .log_internal_errors(false);
    match format {
        LogFormat::Plain => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// A level, or a filter such as `info,basalt_core=debug`. A lone word that is no level would be a filter
/// too, for a part of the program of that name, and silence everything else.
fn filter(level: &str) -> Result<EnvFilter> {
    let is_filter = level.contains(['=', ',', '[']);
    ensure!(
        is_filter || (!level.is_empty() && level.parse::<LevelFilter>().is_ok()),
        "{level:?} is not a log level; expected off, error, warn, info, debug, trace, or a filter such as \
         info,basalt_core=debug"
    );
    EnvFilter::try_new(level).with_context(|| format!("log level {level:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused() {
        for level in ["off", "error", "WARN", "info", "debug", "trace", "info,basalt_core=debug"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["", "warning", "infoo", "basalt_core", "info,basalt_core=loud"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }
}
