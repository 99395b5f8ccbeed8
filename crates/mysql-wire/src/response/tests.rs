//! Answers are written by our own encoders, cut in every way, and must be followed to their end.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::Capabilities;
use crate::column::tests::column;
use crate::column::{ColumnFlags, ColumnType};
use crate::frame::put_packet;
use crate::lenenc::put_int;
use crate::packet::{EofPacket, ErrPacket, OkPacket, put_local_infile};
use crate::row::put_text_field;
use proptest::collection::vec;
use proptest::prelude::*;

const NONE: Capabilities = Capabilities(0);

/// Writes an answer packet by packet.
struct Answer {
    bytes: Vec<u8>,
    sequence: u8,
    deprecate_eof: bool,
}

impl Answer {
    fn new(deprecate_eof: bool) -> Self {
        Self { bytes: Vec::new(), sequence: 1, deprecate_eof }
    }

    fn packet(mut self, payload: &[u8]) -> Self {
        put_packet(&mut self.bytes, &mut self.sequence, payload);
        self
    }

    fn ok(self, affected_rows: u64, status: StatusFlags) -> Self {
        let mut payload = Vec::new();
        OkPacket { affected_rows, status, ..OkPacket::default() }.encode(NONE, &mut payload);
        self.packet(&payload)
    }

    fn err(self) -> Self {
        let mut payload = Vec::new();
        ErrPacket::new(1064, "42000", "no").encode(NONE, &mut payload);
        self.packet(&payload)
    }

    fn definitions(mut self, count: usize) -> Self {
        for _ in 0..count {
            let mut payload = Vec::new();
            column(ColumnType::VarString, ColumnFlags::default()).encode(&mut payload);
            self = self.packet(&payload);
        }
        self
    }

    fn eof(self, status: StatusFlags) -> Self {
        let mut payload = Vec::new();
        EofPacket { warnings: 0, status }.encode(&mut payload);
        self.packet(&payload)
    }

    fn columns(self, count: usize) -> Self {
        let mut payload = Vec::new();
        put_int(&mut payload, count as u64);
        let with = self.packet(&payload).definitions(count);
        if with.deprecate_eof { with } else { with.eof(StatusFlags::AUTOCOMMIT) }
    }

    fn rows(mut self, rows: &[Vec<u8>]) -> Self {
        for row in rows {
            let mut payload = Vec::new();
            put_text_field(&mut payload, Some(row));
            self = self.packet(&payload);
        }
        self
    }

    fn end(self, status: StatusFlags) -> Self {
        if !self.deprecate_eof {
            return self.eof(status);
        }
        let mut payload = Vec::new();
        OkPacket { status, ..OkPacket::default() }.encode_eof(NONE, &mut payload);
        self.packet(&payload)
    }
}

/// Scans with the buffer growing by `step` bytes; gives the events (rows once per piece) and how
/// many bytes they took.
fn follow(
    kind: ResponseKind,
    deprecate_eof: bool,
    bytes: &[u8],
    step: usize,
) -> (Vec<Event>, usize, u64) {
    let mut scanner = ResponseScanner::new(kind, deprecate_eof);
    let bounds = bounds(bytes);
    let (mut start, mut end) = (0, 0);
    let mut events = Vec::new();
    let mut rows = 0;
    loop {
        match scanner.scan(&bytes[start..end]).unwrap() {
            Scan::NeedMore { need } => {
                assert!(need > 0 && end < bytes.len(), "the answer ends too early");
                end = (end + step).min(bytes.len());
            }
            Scan::Piece { len, event, last } => {
                assert!(len > 0);
                if event == Event::Rows {
                    let [from, to] = [start, start + len].map(|at| bounds.binary_search(&at).ok());
                    let whole = from.zip(to).map(|(from, to)| (to - from) as u64);
                    assert_eq!(scanner.whole_frames(), whole);
                }
                start += len;
                if let Event::ResultEnd(_) = event {
                    rows += scanner.rows();
                }
                if events.last() != Some(&Event::Rows) || event != Event::Rows {
                    events.push(event);
                }
                assert_eq!(last, scanner.is_done());
                if last {
                    return (events, start, rows);
                }
            }
        }
    }
}

/// Where frames begin, and where the last ends.
fn bounds(bytes: &[u8]) -> Vec<usize> {
    let mut bounds = vec![0];
    let mut at = 0;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        at += FRAME_HEADER_LEN + FrameHeader::parse(*head).payload_len;
        bounds.push(at);
    }
    bounds
}

