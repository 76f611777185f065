//! `basalt demo`: a local cluster in one process, until Ctrl-C.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use basalt_core::instance;
use basalt_net::reactor;

use crate::admin::Client;
use crate::arguments::DemoArguments;
use crate::instances::InstanceOptions;
use crate::logging;
use crate::process::{Process, Signals, judge, runtime};
use crate::say;
use crate::settings::{HostPort, LogFormat};

/// How long the cluster may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Where the ports of a new cluster are looked for.
const PORTS: Range<u16> = 10_000..32_000;
const POLL: Duration = Duration::from_millis(20);
/// Copies that a cluster large enough gets unless told otherwise.
const REPLICATION_FACTOR: u8 = 3;

/// Starts the cluster, says how to connect, and stops it at Ctrl-C.
pub fn run(arguments: &DemoArguments) -> Result<ExitCode> {
    let replication_factor =
        arguments.replication_factor.unwrap_or(arguments.nodes.min(REPLICATION_FACTOR));
    if replication_factor > arguments.nodes {
        bail!(
            "{} nodes cannot hold {replication_factor} copies; give --nodes {replication_factor}",
            arguments.nodes
        );
    }
    logging::start(&arguments.log_level, LogFormat::Plain)?;
    let directory = Directory::new(arguments.data_dir.as_deref())?;
    let runtime = runtime()?;
    let signals = Signals::listen(&runtime)?;
    let process = Process::start(nodes(arguments.nodes, replication_factor, &directory.path)?)?;
    let outcome = runtime.block_on(serve(process, signals, &directory));
    // The greeting may still wait for a cluster that is gone.
    runtime.shutdown_background();
    outcome?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(mut process: Process, mut signals: Signals, directory: &Directory) -> Result<()> {
    let http: Vec<_> = process.bound.iter().filter_map(|bound| bound.http.clone()).collect();
    let admin = process.bound[0].admin.clone().unwrap_or_default();
    let pg: Vec<_> = process.bound.iter().filter_map(|bound| bound.pg.clone()).collect();
    let kept = directory.temporary.is_none().then(|| directory.path.clone());
    let greeting = tokio::task::spawn_blocking(move || {
        wait_until_ready(&http)?;
        let password = give_admin_a_password(Path::new(&admin))?;
        greeting(&pg, &http, &admin, &password, kept.as_deref())
    });
    let outcome = tokio::select! {
        biased;
        outcome = process.ended() => outcome,
        () = signals.next() => None,
        done = async { match greeting.await? { Ok(text) => {
            say(&text);
            std::future::pending::<Result<()>>().await
        }, Err(error) => Err(error) } } => { done?; None }
    };
    say("\nStopping.\n");
    let stopped = tokio::select! {
        biased;
        stopped = process.stop() => stopped,
        () = signals.next() => Ok(()),
    };
    outcome.map_or(Ok(()), judge)?;
    stopped
}

/// Where the nodes keep their data; a temporary one goes when this does.
struct Directory {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Directory {
    fn new(kept: Option<&Path>) -> Result<Directory> {
        if let Some(path) = kept {
            return Ok(Directory { path: path.to_owned(), temporary: None });
        }
        let temporary = tempfile::Builder::new()
            .prefix("basalt-demo-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        Ok(Directory { path: temporary.path().to_owned(), temporary: Some(temporary) })
    }
}

/// Addresses are part of a cluster's state, so a kept directory keeps its ports.
fn nodes(count: u8, replication_factor: u8, directory: &Path) -> Result<Vec<InstanceOptions>> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make directory {}", directory.display()))?;
    let ports = ports(usize::from(count) * 3, &directory.join("ports"))?;
    let address = |port: u16| HostPort { host: "127.0.0.1".to_owned(), port };
    let first = address(ports[0]);
    let nodes = ports.chunks(3).enumerate().map(|(k, ports)| {
        let [listen, pg, http] = [0, 1, 2].map(|which| address(ports[which]));
        let data_dir = directory.join(format!("node{}", k + 1));
        let limits = instance::Limits::default();
        let reactor = reactor::Config {
            listen: listen.to_string(),
            advertise: None,
            pg_listen: Some(pg.to_string()),
            http_listen: Some(http.to_string()),
            admin_socket: Some(data_dir.join("admin.sock")),
            connections_max: limits.connections,
            peer_connections_max: reactor::PEER_CONNECTIONS_MAX,
            // The nodes share the cores with each other and with the client.
            spin: Duration::ZERO,
        };
        let instance = instance::Config {
            address: listen.to_string(),
            pg_address: pg.to_string(),
            http_address: http.to_string(),
            peers: vec![first.to_string()],
            cluster_name: Some("demo".to_owned()),
            instance_name: None,
            replicaset_name: None,
            tier: "default".to_owned(),
            replication_factor,
            failure_domain: BTreeMap::new(),
            limits,
            times: instance::Times::default(),
        };
        InstanceOptions { data_dir, address: listen, core: None, record: None, reactor, instance }
    });
    Ok(nodes.collect())
}

/// Ports chosen before, or free ones now; remembered in `file`.
///
/// They are below the range outgoing connections are given, so that they are free again at the next start.
fn ports(count: usize, file: &Path) -> Result<Vec<u16>> {
    if let Ok(text) = std::fs::read_to_string(file) {
        let ports: Result<Vec<u16>, _> = text.split_whitespace().map(str::parse).collect();
        let ports = ports.with_context(|| format!("{} does not list ports", file.display()))?;
        if ports.len() != count {
            bail!("the cluster in {} has {} nodes", file.display(), ports.len() / 3);
        }
        return Ok(ports);
    }
    // Several clusters that start at once begin to look at different places.
    let offset = std::process::id() as usize * 16 % PORTS.len();
    let ports: Vec<u16> = (PORTS.skip(offset).chain(PORTS))
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .take(count)
        .collect();
    let text: Vec<_> = ports.iter().map(ToString::to_string).collect();
    std::fs::write(file, text.join(" "))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(ports)
}

fn wait_until_ready(http: &[String]) -> Result<()> {
    let start = Instant::now();
    for address in http {
        while !is_ready(address) {
            if start.elapsed() > READY_WITHIN {
                bail!("the cluster was not ready within {} s", READY_WITHIN.as_secs());
            }
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET /health/ready HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

/// The superuser may connect over the network once it has a password.
fn give_admin_a_password(socket: &Path) -> Result<String> {
    let mut seed = [0; 12];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed))?;
    // The password rules ask for a letter of each case and a digit.
    let mut password = String::from("Demo1-");
    for byte in seed {
        write!(password, "{byte:02x}")?;
    }
    let mut client = Client::connect(socket)?;
    let results = client.query(&format!("ALTER USER \"admin\" WITH PASSWORD '{password}'"))?;
    match results.error {
        Some(error) => bail!("cannot give the superuser a password: {}", error.message),
        None => Ok(password),
    }
}

fn greeting(
    pg: &[String],
    http: &[String],
    admin: &str,
    password: &str,
    kept: Option<&Path>,
) -> Result<String> {
    let mut out = format!("A cluster of {} is ready. Connect to any instance:\n\n", pg.len());
    for address in pg {
        writeln!(out, "  psql \"postgres://admin:{password}@{address}/basalt\"")?;
    }
    writeln!(out, "\nThe cluster page:   http://{}/", http[0])?;
    writeln!(out, "The admin console:  basalt admin {admin}")?;
    match kept {
        Some(path) => writeln!(out, "The data stays in   {}", path.display())?,
        None => writeln!(out, "The data goes at the end; keep it with --data-dir.")?,
    }
    writeln!(out, "\nCtrl-C stops the cluster.")?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_cluster_keeps_its_ports_and_its_size() {
        let directory = tempfile::tempdir().unwrap();
        let first = nodes(3, 3, directory.path()).unwrap();
        let again = nodes(3, 3, directory.path()).unwrap();
        let addresses = |nodes: &[InstanceOptions]| {
            nodes.iter().map(|node| node.instance.pg_address.clone()).collect::<Vec<_>>()
        };
        assert_eq!(addresses(&first), addresses(&again));
        let error = nodes(2, 2, directory.path()).unwrap_err().to_string();
        assert!(error.ends_with("has 3 nodes"), "{error}");
    }
}
