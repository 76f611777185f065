//! The table of fault kinds.

use serde::{Deserialize, Serialize};

/// Which part of the world a fault breaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Area {
    Network,
    Client,
    Disk,
    Files,
    Clock,
    Process,
    Topology,
    /// Who belongs to the cluster.
    Members,
}

/// What a fault takes from the cluster, for the budget of a survivable run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Damage {
    /// Nothing durable: everything is as before once it is over.
    None,
    /// One durable copy, and every sound instance notices (a checksum, an empty disk).
    OneCopy,
    /// More than any instance can notice: only for beyond-budget runs.
    BeyondBudget,
}

macro_rules! kinds {
    ($($id:literal $variant:ident $name:literal $area:ident $damage:ident $what:literal;)*) => {
        /// A kind of fault. Ids and names are stable: plans and corpora name them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum Kind { $(#[serde(rename = $name)] $variant,)* }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            pub fn id(self) -> u16 {
                match self { $(Kind::$variant => $id,)* }
            }

            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            pub fn area(self) -> Area {
                match self { $(Kind::$variant => Area::$area,)* }
            }

            pub fn damage(self) -> Damage {
                match self { $(Kind::$variant => Damage::$damage,)* }
            }

            /// One line for people.
            pub fn what(self) -> &'static str {
                match self { $(Kind::$variant => $what,)* }
            }
        }
    };
}

