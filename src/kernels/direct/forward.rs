//! `y = windows(x) · w + bias`, and the gradient of `x`, which is such a product too.

use std::ops::Range;

use rayon::prelude::*;

use super::few_filters::FEW;
use super::pack::packed_forward_len;
use super::rows::{Rows, Seen};
use super::{Conv, by_size, panels, pieces};
use crate::kernels::parallel::{Worth, flops};
use crate::kernels::simd::{Level, prefetch};
use crate::kernels::vector::{Vector, with_vectors};

/// Multiply-adds in a band, if the image has as many: some 20 µs, several times what a task costs.
const TASK: usize = 1 << 20;

/// Output pixels in a band, if the image has as many: enough to stream all weights through the cache
/// for.
const BAND: usize = 64;

/// Output pixels between one that is computed and one whose cache line is asked for.
const AHEAD: usize = 24;

/// Floats of weights that are read again for each row of outputs: 16 KB, half the smallest L1 cache. The
/// row is then still in the cache when the next panel of filters comes.
const RESIDENT: usize = 4 * 1024;

/// `y (n·oh·ow, f) = windows(x) (n·oh·ow, kh·kw·c) · w (kh·kw·c, f) + bias`, then ReLU if asked.
/// `packed` is what [`pack_forward`](super::pack::pack_forward) made of `w` at the same level.
pub(crate) fn forward(
    level: Level,
    conv: &Conv,
    x: &[f32],
    packed: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    assert_eq!(packed.len(), packed_forward_len(level, conv));
    assert!(bias.is_none_or(|bias| bias.len() == conv.filters));
    Product { conv, packed, bias, relu }.run(level, x, y);
}

/// `dx (n·h·w, c) = windows(dy) (n·h·w, kh·kw·f) · turned and transposed w (kh·kw·f, c)`, for strides of 1.
/// `packed` is what [`pack_backward`](super::pack::pack_backward) made of `w` at the same level.
pub(crate) fn backward_input(
    level: Level,
    conv: &Conv,
    dy: &[f32],
    packed: &[f32],
    dx: &mut [f32],
) {
    forward(level, &conv.turned(), dy, packed, None, false, dx);
}

/// A product of the windows of images with packed weights.
pub(super) struct Product<'a> {
    pub(super) conv: &'a Conv,
    pub(super) packed: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) relu: bool,
}

with_vectors! {
    fn band(product: &Product<'_>, x: &Rows<'_>, oy: Range<usize>, y: &mut [f32]) =
        Product::panels::<V, 0>
}

// With a step that the compiler knows, the pixels of a tile have one address instead of one each, for which
// there are too few registers: grey and colour images, whose few numbers do not make up for it, take a fifth
// to a third less time.
with_vectors! {
    fn grey_band(product: &Product<'_>, x: &Rows<'_>, oy: Range<usize>, y: &mut [f32]) =
        Product::panels::<V, 1>
}
with_vectors! {
    fn colour_band(product: &Product<'_>, x: &Rows<'_>, oy: Range<usize>, y: &mut [f32]) =
        Product::panels::<V, 3>
}

