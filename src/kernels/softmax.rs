//! Softmax over rows of scores.

use super::exp::exp;
use super::parallel::{CHUNK, Worth, flops};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// Arithmetic operations a float: mostly its `exp`.
const FLOPS: usize = 40;

/// `y = eʸ / Σ eʸ` over each row of `c` floats, in place.
pub(crate) fn softmax(level: Level, y: &mut [f32], c: usize) {
    let work = flops(FLOPS * y.len());
    y.par_chunks_mut(piece(y.len(), c)).worth(work).for_each(|y| forward(level, y, c));
}

/// `dx = y · (dy - Σ y·dy)` over each row of `c` floats, in place of `dy`.
pub(crate) fn softmax_backward(level: Level, y: &[f32], dy: &mut [f32], c: usize) {
    assert_eq!(y.len(), dy.len(), "floats of y and dy");
    let piece = piece(y.len(), c);
    let pieces = y.par_chunks(piece).zip(dy.par_chunks_mut(piece));
    pieces.worth(flops(4 * y.len())).for_each(|(y, dy)| backward(level, y, dy, c));
}

/// A number of whole rows.
fn piece(len: usize, c: usize) -> usize {
    assert!(c > 0 && len.is_multiple_of(c), "{len} floats in rows of {c}");
    c * (CHUNK / c).max(1)
}

multiversion! { fn forward(y: &mut [f32], c: usize) = forward_body }
multiversion! { fn backward(y: &[f32], dy: &mut [f32], c: usize) = backward_body }

#[inline(always)]
fn forward_body<F: Fma>(y: &mut [f32], c: usize) {
    for row in y.chunks_exact_mut(c) {
        let largest = reduce(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        row.iter_mut().for_each(|y| *y -= largest);
    }
    // Over all rows at once: a row of 10 would leave most lanes of a vector empty.
    y.iter_mut().for_each(|y| *y = exp::<F>(*y));
    for row in y.chunks_exact_mut(c) {
        let scale = 1.0 / reduce(row, 0.0, |a, b| a + b);
        row.iter_mut().for_each(|y| *y *= scale);
    }
}

#[inline(always)]
fn backward_body<F: Fma>(y: &[f32], dy: &mut [f32], c: usize) {
    for (y, dy) in y.chunks_exact(c).zip(dy.chunks_exact_mut(c)) {
        dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy *= y);
        let sum = reduce(dy, 0.0, |a, b| a + b);
        dy.iter_mut().zip(y).for_each(|(dy, &y)| *dy = F::fma(-sum, y, *dy));
    }
}

/// A row taken together by `f`, in 16 lanes and then the lanes.
#[inline(always)]
fn reduce(row: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let (vectors, rest) = row.as_chunks::<16>();
    let mut lanes = [start; 16];
    for vector in vectors {
        for (lane, &x) in lanes.iter_mut().zip(vector) {
            *lane = f(*lane, x);
        }
    }
    let rest = rest.iter().fold(start, |a, &b| f(a, b));
    if vectors.is_empty() { rest } else { lanes.into_iter().fold(rest, f) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(x: &[f32], dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let largest = x.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b.into()));
        let e: Vec<f64> = x.iter().map(|&x| (f64::from(x) - largest).exp()).collect();
        let sum: f64 = e.iter().sum();
        let y: Vec<f64> = e.iter().map(|e| e / sum).collect();
        let dot: f64 = y.iter().zip(dy).map(|(y, &dy)| y * f64::from(dy)).sum();
        let dx = y.iter().zip(dy).map(|(y, &dy)| y * (f64::from(dy) - dot)).collect();
        (y, dx)
    }

    #[test]
    fn equals_the_naive_function() {
        for level in Level::all() {
            for (rows, c) in [(0, 3), (1, 1), (5, 2), (32, 10), (7, 16), (3, 33), (2, 1000)] {
                for scale in [1.0, 100.0] {
                    let value = |i: usize| ((i * 37 % 101) as f32 / 50.0 - 1.0) * scale;
                    let x: Vec<f32> = (0..rows * c).map(value).collect();
                    let dy: Vec<f32> = x.iter().rev().copied().collect();
                    let (mut y, mut dx) = (x.clone(), dy.clone());
                    softmax(level, &mut y, c);
                    softmax_backward(level, &y, &mut dx, c);
                    for row in 0..rows {
                        let here = row * c..(row + 1) * c;
                        let (wanted_y, wanted_dx) = naive(&x[here.clone()], &dy[here.clone()]);
                        for (i, at) in here.enumerate() {
                            assert!((f64::from(y[at]) - wanted_y[i]).abs() < 1e-6);
                            let error = (f64::from(dx[at]) - wanted_dx[i]).abs();
                            assert!(
                                error < 1e-6 * f64::from(scale),
                                "{level:?} {rows}×{c} {error}"
                            );
                        }
                    }
                }
            }
        }
    }
}
