//! Cases of the queue, and a simulation: random sessions, lines, servers and faults.
#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::HashMap;

fn filled(count: u32) -> (Queue<u32>, LineId) {
    let mut queue = Queue::default();
    (0..count).for_each(|one| queue.submit(one).unwrap());
    let line = queue.open_line().unwrap();
    queue.opened(line);
    (queue, line)
}

fn send_all(queue: &mut Queue<u32>, line: LineId) -> Vec<u32> {
    (0..queue.room(line)).map(|_| queue.send(line).unwrap()).collect()
}

#[test]
fn a_burst_is_followed_by_the_next_when_half_is_answered() {
    let (mut queue, line) = filled(4);
    assert_eq!(send_all(&mut queue, line), [0, 1, 2, 3]);
    (4..8).for_each(|one| queue.submit(one).unwrap());
    assert_eq!((queue.room(line), queue.answered(line)), (0, Some(0)));
    assert_eq!((queue.room(line), queue.answered(line)), (0, Some(1)));
    assert_eq!(send_all(&mut queue, line), [4, 5, 6, 7]);
    assert_eq!(queue.due_on(line), 6);
}

#[test]
fn lines_and_depth_grow_with_what_waits() {
    let (mut queue, first) = filled(LINE_SHARE as u32);
    assert_eq!(queue.open_line(), None);
    queue.submit(100).unwrap();
    let second = queue.open_line().unwrap();
    assert_eq!(queue.room(second), 0, "its connection is not there");
    queue.opened(second);
    let half = (LINE_SHARE + 1).div_ceil(2);
    assert_eq!(send_all(&mut queue, first).len(), half);
    assert_eq!(queue.idle_line(), Some(second));
    assert_eq!(send_all(&mut queue, second).len(), LINE_SHARE + 1 - half);
    (0..1000).for_each(|one| queue.submit(one).unwrap());
    let more: Vec<_> = std::iter::from_fn(|| queue.open_line()).collect();
    assert_eq!(more.len(), LINES_MAX - 2);
    queue.opened(more[0]);
    assert_eq!(send_all(&mut queue, more[0]).len(), DEPTH_MAX);
}

#[test]
fn a_stalled_line_keeps_its_first_statement_alone() {
    let (mut queue, line) = filled(3);
    send_all(&mut queue, line);
    queue.submit(9).unwrap();
    assert_eq!(queue.stalled(line), [1, 2]);
    assert_eq!((queue.room(line), queue.is_deserted(line)), (0, false));
    let other = queue.open_line().unwrap();
    queue.opened(other);
    assert_eq!(send_all(&mut queue, other), [9]);
    assert_eq!(queue.answered(line), Some(0));
    assert!(queue.is_deserted(line));
    assert_eq!((queue.answered(line), queue.close(line)), (None, vec![]));
}

#[test]
fn what_is_cancelled_is_nobodys() {
    let (mut queue, line) = filled(2);
    queue.send(line);
    assert_eq!(queue.cancel(|one| *one == 1), Cancelled::Unsent);
    assert_eq!(queue.cancel(|one| *one == 0), Cancelled::Sent(line));
    assert_eq!(queue.cancel(|one| *one == 0), Cancelled::Over);
    assert_eq!(queue.head(line), Some(None));
    assert_eq!((queue.answered(line), queue.head(line)), (None, None));
}

#[test]
fn the_last_line_gives_back_what_waits() {
    let (mut queue, line) = filled(DEPTH_MAX as u32 + 1);
    let other = queue.open_line().unwrap();
    let sent = send_all(&mut queue, line);
    assert_eq!(queue.close(line), sent);
    assert_eq!(queue.close(other).len(), DEPTH_MAX + 1 - sent.len());
    assert!(queue.is_empty());
}

/// A generator of numbers that are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A world: what each line's server got, and what became of each statement.
#[derive(Default)]
struct World {
    queue: Queue<u32>,
    /// By line: statements in the order in which the server got them, unanswered.
    servers: Vec<(LineId, VecDeque<u32>)>,
    /// How often each statement was given back, with an answer or to be sent again.
    ended: HashMap<u32, u32>,
    cancelled: Vec<u32>,
    submitted: u32,
}

impl World {
    fn end(&mut self, statements: impl IntoIterator<Item = u32>) {
        for one in statements {
            *self.ended.entry(one).or_default() += 1;
        }
    }

    fn step(&mut self, numbers: &mut Numbers) {
        match numbers.below(10) {
            0..4 => {
                self.queue.submit(self.submitted).unwrap();
                self.submitted += 1;
                if let Some(line) = self.queue.open_line() {
                    self.servers.push((line, VecDeque::new()));
                }
            }
            4 => {
                let one = numbers.below(u64::from(self.submitted) + 1) as u32;
                if self.queue.cancel(|known| *known == one) != Cancelled::Over {
                    self.cancelled.push(one);
                }
            }
            _ if self.servers.is_empty() => {}
            kind => {
                let at = numbers.below(self.servers.len() as u64) as usize;
                self.step_line(kind, at, numbers);
            }
        }
    }

    fn step_line(&mut self, kind: u64, at: usize, numbers: &mut Numbers) {
        let line = self.servers[at].0;
        match kind {
            5 => {
                self.queue.opened(line);
                let room = self.queue.room(line);
                assert!(room == 0 || !self.queue.is_retired(line));
                for _ in 0..room {
                    self.servers[at].1.push_back(self.queue.send(line).unwrap());
                }
                assert!(self.servers[at].1.len() <= DEPTH_MAX);
            }
            6..9 => {
                let Some(answer) = self.servers[at].1.pop_front() else { return };
                let passed_over = (numbers.below(8) == 0).then(|| self.queue.pass_over(line));
                self.end(passed_over.flatten());
                let whose = self.queue.answered(line);
                assert!(whose.is_none_or(|whose| whose == answer), "another's answer");
                self.end(whose);
            }
            _ if numbers.below(3) > 0 => {}
            _ if numbers.below(4) == 0 => self.queue.retire(line),
            _ if numbers.below(2) == 0 => {
                let behind = self.queue.stalled(line);
                self.end(behind);
            }
            _ => {
                let back = self.queue.close(line);
                self.end(back);
                self.servers.remove(at);
            }
        }
    }

    /// Everything that is still under way ends; then each statement has ended once.
    fn finish(mut self, seed: u64) {
        while let Some((line, _)) = self.servers.pop() {
            let back = self.queue.close(line);
            self.end(back);
        }
        if let Some(line) = self.queue.open_line() {
            let back = self.queue.close(line);
            self.end(back);
        }
        assert!(self.queue.is_empty(), "seed {seed}");
        for one in 0..self.submitted {
            let times = self.ended.get(&one).copied().unwrap_or(0);
            let wanted = u32::from(!self.cancelled.contains(&one));
            assert_eq!(times, wanted, "statement {one} of seed {seed}");
        }
    }
}

#[test]
fn each_statement_ends_once_whatever_happens() {
    for seed in 1..=2000 {
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut world = World::default();
        for _ in 0..400 {
            world.step(&mut numbers);
        }
        world.finish(seed);
    }
}
