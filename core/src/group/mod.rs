//! One Raft group on one instance: propose, commit, apply, read, snapshot.
