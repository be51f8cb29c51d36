//! The gradients of a convolution's weights and bias, with images in lanes.

use super::vector::{Vector, with_vectors};
use super::{Conv, LANES, Lanes, TILE, sized_tile, tiles};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;

/// Kernel cells that a tile of weights holds in registers, times up to [`TILE`] filters: 18 of the 32
/// registers of AVX-512, with room for what they are multiplied by. 4 cells spilled.
const CELLS: usize = 3;

/// Overwrites `dw` with the gradient of a few blocks together.
///
/// `x (blocks, h, w, c, LANES)`, `dy (blocks, oh, ow, f, LANES)`, `dw (kh, kw, c, f)`.
pub(crate) fn backward_weights(
    level: Level,
    conv: &Conv,
    x: &[Lanes],
    dy: &[Lanes],
    dw: &mut [f32],
) {
    let [x_len, w_len, y_len] = conv.lens();
    let blocks = x.len() / x_len;
    assert_eq!([x.len(), dw.len(), dy.len()], [blocks * x_len, w_len, blocks * y_len], "{conv:?}");
    let Conv { window, channels: c, .. } = *conv;
    let ([h, w], [_, kw], [_, ow]) = (window.input, window.kernel, window.output);
    let before = window.before[1];
    let width = (ow - 1) * window.strides[1] + kw;
    let fits = before == 0 && width <= w;
    let sums = kw * c * TILE;
    let padded = if fits { 0 } else { blocks * h * width * c };
    with_scratch((sums + padded) * LANES, |scratch| {
        let (sums, padded) = scratch.as_chunks_mut().0.split_at_mut(sums);
        if fits {
            return padded_weights(level, conv, w, x, dy, sums, dw);
        }
        let used = w.min(width - before);
        for (to, from) in padded.chunks_exact_mut(width * c).zip(x.chunks_exact(w * c)) {
            to[..before * c].fill([0.0; LANES]);
            to[before * c..][..used * c].copy_from_slice(&from[..used * c]);
            to[(before + used) * c..].fill([0.0; LANES]);
        }
        padded_weights(level, conv, width, padded, dy, sums, dw);
    })
}

with_vectors! {
    /// `backward_weights` with rows of `x`, `width` cells long, that windows do not reach beyond.
    fn padded_weights(
        conv: &Conv,
        width: usize,
        x: &[Lanes],
        dy: &[Lanes],
        sums: &mut [Lanes],
        dw: &mut [f32],
    ) = padded_weights_body
}

#[inline(always)]
fn padded_weights_body<V: Vector>(
    conv: &Conv,
    width: usize,
    x: &[Lanes],
    dy: &[Lanes],
    sums: &mut [Lanes],
    dw: &mut [f32],
) {
    let Conv { window, channels: c, filters: f, .. } = *conv;
    let ([h, _], [kh, kw], [oh, ow]) = (window.input, window.kernel, window.output);
    let (before, stride) = (window.before[0], window.strides[0]);
    let (run, step) = (kw * c, window.strides[1] * c);
    for (first, n) in tiles(f, TILE) {
        for ky in 0..kh {
            // Rows of the output that see a row of the image through this row of the kernel.
            let start = before.saturating_sub(ky).div_ceil(stride);
            let end = (h + before).saturating_sub(ky).div_ceil(stride).min(oh);
            let sums = &mut sums[..run * n];
            sums.fill([0.0; LANES]);
            for (x, dy) in x.chunks_exact(h * width * c).zip(dy.chunks_exact(oh * ow * f)) {
                for oy in start..end {
                    let x = &x[(oy * stride + ky - before) * width * c..][..width * c];
                    let dy = &dy[oy * ow * f..][..ow * f];
                    let dy = &dy[first..];
                    for (cell, m) in tiles(run, CELLS) {
                        let x = &x[cell..];
                        let sums = &mut sums[cell * n..][..m * n];
                        match m {
                            1 => sized_tile!(n, tile < V, 1 > (x, step, dy, f, sums)),
                            2 => sized_tile!(n, tile < V, 2 > (x, step, dy, f, sums)),
                            CELLS => sized_tile!(n, tile < V, CELLS > (x, step, dy, f, sums)),
                            _ => unreachable!("a tile of {m} cells"),
                        }
                    }
                }
            }
            for (cell, sums) in sums.chunks_exact(n).enumerate() {
                let dw = &mut dw[(ky * run + cell) * f + first..][..n];
                for (dw, sum) in dw.iter_mut().zip(sums) {
                    *dw = V::load(sum).sum();
                }
            }
        }
    }
}

