//! Passes over `(rows, c)` floats with a parameter a channel.
//!
//! Few channels would leave most lanes of a vector empty. Rows are therefore taken together until
//! they are long enough, and the parameters repeated to match.

use super::buffer::with_scratch;
use super::parallel::{CHUNK, Worth, bytes};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// A row of at least so many floats is long enough: 8 of the widest vectors.
const WIDE: usize = 128;

/// The floats of the rows that are taken together.
pub(super) fn wide(c: usize) -> usize {
    assert!(c > 0, "rows without channels");
    c * WIDE.div_ceil(c)
}

/// The floats of a piece when `len` floats are cut up: a number of wide rows.
pub(super) fn piece(len: usize, c: usize) -> usize {
    assert!(len.is_multiple_of(c), "{len} floats in rows of {c}");
    wide(c) * (CHUNK / wide(c)).max(1)
}

/// Calls `f` with the parameters of each channel, repeated to a wide row.
pub(super) fn widened<const N: usize, R>(
    params: [&[f32]; N],
    f: impl FnOnce([&[f32]; N]) -> R,
) -> R {
    let c = params[0].len();
    let wide = wide(c);
    with_scratch(N * wide, |scratch| {
        for (row, params) in scratch.chunks_exact_mut(wide).zip(params) {
            row.chunks_exact_mut(c).for_each(|row| row.copy_from_slice(params));
        }
        let scratch = &*scratch;
        f(std::array::from_fn(|i| &scratch[i * wide..(i + 1) * wide]))
    })
}

/// `y += bias` in each row.
pub(crate) fn add_bias(level: Level, y: &mut [f32], bias: &[f32]) {
    let [piece, work] = [piece(y.len(), bias.len()), 8 * y.len()];
    widened([bias], |[bias]| {
        y.par_chunks_mut(piece).worth(bytes(work)).for_each(|y| add(level, y, bias));
    });
}

/// `y = max(y + bias, 0)` in each row.
pub(crate) fn add_bias_relu(level: Level, y: &mut [f32], bias: &[f32]) {
    let [piece, work] = [piece(y.len(), bias.len()), 8 * y.len()];
    widened([bias], |[bias]| {
        y.par_chunks_mut(piece).worth(bytes(work)).for_each(|y| add_relu(level, y, bias));
    });
}

multiversion! { fn add(y: &mut [f32], bias: &[f32]) = add_body }
multiversion! { fn add_relu(y: &mut [f32], bias: &[f32]) = add_relu_body }

#[inline(always)]
fn add_body<F: Fma>(y: &mut [f32], bias: &[f32]) {
    for y in y.chunks_mut(bias.len()) {
        y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
    }
}

#[inline(always)]
fn add_relu_body<F: Fma>(y: &mut [f32], bias: &[f32]) {
    for y in y.chunks_mut(bias.len()) {
        for (y, &b) in y.iter_mut().zip(bias) {
            let sum = *y + b;
            *y = if sum < 0.0 { 0.0 } else { sum };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bias_goes_to_its_channel() {
        for level in Level::all() {
            for c in [1, 2, 6, 10, 16, 33, 120, 127, 128, 129, 1000] {
                for rows in [0, 1, 2, 31, 32, 100, 2 * CHUNK / c + 3] {
                    let bias: Vec<f32> = (0..c).map(|j| (j % 5) as f32 - 2.0).collect();
                    let x: Vec<f32> = (0..rows * c).map(|i| (i % 7) as f32 - 3.0).collect();
                    let [mut y, mut positive] = [x.clone(), x.clone()];
                    add_bias(level, &mut y, &bias);
                    add_bias_relu(level, &mut positive, &bias);
                    for (i, x) in x.iter().enumerate() {
                        assert_eq!(y[i], x + bias[i % c], "{level:?} {rows}×{c}");
                        assert_eq!(positive[i], (x + bias[i % c]).max(0.0), "{level:?} {rows}×{c}");
                    }
                }
            }
        }
    }
}
