//! From what a process was told to what each of its instances is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use basalt_core::instance;
use basalt_net::reactor;

use crate::settings::{HostPort, ServerOptions};

/// How long a reactor polls before it sleeps, where a core is free for that.
const SPIN: Duration = Duration::from_micros(20);

/// Of how many cores a directory is searched for instances.
const CORES_LOOKED_AT: usize = 256;

/// One instance of this process.
#[derive(Clone, Debug)]
pub struct InstanceOptions {
    pub data_dir: PathBuf,
    /// Where other instances reach it.
    pub address: HostPort,
    pub core: Option<usize>,
    /// Where a recording of it is made.
    pub record: Option<PathBuf>,
    pub reactor: reactor::Config,
    pub instance: instance::Config,
}

/// The instances a server process runs: one, or one a core of `--cores`.
///
/// With several, the k-th (from 0) listens `k` ports on, keeps its data in `DIR/k`, and those behind
/// the first join through it if no peer is given.
///
/// # Errors
/// The data directory was that of one instance and there are to be several, or the other way round:
/// the rows it has would not be found.
pub fn of_server(options: &ServerOptions) -> Result<Vec<InstanceOptions>> {
    let count = options.cores.len().max(1);
    refuse_other_layout(&options.data_dir, count)?;
    let spin = if count < available_cores() { SPIN } else { Duration::ZERO };
    (0..count).map(|k| one(options, k, count, spin)).collect()
}

fn one(options: &ServerOptions, k: usize, count: usize, spin: Duration) -> Result<InstanceOptions> {
    let several = count > 1;
    let listen = options.listen.shifted(k)?;
    let advertised = options.advertise.as_ref().unwrap_or(&options.listen);
    let address = advertised.shifted(k)?;
    let pg_listen = options.pg_listen.shifted(k)?;
    let http_listen = options.http_listen.shifted(k)?;
    let data_dir = match several {
        true => options.data_dir.join(k.to_string()),
        false => options.data_dir.clone(),
    };
    let admin_socket = match &options.admin_sock {
        Some(path) if several => PathBuf::from(format!("{}.{k}", path.display())),
        Some(path) => path.clone(),
        None => data_dir.join("admin.sock"),
    };
    let mut peers: Vec<_> = options.peers.iter().map(ToString::to_string).collect();
    if peers.is_empty() && k > 0 {
        peers.push(advertised.to_string());
    }
    let instance_name = options.instance_name.as_ref().map(|name| match several {
        true => format!("{name}_{k}"),
        false => name.clone(),
    });
    let limits = instance::Limits::of_memory(options.memory_bytes);
    let reactor = reactor::Config {
        listen: listen.to_string(),
        // With a port yet to be chosen, what was bound.
        advertise: (address.port != 0).then(|| address.to_string()),
        pg_listen: Some(pg_listen.to_string()),
        http_listen: Some(http_listen.to_string()),
        admin_socket: Some(admin_socket),
        connections_max: limits.connections,
        peer_connections_max: reactor::PEER_CONNECTIONS_MAX,
        spin,
    };
    let instance = instance::Config {
        address: address.to_string(),
        pg_address: reachable(&pg_listen, &address).to_string(),
        http_address: reachable(&http_listen, &address).to_string(),
        peers,
        cluster_name: options.cluster_name.clone(),
        instance_name,
        replicaset_name: options.replicaset_name.clone(),
        tier: options.tier.clone(),
        replication_factor: options.init_replication_factor,
        failure_domain: options.failure_domain.clone(),
        limits,
        times: instance::Times::default(),
    };
    Ok(InstanceOptions {
        data_dir,
        address,
        core: options.cores.get(k).copied(),
        record: options.record.clone(),
        reactor,
        instance,
    })
}

fn refuse_other_layout(data_dir: &Path, count: usize) -> Result<()> {
    let shown = data_dir.display();
    if holds_instance(data_dir) {
        // Numbered ones beside it are of no matter to one that is there by itself.
        if count == 1 {
            return Ok(());
        }
        bail!(
            "data directory {shown} holds one instance and --cores asks for {count}: start it with one \
             core, or give the {count} instances a --data-dir of their own"
        );
    }
    let numbered = (0..CORES_LOOKED_AT).find(|k| holds_instance(&data_dir.join(k.to_string())));
    if let Some(k) = numbered.filter(|_| count == 1) {
        bail!(
            "data directory {shown} holds an instance for each of several cores (one is in {shown}/{k}): \
             start it with --cores as before, or give --data-dir {shown}/{k} to run that one alone"
        );
    }
    Ok(())
}

