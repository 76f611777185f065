//! What the shell counts, as Prometheus text behind the instance's own metrics.

use std::cell::Cell;
use std::fmt::Write;

/// Counters of one reactor since its start.
#[derive(Debug, Default)]
pub struct Counters {
    pub turns: Cell<u64>,
    pub events: Cell<u64>,
    pub parks: Cell<u64>,
    pub connections_accepted: Cell<u64>,
    pub connections_refused: Cell<u64>,
    pub client_bytes_received: Cell<u64>,
    pub client_bytes_sent: Cell<u64>,
    pub peer_messages_received: Cell<u64>,
    pub peer_messages_sent: Cell<u64>,
    pub peer_messages_dropped: Cell<u64>,
    pub peer_dials_failed: Cell<u64>,
    pub disk_operations: Cell<u64>,
}

/// Adds to a counter.
pub fn add(counter: &Cell<u64>, amount: usize) {
    counter.set(counter.get().wrapping_add(amount as u64));
}

impl Counters {
    /// Appends every counter in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        let all = [
            ("turns", "Turns of the reactor", &self.turns),
            ("events", "Events given to the instance", &self.events),
            ("parks", "Times the reactor went to sleep", &self.parks),
            ("connections_accepted", "Client connections", &self.connections_accepted),
            ("connections_refused", "Connections over the limit", &self.connections_refused),
            ("client_received_bytes", "Bytes from clients", &self.client_bytes_received),
            ("client_sent_bytes", "Bytes to clients", &self.client_bytes_sent),
            ("peer_messages_received", "Messages from peers", &self.peer_messages_received),
            ("peer_messages_sent", "Messages to peers", &self.peer_messages_sent),
            ("peer_messages_dropped", "Messages without a way", &self.peer_messages_dropped),
            ("peer_dials_failed", "Failed connects to peers", &self.peer_dials_failed),
            ("disk_operations", "Disk operations submitted", &self.disk_operations),
        ];
        for (name, help, value) in all {
            let value = value.get();
            let _ = write!(
                out,
                "# HELP basalt_net_{name}_total {help}.\n# TYPE basalt_net_{name}_total counter\n\
                 basalt_net_{name}_total {value}\n"
            );
        }
    }
}