fn check(kind: ResponseKind, answer: Answer, want: &[Event], want_rows: u64) {
    let mut bytes = answer.bytes;
    let len = bytes.len();
    bytes.extend_from_slice(b"\x01\0\0\x01\0 the next answer");
    for step in [1, 3, 7, 64, 100_000, 1 << 30] {
        if len > 1 << 20 && step < 64 {
            continue;
        }
        let (events, taken, rows) = follow(kind, answer.deprecate_eof, &bytes, step);
        assert_eq!(events, want, "in steps of {step}");
        assert_eq!((taken, rows), (len, want_rows));
    }
}

fn head(affected_rows: u64, status: StatusFlags) -> OkHead {
    OkHead { affected_rows, status, ..OkHead::default() }
}

const PLAIN: StatusFlags = StatusFlags::AUTOCOMMIT;
const MORE: StatusFlags = StatusFlags::AUTOCOMMIT.union(StatusFlags::MORE_RESULTS);

#[test]
fn one_packet_answers() {
    let err = Event::Err { number: 1064, sqlstate: *b"42000" };
    for deprecate_eof in [false, true] {
        let answer = || Answer::new(deprecate_eof);
        for kind in [ResponseKind::Query, ResponseKind::Execute, ResponseKind::Simple] {
            check(kind, answer().ok(300, PLAIN), &[Event::Ok(head(300, PLAIN))], 0);
            check(kind, answer().err(), &[err], 0);
        }
        check(ResponseKind::Simple, answer().end(PLAIN), &[Event::Ok(head(0, PLAIN))], 0);
        check(ResponseKind::Prepare, answer().err(), &[err], 0);
        check(ResponseKind::Fetch, answer().err(), &[err], 0);
        check(ResponseKind::Text, answer().packet(b"Uptime: 1"), &[Event::Text], 0);
    }
}

#[test]
fn results_one_after_the_other() {
    let rows = [b"a".to_vec(), vec![b'x'; 300], Vec::new(), vec![0xFE; 20], vec![b'y'; 60_000]];
    for deprecate_eof in [false, true] {
        let answer = Answer::new(deprecate_eof)
            .columns(2)
            .rows(&rows)
            .end(MORE)
            .ok(7, MORE)
            .columns(1)
            .end(PLAIN);
        let mut want = vec![Event::ColumnCount(2), Event::Column, Event::Column];
        let eof = [Event::ColumnsEof(head(0, PLAIN))];
        let eof = if deprecate_eof { &eof[..0] } else { &eof[..] };
        want.extend(eof);
        want.extend([Event::Rows, Event::ResultEnd(head(0, MORE)), Event::Ok(head(7, MORE))]);
        want.extend([Event::ColumnCount(1), Event::Column]);
        want.extend(eof);
        want.push(Event::ResultEnd(head(0, PLAIN)));
        check(ResponseKind::Query, answer, &want, 5);
    }
}

#[test]
fn an_error_among_rows_ends_everything() {
    let answer = Answer::new(true).columns(1).rows(&[b"a".to_vec()]).err();
    let err = Event::Err { number: 1064, sqlstate: *b"42000" };
    check(
        ResponseKind::Query,
        answer,
        &[Event::ColumnCount(1), Event::Column, Event::Rows, err],
        0,
    );
}

#[test]
fn prepared_statements() {
    for (params, columns) in [(0, 0), (2, 0), (0, 2), (1, 2)] {
        for deprecate_eof in [false, true] {
            let ok = PrepareOk { statement_id: 1, columns, params, warnings: 0 };
            let mut payload = Vec::new();
            ok.encode(&mut payload);
            let mut answer = Answer::new(deprecate_eof).packet(&payload);
            let mut want = vec![Event::PrepareOk(ok)];
            for (count, one, eof) in [
                (params, Event::Param, Event::ParamsEof),
                (columns, Event::Column, Event::ColumnsEof(head(0, PLAIN))),
            ] {
                answer = answer.definitions(usize::from(count));
                want.extend(vec![one; usize::from(count)]);
                if count > 0 && !deprecate_eof {
                    answer = answer.eof(PLAIN);
                    want.push(eof);
                }
            }
            check(ResponseKind::Prepare, answer, &want, 0);
        }
    }
}

#[test]
fn a_cursor_of_a_procedure_ends_no_answer() {
    let status = PLAIN | StatusFlags::CURSOR_EXISTS;
    let mut payload = Vec::new();
    put_int(&mut payload, 1);
    let columns = || Answer::new(false).packet(&payload).definitions(1).eof(status);
    let end = Event::ResultEnd(head(0, PLAIN));
    let want = [
        Event::ColumnCount(1),
        Event::Column,
        Event::ColumnsEof(head(0, status)),
        Event::Rows,
        end,
    ];
    for kind in [ResponseKind::Query, ResponseKind::Execute] {
        check(kind, columns().rows(&[b"a".to_vec()]).end(PLAIN), &want, 1);
    }
    let want = [Event::Rows, Event::ResultEnd(head(0, PLAIN))];
    check(ResponseKind::Fetch, Answer::new(false).rows(&[b"a".to_vec()]).end(PLAIN), &want, 1);
}

