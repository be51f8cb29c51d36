//! The gradient of a convolution's input, with images in lanes.

use super::{Conv, Lanes, TILE, sized_tile, tiles};
use crate::kernels::vector::{Vector, with_vectors};
use std::ops::Range;

with_vectors! {
    /// Overwrites `dx`, rows of one block from `first` on, with the gradient: every output that a cell
    /// went into, times the weight it went with.
    ///
    /// `dy (oh, ow, f, LANES)`, `w (kh, kw, c, f)`, `dx (rows, w, c, LANES)`.
    pub(crate) fn input_rows(
        conv: &Conv,
        dy: &[Lanes],
        w: &[f32],
        first: usize,
        dx: &mut [Lanes],
    ) = backward_input_body::<V, P>
}

#[inline(always)]
fn backward_input_body<V: Vector, const P: usize>(
    conv: &Conv,
    dy: &[Lanes],
    w: &[f32],
    first: usize,
    dx: &mut [Lanes],
) {
    let c = conv.channels;
    let [_, width] = conv.window.input;
    for (iy, dx) in (first..).zip(dx.chunks_exact_mut(width * c)) {
        for (ix, dx) in dx.chunks_exact_mut(c).enumerate() {
            let cell =
                Cell { at: [iy, ix], seen_from: [seen_from(conv, 0, iy), seen_from(conv, 1, ix)] };
            for (first, n) in tiles(c, TILE) {
                sized_tile!(n, tile::<V, P>(conv, &cell, first, dy, w, &mut dx[first..]));
            }
        }
    }
}

/// Turns `w (kh, kw, c, f)` by half a turn, as `(kh, kw, f, c)`: the weights of the convolution from `dy`
/// to `dx`.
pub(super) fn turn(conv: &Conv, w: &[f32], turned: &mut [f32]) {
    let (c, f) = (conv.channels, conv.filters);
    for (w, turned) in w.chunks_exact(c * f).rev().zip(turned.chunks_exact_mut(c * f)) {
        for (filter, turned) in turned.chunks_exact_mut(c).enumerate() {
            let w = w[filter..].iter().step_by(f);
            turned.iter_mut().zip(w).for_each(|(turned, w)| *turned = *w);
        }
    }
}

/// A cell of the image and the outputs whose windows lie over it.
struct Cell {
    at: [usize; 2],
    seen_from: [Range<usize>; 2],
}

#[inline(always)]
fn seen_from(conv: &Conv, axis: usize, i: usize) -> Range<usize> {
    let [k, s, before, output] =
        [conv.window.kernel, conv.window.strides, conv.window.before, conv.window.output]
            .map(|of| of[axis]);
    let end = i + before + 1;
    end.saturating_sub(k).div_ceil(s)..end.div_ceil(s).min(output)
}

/// `N` channels of one cell.
#[inline(always)]
fn tile<V: Vector, const P: usize, const N: usize>(
    conv: &Conv,
    cell: &Cell,
    first: usize,
    dy: &[Lanes],
    w: &[f32],
    dx: &mut [Lanes],
) {
    let Conv { window, channels: c, filters: f, .. } = *conv;
    let ([_, kw], [_, ow]) = (window.kernel, window.output);
    let mut sums = [[V::splat(0.0); P]; N];
    for oy in cell.seen_from[0].clone() {
        let ky = cell.at[0] + window.before[0] - oy * window.strides[0];
        for ox in cell.seen_from[1].clone() {
            let kx = cell.at[1] + window.before[1] - ox * window.strides[1];
            let dy = &dy[(oy * ow + ox) * f..][..f];
            let w = &w[((ky * kw + kx) * c + first) * f..][..N * f];
            add_products(&mut sums, dy, w);
        }
    }
    for j in 0..N {
        for p in 0..P {
            sums[j][p].store(&mut dx[j][p * V::LANES..]);
        }
    }
}

/// `sums (N) += w (N, k) · vectors (k)`.
#[inline(always)]
pub(super) fn add_products<V: Vector, const P: usize, const N: usize>(
    sums: &mut [[V; P]; N],
    vectors: &[Lanes],
    w: &[f32],
) {
    let k = vectors.len();
    let mut rows = [w; N];
    for j in 0..N {
        rows[j] = &w[j * k..][..k];
    }
    for (i, vector) in vectors.iter().enumerate() {
        let mut parts = [V::splat(0.0); P];
        for p in 0..P {
            parts[p] = V::load(&vector[p * V::LANES..]);
        }
        for j in 0..N {
            let w = V::splat(rows[j][i]);
            for p in 0..P {
                sums[j][p] = sums[j][p].plus_product(parts[p], w);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::kernels::simd::Level;
    use crate::kernels::window::testing::floats;

    #[test]
    fn equals_the_naive_gradient() {
        for conv in convs() {
            let [x, w, y] = conv.lens();
            let (dy, w) = (block(y, 1), floats(w, 2));
            let mut want = vec![[0.0; 16]; x];
            each_product(&conv, |i, j, k| {
                (0..16).for_each(|lane| want[i][lane] += dy[k][lane] * w[j]);
            });
            for level in Level::all() {
                let [height, width] = conv.window.input;
                for rows in [1, 2, height] {
                    let mut dx = vec![[f32::NAN; 16]; x];
                    for (i, dx) in dx.chunks_mut(rows * width * conv.channels).enumerate() {
                        input_rows(level, &conv, &dy, &w, i * rows, dx);
                    }
                    assert_eq!(dx, want, "{level:?} {conv:?}, {rows}");
                }
            }
        }
    }
}
