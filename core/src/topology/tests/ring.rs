//! The state machine: bootstrap, joins, states, users, parameters; determinism and snapshots.

use proptest::prelude::*;

use super::ddl::{run as run_ddl, table};
use super::*;
use crate::base::{SqlState, TableId, UserId};
use crate::topology::catalog::Access;
use crate::topology::ddl::DdlRequest;
use crate::topology::entry::CreateUser;
use crate::topology::model::PresenceAt;
use crate::topology::ring::Applied;
use crate::topology::users::{ADMIN, Grant, Object, Privilege, UserChange, UserKind, Verifier};

fn user(name: &str) -> RingEntry {
    RingEntry::CreateUser(CreateUser {
        name: name.into(),
        kind: UserKind::User,
        if_not_exists: false,
        login: true,
        verifier: Some(Verifier("SCRAM-SHA-256$4096:c2FsdA==$a:b".into())),
        owner: ADMIN,
    })
}

fn create_user(state: &mut RingState, name: &str) -> UserId {
    match apply(state, user(name)) {
        Ok(Applied::User(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn state_of(state: &RingState, id: u64) -> String {
    let instance = &state.instances[&InstanceId(id)];
    format!("{} → {} {}", instance.current, instance.target, instance.target_reason)
}

fn set_target(state: &mut RingState, id: u64, target: Presence, reason: &str) -> ApplyOutcome {
    let entry = RingEntry::SetInstanceState {
        id: InstanceId(id),
        current: None,
        target: Some(target),
        reason: reason.into(),
        at: Wall(9),
    };
    apply(state, entry)
}

#[test]
fn nothing_but_bootstrap_starts_a_cluster_and_only_once() {
    let mut state = RingState::new();
    assert!(apply(&mut state, user("ann")).is_err());
    apply(&mut state, bootstrap(3, "")).unwrap();
    assert_eq!(state.bucket_owner("default", 1), Some(GroupId(1)));
    assert_eq!(state.bucket_owner("default", 3_000), Some(GroupId(1)));
    assert_eq!(state.bucket_owner("default", 3_001), None);
    assert_eq!(state.bucket_owner("cold", 1), None);
    assert_eq!(state.replicasets[&GroupId(1)].founder, Some(InstanceId(1)));
    let before = state.clone();
    assert!(apply(&mut state, bootstrap(1, "")).is_err());
    assert_eq!(RingState { applied: before.applied, ..state.clone() }, before);
}

#[test]
fn an_incarnation_counts_the_times_an_instance_came_up() {
    let mut state = cluster(1, "");
    assert_eq!(state_of(&state, 1), "Offline(0) → Offline(0) join");
    set_target(&mut state, 1, Presence::Online, "join").unwrap();
    assert_eq!(state_of(&state, 1), "Offline(0) → Online(1) join");
    set_online(&mut state, InstanceId(1));
    assert_eq!(state_of(&state, 1), "Online(1) → Online(1) join");
    let again = set_target(&mut state, 1, Presence::Online, "wakeup");
    assert_eq!(again, Ok(Applied::Nothing(String::new())));
    set_target(&mut state, 1, Presence::Offline, "shutdown").unwrap();
    set_target(&mut state, 1, Presence::Online, "wakeup").unwrap();
    assert_eq!(state_of(&state, 1), "Online(1) → Online(2) wakeup");
    assert_eq!(
        state.instances[&InstanceId(1)].current,
        PresenceAt { presence: Presence::Online, incarnation: 1 },
        "the governor has not seen the second one yet"
    );
}

#[test]
fn expel_spares_the_online_and_the_last_owner_of_buckets() {
    let mut state = cluster(2, "");
    let expel = |id, force| RingEntry::Expel { id: InstanceId(id), force, at: Wall(9) };
    let error = apply(&mut state, expel(1, true)).unwrap_err();
    assert_eq!(error.state, SqlState::DependentObjectsStillExist);
    join(&mut state, &join_request(2, "default", FailureDomain::default())).unwrap();
    set_online(&mut state, InstanceId(2));
    assert_eq!(apply(&mut state, expel(2, false)).unwrap_err().state, SqlState::ObjectInUse);
    apply(&mut state, expel(2, true)).unwrap();
    assert_eq!(state_of(&state, 2), "Online(1) → Expelled(1) expel");
    assert!(matches!(apply(&mut state, expel(2, true)), Ok(Applied::Nothing(_))));
    assert!(set_target(&mut state, 2, Presence::Online, "wakeup").is_err());
}

#[test]
fn of_two_joins_planned_at_once_the_second_is_rejected() {
    let mut state = cluster(2, "");
    let plan = |state: &RingState, k| {
        let request = join_request(k, "default", FailureDomain::default());
        match plan_join(state, &request, Wall(5)).unwrap() {
            JoinPlan::Propose(entries) => entries,
            other => panic!("{other:?}"),
        }
    };
    let (first, second) = (plan(&state, 2), plan(&state, 3));
    for entry in first {
        apply(&mut state, entry).unwrap();
    }
    let error = apply(&mut state, second[0].clone()).unwrap_err();
    assert_eq!(error.state, SqlState::SerializationFailure);
    for entry in plan(&state, 3) {
        apply(&mut state, entry).unwrap();
    }
    assert_eq!(state.replicasets[&GroupId(2)].founder, Some(InstanceId(3)));
}

#[test]
fn an_instance_with_an_empty_disk_takes_its_own_place() {
    let mut state = cluster(2, "");
    join(&mut state, &join_request(2, "default", FailureDomain::default())).unwrap();
    let again = JoinRequest {
        endpoints: join_request(2, "default", FailureDomain::default()).endpoints,
        ..join_request(7, "default", FailureDomain::default())
    };
    assert_eq!(predecessor(&state, &again).map(|i| i.id), Some(InstanceId(2)));
    let id = join(&mut state, &again).unwrap();
    assert_eq!(id, InstanceId(3));
    assert_eq!(state.instances[&id].replicaset, GroupId(1));
    assert!(!state.instances[&InstanceId(2)].is_member());
    assert_eq!(predecessor(&state, &again), None, "a second question finds it a member");
}

#[test]
fn one_that_moved_says_whom_it_replaces_and_may_keep_the_name() {
    let mut state = cluster(2, "");
    let named = |k, replaces| JoinRequest {
        instance_name: Some("left".into()),
        replaces,
        ..join_request(k, "default", FailureDomain::default())
    };
    join(&mut state, &named(2, None)).unwrap();
    let taken = plan_join(&state, &named(3, None), Wall(5)).unwrap_err();
    assert_eq!(taken.message, "instance name \"left\" is taken");
    let id = join(&mut state, &named(3, Some(named(2, None).uuid))).unwrap();
    assert_eq!(state.instance_by_name("left").map(|i| i.id), Some(id));
    assert_eq!(state.instances[&id].replicaset, GroupId(1));
}

#[test]
fn the_only_copy_is_not_replaced_by_an_empty_disk() {
    let mut state = cluster(1, "");
    let first = state.instances.values().next().unwrap().clone();
    set_online(&mut state, first.id);
    let again = JoinRequest {
        endpoints: first.endpoints,
        ..join_request(2, "default", FailureDomain::default())
    };
    let refused = plan_join(&state, &again, Wall(5)).unwrap_err();
    assert!(refused.message.contains("the only copy of replica set"), "{}", refused.message);
}

#[test]
fn users_may_do_what_they_were_granted() {
    let mut state = cluster(1, "");
    let ann = create_user(&mut state, "ann");
    assert_eq!(apply(&mut state, user("ann")).unwrap_err().state, SqlState::DuplicateObject);
    run_ddl(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    let t = state.catalog.table(None, "t").unwrap().clone();
    let refusal = |state: &RingState, access| {
        state.catalog.check(ann, access).err().map(|e| format!("{} {}", e.state.code(), e.message))
    };
    assert_eq!(
        refusal(&state, Access::Read(&t)).as_deref(),
        Some("42501 permission denied for table t")
    );
    assert_eq!(
        refusal(&state, Access::CreateTable).as_deref(),
        Some("42501 permission denied for schema public")
    );
    assert_eq!(
        refusal(&state, Access::DropTable(&t)).as_deref(),
        Some("42501 must be owner of table t")
    );
    let grant = |privilege, object| RingEntry::Grant {
        grantor: ADMIN,
        grant: Grant { grantee: ann, object, privilege },
    };
    apply(&mut state, grant(Privilege::Create, Object::Table(None))).unwrap();
    apply(&mut state, grant(Privilege::Read, Object::Table(Some(t.id)))).unwrap();
    assert_eq!(refusal(&state, Access::CreateTable), None);
    assert_eq!(refusal(&state, Access::Read(&t)), None);
    assert!(refusal(&state, Access::Write(&t)).is_some());
    assert!(apply(&mut state, grant(Privilege::Execute, Object::Table(Some(t.id)))).is_err());
    let nowhere = Object::Table(Some(TableId(1)));
    assert!(apply(&mut state, grant(Privilege::Read, nowhere)).is_err());

    let own = crate::topology::ddl::CreateTableRequest { owner: ann, ..table("own") };
    run_ddl(&mut state, DdlRequest::CreateTable(own)).unwrap();
    let own = state.catalog.table(None, "own").unwrap().clone();
    assert_eq!(refusal(&state, Access::DropTable(&own)), None);
    let error = apply(&mut state, RingEntry::DropUser { id: ann }).unwrap_err();
    assert_eq!(error.state, SqlState::DependentObjectsStillExist);
}

#[test]
fn a_login_needs_a_user_that_may_log_in() {
    let mut state = cluster(1, "");
    let ann = create_user(&mut state, "ann");
    assert_eq!(state.catalog.login("ann").unwrap().id, ann);
    assert!(state.catalog.verifier("ann").is_some());
    assert!(state.catalog.verifier("admin").is_none());
    assert!(state.catalog.login("public").is_err());
    let change = UserChange::Login(false);
    apply(&mut state, RingEntry::AlterUser { id: ann, change }).unwrap();
    assert_eq!(
        state.catalog.login("ann").unwrap_err().state,
        SqlState::InvalidAuthorizationSpecification
    );
}

#[test]
fn a_right_to_alter_users_does_not_reach_the_superuser() {
    let mut state = cluster(1, "");
    let ann = create_user(&mut state, "ann");
    let all = Grant { grantee: ann, object: Object::User(None), privilege: Privilege::Alter };
    apply(&mut state, RingEntry::Grant { grantor: ADMIN, grant: all }).unwrap();
    let bob = create_user(&mut state, "bob");
    let users = &state.catalog.users;
    let check = |id| state.catalog.check(ann, Access::AlterUser(users.get(id).unwrap()));
    assert!(check(bob).is_ok());
    assert!(check(ADMIN).is_err());
}

#[test]
fn parameters_are_checked_and_fall_back() {
    let mut state = cluster(1, "");
    let set = |tier: &str, value: Option<&str>| RingEntry::SetConfig {
        key: "governor_auto_offline_timeout".into(),
        tier: tier.into(),
        value: value.map(str::to_owned),
    };
    assert_eq!(state.config_number("governor_auto_offline_timeout"), 5);
    apply(&mut state, set("", Some("30"))).unwrap();
    apply(&mut state, set("default", Some("7"))).unwrap();
    let value = |state: &RingState, tier| {
        state.config_value("governor_auto_offline_timeout", tier).unwrap()
    };
    assert_eq!((value(&state, ""), value(&state, "default")), ("30".into(), "7".into()));
    apply(&mut state, set("default", None)).unwrap();
    assert_eq!(value(&state, "default"), "30");
    assert!(apply(&mut state, set("cold", Some("7"))).is_err());
    assert!(apply(&mut state, set("", Some("soon"))).is_err());
}

#[test]
fn the_cluster_version_waits_for_the_slowest_and_never_falls() {
    let mut state = cluster(1, "");
    set_online(&mut state, InstanceId(1));
    let to = |version| RingEntry::SetClusterVersion { version };
    assert!(apply(&mut state, to(2)).is_err());
    let update = RingEntry::UpdateInstance {
        id: InstanceId(1),
        endpoints: endpoints(1),
        failure_domain: FailureDomain::default(),
        version: "0.2.0".into(),
        format_version: 2,
    };
    apply(&mut state, update).unwrap();
    apply(&mut state, to(2)).unwrap();
    assert!(apply(&mut state, to(1)).is_err());
    assert!(matches!(apply(&mut state, to(2)), Ok(Applied::Nothing(_))));
}

/// Entries that meet and miss each other often: few names, few ids.
pub(super) fn entries() -> impl Strategy<Value = RingEntry> {
    let name = prop_oneof![Just("t"), Just("u"), Just("ann"), Just("bob")];
    let id = (1..5u64).prop_map(InstanceId);
    let presence =
        prop_oneof![Just(Presence::Offline), Just(Presence::Online), Just(Presence::Expelled)];
    let privilege = prop_oneof![Just(Privilege::Read), Just(Privilege::Execute)];
    prop_oneof![
        name.clone().prop_map(|n| RingEntry::DdlPrepare {
            by: ADMIN,
            request: Box::new(DdlRequest::CreateTable(table(n)))
        }),
        name.clone().prop_map(|name| RingEntry::DdlPrepare {
            by: ADMIN,
            request: Box::new(DdlRequest::DropTable(crate::topology::ddl::DropRequest {
                schema: "public".into(),
                name: name.into(),
                if_exists: true,
            }))
        }),
        (1..30u64).prop_map(|v| RingEntry::DdlCommit { version: crate::base::CatalogVersion(v) }),
        (1..30u64).prop_map(|v| RingEntry::DdlAbort {
            version: crate::base::CatalogVersion(v),
            error: crate::base::SqlError::unsupported("this"),
        }),
        name.prop_map(user),
        (16_384..16_394u32).prop_map(|id| RingEntry::DropUser { id: UserId(id) }),
        (16_384..16_394u32, 16_384..16_394u32, privilege).prop_map(|(grantee, on, privilege)| {
            let object = match privilege {
                Privilege::Execute => Object::Role(Some(UserId(on))),
                _ => Object::Table(Some(TableId(on))),
            };
            let grant = Grant { grantee: UserId(grantee), object, privilege };
            RingEntry::Grant { grantor: ADMIN, grant }
        }),
        (id.clone(), proptest::option::of(presence.clone()), proptest::option::of(presence))
            .prop_map(|(id, current, target)| RingEntry::SetInstanceState {
                id,
                current,
                target,
                reason: "test".into(),
                at: Wall(7),
            }),
        (id, any::<bool>()).prop_map(|(id, force)| RingEntry::Expel { id, force, at: Wall(8) }),
        (2..5u64, 1..4u64).prop_map(|(id, set)| RingEntry::AddInstance {
            seed: Box::new(InstanceSeed {
                id: InstanceId(id),
                name: format!("i{id}"),
                uuid: uuid(id),
                replicaset: GroupId(set),
                failure_domain: FailureDomain::default(),
                endpoints: endpoints(id),
                version: "0.1.0".into(),
                format_version: 1,
            }),
            at: Wall(9),
        }),
        (1..4u64).prop_map(|id| RingEntry::AddReplicaset(ReplicasetSeed {
            id: GroupId(id),
            name: format!("r{id}"),
            uuid: uuid(id),
            tier: "default".into(),
        })),
    ]
}

proptest! {
    #[test]
    fn every_replica_comes_to_the_same_state(log in proptest::collection::vec(entries(), 0..60), cut in 0..60usize) {
        let mut one = cluster(2, "");
        let mut two = cluster(2, "");
        for (k, entry) in log.iter().enumerate() {
            if k == cut {
                two = RingState::decode_snapshot(one.encode_snapshot()).unwrap();
                prop_assert_eq!(&two, &one);
            }
            let before = one.clone();
            let index = LogIndex(one.applied.0 + 1);
            let outcome = one.apply(index, entry);
            prop_assert_eq!(&two.apply(index, &RingEntry::decode(entry.encode()).unwrap()), &outcome);
            if !matches!(outcome, Ok(Applied::Done | Applied::Ddl(_) | Applied::User(_))) {
                let unchanged = RingState { applied: index, ..before };
                prop_assert_eq!(&unchanged, &one, "a rejection changed something");
            }
        }
        prop_assert_eq!(one.hash(), two.hash());
    }
}
