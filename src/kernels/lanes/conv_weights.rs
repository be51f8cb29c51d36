//! The gradients of a convolution's weights and bias, with images in lanes.

use super::{Conv, LANES, Lanes, TILE, sized_tile, tiles};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};

/// Weights along a row of the kernel in one tile: 3 by up to 6 filters are 18 sums, which leaves
/// room in 32 registers for what they are made of. 4 by 6 spilled.
const TAPS: usize = 3;

/// Filters in one tile if there are but 16 registers; 4 spilled.
const FEW: usize = 3;

/// Output pixels, in whole rows, that a tile adds up before it stores its sums. Of 10 to 100, 20 to
/// 50 were fastest on LeNet's second layer: sums are rarely stored, and what the tiles of a kernel
/// row read stays in L1.
const PIXELS: usize = 32;

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
    // A tile has several taps, which would leave the image at different pixels. So rows are padded;
    // above and below the image, whole kernel rows are left out.
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
    /// `backward_weights` for `x` with rows of `width` cells, which windows do not reach beyond.
    fn padded_weights(
        conv: &Conv,
        width: usize,
        x: &[Lanes],
        dy: &[Lanes],
        sums: &mut [Lanes],
        dw: &mut [f32],
    ) = padded_weights_body::<V, P>
}

#[inline(always)]
fn padded_weights_body<V: Vector, const P: usize>(
    conv: &Conv,
    width: usize,
    x: &[Lanes],
    dy: &[Lanes],
    sums: &mut [Lanes],
    dw: &mut [f32],
) {
    let Conv { window, channels: c, filters: f, .. } = *conv;
    let ([h, _], [kh, kw], [oh, ow]) = (window.input, window.kernel, window.output);
    let (before, [down, right]) = (window.before[0], window.strides);
    let rows = (PIXELS / ow).max(1);
    for (filter, n) in tiles(f, if V::LANES == LANES { TILE } else { FEW }) {
        for ky in 0..kh {
            // Rows of the output that see a row of the image through this row of the kernel.
            let start = before.saturating_sub(ky).div_ceil(down);
            let end = (h + before).saturating_sub(ky).div_ceil(down).min(oh);
            let sums = &mut sums[..kw * c * n]; // (kw·c, n, LANES)
            sums.fill([0.0; LANES]);
            for (x, dy) in x.chunks_exact(h * width * c).zip(dy.chunks_exact(oh * ow * f)) {
                for oy in (start..end).step_by(rows) {
                    let x = &x[(oy * down + ky - before) * width * c..];
                    let dy = &dy[oy * ow * f..end.min(oy + rows) * ow * f];
                    let x_steps = [down * width * c, right * c];
                    let band = Band { x, x_steps, dy, dy_steps: [ow * f, f], filter };
                    for (tap, m) in tiles(kw * c, TAPS) {
                        let sums = &mut sums[tap * n..][..m * n];
                        match m {
                            1 => sized_tile!(n, tile::<V, P, 1>(&band, tap, sums)),
                            2 => sized_tile!(n, tile::<V, P, 2>(&band, tap, sums)),
                            TAPS => sized_tile!(n, tile::<V, P, TAPS>(&band, tap, sums)),
                            m => unreachable!("a tile of {m} taps"),
                        }
                    }
                }
            }
            for (tap, sums) in sums.chunks_exact(n).enumerate() {
                let dw = &mut dw[(ky * kw * c + tap) * f + filter..];
                for (dw, sum) in dw.iter_mut().zip(sums) {
                    *dw = V::load(sum).sum();
                }
            }
        }
    }
}

/// A few rows of the output, and what one row of the kernel sees of the image from there. Steps are
/// from one output pixel to the next, vertically and horizontally.
struct Band<'a> {
    x: &'a [Lanes],
    x_steps: [usize; 2],
    dy: &'a [Lanes],
    dy_steps: [usize; 2],
    filter: usize,
}

/// `totals (M, N) +=` products of `M` numbers of the kernel row, from `tap` on, and `N` filters,
/// summed over the pixels of a band. Of the `LANES` of a total, one register is used.
#[inline(always)]
fn tile<V: Vector, const P: usize, const M: usize, const N: usize>(
    band: &Band<'_>,
    tap: usize,
    totals: &mut [Lanes],
) {
    let mut sums = [[V::splat(0.0); N]; M];
    for i in 0..M {
        for j in 0..N {
            sums[i][j] = V::load(&totals[i * N + j]);
        }
    }
    for (y, dy) in band.dy.chunks_exact(band.dy_steps[0]).enumerate() {
        let x = &band.x[y * band.x_steps[0] + tap..];
        let xs = x.array_windows::<M>().step_by(band.x_steps[1]);
        let dys = dy[band.filter..].array_windows::<N>().step_by(band.dy_steps[1]);
        for (x, dy) in xs.zip(dys) {
            for p in 0..P {
                for i in 0..M {
                    let x = V::load(&x[i][p * V::LANES..]);
                    for j in 0..N {
                        let dy = V::load(&dy[j][p * V::LANES..]);
                        sums[i][j] = sums[i][j].plus_product(x, dy);
                    }
                }
            }
        }
    }
    for i in 0..M {
        for j in 0..N {
            sums[i][j].store(&mut totals[i * N + j]);
        }
    }
}

with_vectors! {
    /// Overwrites `db` with the gradient of a few blocks together.
    ///
    /// `dy (blocks, oh, ow, f, LANES)`, `db (f)`.
    pub(crate) fn backward_bias(dy: &[Lanes], db: &mut [f32]) = backward_bias_body::<V, P>
}

#[inline(always)]
fn backward_bias_body<V: Vector, const P: usize>(dy: &[Lanes], db: &mut [f32]) {
    let f = db.len();
    assert!(dy.len().is_multiple_of(f), "{} gradients of {f} filters", dy.len());
    for (first, n) in tiles(f, TILE) {
        sized_tile!(n, bias_tile::<V, P>(&dy[first.min(dy.len())..], f, &mut db[first..]));
    }
}

#[inline(always)]
fn bias_tile<V: Vector, const P: usize, const N: usize>(
    dy: &[Lanes],
    filters: usize,
    db: &mut [f32],
) {
    let mut sums = [V::splat(0.0); N];
    for dy in dy.array_windows::<N>().step_by(filters) {
        for j in 0..N {
            for p in 0..P {
                let dy = V::load(&dy[j][p * V::LANES..]);
                sums[j] = sums[j].plus_product(dy, V::splat(1.0));
            }
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
