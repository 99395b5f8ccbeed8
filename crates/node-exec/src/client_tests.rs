//! What is put for a client is what it gets, whatever is copied and whatever stays where it is.

#![allow(clippy::unwrap_used)]
use super::*;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

fn frames(from: u8, payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut sequence = from;
    for payload in payloads {
        put_packet(&mut out, &mut sequence, payload);
    }
    out
}

#[test]
fn every_cut_of_relayed_rows_is_renumbered() {
    let source = frames(3, &[b"one", b"", b"three", &[7; 300]]);
    let wanted = frames(254, &[b"one", b"", b"three", &[7; 300]]);
    for cut in 0..source.len() {
        let mut writer = ClientWriter::new(Box::new(tokio::io::sink()));
        writer.begin_answer(254);
        writer.relay_rows(&source[..cut], None);
        writer.relay_rows(&source[cut..], None);
        assert_eq!(writer.out, wanted, "cut at {cut}");
        assert_eq!(writer.sequence(), 2);
    }
}

#[test]
fn messages_keep_their_numbers_when_they_fit() {
    let source = frames(1, &[b"one"]);
    let mut writer = ClientWriter::new(Box::new(tokio::io::sink()));
    writer.begin_answer(1);
    writer.relay_message(&source);
    writer.relay_message(&frames(9, &[b"two"]));
    let mut wanted = source;
    wanted.extend(frames(2, &[b"two"]));
    assert_eq!(writer.out, wanted);
}

/// Takes a few bytes of each write, and keeps them.
struct Slow {
    taken: Rc<RefCell<Vec<u8>>>,
    step: usize,
    vectored: bool,
}

impl AsyncWrite for Slow {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.step);
        self.taken.borrow_mut().extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part);
        match self.vectored {
            true => {
                let all: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
                self.poll_write(cx, &all)
            }
            false => self.poll_write(cx, first),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_is_inserted_goes_out_in_its_place() {
    let long = [7; INSERTED_BYTES_MIN];
    let payloads: [&[u8]; 6] = [b"head", &long, &long, b"between", &long, b"end"];
    let wanted = frames(1, &payloads);
    for (step, vectored) in [(usize::MAX, true), (4096, true), (1001, true), (1001, false)] {
        let taken = Rc::new(RefCell::new(Vec::new()));
        let io = Slow { taken: taken.clone(), step, vectored };
        let mut writer = ClientWriter::new(Box::new(io));
        writer.begin_answer(1);
        for payload in payloads {
            let burst = frames(writer.sequence(), &[payload]);
            match writer.inserts(&burst, Some(1)) {
                Some(count) => assert_eq!(writer.insert(burst.into(), count), 1),
                None => writer.put(payload),
            }
        }
        assert_eq!((writer.inserted.len(), writer.len()), (3, wanted.len()));
        writer.flush().await.unwrap();
        assert!(*taken.borrow() == wanted && writer.is_empty());
        assert_eq!(writer.take_written(), wanted.len() as u64);
    }
}

#[test]
fn only_what_fits_is_inserted_and_it_is_taken_back_with_the_rest() {
    let burst = frames(1, &[&[7; INSERTED_BYTES_MIN]]);
    let mut writer = ClientWriter::new(Box::new(tokio::io::sink()));
    writer.begin_answer(1);
    let begin = writer.mark();
    assert_eq!(writer.inserts(&burst, None), None, "not whole");
    assert_eq!(writer.inserts(&burst[..INSERTED_BYTES_MIN - 1], Some(1)), None, "short");
    assert_eq!(writer.inserts(&burst, Some(1)), Some(1));
    writer.insert(burst.clone().into(), 1);
    assert!(writer.put_after(begin).is_none() && !writer.is_empty());
    assert_eq!(writer.inserts(&burst, Some(1)), None, "another number");
    let mark = writer.mark();
    writer.put(b"one");
    assert!(writer.take_back(mark) && writer.inserted.len() == 1);
    assert!(writer.take_back(begin) && writer.is_empty());
    for sequence in 1..=INSERTED_MAX as u8 {
        writer.insert(frames(sequence, &[&[7; INSERTED_BYTES_MIN]]).into(), 1);
    }
    let next = frames(INSERTED_MAX as u8 + 1, &[&[7; INSERTED_BYTES_MIN]]);
    assert_eq!(writer.inserts(&next, Some(1)), None, "too many for one write");
}