kinds! {
    1 NetDelay "net.delay" Network None "every message of a link takes longer";
    2 NetJitter "net.jitter" Network None "latency of a link varies widely";
    3 NetReorder "net.reorder" Network None "messages of one lane overtake each other";
    4 NetDrop "net.drop" Network None "messages are lost";
    5 NetDuplicate "net.duplicate" Network None "messages arrive twice";
    6 NetLateReplay "net.late-replay" Network None "a message arrives again long after, past any lease";
    7 NetCorrupt "net.corrupt" Network None "a frame's bits flip; the receiver drops the link";
    8 NetTruncate "net.truncate" Network None "a frame is cut short; the receiver drops the link";
    9 NetClog "net.clog" Network None "messages pile up and arrive when the link clears";
    10 NetSwizzle "net.swizzle" Network None "instances are clogged one by one, then cleared in another order";
    11 NetBandwidth "net.bandwidth" Network None "few bytes a second pass";
    12 NetOneWay "net.one-way-cut" Network None "messages pass one way only";
    13 NetHalves "net.halves" Network None "two sides cannot reach each other";
    14 NetIsolateLeader "net.isolate-leader" Network None "the present leader is alone";
    15 NetBridge "net.bridge" Network None "two sides that only one instance can reach";
    16 NetRing "net.majorities-ring" Network None "each sees a majority, no two the same one";
    17 ClientReset "client.reset" Client None "client connections break";
    18 ClientSplit "client.split" Client None "client bytes arrive in odd pieces";
    19 ClientDelay "client.delay" Client None "client bytes take longer";
    20 DiskLoseUnsynced "disk.lose-unsynced" Disk None "power fails; unsynced writes past a point are gone";
    21 DiskTornSector "disk.torn-sector" Disk None "power fails; the last write is there up to a sector";
    22 DiskTornPages "disk.torn-pages" Disk None "power fails; some pages of a write are there";
    23 DiskReorder "disk.reorder" Disk None "power fails; unsynced writes survive in any order";
    24 DiskLyingSync "disk.lying-fsync" Disk BeyondBudget "fsync answers and does nothing, then power fails";
    25 DiskSyncError "disk.fsync-error" Disk None "fsync fails and drops writes";
    26 DiskReadError "disk.read-error" Disk None "reads fail";
    27 DiskWriteError "disk.write-error" Disk None "writes fail, partly done";
    28 DiskBitRot "disk.bit-rot" Disk OneCopy "bits flip in stored bytes";
    29 DiskMisdirected "disk.misdirected-write" Disk BeyondBudget "a write lands elsewhere";
    30 DiskStaleRead "disk.stale-read" Disk BeyondBudget "a read gives the bytes before the last write";
    31 DiskShortIo "disk.short-io" Disk None "writes are carried out in pieces";
    32 DiskSlow "disk.slow" Disk None "the disk is many times slower";
    33 DiskStall "disk.stall" Disk None "nothing completes for a while";
    34 DiskFull "disk.full" Disk None "no space left";
    35 FileLostRename "file.lost-rename" Files None "power fails; unsynced renames are gone";
    36 FileLostEntry "file.lost-entry" Files None "power fails; unsynced directory entries are gone";
    37 FileTruncatedTail "file.truncated-tail" Files None "power fails; a grown file is shorter";
    38 FileZeroTail "file.zero-tail" Files None "power fails; a grown file ends in zeros";
    39 ClockDrift "clock.drift" Clock None "clocks run up to 500 ppm off";
    40 ClockStepForward "clock.step-forward" Clock None "the wall clock jumps ahead";
    41 ClockStepBack "clock.step-back" Clock None "the wall clock jumps back";
    42 ClockFreeze "clock.freeze" Clock None "the wall clock stands still";
    43 ClockStrobe "clock.strobe" Clock None "the wall clock jumps to and fro";
    44 ClockSkew "clock.skew" Clock None "the wall clock is off by hours";
    45 ClockSmear "clock.leap-smear" Clock None "a leap second is smeared over the wall clock";
    46 ProcessKill "process.kill" Process None "the process dies; the operating system lives";
    47 ProcessKillRecovery "process.kill-in-recovery" Process None "the process dies again while it recovers";
    48 ProcessKillIo "process.kill-at-io" Process None "power fails between two effects on the disk";
    49 ProcessPause "process.pause" Process None "the process stands still past its lease";
    50 ProcessSlow "process.slow-cpu" Process None "every turn takes many times longer";
    52 ProcessWiped "process.wiped-disk" Process OneCopy "an instance comes back with an empty disk";
    53 ProcessOldImage "process.old-image" Process BeyondBudget "an instance comes back with an old disk";
    54 DcCut "dc.cut" Topology None "a data centre cannot reach the others";
    55 DcPowerLoss "dc.power-loss" Topology None "a data centre loses power at once";
    56 DcStaggered "dc.staggered-loss" Topology None "a data centre goes down instance by instance";
    57 DcRandomReturn "dc.random-return" Topology None "a data centre comes back in random order";
    58 DcLatency "dc.latency-jump" Topology None "latency between data centres jumps";
    61 PermanentLoss "dc.permanent-loss" Topology None "a minority dies and never comes back";
    65 MonoJump "clock.mono-jump" Clock BeyondBudget "a monotonic clock jumps ahead, which no machine may";
    66 ProcessStop "process.stop" Process None "an instance is told to stop, hands its work over and starts again";
    67 Expel "topology.expel" Members None "an instance is expelled from the cluster";
    68 LateJoin "topology.late-join" Members None "an instance starts for the first time among faults";
}

impl Kind {
    pub fn by_name(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it does what it does when it begins, to a process that runs.
    pub fn acts_at_once(self) -> bool {
        use Kind::*;
        self.area() == Area::Clock
            || matches!(
                self,
                ProcessKill | ProcessPause | ProcessSlow | ProcessWiped | PermanentLoss
            )
    }

    /// Whether it ends with the machine's power, and so takes all that was not synced.
    pub fn is_power_failure(self) -> bool {
        use Kind::*;
        matches!(
            self,
            DiskLoseUnsynced
                | DiskTornSector
                | DiskTornPages
                | DiskReorder
                | DiskLyingSync
                | FileLostRename
                | FileLostEntry
                | FileTruncatedTail
                | FileZeroTail
                | ProcessKillIo
                | DcPowerLoss
                | DcStaggered
                | DcRandomReturn
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_and_names_are_unique_and_there_are_enough() {
        let ids: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.id()).collect();
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((ids.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        assert!(Kind::ALL.len() >= 40, "{}", Kind::ALL.len());
    }

    #[test]
    fn a_kind_is_written_by_its_name() {
        for kind in Kind::ALL {
            let text = serde_json::to_string(kind).unwrap();
            assert_eq!(text, format!("\"{}\"", kind.name()));
            assert_eq!(Kind::by_name(kind.name()), Some(*kind));
        }
    }
}
