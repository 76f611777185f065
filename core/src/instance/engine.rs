//! provisional
use super::message::ResponseKind;
use super::state::Shared;
use crate::base::{SqlError, UserId};
use bytes::Bytes;
pub async fn run_forwarded(
    _: &Shared,
    _: UserId,
    _: String,
    _: Vec<(u8, Option<Bytes>)>,
    _: Vec<(String, String)>,
) -> ResponseKind {
    ResponseKind::Failed(SqlError::unsupported("forwarding"))
}
