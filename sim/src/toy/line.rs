//! The toys' client protocol: one line a request, one line an answer.
//!
//! ```text
//!   hello → ready        w KEY VALUE → ok | refused        r KEY → value KEY VALUE | refused
//! ```

use crate::workload::{Answer, Manner, Op, REGISTERS, Request, Said, Wire};

/// The client's side of the line protocol.
#[derive(Default)]
pub struct LineWire {
    buffer: Vec<u8>,
}

impl Wire for LineWire {
    fn new(_: &str, _: Manner) -> LineWire {
        LineWire::default()
    }

    fn setup_steps() -> usize {
        0
    }

    fn audit() -> Vec<Op> {
        (0..REGISTERS).map(|key| Op::Read { key }).collect()
    }

    fn greet(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"hello\n");
    }

    fn ask(&mut self, _: u16, request: Request, out: &mut Vec<u8>) {
        let line = match request {
            Request::Op(Op::Write { key, value }) => format!("w {key} {value}\n"),
            Request::Op(Op::Read { key }) => format!("r {key}\n"),
            other => panic!("a toy cannot do {other:?}"),
        };
        out.extend_from_slice(line.as_bytes());
    }

    fn feed(&mut self, bytes: &[u8], _: &mut Vec<u8>) -> Result<Vec<Said>, String> {
        self.buffer.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(line) = take_line(&mut self.buffer) {
            said.push(understand(&line)?);
        }
        Ok(said)
    }
}

/// Takes the first whole line, without its end.
pub fn take_line(buffer: &mut Vec<u8>) -> Option<String> {
    let end = buffer.iter().position(|b| *b == b'\n')?;
    let line: Vec<u8> = buffer.drain(..=end).collect();
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}

fn understand(line: &str) -> Result<Said, String> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["ready"] => Ok(Said::Ready { warned: false }),
        ["ok"] => Ok(Said::Answer(Answer::Done { rows: 1 })),
        ["refused"] => Ok(Said::Answer(Answer::Refused {
            code: "busy".to_owned(),
            message: String::new(),
            retry: true,
        })),
        ["unknown"] => {
            Ok(Said::Answer(Answer::Unknown { code: "late".to_owned(), message: String::new() }))
        }
        ["value", key, value] => match (key.parse(), value.parse()) {
            (Ok(key), Ok(value)) => Ok(Said::Answer(Answer::Rows(vec![(key, Some(value))]))),
            _ => Err(format!("not a value: {line}")),
        },
        _ => Err(format!("not understood: {line}")),
    }
}
