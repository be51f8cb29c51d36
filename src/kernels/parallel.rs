//! When a loop is worth more than one thread.
//!
//! Kernels are parallel by splitting their output with rayon (`par_chunks_mut`) into pieces whose
//! size does not depend on the number of threads, and end the chain with [`Worth::worth`]:
//!
//! ```text
//! y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).worth(bytes(8 * y.len())).for_each(|(y, x)| …);
//! ```

use rayon::iter::{IndexedParallelIterator, MinLen};

/// Floats in a piece of an elementwise loop: 64 KB, a few µs of work, and a few such slices
/// together still fit a core's L2 cache.
pub(crate) const CHUNK: usize = 16 * 1024;

/// The work of a loop: what it takes one thread, in nanoseconds, within a factor of two or so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nanoseconds(usize);

/// A job of a thread takes at least this long: handing one over costs 3–15 µs.
const SMALLEST_JOB: Nanoseconds = Nanoseconds(10_000);

impl Nanoseconds {
    /// So many jobs are worth handing over.
    pub(crate) fn jobs(self) -> usize {
        (self.0 / SMALLEST_JOB.0).max(1)
    }

    /// Not enough for two threads.
    pub(crate) fn is_little(self) -> bool {
        self.jobs() < 2
    }
}

/// The work of a loop bound by arithmetic: about 100 operations a nanosecond.
pub(crate) fn flops(count: usize) -> Nanoseconds {
    Nanoseconds(count / 100)
}

/// The work of a loop that reads and writes so many bytes: about 60 of them a nanosecond from the
/// caches. What does not fit there takes longer, but is worth several threads by this count too.
pub(crate) fn bytes(count: usize) -> Nanoseconds {
    Nanoseconds(count / 60)
}

pub(crate) trait Worth: IndexedParallelIterator {
    /// Hands pieces to other threads in jobs of at least [`SMALLEST_JOB`], given what all pieces
    /// together cost. Less than two such jobs run on the calling thread, without entering the pool.
    fn worth(self, all: Nanoseconds) -> MinLen<Self> {
        let pieces = self.len().saturating_mul(SMALLEST_JOB.0).div_ceil(all.0.max(1));
        self.with_min_len(pieces.max(1))
    }
}

impl<I: IndexedParallelIterator> Worth for I {}

/// Runs `f` on a thread of the pool, so that each kernel in it need not enter the pool anew, which
/// takes about 20 µs.
pub(crate) fn inside_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { f() } else { rayon::scope(|_| f()) }
}

/// Runs `f` on rayon pools of 1, 2 and 5 threads and demands the same bits of all.
#[cfg(test)]
pub(crate) fn assert_same_bits(f: impl Fn() -> Vec<f32> + Sync) {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| f().into_iter().map(f32::to_bits).collect::<Vec<_>>())
    };
    let alone = run(1);
    for threads in [2, 5] {
        assert!(run(threads) == alone, "{threads} threads give other bits than one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn small_loops_stay_on_the_calling_thread() {
        let here = std::thread::current().id();
        let mut y = vec![0.0_f32; 1000];
        y.par_chunks_mut(10).worth(bytes(4000)).for_each(|piece| {
            assert_eq!(std::thread::current().id(), here);
            piece.fill(1.0);
        });
        assert!(y.iter().all(|&y| y == 1.0));
    }
}
