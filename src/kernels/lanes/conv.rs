//! Convolution with images in lanes.

// The loops over constant ranges are unrolled; over iterators they need not be.
#![allow(clippy::needless_range_loop)]

use super::{Conv, LANES, Lanes, TILE, sized_tile, tiles};
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};

/// Pixels that are made at once where a tile has as many filters, so that what is read serves several sums: 4
/// pixels by 6 filters are 24 sums, of 32 registers with AVX-512. 16 registers take 6 sums of two each, so that
/// only few filters leave room for a second pixel; 2 pixels by 3 filters spilled.
const fn most_pixels(is_wide: bool, filters: usize) -> usize {
    let sums = if is_wide { 4 * TILE } else { TILE };
    let most = if is_wide || filters <= 2 { sums / filters } else { 1 };
    if most < TILE { most } else { TILE }
}

/// Whether [`forward_rows`] makes several pixels of so many filters at once.
pub(super) fn several_pixels(level: Level, filters: usize) -> bool {
    most_pixels(level == Level::Avx512, largest_tile(filters)) > 1
}

/// The most filters of a tile.
#[inline(always)]
fn largest_tile(filters: usize) -> usize {
    filters.div_ceil(filters.div_ceil(TILE))
}

with_vectors! {
    /// `y = x * w + bias` for rows of one block from `first` on, and 0 where that is negative if `relu`.
    ///
    /// `x (h, w, c, LANES)`, `w (kh, kw, c, f)`, `bias (f)`, `y (rows, ow, f, LANES)`.
    pub(crate) fn forward_rows(
        conv: &Conv,
        x: &[Lanes],
        w: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
        first: usize,
        y: &mut [Lanes],
    ) = forward_body::<V, P>
}

#[inline(always)]
fn forward_body<V: Vector, const P: usize>(
    conv: &Conv,
    x: &[Lanes],
    w: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    first: usize,
    y: &mut [Lanes],
) {
    let ([_, ow], f) = (conv.window.output, conv.filters);
    let end = first + y.len() / (ow * f);
    let task = Task { conv, x, w, bias, relu, first };
    // Side by side or one below the other, pixels have the same taps if their windows do not reach beyond
    // the image.
    let most = most_pixels(V::LANES == LANES, largest_tile(f));
    let [rows, columns] = [0, 1].map(|axis| conv.window.inside(axis));
    let rows = rows.start.max(first)..rows.end.min(end);
    let edges = (0..ow).filter(|ox| !columns.contains(ox));
    // Downwards, since the next row's windows have most of their image in L1 then.
    for (ox, count) in tiles(columns.len(), most) {
        for oy in first..end {
            task.pixels::<V, P>([oy, columns.start + ox], [0, 1], count, y);
        }
    }
    for ox in edges {
        for (oy, count) in tiles(rows.len(), most) {
            task.pixels::<V, P>([rows.start + oy, ox], [1, 0], count, y);
        }
        for oy in (first..end).filter(|oy| !rows.contains(oy)) {
            task.pixels::<V, P>([oy, ox], [0, 0], 1, y);
        }
    }
}

struct Task<'a> {
    conv: &'a Conv,
    x: &'a [Lanes],
    w: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
    /// The row with which `y` begins.
    first: usize,
}

impl<'a> Task<'a> {
    /// What the output pixel `[oy, ox]` is made of.
    #[inline(always)]
    fn patch(&self, [oy, ox]: [usize; 2]) -> Patch<'a> {
        let Conv { window, channels: c, filters: f, .. } = *self.conv;
        let ([_, width], [_, kw]) = (window.input, window.kernel);
        let (kys, kxs) = (window.taps(0, oy), window.taps(1, ox));
        let (iy, ix) = (window.cell(0, oy, kys.start), window.cell(1, ox, kxs.start));
        Patch {
            rows: kys.len(),
            run: kxs.len() * c,
            x: &self.x[(iy * width + ix) * c..],
            x_step: width * c,
            w: &self.w[(kys.start * kw + kxs.start) * c * f..],
            w_step: kw * c * f,
            filters: f,
            bias: self.bias,
            relu: self.relu,
        }
    }

    /// All filters of `count` pixels with the same taps, from `at` on and this many rows or
    /// columns apart.
    #[inline(always)]
    fn pixels<V: Vector, const P: usize>(
        &self,
        at: [usize; 2],
        [down, right]: [usize; 2],
        count: usize,
        y: &mut [Lanes],
    ) {
        let Conv { window, channels: c, filters: f, .. } = *self.conv;
        let ([_, width], [_, ow]) = (window.input, window.output);
        let x_step = (down * window.strides[0] * width + right * window.strides[1]) * c;
        let (patch, y) = (&self.patch(at), &mut y[((at[0] - self.first) * ow + at[1]) * f..]);
        for (first, n) in tiles(f, TILE) {
            let steps = [first, x_step, (down * ow + right) * f];
            sized_tile!(n, filters::<V, P>(patch, steps, count, &mut y[first..]));
        }
    }
}

