//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use uuid::Uuid;

use crate::settings::{SETTINGS, Sources, Values};

/// The instance that is asked where none is named.
pub const DEFAULT_PEER: &str = "127.0.0.1:3301";

/// A distributed SQL database that speaks PostgreSQL's protocol.
#[derive(Parser, Debug)]
#[command(name = "basalt", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run an instance: start a cluster, join one, or resume
    Run(RunArguments),
    /// SQL as the superuser over an instance's admin socket
    Admin(AdminArguments),
    /// Show the instances of a cluster
    Status(StatusArguments),
    /// Take an instance out of its cluster for good
    Expel(ExpelArguments),
    /// Run a whole local cluster in this process
    Demo(DemoArguments),
    /// Show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the version
    Version,
}

#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print a configuration file with every setting at its default
    Default,
}

/// How the admin console prints results.
#[derive(Args, Debug)]
pub struct AdminArguments {
    /// The instance's admin socket, for example data/admin.sock
    pub socket: PathBuf,
    /// Print tables (the default)
    #[arg(short, long, group = "format")]
    pub table: bool,
    /// Print JSON, one line a result
    #[arg(short, long, group = "format")]
    pub json: bool,
    /// Print CSV with a header line
    #[arg(short, long, group = "format")]
    pub csv: bool,
}

#[derive(Args, Debug)]
pub struct StatusArguments {
    /// Any instance of the cluster, or several with commas between: the first that answers is asked
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_PEER, env = "BASALT_PEER")]
    pub peer: String,
}

#[derive(Args, Debug)]
pub struct ExpelArguments {
    /// The instance's uuid, as _pico_instance shows it
    #[arg(value_name = "UUID", required_unless_present = "instance_uuid")]
    pub uuid: Option<Uuid>,
    /// The same, as a flag
    #[arg(long, value_name = "UUID", conflicts_with = "uuid")]
    pub instance_uuid: Option<Uuid>,
    /// Any instance of the cluster, or several with commas between: the first that answers is asked
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_PEER, env = "BASALT_PEER")]
    pub peer: String,
    /// Also if the instance is online
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct DemoArguments {
    /// Number of instances
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub nodes: u8,
    /// Copies of each row; as many as instances, up to 3, if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub replication_factor: Option<u8>,
    /// Keep the data here; a temporary directory that goes at the end if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Log level
    #[arg(long, value_name = "LEVEL", default_value = "warn", env = "BASALT_LOG_LEVEL")]
    pub log_level: String,
}

/// The settings given as flags, with where else to look.
#[derive(Debug, Default)]
pub struct RunArguments {
    flags: Values,
    overrides: Vec<String>,
    config: Option<PathBuf>,
}

impl RunArguments {
    /// Reads the environment and the file.
    pub fn sources(self) -> Result<Sources> {
        let environment = Values::from_environment(|name| std::env::var(name).ok());
        let config = self.config.or_else(|| std::env::var_os("BASALT_CONFIG").map(PathBuf::from));
        let file = match config {
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read configuration file {name}"))?;
                Some((name, text))
            }
            None => None,
        };
        Ok(Sources { flags: self.flags, overrides: self.overrides, environment, file })
    }
}

// Made from the table of settings, so that a flag cannot lack its variable or its key in the file.
impl Args for RunArguments {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = command
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("A YAML file; see `basalt config default`"),
            )
            .arg(
                Arg::new("set")
                    .short('c')
                    .value_name("PATH=VALUE")
                    .action(ArgAction::Append)
                    .help("Set one key of the file, for example instance.memory=2G"),
            )
            .after_help(
                "Each setting is also read from BASALT_<NAME>, for example BASALT_PG_LISTEN.\n\
                 A flag beats -c, which beats the environment, which beats the file.",
            );
        SETTINGS.iter().fold(command, |command, setting| {
            let help = match setting.default {
                Some(default) => format!("{} [default: {default}]", setting.help),
                None => setting.help.to_owned(),
            };
            let arg = Arg::new(setting.name)
                .long(setting.name)
                .aliases(setting.alias)
                .value_name(setting.value)
                .action(ArgAction::Append)
                .help(help);
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<RunArguments, clap::Error> {
        let mut arguments = RunArguments::default();
        arguments.update_from_arg_matches(matches)?;
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        self.overrides = matches.get_many::<String>("set").unwrap_or_default().cloned().collect();
        for setting in SETTINGS {
            let Some(given) = matches.get_many::<String>(setting.name) else { continue };
            let given: Vec<_> = given.map(String::as_str).collect();
            if given.len() > 1 && setting.name != "peer" {
                let message = format!("--{} is given more than once\n", setting.name);
                return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
            }
            self.flags.set(setting.name, given.join(","), format!("--{}", setting.name));
        }
        Ok(())
    }
}

impl Arguments {
    /// Reads the command line; help and mistakes are printed, and give the process's status.
    pub fn read() -> Result<Arguments, ExitCode> {
        Arguments::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                ExitCode::SUCCESS
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                ExitCode::from(2)
            }
            _ => {
                crate::complain(&format!("basalt: {}\n", mistake(&error.render().to_string())));
                ExitCode::from(2)
            }
        })
    }
}

/// The mistake in one line, without usage and tips.
fn mistake(rendered: &str) -> String {
    let first_paragraph = rendered.split("\n\n").next().unwrap_or_default();
    crate::one_line(first_paragraph.trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run_sources(words: &[&str]) -> Sources {
        let arguments = Arguments::try_parse_from(words).unwrap();
        let Command::Run(run) = arguments.command else { panic!("{words:?} is not a run") };
        Sources { flags: run.flags, overrides: run.overrides, ..Sources::default() }
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_decks_commands_are_understood() {
        let words = "basalt run --instance-dir tmp/i1 --iproto-listen :3301 --peer :3301 --peer a:1,b:2 \
                     --init-replication-factor 2 --failure-domain {\"dc\":\"dc1\"}";
        let options = run_sources(&words.split_whitespace().collect::<Vec<_>>()).resolve().unwrap();
        assert_eq!(options.data_dir, PathBuf::from("tmp/i1"));
        assert_eq!(options.listen.to_string(), "127.0.0.1:3301");
        let peers: Vec<_> = options.peers.iter().map(ToString::to_string).collect();
        assert_eq!(peers, ["127.0.0.1:3301", "a:1", "b:2"]);
        assert_eq!(options.init_replication_factor, 2);
        assert_eq!(options.failure_domain["DC"], "dc1");
    }

    #[test]
    fn mistakes_are_one_line() {
        for words in [
            &["basalt", "run", "--nonsense"][..],
            &["basalt", "run", "--listen", "a:1", "--listen", "b:1"],
            &["basalt", "admin"],
            &["basalt", "demo", "--nodes", "many"],
            &["basalt", "fly"],
            &["basalt", "admin", "x.sock", "-t", "-j"],
        ] {
            let error = Arguments::try_parse_from(words).unwrap_err();
            let line = mistake(&error.render().to_string());
            assert!(!line.is_empty() && !line.contains(['\n', '\u{1b}']), "{words:?}: {line:?}");
        }
    }
}
