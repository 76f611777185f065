//! Power failure: which of the changes not yet synced reached the medium.

use basalt_core::seam::Rng;

use super::content::{Content, PAGE_BYTES, SECTOR_BYTES};
use super::{Change, Disk, Inode, NameChange};

/// Which unsynced writes of a file survive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// All of them: only the machine's memory of names and open files is lost.
    KeepAll,
    /// The oldest ones up to a random point.
    Prefix,
    /// Each by itself: the disk wrote them in an order of its own.
    Any,
}

/// How a write that was under way looks afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tear {
    Whole,
    /// A prefix of whole sectors.
    Sectors,
    /// Any subset of its pages.
    Pages,
}

/// What happens to the end of a file that had grown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    AsWritten,
    /// The length was not yet on the medium.
    Truncated,
    /// The length was, the data was not.
    Zeroed,
}

/// What happens to unsynced changes of names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Names {
    KeepAll,
    /// Journaled: a prefix survives.
    Prefix,
    /// Every rename is lost.
    LoseRenames,
    /// New and removed entries survive each by itself.
    LoseEntries,
}

/// What a power failure does to a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loss {
    pub order: Order,
    pub tear: Tear,
    pub tail: Tail,
    pub names: Names,
}

impl Loss {
    /// Any that a disk may legally cause.
    pub fn draw(rng: &mut Rng) -> Loss {
        let orders = [Order::KeepAll, Order::Prefix, Order::Any];
        let tears = [Tear::Whole, Tear::Sectors, Tear::Pages];
        let tails = [Tail::AsWritten, Tail::Truncated, Tail::Zeroed];
        let names = [Names::KeepAll, Names::Prefix, Names::LoseRenames, Names::LoseEntries];
        Loss {
            order: orders[rng.below(3) as usize],
            tear: tears[rng.below(3) as usize],
            tail: tails[rng.below(3) as usize],
            names: names[rng.below(4) as usize],
        }
    }
}

impl Disk {
    /// The machine loses power: open files are gone, and of what was not synced only what `loss`
    /// lets live is on the medium.
    pub fn power_failed(&mut self, loss: Loss) {
        self.process_died();
        let changes = std::mem::take(&mut self.pending_names);
        for change in surviving_names(changes, loss.names, &mut self.rng) {
            self.durable.apply(&change);
        }
        let dirs = self.durable.dirs.clone();
        let lost =
            |path: &str| !super::parent(path).is_empty() && !dirs.contains(super::parent(path));
        self.durable.files.retain(|path, _| !lost(path));
        self.cached = self.durable.clone();
        for inode in self.inodes.values_mut() {
            lose_unsynced(inode, loss, &mut self.rng);
        }
        self.drop_unnamed_inodes();
    }
}

fn surviving_names(changes: Vec<(u64, NameChange)>, fate: Names, rng: &mut Rng) -> Vec<NameChange> {
    let cut = rng.below(changes.len() as u64 + 1) as usize;
    let survives = |k: usize, change: &NameChange, rng: &mut Rng| match fate {
        Names::KeepAll => true,
        Names::Prefix => k < cut,
        Names::LoseRenames => !matches!(change, NameChange::Rename { .. }),
        Names::LoseEntries => rng.below(2) == 0,
    };
    let mut kept = Vec::new();
    for (k, (_, change)) in changes.into_iter().enumerate() {
        if survives(k, &change, rng) {
            kept.push(change);
        }
    }
    kept
}

fn lose_unsynced(inode: &mut Inode, loss: Loss, rng: &mut Rng) {
    let synced_len = inode.durable.len();
    let pending = std::mem::take(&mut inode.pending);
    let cut = rng.below(pending.len() as u64 + 1) as usize;
    for (k, (_, change)) in pending.iter().enumerate() {
        let fate = match loss.order {
            Order::KeepAll => Fate::Kept,
            Order::Prefix if k < cut => Fate::Kept,
            Order::Prefix if k == cut => Fate::Torn,
            Order::Prefix => Fate::Lost,
            Order::Any => [Fate::Kept, Fate::Torn, Fate::Lost][rng.below(3) as usize],
        };
        match fate {
            Fate::Kept => change.apply(&mut inode.durable),
            Fate::Torn => tear(change, loss.tear, &mut inode.durable, rng),
            Fate::Lost => {}
        }
    }
    let grown_len = inode.durable.len();
    if grown_len > synced_len && !pending.is_empty() {
        let from = rng.range(synced_len, grown_len);
        match loss.tail {
            Tail::AsWritten => {}
            Tail::Truncated => inode.durable.truncate(from),
            Tail::Zeroed => inode.durable.zero(from, grown_len),
        }
    }
    inode.cached = inode.durable.clone();
    inode.previous = Content::default();
}

#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Torn,
    Lost,
}

fn tear(change: &Change, how: Tear, durable: &mut Content, rng: &mut Rng) {
    let Change::Write { offset, data } = change else { return };
    let unit = match how {
        Tear::Whole => return,
        Tear::Sectors => SECTOR_BYTES,
        Tear::Pages => PAGE_BYTES,
    };
    // Units are aligned in the file, not in the write.
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let left_in_unit = (unit - (offset + at as u64) % unit) as usize;
        let end = data.len().min(at + left_in_unit);
        pieces.push((at, end));
        at = end;
    }
    let reached = rng.below(pieces.len() as u64 + 1) as usize;
    for (k, (from, to)) in pieces.into_iter().enumerate() {
        let written = match how {
            Tear::Sectors => k < reached,
            Tear::Pages => rng.below(2) == 0,
            Tear::Whole => false,
        };
        if written {
            durable.write(offset + from as u64, &data[from..to]);
        }
    }
}
