//! Three machines with an instance each, and a supervisor's hand on them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use basalt_core::instance::{self, Instance, Limits, Times};
use basalt_core::seam::Rng;
use basalt_net::Neighbours;
use basalt_net::reactor::{self, Config};
use basalt_sim::disk::{Disk, Latency, Loss, Names, Order, Tail, Tear};
use madsim::net::NetSim;
use madsim::runtime::Handle;
use madsim::task::NodeId;
use madsim::time::sleep;

use crate::platform::{Machine, SimPlatform};

pub const NODES: usize = 3;
/// Small, so that segments fill and logs are cut within a run.
const WAL_SEGMENT_BYTES: u64 = 256 << 10;
const LOG_BEFORE_SNAPSHOT_BYTES: u64 = 64 << 10;
const CONNECTIONS_MAX: usize = 100;

/// The cluster under test.
pub struct Cluster {
    pub machines: Vec<Arc<Machine>>,
    nodes: Vec<NodeId>,
}

impl Cluster {
    /// Starts the instances: the founder first, the others a little later.
    pub async fn start(rng: &mut Rng) -> Cluster {
        let mut cluster = Cluster { machines: Vec::new(), nodes: Vec::new() };
        for number in 1..=NODES {
            let (name, ip) = (format!("n{number}"), format!("10.0.0.{number}"));
            let disk = Disk::new(rng.fork(&format!("disk/{name}")), Latency::default());
            let clock_ahead = Duration::from_millis(rng.below(200));
            let machine = Arc::new(Machine::new(name, ip, clock_ahead, disk));
            let process = machine.clone();
            let node = Handle::current()
                .create_node()
                .name(machine.name.clone())
                .ip(machine.ip.parse().expect("an address of ours"))
                .init(move || run(process.clone()))
                .build();
            cluster.nodes.push(node.id());
            cluster.machines.push(machine);
            sleep(Duration::from_millis(20)).await;
        }
        cluster
    }

    /// Ends a process at once. With the power goes what its disk had not synced.
    pub fn kill(&self, node: usize, power_loss: Option<Loss>) {
        Handle::current().kill(self.nodes[node]);
        let mut disk = self.machines[node].disk();
        match power_loss {
            None => disk.process_died(),
            Some(loss) => disk.power_failed(loss),
        }
    }

    pub fn restart(&self, node: usize) {
        Handle::current().restart(self.nodes[node]);
    }

    /// Cuts a machine off: what it sends, what it receives, or both.
    pub fn isolate(&self, node: usize, outgoing: bool, incoming: bool) {
        let network = NetSim::current();
        if outgoing {
            network.clog_node_out(self.nodes[node]);
        }
        if incoming {
            network.clog_node_in(self.nodes[node]);
        }
    }

    pub fn rejoin(&self, node: usize) {
        NetSim::current().unclog_node(self.nodes[node]);
    }

    /// Cuts the way from one machine to another.
    pub fn cut(&self, from: usize, to: usize) {
        NetSim::current().clog_link(self.nodes[from], self.nodes[to]);
    }

    pub fn join(&self, from: usize, to: usize) {
        NetSim::current().unclog_link(self.nodes[from], self.nodes[to]);
    }

    /// Which process ended by itself, and why.
    pub fn ended(&self) -> Option<String> {
        self.machines.iter().find_map(|machine| machine.ended())
    }
}

/// What a power failure takes: drawn anew each time.
pub fn draw_loss(rng: &mut Rng) -> Loss {
    let one = |rng: &mut Rng| rng.below(3);
    Loss {
        order: [Order::KeepAll, Order::Prefix, Order::Any][one(rng) as usize],
        tear: [Tear::Whole, Tear::Sectors, Tear::Pages][one(rng) as usize],
        tail: [Tail::AsWritten, Tail::Truncated, Tail::Zeroed][one(rng) as usize],
        names: [Names::KeepAll, Names::Prefix, Names::LoseEntries][one(rng) as usize],
    }
}

/// One process: the production reactor around an instance.
async fn run(machine: Arc<Machine>) {
    let config = Config {
        listen: machine.peer_address(),
        advertise: None,
        pg_listen: Some(machine.pg_address()),
        http_listen: Some(machine.http_address()),
        admin_socket: Some(PathBuf::from("admin.sock")),
        connections_max: CONNECTIONS_MAX,
        peer_connections_max: CONNECTIONS_MAX,
        spin: Duration::ZERO,
    };
    let instance = instance_config(&machine);
    let platform = SimPlatform::begin(machine.clone());
    let outcome = reactor::run(platform, config, Neighbours::none(), |bound, seed| {
        assert_eq!(bound.advertise.0.as_ref(), instance.address, "the address bound");
        Instance::new(instance, seed)
    });
    machine.set_ended(outcome.await);
}

fn instance_config(machine: &Machine) -> instance::Config {
    instance::Config {
        address: machine.peer_address(),
        pg_address: machine.pg_address(),
        http_address: machine.http_address(),
        peers: vec!["10.0.0.1:3301".to_owned()],
        cluster_name: None,
        instance_name: None,
        replicaset_name: None,
        tier: "default".to_owned(),
        replication_factor: NODES as u8,
        failure_domain: [("HOST".to_owned(), machine.name.to_uppercase())].into(),
        limits: Limits {
            wal_segment: WAL_SEGMENT_BYTES,
            log_before_snapshot: LOG_BEFORE_SNAPSHOT_BYTES,
            ..Limits::default()
        },
        times: Times::default(),
    }
}