fn holds_instance(directory: &Path) -> bool {
    directory.join(instance::IDENTITY_FILE).exists()
}

/// Where others reach a port: the advertised host, if the port listens on every address.
fn reachable(listen: &HostPort, advertised: &HostPort) -> HostPort {
    match listen.is_wildcard() {
        true => HostPort { host: advertised.host.clone(), port: listen.port },
        false => listen.clone(),
    }
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn options(flags: &[(&'static str, &str)]) -> ServerOptions {
        let mut sources = Sources::default();
        for (name, text) in flags {
            sources.flags.set(name, *text, format!("--{name}"));
        }
        sources.resolve().unwrap()
    }

    #[test]
    fn one_instance_gets_what_the_process_was_told() {
        let all = of_server(&options(&[
            ("data-dir", "d"),
            ("listen", "0.0.0.0:3301"),
            ("advertise", "db1:3301"),
            ("pg-listen", "0.0.0.0:4327"),
            ("memory", "2G"),
        ]));
        let [one] = &all.unwrap()[..] else { panic!("one instance") };
        assert_eq!(one.data_dir, PathBuf::from("d"));
        assert_eq!(one.reactor.listen, "0.0.0.0:3301");
        assert_eq!(one.instance.address, "db1:3301");
        assert_eq!(one.instance.pg_address, "db1:4327");
        assert_eq!(one.instance.limits.memory, 2 << 30);
        assert!(one.instance.peers.is_empty());
        assert_eq!(one.core, None);
    }

    #[test]
    fn a_directory_of_one_instance_is_not_taken_for_that_of_several_nor_the_other_way_round() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap().to_owned();
        let start = |cores: &str| of_server(&options(&[("data-dir", &path), ("cores", cores)]));
        for of_one in [true, false] {
            let holder = directory.path().join(if of_one { "" } else { "1" });
            assert!(start("0").is_ok() && start("0-1").is_ok(), "nothing is there yet");
            std::fs::create_dir_all(&holder).unwrap();
            std::fs::write(holder.join(instance::IDENTITY_FILE), "x").unwrap();
            assert_eq!((start("0").is_ok(), start("0-1").is_ok()), (of_one, !of_one));
            let refused = start(if of_one { "0-1" } else { "0" }).unwrap_err().to_string();
            assert!(refused.contains(&path) && refused.contains("--cores"), "{refused}");
            std::fs::remove_file(holder.join(instance::IDENTITY_FILE)).unwrap();
        }
    }

    #[test]
    fn one_instance_in_a_directory_of_both_layouts_starts_and_several_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap().to_owned();
        for holder in ["", "0"] {
            let holder = directory.path().join(holder);
            std::fs::create_dir_all(&holder).unwrap();
            std::fs::write(holder.join(instance::IDENTITY_FILE), "x").unwrap();
        }
        let start = |cores: &str| of_server(&options(&[("data-dir", &path), ("cores", cores)]));
        assert_eq!(start("0").unwrap()[0].data_dir, directory.path());
        assert!(start("0-1").unwrap_err().to_string().contains("holds one instance"));
    }

    #[test]
    fn instances_of_one_process_have_their_own_ports_directories_and_cores() {
        let all =
            of_server(&options(&[("data-dir", "d"), ("cores", "4,7"), ("instance-name", "i")]));
        let [first, second] = &all.unwrap()[..] else { panic!("two instances") };
        assert_eq!((first.core, second.core), (Some(4), Some(7)));
        assert_eq!(second.data_dir, PathBuf::from("d/1"));
        assert_eq!(second.reactor.pg_listen.as_deref(), Some("127.0.0.1:4328"));
        assert_eq!(second.reactor.admin_socket, Some(PathBuf::from("d/1/admin.sock")));
        assert_eq!(second.instance.instance_name.as_deref(), Some("i_1"));
        assert_eq!(first.instance.peers, Vec::<String>::new());
        assert_eq!(second.instance.peers, ["127.0.0.1:3301"]);
    }
}
