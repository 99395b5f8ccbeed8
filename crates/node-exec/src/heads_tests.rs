//! Heads that are put again are the same as those that are made, and only where they would be.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::names::Names;
use crate::pipeline::{Answer, Buffered};
use mysql_wire::column::{ColumnDefinition, ColumnType};
use mysql_wire::frame::put_packet;
use mysql_wire::response::{Event, ResponseKind};
use sql_plan::plan::TablePlace;

fn tables(schema: &str, name: &str) -> Vec<PlanTable> {
    vec![PlanTable {
        schema: schema.into(),
        name: name.into(),
        physical_base: None,
        alias: name.into(),
        place: TablePlace::Sharded { suffixed: true },
    }]
}

/// A data node's answer with one row: columns of a physical table.
fn answer(schema: &str, table: &str, columns: usize, row: &[u8]) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 1);
    put_packet(&mut out, &mut sequence, &[u8::try_from(columns).unwrap()]);
    for at in 0..columns {
        let column = ColumnDefinition {
            schema: schema.into(),
            table: table.into(),
            org_table: table.into(),
            name: format!("c{at}").into(),
            ..ColumnDefinition::expression("", ColumnType::Long, 63, 11)
        };
        let mut payload = Vec::new();
        column.encode(&mut payload);
        put_packet(&mut out, &mut sequence, &payload);
    }
    put_packet(&mut out, &mut sequence, &[0xFE, 0, 0, 2, 0]);
    put_packet(&mut out, &mut sequence, row);
    put_packet(&mut out, &mut sequence, &[0xFE, 0, 0, 2, 0]);
    out
}

/// Passes an answer on as the one-shard road does; what the client gets, and whether its head was put again.
async fn pass(frames: &[u8], tables: &[PlanTable], status: u16) -> (Vec<u8>, bool) {
    let mut out = ClientWriter::new(Box::new(tokio::io::sink()));
    out.begin_answer(1);
    let begin = out.mark();
    let whole = Answer::of(frames);
    let mut answer = Buffered::new(&whole, ResponseKind::Query, false);
    let mut learning = None;
    let again =
        repeat(&mut out, &mut answer, tables, StatusFlags(status), &mut learning).await.unwrap();
    loop {
        let piece = answer.next_piece().await.unwrap();
        let (event, last) = (piece.event, piece.last);
        match event {
            Event::ColumnCount(_) | Event::Column | Event::ColumnsEof(_) => {
                if let Some(head) = &mut learning {
                    head.add(piece.frames, matches!(event, Event::ColumnsEof(_)), &out);
                }
            }
            _ => keep(learning.take(), &out),
        }
        match event {
            Event::Column => {
                let names = Names::of(tables);
                out.put_with(|to| names.rewrite_column(piece.payload(), false, to)).unwrap();
            }
            Event::ColumnsEof(_) => out.put(&[0xFE, 0, 0, status as u8, 0]),
            Event::Rows => drop(out.relay_rows(piece.frames, piece.whole_frames)),
            _ => out.relay_message(piece.frames),
        }
        if last {
            return (out.put_after(begin).unwrap().0.to_vec(), again);
        }
    }
}

#[tokio::test]
async fn a_head_is_put_again_from_the_third_time_on_and_means_the_same() {
    let plan = tables("shop", "orders");
    let first = pass(&answer("shop_0000", "orders_0", 2, b"\x011\x012"), &plan, 2).await;
    assert!(!first.1);
    let again = [
        pass(&answer("shop_0000", "orders_0", 2, b"\x011\x012"), &plan, 2).await,
        pass(&answer("shop_0000", "orders_0", 2, b"\x011\x012"), &plan, 2).await,
    ];
    assert_eq!([again[0].1, again[1].1], [false, true]);
    assert!(again.iter().all(|one| one.0 == first.0), "{again:?}");
    let (other_row, known) =
        pass(&answer("shop_0000", "orders_0", 2, b"\x013\x014"), &plan, 2).await;
    assert!(known && other_row != first.0 && other_row.len() == first.0.len());
}

#[tokio::test]
async fn what_it_follows_from_is_compared() {
    let plan = tables("shop", "orders");
    let known = answer("shop_0000", "orders_0", 1, b"\x011");
    for _ in 0..3 {
        pass(&known, &plan, 2).await;
    }
    assert!(pass(&known, &plan, 2).await.1);
    assert!(!pass(&known, &plan, 3).await.1, "another state of the session");
    assert!(!pass(&known, &tables("shop", "other"), 2).await.1, "other names");
    for frames in [
        answer("shop_0001", "orders_0", 1, b"\x011"),
        answer("shop_0000", "orders_0", 2, b"\x011\x012"),
    ] {
        assert!(!pass(&frames, &plan, 2).await.1, "another answer");
    }
    assert!(pass(&known, &plan, 2).await.1);
}

#[tokio::test]
async fn a_long_head_is_made_each_time() {
    let plan = tables("shop", "orders");
    let long = answer("shop_0000", "orders_0", 100, &b"\x011".repeat(100));
    for _ in 0..4 {
        assert!(!pass(&long, &plan, 2).await.1);
    }
}