#[test]
fn a_file_is_asked_for_and_then_the_answer_goes_on() {
    let mut payload = Vec::new();
    put_local_infile(&mut payload, b"data.csv");
    let request = Answer::new(true).packet(&payload);
    let mut scanner = ResponseScanner::new(ResponseKind::Query, true);
    let scan = scanner.scan(&request.bytes).unwrap();
    assert_eq!(
        scan,
        Scan::Piece { len: request.bytes.len(), event: Event::LocalInfile, last: false }
    );
    assert!(scanner.needs_file() && scanner.next_sequence() == 2);
    scanner.file_sent(4);
    assert!(!scanner.needs_file());
    let answer = Answer { sequence: 4, ..Answer::new(true) }.ok(3, PLAIN);
    let scan = scanner.scan(&answer.bytes).unwrap();
    assert_eq!(
        scan,
        Scan::Piece { len: answer.bytes.len(), event: Event::Ok(head(3, PLAIN)), last: true }
    );
}

#[test]
fn rows_of_more_than_16_mib_are_followed() {
    // The continuation looks like an error, an EOF packet and an empty packet in turn.
    for tail in [&[0xFFu8, 1, 2][..], &[0xFE, 0, 0, 2, 0], &[]] {
        for deprecate_eof in [false, true] {
            let mut row = vec![0xFE];
            row.extend_from_slice(&((MAX_FRAME_PAYLOAD + tail.len() - 9) as u64).to_le_bytes());
            row.resize(MAX_FRAME_PAYLOAD, b'z');
            row.extend_from_slice(tail);
            let answer = Answer::new(deprecate_eof)
                .columns(1)
                .packet(&row)
                .rows(&[b"a".to_vec()])
                .end(PLAIN);
            let mut want = vec![Event::ColumnCount(1), Event::Column];
            if !deprecate_eof {
                want.push(Event::ColumnsEof(head(0, PLAIN)));
            }
            want.extend([Event::Rows, Event::ResultEnd(head(0, PLAIN))]);
            check(ResponseKind::Query, answer, &want, 2);
        }
    }
}

#[test]
fn field_lists_and_wrong_numbers() {
    let answer = Answer::new(true).definitions(2).eof(PLAIN);
    check(
        ResponseKind::FieldList,
        answer,
        &[Event::Column, Event::Column, Event::ResultEnd(head(0, PLAIN))],
        0,
    );
    let answer = Answer { sequence: 2, ..Answer::new(true) }.ok(0, PLAIN);
    let error = ResponseScanner::new(ResponseKind::Query, true).scan(&answer.bytes).unwrap_err();
    assert_eq!(error, DecodeError::Sequence { expected: 1, got: 2 });
}

const KINDS: [ResponseKind; 7] = [
    ResponseKind::Query,
    ResponseKind::Execute,
    ResponseKind::Prepare,
    ResponseKind::Fetch,
    ResponseKind::FieldList,
    ResponseKind::Simple,
    ResponseKind::Text,
];

proptest! {
    #[test]
    fn any_rows_in_any_steps(rows in vec(vec(any::<u8>(), 0..400), 0..60), step in 1usize..3000, deprecate_eof: bool) {
        let answer = Answer::new(deprecate_eof).columns(3).rows(&rows).end(PLAIN);
        let len = answer.bytes.len();
        let (_, taken, seen) = follow(ResponseKind::Query, deprecate_eof, &answer.bytes, step);
        prop_assert_eq!((taken, seen), (len, rows.len() as u64));
    }

    #[test]
    fn garbage_never_panics(packets in vec(vec(any::<u8>(), 0..40), 0..12), kind in 0usize..7, deprecate_eof: bool) {
        let mut scanner = ResponseScanner::new(KINDS[kind], deprecate_eof);
        for packet in &packets {
            let _ = scanner.on_packet(packet, packet.len());
        }
        let mut bytes = Vec::new();
        let mut sequence = 1;
        for packet in &packets {
            put_packet(&mut bytes, &mut sequence, packet);
        }
        let mut scanner = ResponseScanner::new(KINDS[kind], deprecate_eof);
        let mut at = 0;
        while let Ok(Scan::Piece { len, .. }) = scanner.scan(&bytes[at..]) {
            prop_assert!(len > 0 && at + len <= bytes.len());
            at += len;
        }
    }
}
