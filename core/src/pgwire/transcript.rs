//! Replies of the server as text, one line a message: for scripts, traces and failing tests.

use std::fmt::Write as _;

use bytes::Bytes;

use super::frontend::{Cursor, Frame};
use super::input::Input;
use crate::base::SqlResult;

/// One line a message; the rest of the bytes as they are where they are no messages.
pub fn transcript(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut input = Input::default();
    input.push(Bytes::copy_from_slice(bytes));
    while let Ok(Some(frame)) = input.frame(i32::MAX as usize) {
        let line = line(&frame).unwrap_or_else(|e| format!("? {:?}: {e}", frame.tag as char));
        let _ = writeln!(text, "{line}");
    }
    if !input.is_empty() {
        let _ = writeln!(text, "? {} bytes left over", input.len());
    }
    text
}

fn line(frame: &Frame) -> SqlResult<String> {
    let mut body = Cursor { rest: &frame.body };
    Ok(match frame.tag {
        b'R' => match body.i32()? {
            0 => "AuthenticationOk".into(),
            10 => format!("AuthenticationSASL {}", body.str()?),
            11 => "AuthenticationSASLContinue".into(),
            12 => "AuthenticationSASLFinal".into(),
            other => format!("Authentication {other}"),
        },
        b'S' => format!("ParameterStatus {}={}", body.str()?, body.str()?),
        b'K' => format!("BackendKeyData {} and {} bytes", body.i32()?, body.rest.len()),
        b'v' => {
            let version = body.i32()?;
            format!("NegotiateProtocolVersion {}.{}", version >> 16, version & 0xffff)
        }
        b'Z' => format!("ReadyForQuery {}", body.u8()? as char),
        b'1' => "ParseComplete".into(),
        b'2' => "BindComplete".into(),
        b'3' => "CloseComplete".into(),
        b'n' => "NoData".into(),
        b's' => "PortalSuspended".into(),
        b'I' => "EmptyQueryResponse".into(),
        b'C' => format!("CommandComplete {}", body.str()?),
        b't' => {
            let count = body.u16()?;
            let oids: SqlResult<Vec<String>> =
                (0..count).map(|_| Ok(body.i32()?.to_string())).collect();
            format!("ParameterDescription {}", oids?.join(" ")).trim_end().into()
        }
        b'T' => row_description(&mut body)?,
        b'D' => data_row(&mut body)?,
        b'E' => format!("ErrorResponse {}", report(&mut body)?),
        b'N' => format!("NoticeResponse {}", report(&mut body)?),
        tag => format!("? {:?}", tag as char),
    })
}

fn row_description(body: &mut Cursor<'_>) -> SqlResult<String> {
    let mut text = "RowDescription".to_owned();
    for _ in 0..body.u16()? {
        let (name, table, attnum) = (body.str()?, body.i32()?, body.u16()?);
        let (oid, _len, typmod) = (body.i32()?, body.u16()?, body.i32()?);
        let _ = write!(text, " {name}:{oid}");
        if table != 0 {
            let _ = write!(text, " of {table}.{attnum}");
        }
        if typmod != -1 {
            let _ = write!(text, " typmod {typmod}");
        }
        if body.u16()? == 1 {
            text.push_str(" binary");
        }
    }
    Ok(text)
}

fn data_row(body: &mut Cursor<'_>) -> SqlResult<String> {
    let mut text = "DataRow".to_owned();
    for k in 0..body.u16()? {
        text.push_str(if k == 0 { " " } else { ", " });
        match body.value()? {
            None => text.push_str("NULL"),
            Some(value) => match std::str::from_utf8(value) {
                Ok(plain) if !plain.chars().any(char::is_control) => text.push_str(plain),
                _ => {
                    text.push_str("\\x");
                    for byte in value {
                        let _ = write!(text, "{byte:02x}");
                    }
                }
            },
        }
    }
    Ok(text)
}

fn report(body: &mut Cursor<'_>) -> SqlResult<String> {
    let mut text = String::new();
    loop {
        match body.u8()? {
            0 => return Ok(text),
            b'V' => drop(body.str()?),
            b'S' | b'C' => {
                let _ = write!(text, "{} ", body.str()?);
            }
            b'M' => text.push_str(body.str()?),
            letter => {
                let _ = write!(text, " | {}: {}", letter as char, body.str()?);
            }
        }
    }
}
