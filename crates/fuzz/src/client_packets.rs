//! What a client sends behind the login: frames cut anywhere, commands, and the parameters of
//! prepared statements.

use crate::input::Input;
use mysql_wire::attributes::{PARAMETER_COUNT_AVAILABLE, execute_params, query_text};
use mysql_wire::bulk::BulkRows;
use mysql_wire::command::{Command, CommandCode};
use mysql_wire::frame::{Message, put_packet, read_message};
use mysql_wire::lenenc::Reader;
use mysql_wire::stmt::{LongData, decode_params, encode_params};
use mysql_wire::value::Value;

/// A message may be so long here; real limits are greater and behave alike.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Parameters of a bulk's rows.
const BULK_PARAMS: usize = 3;
/// Long parameters together.
const LONG_BYTES_MAX: usize = 256;

/// One input: circumstances, then what the client sends.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 3 {
        0 => frames(input.0),
        1 => command(input.0),
        _ => parameters(input),
    }
}

/// Messages come out of a buffer one after the other; a part of the buffer gives the same message,
/// the same error, or asks for more.
fn frames(mut buf: &[u8]) {
    let mut sequence = Some(0);
    loop {
        let whole = read_message(buf, sequence, MESSAGE_BYTES_MAX);
        cuts(buf, sequence, &whole);
        match whole {
            Ok(Message::Complete { payload, consumed, next_sequence }) => {
                assert!(payload.len() <= MESSAGE_BYTES_MAX && consumed <= buf.len());
                command(&payload);
                buf = &buf[consumed..];
                sequence = Some(next_sequence);
            }
            Ok(Message::Incomplete { need }) => {
                assert!(need > 0);
                return;
            }
            Err(_) => return,
        }
    }
}

fn cuts(buf: &[u8], sequence: Option<u8>, whole: &Result<Message<'_>, mysql_wire::DecodeError>) {
    let end = buf.len().min(64);
    for cut in 0..end {
        match (read_message(&buf[..cut], sequence, MESSAGE_BYTES_MAX), whole) {
            (Ok(Message::Incomplete { .. }), _) => {}
            (Ok(part), Ok(whole)) => assert_eq!(&part, whole),
            (Err(part), Err(whole)) => assert_eq!(&part, whole),
            (part, whole) => panic!("{cut} bytes give {part:?}, all give {whole:?}"),
        }
    }
}

fn command(payload: &[u8]) {
    let Ok(command) = Command::parse(payload) else { return };
    assert_eq!(command.code(), payload[0]);
    if let Command::StmtExecute(execute) = command {
        assert!(payload.ends_with(execute.params));
    }
    if let Command::StmtBulkExecute(bulk) = command {
        let mut types = Vec::new();
        let rows = BulkRows::new(bulk.params, bulk.flags, BULK_PARAMS, &mut types);
        if let (Ok(mut rows), BULK_PARAMS) = (rows, types.len()) {
            while !rows.is_empty() && rows.next_row(&types).is_ok() {}
        }
    }
    if let Ok(text) = query_text(&payload[1..]) {
        assert!(payload.ends_with(text));
    }
}

/// Parameters that were read are the same when they are written and read again.
fn parameters(mut input: Input<'_>) {
    let count = usize::from(input.byte() % 80);
    let mut long = LongData::new(LONG_BYTES_MAX);
    while input.flag() {
        let param = u16::from(input.byte());
        let _ = long.append(param, input.piece());
    }
    let mut types = Vec::new();
    let Ok(values) = decode_params(input.0, count, &mut types, &long) else { return };
    assert_eq!(values.len(), count);
    let _ = execute_params(input.0, PARAMETER_COUNT_AVAILABLE, count, &types, |_| false);
    for value in &values {
        for no_backslash_escapes in [false, true] {
            let mut literal = Vec::new();
            value.to_sql_literal(&mut literal, no_backslash_escapes);
            assert!(!literal.is_empty());
        }
    }
    again(&values);
    let mut packet = Vec::new();
    put_packet(&mut packet, &mut 0, &[&[CommandCode::StmtExecute as u8][..], input.0].concat());
    assert!(matches!(read_message(&packet, Some(0), usize::MAX), Ok(Message::Complete { .. })));
}

fn again(values: &[Value]) {
    if values.is_empty() {
        return;
    }
    let mut written = Vec::new();
    encode_params(&mut written, values);
    let none = LongData::new(0);
    let read = decode_params(&written, values.len(), &mut Vec::new(), &none);
    let read = read.expect("parameters of our own are read");
    for (read, value) in read.iter().zip(values) {
        assert!(same(read, value), "{value:?} came back as {read:?}");
    }
    assert!(Reader::new(&written).remaining() >= values.len().div_ceil(8));
}

/// Equal, where a NaN equals itself.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}
