//! Convolution with images in lanes.

use super::{Conv, Lanes, TILE, sized_tile, tiles};
use crate::kernels::vector::{Vector, with_vectors};

with_vectors! {
    /// `y = x * w + bias` for one block, and 0 where that is negative if `relu`.
    ///
    /// `x (h, w, c, LANES)`, `w (kh, kw, c, f)`, `bias (f)`, `y (oh, ow, f, LANES)`.
    pub(crate) fn forward(
        conv: &Conv,
        x: &[Lanes],
        w: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
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
    y: &mut [Lanes],
) {
    assert_eq!([x.len(), w.len(), y.len()], conv.lens(), "{conv:?}");
    let Conv { window, channels: c, filters: f, .. } = *conv;
    let ([_, width], [_, kw], [oh, ow]) = (window.input, window.kernel, window.output);
    for oy in 0..oh {
        let kys = window.taps(0, oy);
        let iy = window.cell(0, oy, kys.start);
        for ox in 0..ow {
            let kxs = window.taps(1, ox);
            let ix = window.cell(1, ox, kxs.start);
            let patch = Patch {
                rows: kys.len(),
                run: kxs.len() * c,
                x: &x[(iy * width + ix) * c..],
                x_step: width * c,
                w: &w[(kys.start * kw + kxs.start) * c * f..],
                w_step: kw * c * f,
                filters: f,
            };
            let y = &mut y[(oy * ow + ox) * f..][..f];
            for (first, n) in tiles(f, TILE) {
                let bias = bias.map(|bias| &bias[first..][..n]);
                sized_tile!(n, tile::<V, P>(&patch, first, bias, relu, &mut y[first..]));
            }
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
}

/// `N` filters of one pixel.
#[inline(always)]
fn tile<V: Vector, const P: usize, const N: usize>(
    patch: &Patch<'_>,
    first: usize,
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [Lanes],
) {
    let mut sums = [[V::splat(0.0); P]; N];
    if let Some(bias) = bias {
        for j in 0..N {
            sums[j] = [V::splat(bias[j]); P];
        }
    }
    for row in 0..patch.rows {
        let x = &patch.x[row * patch.x_step..][..patch.run];
        let w = &patch.w[row * patch.w_step..][..patch.run * patch.filters];
        let w = w[first..].array_windows::<N>().step_by(patch.filters);
        for (x, w) in x.iter().zip(w) {
            let mut parts = [V::splat(0.0); P];
            for p in 0..P {
                parts[p] = V::load(&x[p * V::LANES..]);
            }
            for j in 0..N {
                let w = V::splat(w[j]);
                for p in 0..P {
                    sums[j][p] = sums[j][p].plus_product(parts[p], w);
                }
            }
        }
    }
    for j in 0..N {
        for p in 0..P {
            let sum = if relu { V::splat(0.0).max(sums[j][p]) } else { sums[j][p] };
            sum.store(&mut y[j][p * V::LANES..]);
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
    fn equals_the_naive_convolution() {
        for conv in convs() {
            let [x, w, y] = conv.lens();
            let (x, w, bias) = (block(x, 1), floats(w, 2), floats(conv.filters, 3));
            let mut want: Vec<Lanes> = (0..y).map(|i| [bias[i % conv.filters]; 16]).collect();
            each_product(&conv, |i, j, k| {
                (0..16).for_each(|lane| want[k][lane] += x[i][lane] * w[j]);
            });
            for level in Level::all() {
                let mut y = vec![[f32::NAN; 16]; y];
                forward(level, &conv, &x, &w, Some(&bias), false, &mut y);
                assert_eq!(y, want, "{level:?} {conv:?}");
                forward(level, &conv, &x, &w, Some(&bias), true, &mut y);
                let want: Vec<Lanes> = want.iter().map(|lanes| lanes.map(|y| y.max(0.0))).collect();
                assert_eq!(y, want, "{level:?} {conv:?}, ReLU");
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
                forward(level, &conv, &x, &w, bias, false, &mut y);
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
            forward(level, &conv, &[[f32::NAN; 16]], &[1.0; 7], None, true, &mut y);
            assert!(y.as_flattened().iter().all(|y| y.is_nan()));
        }
    }
}
