//! The gradients of a convolution's weights and bias, with images in lanes.

use rayon::prelude::*;

use super::{Conv, LANES, Lanes, sized_tile, tiles};
use crate::kernels::buffer::with_scratch;
use crate::kernels::parallel::{Worth, flops};
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};

/// Weights along a row of the kernel, by filters, in one tile. 18 sums leave room in the 32 registers
/// of AVX-512 for what they are made of; 4 by 6 spilled. In 16 registers go 12 sums, which hide the
/// latency of two FMA units; 3 by 3 do not.
const fn tile_size(is_wide: bool) -> [usize; 2] {
    if is_wide { [3, 6] } else { [6, 2] }
}

/// Floats of `x` and `dy` in a band, whole rows of the output that a tile adds up before it stores its
/// sums: 24 KB, which stay in a 32 KB L1 cache while the tiles of a row of the kernel read them. The next
/// row of the kernel sees the same `dy`, and the same rows of `x` but one.
const BAND: usize = 6 * 1024;

/// Overwrites `dw` and, unless it is empty, `db` with the gradients of a few blocks together, tiles of
/// filters in parallel.
///
/// `x (blocks, h, w, c, LANES)`, `dy (blocks, oh, ow, f, LANES)`, `dw (kh, kw, c, f)`, `db (f)`.
pub(super) fn backward_weights(
    level: Level,
    conv: &Conv,
    x: &[Lanes],
    dy: &[Lanes],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let [x_len, w_len, y_len] = conv.lens();
    let blocks = x.len() / x_len;
    assert_eq!([x.len(), dw.len(), dy.len()], [blocks * x_len, w_len, blocks * y_len], "{conv:?}");
    assert!(db.is_empty() || db.len() == conv.filters);
    let Conv { window, channels: c, filters: f, .. } = *conv;
    let ([h, w], [_, kw], [oh, ow]) = (window.input, window.kernel, window.output);
    let before = window.before[1];
    let width = (ow - 1) * window.strides[1] + kw;
    let fits = width <= w;
    // A tile has several taps, which would leave the image at different pixels. So rows are padded;
    // above and below the image, whole kernel rows are left out.
    let padded = if fits { 0 } else { blocks * h * width * c * LANES };
    let depth = conv.depth();
    with_scratch(padded + (depth + 1) * f, |scratch| {
        let (padded, tiles) = scratch.split_at_mut(padded);
        let padded = padded.as_chunks_mut().0;
        for (to, from) in padded.chunks_exact_mut(width * c).zip(x.chunks_exact(w * c)) {
            to[..before * c].fill([0.0; LANES]);
            to[before * c..][..w * c].copy_from_slice(from);
            to[(before + w) * c..].fill([0.0; LANES]);
        }
        let (width, x) = if fits { (w, x) } else { (width, &*padded) };
        let [_, most_filters] = tile_size(level == Level::Avx512);
        let most = f.div_ceil(f.div_ceil(most_filters));
        let pieces = tiles.par_chunks_mut((depth + 1) * most).enumerate();
        pieces.worth(flops(conv.flops(blocks * LANES))).for_each(|(i, sums)| {
            let n = sums.len() / (depth + 1);
            let (dw, db) = sums.split_at_mut(depth * n);
            with_scratch((depth + oh * ow) * n * LANES, |scratch| {
                let (sums, dy_tile) = scratch.as_chunks_mut().0.split_at_mut(depth * n);
                filters(level, conv, width, i * most, x, dy, sums, dy_tile, dw, db);
            });
        });
        for (i, sums) in tiles.chunks((depth + 1) * most).enumerate() {
            let n = sums.len() / (depth + 1);
            let (sums, db_sums) = sums.split_at(depth * n);
            for (dw, sums) in dw.chunks_exact_mut(f).zip(sums.chunks_exact(n)) {
                dw[i * most..][..n].copy_from_slice(sums);
            }
            db.iter_mut().skip(i * most).zip(db_sums).for_each(|(db, sum)| *db = *sum);
        }
    });
}

