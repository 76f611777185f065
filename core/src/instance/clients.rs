//! provisional
use super::state::{Shared, State};
use crate::base::ConnId;
use crate::seam::ConnKind;
#[derive(Debug, Default)]
pub struct Clients;
pub fn accepted(_: &Shared, _: &mut State, _: ConnId, _: ConnKind, _: &str) {}
impl Clients {
    pub fn bytes(&mut self, _: ConnId, _: bytes::Bytes) {}
    pub fn flushed(&mut self, _: ConnId, _: usize) {}
    pub fn closed(&mut self, _: ConnId) {}
}
impl State {
    pub fn flush_clients(&mut self) {}
    pub fn metrics_text(&self) -> String {
        String::new()
    }
    pub fn cluster_json(&self) -> String {
        String::new()
    }
    pub fn status_text(&self) -> String {
        String::new()
    }
}
