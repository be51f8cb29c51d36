//! Sums over the rows of `(rows, c)` floats.
//!
//! Pieces are summed up in `f32`, each in many short chains, then the pieces in order in `f64`.

use super::buffer::with_scratch;
use super::channels::{wide, widened};
use super::parallel::{CHUNK, Nanoseconds, Worth, bytes};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;
use std::ops::Range;
use std::slice::ChunksExact;

/// A piece has at least so many wide rows, so that its sums are few against its floats.
const WIDE_ROWS: usize = 64;

/// `db = Σ dy` over the rows.
pub(crate) fn sum_rows(level: Level, dy: &[f32], db: &mut [f32]) {
    let c = db.len();
    let sum = |here, sums: &mut [f32]| add_rows(level, &dy[here], sums);
    by_pieces(1, dy.len(), c, bytes(4 * dy.len()), sum, |pieces| {
        for (j, db) in db.iter_mut().enumerate() {
            *db = pieces.clone().map(|sums| channel(sums, c, j)).sum::<f64>() as f32;
        }
    });
}

/// `dbeta = Σ dy` and `dgamma = Σ dy·(x - mean)·inv_std` over the rows, without the `dy` where
/// [`normalise`](super::normalise::normalise) with this scale and offset and ReLU gave 0.
pub(crate) fn gradient_sums(
    level: Level,
    [dy, x]: [&[f32]; 2],
    [mean, inv_std]: [&[f32]; 2],
    relu: Option<[&[f32]; 2]>,
    [dbeta, dgamma]: [&mut [f32]; 2],
) {
    assert_eq!(dy.len(), x.len(), "floats of dy and x");
    let c = mean.len();
    let wide = wide(c);
    let [scale, offset] = relu.unwrap_or([mean; 2]);
    widened([mean, scale, offset], |params| {
        let sum = |here: Range<usize>, sums: &mut [f32]| {
            let [dy, x] = [&dy[here.clone()], &x[here]];
            let (plain, centred) = sums.split_at_mut(wide);
            add_products(level, [dy, x], params, relu.is_some(), plain, centred);
        };
        by_pieces(2, dy.len(), c, bytes(8 * dy.len()), sum, |pieces| {
            for j in 0..c {
                let plain = pieces.clone().map(|sums| channel(&sums[..wide], c, j));
                let centred = pieces.clone().map(|sums| channel(&sums[wide..], c, j));
                dbeta[j] = plain.sum::<f64>() as f32;
                dgamma[j] = (centred.sum::<f64>() * f64::from(inv_std[j])) as f32;
            }
        });
    });
}

/// The mean of each channel over the rows, and the mean square of the distance from it.
///
/// Each piece is summed up twice, the second time around its own mean; the pieces' means and squares
/// are joined as Chan, Golub and LeVeque (1979) do. A mean of 10,000 standard deviations is no harm.
pub(crate) fn moments(level: Level, x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let c = mean.len();
    let wide = wide(c);
    let sum = |here: Range<usize>, sums: &mut [f32]| {
        let x = &x[here];
        let (shift, sums) = sums.split_at_mut(wide);
        let (plain, squares) = sums.split_at_mut(wide);
        add_rows(level, x, shift);
        for j in 0..c {
            let mean = channel(shift, c, j) / (x.len() / c) as f64;
            shift.iter_mut().skip(j).step_by(c).for_each(|shift| *shift = mean as f32);
        }
        add_squares(level, x, shift, plain, squares);
    };
    by_pieces(3, x.len(), c, bytes(6 * x.len()), sum, |pieces| {
        for j in 0..c {
            let [mut n, mut m, mut square] = [0.0; 3];
            for (i, sums) in pieces.clone().enumerate() {
                let here = (x.len() - i * piece(c)).min(piece(c)) / c;
                let [here, plain] = [here as f64, channel(&sums[wide..2 * wide], c, j)];
                let distance = f64::from(sums[j]) + plain / here - m;
                square += channel(&sums[2 * wide..], c, j) - plain * plain / here;
                square += distance * distance * n * here / (n + here);
                n += here;
                m += distance * here / n;
            }
            mean[j] = m as f32;
            variance[j] = (square / n) as f32;
        }
    });
}

/// Sums up `sums_each` wide rows for each piece, which start as zeros, and hands them to `finish`.
fn by_pieces(
    sums_each: usize,
    len: usize,
    c: usize,
    work: Nanoseconds,
    sum: impl Fn(Range<usize>, &mut [f32]) + Sync,
    finish: impl FnOnce(ChunksExact<'_, f32>),
) {
    assert!(len.is_multiple_of(c), "{len} floats in rows of {c}");
    let [piece, sums_each] = [piece(c), sums_each * wide(c)];
    with_scratch(len.div_ceil(piece) * sums_each, |scratch| {
        scratch.par_chunks_mut(sums_each).enumerate().worth(work).for_each(|(i, sums)| {
            sums.fill(0.0);
            sum(i * piece..len.min((i + 1) * piece), sums);
        });
        finish(scratch.chunks_exact(sums_each));
    });
}

/// The floats of a piece.
fn piece(c: usize) -> usize {
    wide(c) * (CHUNK / wide(c)).max(WIDE_ROWS)
}

/// What a wide row holds for channel `j`.
fn channel(wide: &[f32], c: usize, j: usize) -> f64 {
    wide.iter().skip(j).step_by(c).map(|&x| f64::from(x)).sum()
}

multiversion! { fn add_rows(x: &[f32], sums: &mut [f32]) = add_rows_body }
multiversion! {
    fn add_squares(x: &[f32], shift: &[f32], plain: &mut [f32], squares: &mut [f32])
        = add_squares_body
}
multiversion! {
    fn add_products(
        of: [&[f32]; 2],
        params: [&[f32]; 3],
        relu: bool,
        plain: &mut [f32],
        centred: &mut [f32],
    ) = add_products_body
}

#[inline(always)]
fn add_rows_body<F: Fma>(x: &[f32], sums: &mut [f32]) {
    for x in x.chunks(sums.len()) {
        sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += x);
    }
}