impl Product<'_> {
    /// A task is a band of output rows of one image, or several images if they are small.
    fn run(&self, level: Level, x: &[f32], y: &mut [f32]) {
        let (conv, [oh, ow], f) = (self.conv, self.conv.window.output, self.conv.filters);
        let (from_len, to_len) = (conv.input_len(), conv.output_len());
        let n = y.len() / to_len;
        assert_eq!((x.len(), y.len()), (n * from_len, n * to_len));

        let few = f <= FEW && conv.window.strides == [1, 1];
        let row_work = conv.depth() * ow * f;
        let least = BAND.div_ceil(ow).max(TASK.div_ceil(row_work));
        let rows = oh.div_ceil((oh / least).max(1));
        let images = x.par_chunks(from_len).zip(y.par_chunks_mut(to_len));
        images.worth(flops(2 * n * oh * row_work)).for_each(|(x, y)| {
            y.par_chunks_mut(rows * ow * f).enumerate().for_each(|(i, y)| {
                let oy = i * rows..i * rows + y.len() / (ow * f);
                if few {
                    self.few_filters(level, x, oy, y);
                } else {
                    let band = match (conv.window_step(), conv.window.dilation[1]) {
                        (1, 1) => grey_band,
                        (3, 1) => colour_band,
                        _ => band,
                    };
                    conv.with_rows(x, oy.clone(), |x| band(level, self, &x, oy, y));
                }
            });
        });
    }

    /// With windows `STEP` floats apart and without dilation, or any if it is 0.
    #[inline(always)]
    fn panels<V: Vector, const STEP: usize>(&self, x: &Rows, oy: Range<usize>, y: &mut [f32]) {
        let rows = if self.packed.len() <= RESIDENT { 1 } else { oy.len() };
        for (i, start) in oy.clone().step_by(rows).enumerate() {
            let oy = start..oy.end.min(start + rows);
            let y = &mut y[i * rows * self.conv.window.output[1] * self.conv.filters..];
            for (first, width) in panels(2 * V::LANES, self.conv.filters) {
                if V::LANES < 16 {
                    self.panel_6::<V, STEP>(x, oy.clone(), first, y);
                } else if width == 2 * V::LANES {
                    self.panel_14::<V, 2, STEP>(x, oy.clone(), first, y);
                } else {
                    self.panel_14::<V, 1, STEP>(x, oy.clone(), first, y);
                }
            }
        }
    }

    /// One panel of filters with tiles of up to 14 pixels by `N` vectors: 28 of 32 registers.
    #[inline(always)]
    fn panel_14<V: Vector, const N: usize, const STEP: usize>(
        &self,
        x: &Rows,
        oy: Range<usize>,
        first: usize,
        y: &mut [f32],
    ) {
        let bias = self.bias::<V, N>(first);
        let (ow, f) = (self.conv.window.output[1], self.conv.filters);
        for (y_row, oy) in oy.enumerate() {
            let seen = x.seen(self.conv, oy);
            for (ox, width) in pieces(ow, 14) {
                let y = &mut y[(y_row * ow + ox) * f + first..];
                by_size!(width, 1 2 3 4 5 6 7 8 9 10 11 12 13 14, P => {
                    self.tile::<V, P, N, STEP>(&seen, ox, first, bias, y)
                });
            }
        }
    }

    /// One panel of filters with tiles of up to 6 pixels by 2 vectors: 12 of 16 registers.
    #[inline(always)]
    fn panel_6<V: Vector, const STEP: usize>(
        &self,
        x: &Rows,
        oy: Range<usize>,
        first: usize,
        y: &mut [f32],
    ) {
        let bias = self.bias::<V, 2>(first);
        let (ow, f) = (self.conv.window.output[1], self.conv.filters);
        for (y_row, oy) in oy.enumerate() {
            let seen = x.seen(self.conv, oy);
            for (ox, width) in pieces(ow, 6) {
                let y = &mut y[(y_row * ow + ox) * f + first..];
                by_size!(width, 1 2 3 4 5 6, P => {
                    self.tile::<V, P, 2, STEP>(&seen, ox, first, bias, y)
                });
            }
        }
    }

    /// The bias of a panel, and zeros behind the last filter.
    #[inline(always)]
    fn bias<V: Vector, const N: usize>(&self, first: usize) -> [V; N] {
        let mut lanes = [0.0; 32];
        if let Some(bias) = self.bias {
            let used = (N * V::LANES).min(self.conv.filters - first);
            lanes[..used].copy_from_slice(&bias[first..][..used]);
        }
        std::array::from_fn(|j| V::load(&lanes[j * V::LANES..]))
    }

    /// `P` pixels by `N` vectors of filters, held in registers over the whole depth of the product.
    #[inline(always)]
    // The loops over constant ranges are unrolled; over iterators they need not be.
    #[allow(unsafe_code, clippy::needless_range_loop)]
    fn tile<V: Vector, const P: usize, const N: usize, const STEP: usize>(
        &self,
        seen: &Seen,
        ox: usize,
        first: usize,
        bias: [V; N],
        y: &mut [f32],
    ) {
        let [runs, run] = self.conv.runs();
        let runs = if STEP == 0 { runs } else { 1 };
        let step = if STEP == 0 { self.conv.window_step() } else { STEP };
        let (depth, f, width) = (self.conv.depth(), self.conv.filters, N * V::LANES);
        let panel = &self.packed[depth * first..][..depth * width];
        // Without this the stores wait: with 32 to 64 filters twice as long as the products take.
        for p in 0..P {
            prefetch(y, (p + AHEAD) * f);
        }
        let mut sums = [[V::splat(0.0); N]; P];
        for (i, ky) in seen.taps.clone().enumerate() {
            let x = &seen.x[i * seen.step + ox * step..];
            for i in 0..runs {
                let w = &panel[(ky * runs + i) * run * width..][..run * width];
                let x = &x[i * self.conv.run_step()..][..(P - 1) * step + run];
                for (k, w) in w.chunks_exact(width).enumerate() {
                    let w: [V; N] = std::array::from_fn(|j| V::load(&w[j * V::LANES..]));
                    for (p, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: `p` is at most `P - 1` and `k` at most `run - 1`.
                        let x = V::splat(unsafe { *x.get_unchecked(p * step + k) });
                        for j in 0..N {
                            sums[j] = sums[j].plus_product(x, w[j]);
                        }
                    }
                }
            }
        }
        let used = width.min(self.conv.filters - first);
        let least = V::splat(if self.relu { 0.0 } else { f32::NEG_INFINITY });
        if used == width {
            assert!(y.len() >= (P - 1) * f + width);
            for p in 0..P {
                for j in 0..N {
                    let at = p * f + j * V::LANES;
                    // SAFETY: `p` is at most `P - 1` and `(j + 1) * LANES` at most `width`. Slices whose
                    // bounds are checked here stop the unrolling that keeps `sums` in registers.
                    let y = unsafe { y.get_unchecked_mut(at..at + V::LANES) };
                    least.max(sums[p][j].plus(bias[j])).store(y);
                }
            }
            return;
        }
        let mut tile = [[0.0; 32]; P];
        for p in 0..P {
            for j in 0..N {
                least.max(sums[p][j].plus(bias[j])).store(&mut tile[p][j * V::LANES..]);
            }
        }
        for (tile, y) in tile.iter().zip(y.chunks_mut(f)) {
            y[..used].copy_from_slice(&tile[..used]);
        }
    }
}
