//! What the reactor drives: anything that turns events into effects.

use basalt_core::base::codec::CodecResult;
use basalt_core::seam::{Effects, Event, Now};
use bytes::Bytes;

/// A state machine behind a reactor; the instance in production, an echo in the tests here.
pub trait Machine: 'static {
    type Msg: Wire;

    /// Takes one event; appends what is to be done.
    fn step(&mut self, now: Now, event: Event<Self::Msg>, effects: &mut Effects<Self::Msg>);

    /// Called once after the events of a turn: the place for work worth batching.
    fn end_turn(&mut self, now: Now, effects: &mut Effects<Self::Msg>);
}

/// A message between instances.
pub trait Wire: Send + Sized + 'static {
    /// Appends the message's bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// The message whose bytes these are; they come from outside and may be anything.
    fn decode(bytes: Bytes) -> CodecResult<Self>;
}