#[inline(always)]
fn add_squares_body<F: Fma>(x: &[f32], shift: &[f32], plain: &mut [f32], squares: &mut [f32]) {
    for x in x.chunks(shift.len()) {
        let sums = plain.iter_mut().zip(&mut *squares);
        for ((&x, &shift), (plain, square)) in x.iter().zip(shift).zip(sums) {
            let distance = x - shift;
            *plain += distance;
            *square = F::fma(distance, distance, *square);
        }
    }
}

#[inline(always)]
fn add_products_body<F: Fma>(
    [dy, x]: [&[f32]; 2],
    [mean, scale, offset]: [&[f32]; 3],
    relu: bool,
    plain: &mut [f32],
    centred: &mut [f32],
) {
    let wide = mean.len();
    for (dy, x) in dy.chunks(wide).zip(x.chunks(wide)) {
        let floats = dy.iter().zip(x).zip(mean.iter().zip(scale.iter().zip(offset)));
        for (((&dy, &x), (&mean, (&scale, &offset))), (plain, centred)) in
            floats.zip(plain.iter_mut().zip(&mut *centred))
        {
            let distance = x - mean;
            let cut = relu && F::fma(distance, scale, offset) <= 0.0;
            let dy = if cut { 0.0 } else { dy };
            *plain += dy;
            *centred = F::fma(dy, distance, *centred);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::super::simd::level;
    use super::*;

    const CHANNELS: [usize; 8] = [1, 2, 6, 16, 33, 127, 128, 1000];

    fn noise(n: usize, offset: f32) -> Vec<f32> {
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) % 4001;
        (0..n).map(|i| value(i) as f32 / 1000.0 - 2.0 + offset).collect()
    }

    /// The sum of `f(i)` over the floats of channel `j`.
    fn naive(len: usize, c: usize, j: usize, f: impl Fn(usize) -> f64) -> f64 {
        (j..len).step_by(c).map(f).sum()
    }

    #[test]
    fn sums_equal_the_naive_sums() {
        for level in Level::all() {
            for c in CHANNELS {
                for rows in [0, 1, 5, 63, 300] {
                    let [dy, x] = [noise(rows * c, 0.5), noise(rows * c, 3.0)];
                    let [mean, inv_std] = [vec![3.0; c], vec![0.5; c]];
                    let [mut db, mut dbeta, mut dgamma] = [(); 3].map(|()| vec![0.0; c]);
                    sum_rows(level, &dy, &mut db);
                    let sums = [&mut dbeta[..], &mut dgamma];
                    gradient_sums(level, [&dy, &x], [&mean, &inv_std], None, sums);
                    assert_eq!(db, dbeta);
                    for j in 0..c {
                        let sum = naive(x.len(), c, j, |i| dy[i].into());
                        let hat = |i: usize| (f64::from(x[i]) - 3.0) * 0.5;
                        let dot = naive(x.len(), c, j, |i| f64::from(dy[i]) * hat(i));
                        assert!((f64::from(db[j]) - sum).abs() < 1e-3, "{level:?} {rows}×{c}");
                        assert!((f64::from(dgamma[j]) - dot).abs() < 1e-3, "{level:?} {rows}×{c}");
                    }
                }
            }
        }
    }

    #[test]
    fn moments_survive_a_large_mean() {
        for level in Level::all() {
            for c in CHANNELS {
                for (rows, offset) in [(1, 1.0), (2, 1e4), (700, 1e4), (200_000 / c, 1e4)] {
                    let x = noise(rows * c, offset);
                    let [mut mean, mut variance] = [vec![0.0; c], vec![0.0; c]];
                    moments(level, &x, &mut mean, &mut variance);
                    for j in 0..c {
                        let n = rows as f64;
                        let m = naive(x.len(), c, j, |i| x[i].into()) / n;
                        let v = naive(x.len(), c, j, |i| (f64::from(x[i]) - m).powi(2)) / n;
                        assert!((f64::from(mean[j]) - m).abs() <= 1e-7 * m.abs(), "{rows}×{c}");
                        assert!((f64::from(variance[j]) - v).abs() <= 3e-6 * v, "{rows}×{c}");
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let x = noise(100_000 * 6, 1e3);
        assert_same_bits(|| {
            let mut sums = [[0.0; 6]; 3];
            let [mean, variance, sum] = &mut sums;
            moments(level(), &x, mean, variance);
            sum_rows(level(), &x, sum);
            sums.concat()
        });
    }
}
