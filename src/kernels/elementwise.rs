//! Loops over arrays of one length that only read and write, on all threads.

use super::parallel::{CHUNK, Worth, bytes};
use rayon::prelude::*;
use std::ops::Range;

/// Calls `f` with pieces of `y` and where they lie, for the same places of as many arrays that it reads.
pub(crate) fn by_pieces(y: &mut [f32], read: usize, f: impl Fn(&mut [f32], Range<usize>) + Sync) {
    let work = bytes(4 * (1 + read) * y.len());
    y.par_chunks_mut(CHUNK).enumerate().worth(work).for_each(|(i, y)| {
        let start = i * CHUNK;
        let end = start + y.len();
        f(y, start..end);
    });
}

/// Calls `f(y, x)` for every element.
pub(crate) fn each(y: &mut [f32], x: &[f32], f: impl Fn(&mut f32, f32) + Sync) {
    assert_eq!(y.len(), x.len(), "floats of y and x");
    by_pieces(y, 1, |y, here| y.iter_mut().zip(&x[here]).for_each(|(y, &x)| f(y, x)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_meets_its_own() {
        for n in [0, 1, CHUNK, CHUNK + 1, 40 * CHUNK + 7] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut y = vec![1.0; n];
            each(&mut y, &x, |y, x| *y += 2.0 * x);
            assert!(y.iter().zip(&x).all(|(y, x)| *y == 1.0 + 2.0 * x), "{n}");
        }
    }
}
