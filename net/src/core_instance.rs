//! The instance behind the reactor.

use basalt_core::base::codec::CodecResult;
use basalt_core::instance::Instance;
use basalt_core::instance::message::Msg;
use basalt_core::seam::{Effects, Event, Now};
use bytes::Bytes;

use crate::machine::{Machine, Wire};

impl Machine for Instance {
    type Msg = Msg;

    fn step(&mut self, now: Now, event: Event<Msg>, effects: &mut Effects<Msg>) {
        Instance::step(self, now, event, effects);
    }

    fn end_turn(&mut self, now: Now, effects: &mut Effects<Msg>) {
        Instance::end_turn(self, now, effects);
    }
}

impl Wire for Msg {
    fn encode(&self, out: &mut Vec<u8>) {
        Msg::encode(self, out);
    }

    fn decode(bytes: Bytes) -> CodecResult<Msg> {
        Msg::decode(bytes)
    }
}
