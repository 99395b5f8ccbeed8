//! What a data node answers: the scanner that follows an answer however it is cut, and the packets
//! and rows that are decoded.

use crate::input::Input;
use mysql_wire::Capabilities;
use mysql_wire::column::{ColumnDefinition, ColumnView, Renames, rewrite_column};
use mysql_wire::packet::{EofPacket, ErrPacket, OkPacket, classify_answer, parse_local_infile};
use mysql_wire::response::{Event, ResponseKind, ResponseScanner, Scan};
use mysql_wire::row::{decode_binary_row, put_binary_row, text_fields};
use mysql_wire::session_track::{parse_session_track, put_session_track};
use mysql_wire::stmt::PrepareOk;
use mysql_wire::text_to_binary::text_row_to_binary;

const KINDS: [ResponseKind; 7] = [
    ResponseKind::Query,
    ResponseKind::Execute,
    ResponseKind::Prepare,
    ResponseKind::Fetch,
    ResponseKind::FieldList,
    ResponseKind::Simple,
    ResponseKind::Text,
];

/// One input: circumstances, then what the data node sends.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => answer(input),
        1 => packets(input.capabilities(), input.0),
        2 => column(input),
        _ => row(input),
    }
}

/// However an answer arrives, in one piece or in many, it is read alike.
fn answer(mut input: Input<'_>) {
    let kind = KINDS[usize::from(input.byte()) % KINDS.len()];
    let deprecate_eof = input.flag();
    let chunk = usize::from(input.byte()).max(1);
    let scanner = ResponseScanner::new(kind, deprecate_eof);
    let whole = follow(scanner.clone(), input.0, input.0.len().max(1));
    let cut = follow(scanner, input.0, chunk);
    assert_eq!(whole, cut, "in pieces of {chunk}");
}

/// What an answer came to.
#[derive(Debug, PartialEq)]
struct Followed {
    /// Each packet, and how many bytes of rows lay between.
    events: Vec<(Event, usize)>,
    rows: Option<u64>,
    error: Option<mysql_wire::DecodeError>,
}

/// Feeds a scanner as a read buffer does, some bytes at a time.
fn follow(mut scanner: ResponseScanner, bytes: &[u8], chunk: usize) -> Followed {
    let mut followed = Followed { events: Vec::new(), rows: None, error: None };
    let (mut at, mut read) = (0, 0);
    while !scanner.is_done() && !scanner.needs_file() {
        match scanner.scan(&bytes[at..read]) {
            Ok(Scan::Piece { len, event, last }) => {
                assert!(len > 0 && at + len <= read, "a piece of {len} of {}", read - at);
                assert_eq!(last, scanner.is_done());
                match (event, followed.events.last_mut()) {
                    (Event::Rows, Some((Event::Rows, before))) => *before += len,
                    _ => followed.events.push((event, len)),
                }
                at += len;
            }
            Ok(Scan::NeedMore { need }) => {
                assert!(need > 0);
                if read == bytes.len() {
                    break;
                }
                read = (read + chunk).min(bytes.len());
            }
            Err(error) => {
                // Rows in front of a broken one may have been passed on or not.
                if matches!(followed.events.last(), Some((Event::Rows, _))) {
                    followed.events.pop();
                }
                followed.error = Some(error);
                return followed;
            }
        }
    }
    followed.rows = Some(scanner.rows());
    followed
}

/// Packets that are decoded whole.
fn packets(capabilities: Capabilities, payload: &[u8]) {
    let _ = classify_answer(payload);
    let _ = parse_local_infile(payload);
    let _ = EofPacket::decode(payload);
    let _ = PrepareOk::decode(payload);
    if let Ok(ok) = OkPacket::decode(payload, capabilities) {
        let mut written = Vec::new();
        ok.encode(capabilities, &mut written);
        let again = OkPacket::decode(&written, capabilities).expect("an OK of our own is read");
        assert_eq!((again.affected_rows, again.warnings), (ok.affected_rows, ok.warnings));
        assert_eq!(again.session_track, ok.session_track);
        if let Ok(changes) = parse_session_track(&ok.session_track) {
            let mut packed = Vec::new();
            put_session_track(&changes, &mut packed);
            assert_eq!(parse_session_track(&packed), Ok(changes));
        }
    }
    if let Ok(error) = ErrPacket::decode(payload, capabilities) {
        let mut written = Vec::new();
        error.encode(capabilities, &mut written);
        assert_eq!(ErrPacket::decode(&written, capabilities), Ok(error));
    }
}

/// Definitions of columns, as they are and with other names.
fn column(mut input: Input<'_>) {
    let name = input.piece();
    let Ok(view) = ColumnView::decode(input.0) else { return };
    let mut written = Vec::new();
    view.encode_extended(&mut written);
    assert_eq!(ColumnDefinition::decode(&written), Ok(view.to_definition()));
    let mut renamed = Vec::new();
    let renames = Renames { name: Some(name), ..Renames::default() };
    rewrite_column(input.0, &renames, true, &mut renamed).expect("it was decoded");
    let mut expected = view.to_definition();
    expected.name = name.to_vec();
    assert_eq!(ColumnDefinition::decode(&renamed), Ok(expected));
}

/// Rows in both forms; one that was read is the same when it is written and read again.
fn row(mut input: Input<'_>) {
    let mut columns = Vec::new();
    while columns.len() < 8 && input.flag() {
        let Ok(column) = ColumnDefinition::decode(input.piece()) else { return };
        columns.push(column);
    }
    let fields: Vec<_> = text_fields(input.0).collect();
    assert!(fields.iter().rev().skip(1).all(Result::is_ok), "goes on behind an error");
    let mut binary = Vec::new();
    if text_row_to_binary(input.0, &columns, &mut binary).is_ok() {
        decode_binary_row(&binary, &columns).expect("a binary row of our own is read");
    }
    let Ok(values) = decode_binary_row(input.0, &columns) else { return };
    let mut written = Vec::new();
    put_binary_row(&mut written, &values, &columns).expect("values of these columns fit them");
    let again = decode_binary_row(&written, &columns).expect("a row of our own is read");
    let mut twice = Vec::new();
    put_binary_row(&mut twice, &again, &columns).expect("values of these columns fit them");
    assert_eq!(written, twice);
}
