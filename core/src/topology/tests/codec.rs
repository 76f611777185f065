//! The bytes of ring entries: old logs stay readable.

use bytes::Bytes;
use proptest::prelude::*;

use super::ring::entries;
use super::*;
use crate::base::codec::CodecError;
use crate::base::{CatalogVersion, SqlError, SqlState};
use crate::topology::ddl::{DdlRequest, DropRequest, SchemaChange};
use crate::topology::users::{ADMIN, Grant, Object, Privilege, Secret, UserChange};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes as the first release wrote them. A line may be added; none may change.
#[test]
fn entries_have_these_bytes_for_ever() {
    let golden: Vec<(RingEntry, &str)> = vec![
        (
            RingEntry::AddReplicaset(ReplicasetSeed {
                id: GroupId(2),
                name: "r2".into(),
                uuid: uuid(7),
                tier: "hot".into(),
            }),
            "0102020272320000000000000000000000000000000703686f74",
        ),
        (
            RingEntry::SetInstanceState {
                id: InstanceId(3),
                current: Some(Presence::Online),
                target: None,
                reason: "join".into(),
                at: Wall(300),
            },
            "010503010100046a6f696eac02",
        ),
        (RingEntry::Expel { id: InstanceId(3), force: true, at: Wall(300) }, "01060301ac02"),
        (
            RingEntry::SetReplicasetMaster {
                id: GroupId(1),
                current: Some(InstanceId(2)),
                target: None,
            },
            "010701010200",
        ),
        (
            RingEntry::DdlPrepare {
                by: ADMIN,
                request: Box::new(DdlRequest::DropTable(DropRequest {
                    schema: "public".into(),
                    name: "t".into(),
                    if_exists: true,
                })),
            },
            "01090a01067075626c6963017401",
        ),
        (RingEntry::DdlCommit { version: CatalogVersion(129) }, "010a8101"),
        (
            RingEntry::DdlAbort {
                version: CatalogVersion(1),
                error: SqlError::new(SqlState::UniqueViolation, "no"),
            },
            "010b01053233353035026e6f0000000000000000",
        ),
        (RingEntry::AlterUser { id: ADMIN, change: UserChange::Login(false) }, "010d0a0200"),
        (
            RingEntry::Grant {
                grantor: ADMIN,
                grant: Grant {
                    grantee: ADMIN,
                    object: Object::Table(None),
                    privilege: Privilege::Create,
                },
            },
            "010f0a0a000002",
        ),
        (
            RingEntry::SetConfig { key: "k".into(), tier: String::new(), value: Some("v".into()) },
            "0111016b00010176",
        ),
        (RingEntry::SetClusterVersion { version: 2 }, "011202"),
    ];
    for (entry, bytes) in golden {
        assert_eq!(hex(&entry.encode()), bytes, "{entry:?}");
        assert_eq!(RingEntry::decode(entry.encode()), Ok(entry));
    }
}

#[test]
fn the_longest_entry_keeps_its_bytes() {
    let entry = bootstrap(3, "dc=a");
    assert_eq!(xxhash_rust::xxh3::xxh3_64(&entry.encode()), 8_761_358_975_395_101_396);
    assert_eq!(RingEntry::decode(entry.encode()), Ok(entry));
}

#[test]
fn a_secret_is_behind_what_was_there_before_it() {
    let RingEntry::Bootstrap(bootstrap, None) = bootstrap(3, "dc=a") else { panic!("no secret") };
    let old = RingEntry::Bootstrap(bootstrap.clone(), None).encode();
    let entry = RingEntry::Bootstrap(bootstrap, Some(Secret([7; 32])));
    let (old, secret) = (hex(&old), "07".repeat(32));
    assert_eq!(hex(&entry.encode()), format!("0113{}20{secret}", &old[4..]));
    assert_eq!(RingEntry::decode(entry.encode()), Ok(entry.clone()));
    assert!(format!("{entry:?}").contains("Secret(…)"), "{entry:?}");

    let mut state = RingState::new();
    apply(&mut state, entry).unwrap();
    let without = RingState { secret: None, ..state.clone() };
    let old = hex(&without.encode_snapshot());
    assert_eq!(hex(&state.encode_snapshot()), format!("02{}20{secret}", &old[2..]));
    assert_eq!(&old[..2], "01");
    for state in [state, without] {
        assert_eq!(RingState::decode_snapshot(state.encode_snapshot()), Ok(state));
    }
}

#[test]
fn what_a_later_release_wrote_is_refused_by_name() {
    let newer = RingEntry::decode(Bytes::from_static(&[2, 1]));
    assert_eq!(newer, Err(CodecError::NewerVersion { what: "ring entry", version: 2 }));
    let tag = RingEntry::decode(Bytes::from_static(&[1, 200]));
    assert_eq!(tag, Err(CodecError::UnknownTag { what: "ring entry", tag: 200 }));
}

proptest! {
    #[test]
    fn entries_survive_the_trip(entry in entries()) {
        prop_assert_eq!(RingEntry::decode(entry.encode()), Ok(entry));
    }

    #[test]
    fn no_bytes_break_the_readers(mut bytes in any::<Vec<u8>>(), tag in 0..20u8) {
        let _ = RingEntry::decode(Bytes::from(bytes.clone()));
        bytes.insert(0, tag);
        bytes.insert(0, 1);
        let bytes = Bytes::from(bytes);
        let _ = RingEntry::decode(bytes.clone());
        let _ = RingState::decode_snapshot(bytes.clone());
        let _ = SchemaChange::decode(bytes);
    }

    #[test]
    fn a_broken_snapshot_is_refused_without_a_panic(at in any::<proptest::sample::Index>(), byte: u8) {
        let mut state = cluster(1, "dc=a");
        super::ddl::run(&mut state, DdlRequest::CreateTable(super::ddl::table("t"))).unwrap();
        let mut bytes = state.encode_snapshot().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = RingState::decode_snapshot(Bytes::from(bytes));
    }
}
