//! Buffers for what passes to and from clients, kept by each thread for all its sessions: a session
//! has one only while something is in it, so that an idle connection keeps none and a busy one
//! neither allocates nor grows one for each answer. The last one that came back goes out first: it
//! is still in the processor's cache.

use std::cell::RefCell;

/// A new buffer's size.
pub const BUFFER_BYTES: usize = 4 * 1024;

/// A buffer that grew beyond this is not kept.
const KEEP_BYTES: usize = 128 * 1024;

/// A thread keeps so many.
const KEPT_MAX: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer of [`BUFFER_BYTES`] at least.
pub fn take() -> Vec<u8> {
    let kept = KEPT.with_borrow_mut(Vec::pop);
    kept.unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES))
}

/// Gives a buffer back; what is in it is forgotten.
pub fn give(mut buffer: Vec<u8>) {
    if !(BUFFER_BYTES..=KEEP_BYTES).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    });
}

/// Lets go of memory that a long statement left in something that its session keeps.
pub fn trim<T>(kept: &mut Vec<T>) {
    if kept.capacity() * size_of::<T>() > BUFFER_BYTES {
        *kept = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_round_and_long_and_short_ones_do_not() {
        let mut one = take();
        one.extend_from_slice(&[7; 3 * BUFFER_BYTES]);
        let capacity = one.capacity();
        give(one);
        give(Vec::with_capacity(16));
        give(Vec::with_capacity(KEEP_BYTES + 1));
        let again = take();
        assert!(again.is_empty());
        assert_eq!(again.capacity(), capacity);
        assert_eq!(take().capacity(), BUFFER_BYTES);
        (0..2 * KEPT_MAX).for_each(|_| give(Vec::with_capacity(BUFFER_BYTES)));
        assert_eq!(KEPT.with_borrow(Vec::len), KEPT_MAX);
    }

    #[test]
    fn only_long_memory_is_let_go() {
        let mut short: Vec<u64> = Vec::with_capacity(8);
        let mut long: Vec<u64> = Vec::with_capacity(BUFFER_BYTES);
        trim(&mut short);
        trim(&mut long);
        assert_eq!((short.capacity(), long.capacity()), (8, 0));
    }
}