with_vectors! {
    /// `backward_weights` of as many filters from `first` on as `db` has room for, for `x` with rows of `width`
    /// cells, which windows do not reach beyond.
    fn filters(
        conv: &Conv,
        width: usize,
        first: usize,
        x: &[Lanes],
        dy: &[Lanes],
        sums: &mut [Lanes],
        dy_tile: &mut [Lanes],
        dw: &mut [f32],
        db: &mut [f32],
    ) = filters_body::<V, P>
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn filters_body<V: Vector, const P: usize>(
    conv: &Conv,
    width: usize,
    filter: usize,
    x: &[Lanes],
    all_dy: &[Lanes],
    sums: &mut [Lanes], // (kh, kw·c, n, LANES)
    dy_tile: &mut [Lanes],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let Conv { window, channels: c, filters: f, .. } = *conv;
    let ([h, _], [_, kw], [oh, ow]) = (window.input, window.kernel, window.output);
    let (before, [down, right]) = (window.before[0], window.strides);
    let ([most_taps, _], n) = (tile_size(V::LANES == LANES), db.len());
    let rows = (BAND / ((down * width * c + ow * n) * LANES)).max(1);
    db.fill(0.0);
    sums.fill([0.0; LANES]);
    for (x, all_dy) in x.chunks_exact(h * width * c).zip(all_dy.chunks_exact(oh * ow * f)) {
        for (first, count) in tiles(oh, rows) {
            // Side by side: what lies `f` vectors apart crowds into a few sets of the L1 cache.
            let dy = &mut dy_tile[..count * ow * n];
            let from = &all_dy[first * ow * f..][..count * ow * f];
            sized_tile!(n, gather::<V, P>(from, f, filter, dy, db));
            for (ky, sums) in sums.chunks_exact_mut(kw * c * n).enumerate() {
                // Rows of the output that see a row of the image through this row of the kernel.
                let start = before.saturating_sub(ky).div_ceil(down).max(first);
                let end = (h + before).saturating_sub(ky).div_ceil(down).min(first + count);
                if start >= end {
                    continue;
                }
                let x = &x[(start * down + ky - before) * width * c..];
                let dy = &dy[(start - first) * ow * n..(end - first) * ow * n];
                let band = Band { x, x_steps: [down * width * c, right * c], dy, width: ow };
                for (tap, m) in tiles(kw * c, most_taps) {
                    let sums = &mut sums[tap * n..][..m * n];
                    match (V::LANES == LANES, m, n) {
                        (true, 1, n) => sized_tile!(n, tile::<V, P, 1>(&band, tap, sums)),
                        (true, 2, n) => sized_tile!(n, tile::<V, P, 2>(&band, tap, sums)),
                        (true, _, n) => sized_tile!(n, tile::<V, P, 3>(&band, tap, sums)),
                        (false, m, 1) => sized_tile!(m, narrow::<V, P, 1>(&band, tap, sums)),
                        (false, m, _) => sized_tile!(m, narrow::<V, P, 2>(&band, tap, sums)),
                    }
                }
            }
        }
    }
    for (dw, sum) in dw.iter_mut().zip(&*sums) {
        *dw = V::load(sum).sum();
    }
}

/// Copies `N` filters of `dy` and adds up their sums in `db`.
#[inline(always)]
fn gather<V: Vector, const P: usize, const N: usize>(
    dy: &[Lanes],
    filters: usize,
    filter: usize,
    tile: &mut [Lanes],
    db: &mut [f32],
) {
    let mut sums = [[V::splat(0.0); P]; N];
    for (from, to) in dy.chunks_exact(filters).zip(tile.as_chunks_mut::<N>().0) {
        let from = from[filter..].first_chunk::<N>().unwrap();
        for j in 0..N {
            let dy = <[V; P]>::load(&from[j]);
            dy.store(&mut to[j]);
            sums[j] = sums[j].plus(dy);
        }
    }
    for (db, sum) in db.iter_mut().zip(sums) {
        *db += sum.sum();
    }
}

/// A few rows of the output, and what one row of the kernel sees of the image from there.
struct Band<'a> {
    x: &'a [Lanes],
    /// From one output pixel to the next, vertically and horizontally.
    x_steps: [usize; 2],
    /// The tile's filters, rows of `width` pixels.
    dy: &'a [Lanes],
    width: usize,
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
    let [down, right] = band.x_steps;
    for (x, dys) in band.x[tap..].chunks(down).zip(band.dy.chunks_exact(band.width * N)) {
        for (ox, dys) in dys.as_chunks::<N>().0.iter().enumerate() {
            let x: &[Lanes; M] = x[ox * right..].first_chunk().unwrap();
            for p in 0..P {
                let mut dy = [V::splat(0.0); N];
                for j in 0..N {
                    dy[j] = V::load(&dys[j][p * V::LANES..]);
                }
                for i in 0..M {
                    let x = V::load(&x[i][p * V::LANES..]);
                    for j in 0..N {
                        sums[i][j] = sums[i][j].plus_product(x, dy[j]);
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

/// [`tile`] with its numbers the other way round.
#[inline(always)]
fn narrow<V: Vector, const P: usize, const N: usize, const M: usize>(
    band: &Band<'_>,
    tap: usize,
    totals: &mut [Lanes],
) {
    tile::<V, P, M, N>(band, tap, totals);
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn check(conv: &Conv, blocks: usize) {
        let [x_len, w_len, y_len] = conv.lens();
        let (x, dy) = (block(blocks * x_len, 1), block(blocks * y_len, 2));
        let (mut want_dw, mut want_db) = (vec![0.0; w_len], vec![0.0; conv.filters]);
        for (x, dy) in x.chunks(x_len).zip(dy.chunks(y_len)) {
            each_product(conv, |i, j, k| {
                (0..16).for_each(|lane| want_dw[j] += x[i][lane] * dy[k][lane]);
            });
        }
        for (i, dy) in dy.iter().enumerate() {
            want_db[i % conv.filters] += dy.iter().sum::<f32>();
        }
        for level in Level::all() {
            let (mut dw, mut db) = (vec![f32::NAN; w_len], vec![f32::NAN; conv.filters]);
            backward_weights(level, conv, &x, &dy, &mut dw, &mut db);
            assert_eq!((&dw, &db), (&want_dw, &want_db), "{level:?} {conv:?}");
        }
    }

    #[test]
    fn equals_the_naive_gradients() {
        for conv in convs() {
            (0..3).for_each(|blocks| check(&conv, blocks));
        }
    }

    #[test]
    fn equals_the_naive_gradients_of_a_single_pixel() {
        check(&dense(2, 3), 1);
    }
}
