//! Floats that start on a cache line, and scratch space that is allocated once a thread.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// A cache line, which is also the widest vector: loads of whole vectors then never straddle two.
const ALIGNMENT: usize = 64;
const FLOATS_PER_LINE: usize = ALIGNMENT / size_of::<f32>();

/// A fixed number of floats, the first on a cache-line boundary, all zero at first.
#[derive(Default)]
pub(crate) struct Buffer {
    floats: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    pub(crate) fn zeros(len: usize) -> Self {
        let floats = vec![0.0; len + FLOATS_PER_LINE - 1];
        let start = floats.as_ptr().align_offset(ALIGNMENT);
        Self { floats, start, len }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.floats[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..self.start + self.len]
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} floats)", self.len)
    }
}

/// Lends `f` a buffer of `len` floats with unspecified contents. Each thread keeps its buffers, so
/// that a kernel called a thousand times allocates once.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    thread_local! {
        // A stack, since a thread that waits inside `f` for other tasks may start one of them,
        // which asks for scratch of its own.
        static FREE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
    }
    let mut buffer = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer = Buffer::zeros(len);
    }
    let result = f(&mut buffer[..len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn buffers_start_on_a_cache_line() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let buffer = Buffer::zeros(len);
            assert_eq!(buffer.len(), len);
            assert!(len == 0 || buffer.as_ptr().addr().is_multiple_of(ALIGNMENT));
            assert_eq!(*buffer.clone(), *buffer);
        }
    }

    #[test]
    fn nested_scratch_does_not_overlap() {
        with_scratch(10, |outer| {
            outer.fill(1.0);
            with_scratch(20, |inner| inner.fill(2.0));
            assert!(outer.iter().all(|&x| x == 1.0));
        });
    }

    #[test]
    fn tasks_that_a_waiting_thread_starts_have_scratch_of_their_own() {
        let task = |number: usize| {
            with_scratch(10, |scratch| {
                scratch.fill(number as f32);
                let inner = || with_scratch(5, |inner| inner.fill(-1.0));
                rayon::join(inner, inner);
                assert!(scratch.iter().all(|&x| x == number as f32));
            });
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.install(|| (0..6).into_par_iter().for_each(task));
    }
}