/// `sums (M, N) += ` the products of `M` cells and `N` filters in one row of the output.
#[inline(always)]
fn tile<V: Vector, const M: usize, const N: usize>(
    x: &[Lanes],
    step: usize,
    dy: &[Lanes],
    filters: usize,
    into: &mut [Lanes],
) {
    let mut sums = [[V::splat(0.0); N]; M];
    for i in 0..M {
        for j in 0..N {
            sums[i][j] = V::load(&into[i * N + j]);
        }
    }
    let xs = x.array_windows::<M>().step_by(step);
    for (x, dy) in xs.zip(dy.array_windows::<N>().step_by(filters)) {
        for i in 0..M {
            let x = V::load(&x[i]);
            for j in 0..N {
                sums[i][j] = sums[i][j].plus_product(x, V::load(&dy[j]));
            }
        }
    }
    for i in 0..M {
        for j in 0..N {
            sums[i][j].store(&mut into[i * N + j]);
        }
    }
}

with_vectors! {
    /// Overwrites `db` with the gradient of a few blocks together.
    ///
    /// `dy (blocks, oh, ow, f, LANES)`, `db (f)`.
    pub(crate) fn backward_bias(dy: &[Lanes], db: &mut [f32]) = backward_bias_body
}

#[inline(always)]
fn backward_bias_body<V: Vector>(dy: &[Lanes], db: &mut [f32]) {
    let f = db.len();
    assert!(dy.len().is_multiple_of(f), "{} gradients of {f} filters", dy.len());
    for (first, n) in tiles(f, TILE) {
        sized_tile!(n, bias_tile<V>(&dy[first.min(dy.len())..], f, &mut db[first..]));
    }
}

#[inline(always)]
fn bias_tile<V: Vector, const N: usize>(dy: &[Lanes], filters: usize, db: &mut [f32]) {
    let mut sums = [V::splat(0.0); N];
    for dy in dy.array_windows::<N>().step_by(filters) {
        for j in 0..N {
            sums[j] = sums[j].plus_product(V::load(&dy[j]), V::splat(1.0));
        }
    }
    for (db, sum) in db.iter_mut().zip(sums) {
        *db = sum.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn equals_the_naive_gradients() {
        for conv in convs() {
            let [x_len, w_len, y_len] = conv.lens();
            for blocks in 0..3 {
                let (x, dy) = (block(blocks * x_len, 1), block(blocks * y_len, 2));
                let (mut want_dw, mut want_db) = (vec![0.0; w_len], vec![0.0; conv.filters]);
                for (x, dy) in x.chunks(x_len).zip(dy.chunks(y_len)) {
                    each_product(&conv, |i, j, k| {
                        (0..16).for_each(|lane| want_dw[j] += x[i][lane] * dy[k][lane]);
                    });
                }
                for (i, dy) in dy.iter().enumerate() {
                    want_db[i % conv.filters] += dy.iter().sum::<f32>();
                }
                for level in Level::all() {
                    let (mut dw, mut db) = (vec![f32::NAN; w_len], vec![f32::NAN; conv.filters]);
                    backward_weights(level, &conv, &x, &dy, &mut dw);
                    backward_bias(level, &dy, &mut db);
                    assert_eq!((&dw, &db), (&want_dw, &want_db), "{level:?} {conv:?}");
                }
            }
        }
    }
}