/// What one output pixel is made of: `rows` runs of numbers of `x`, each times `filters` weights.
struct Patch<'a> {
    rows: usize,
    /// The cells of a row of the window that lie on the image, and their channels.
    run: usize,
    x: &'a [Lanes],
    x_step: usize,
    w: &'a [f32],
    w_step: usize,
    filters: usize,
    bias: Option<&'a [f32]>,
    relu: bool,
}

/// [`tile`] for `count` pixels.
#[inline(always)]
fn filters<V: Vector, const P: usize, const N: usize>(
    patch: &Patch<'_>,
    steps: [usize; 3],
    count: usize,
    y: &mut [Lanes],
) {
    sized_tile!(count, tile::<V, P, N>(patch, steps, y));
}

/// `N` filters, from `first` on, of `X` pixels, which lie `x_step` apart in `x` and `y_step` in `y`.
#[inline(always)]
fn tile<V: Vector, const P: usize, const N: usize, const X: usize>(
    patch: &Patch<'_>,
    [first, x_step, y_step]: [usize; 3],
    y: &mut [Lanes],
) {
    if X > const { most_pixels(V::LANES == LANES, N) } {
        unreachable!("{X} pixels of {N} filters");
    }
    let mut sums = [[[V::splat(0.0); P]; N]; X];
    if let Some(bias) = patch.bias {
        let bias = &bias[first..][..N];
        for i in 0..X {
            for j in 0..N {
                sums[i][j] = [V::splat(bias[j]); P];
            }
        }
    }
    for row in 0..patch.rows {
        let x = &patch.x[row * patch.x_step..];
        let mut xs = [x; X];
        for i in 0..X {
            xs[i] = &x[i * x_step..][..patch.run];
        }
        let w = &patch.w[row * patch.w_step..][..patch.run * patch.filters];
        for (k, w) in w.chunks_exact(patch.filters).enumerate() {
            let w = &w[first..][..N];
            for i in 0..X {
                let x = <[V; P]>::load(&xs[i][k]);
                for j in 0..N {
                    sums[i][j] = sums[i][j].plus_product(x, [V::splat(w[j]); P]);
                }
            }
        }
    }
    for i in 0..X {
        for j in 0..N {
            let sum = sums[i][j];
            let sum = if patch.relu { <[V; P]>::splat(0.0).max(sum) } else { sum };
            sum.store(&mut y[i * y_step + j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::kernels::window::testing::floats;

    #[test]
    fn equals_the_naive_convolution() {
        for conv in convs() {
            let [x, w, y] = conv.lens();
            let (x, w, bias) = (block(x, 1), floats(w, 2), floats(conv.filters, 3));
            let mut want: Vec<Lanes> = (0..y).map(|i| [bias[i % conv.filters]; 16]).collect();
            each_product(&conv, |i, j, k| {
                (0..16).for_each(|lane| want[k][lane] += x[i][lane] * w[j]);
            });
            for level in Level::all() {
                let [oh, ow] = conv.window.output;
                for rows in [1, 2, oh] {
                    let forward = |relu| {
                        let mut y = vec![[f32::NAN; 16]; y];
                        for (i, y) in y.chunks_mut(rows * ow * conv.filters).enumerate() {
                            forward_rows(level, &conv, &x, &w, Some(&bias), relu, i * rows, y);
                        }
                        y
                    };
                    assert_eq!(forward(false), want, "{level:?} {conv:?}, {rows}");
                    let relu = want.iter().map(|lanes| lanes.map(|y| y.max(0.0)));
                    assert_eq!(
                        forward(true),
                        relu.collect::<Vec<_>>(),
                        "{level:?} {conv:?}, {rows}"
                    );
                }
            }
        }
    }

    #[test]
    fn no_bias_is_a_bias_of_zero() {
        let conv = dense(5, 7);
        let (x, w) = (block(5, 1), floats(5 * 7, 2));
        for level in Level::all() {
            let [without, with] = [None, Some(&[0.0; 7][..])].map(|bias| {
                let mut y = [[f32::NAN; 16]; 7];
                forward_rows(level, &conv, &x, &w, bias, false, 0, &mut y);
                y
            });
            assert_eq!(without, with);
        }
    }

    #[test]
    fn relu_lets_nan_through() {
        let conv = dense(1, 7);
        for level in Level::all() {
            let mut y = [[1.0; 16]; 7];
            forward_rows(level, &conv, &[[f32::NAN; 16]], &[1.0; 7], None, true, 0, &mut y);
            assert!(y.as_flattened().iter().all(|y| y.is_nan()));
        }
    }
}
