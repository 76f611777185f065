//! A machine that wakes up every microsecond and does nothing: the cost of the world itself.

use std::time::Duration;

use basalt_core::base::codec::CodecResult;
use basalt_core::seam::{Effect, Effects, Event, Now, Traced};
use bytes::Bytes;

use super::line::LineWire;
use crate::node::{Identity, Inspectable, Node};

#[derive(Debug)]
pub struct Nothing;

impl Traced for Nothing {
    fn with_wire(&self, see: &mut dyn FnMut(&[u8])) {
        see(&[]);
    }
}

pub struct Clockwork;

impl Inspectable for Clockwork {}

impl Node for Clockwork {
    type Msg = Nothing;
    type Wire = LineWire;
    const SUBJECT: &'static str = "toy-clockwork";
    const OPEN_FILES: u64 = 0;

    fn boot(_: &Identity, _: [u8; 32]) -> Clockwork {
        Clockwork
    }

    fn step(&mut self, now: Now, event: Event<Nothing>, effects: &mut Effects<Nothing>) {
        match event {
            Event::Boot | Event::Tick => {
                effects.push(Effect::Wake { at: now.mono + Duration::from_micros(1) });
            }
            Event::Bytes { conn, .. } => {
                effects.push(Effect::Write { conn, bytes: Bytes::from_static(b"ready\n") });
            }
            _ => {}
        }
    }

    fn end_turn(&mut self, _: Now, _: &mut Effects<Nothing>) {}

    fn encode(_: &Nothing, _: &mut Vec<u8>) {}

    fn decode(_: Bytes) -> CodecResult<Nothing> {
        Ok(Nothing)
    }
}
