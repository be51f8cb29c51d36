//! The product of windows and weights where few filters would leave lanes empty: lanes are pixels.
//!
//! The image is copied to planes, one a channel, with its padding. Planes as wide as the padded image
//! make a window one cell further right the next float, also at the end of a row: a whole image is one
//! long row of outputs, of which the few between rows are not used.

use std::ops::Range;

use super::forward::Product;
use super::{by_size, pieces};
use crate::kernels::buffer::with_scratch;
use crate::kernels::simd::Level;
use crate::kernels::vector::{Vector, with_vectors};

/// Most filters for which lanes are pixels. On AVX-512, 8 filters in 16 lanes are as fast for images
/// of 7×7, and slower for larger ones, by a factor of 1.7 at 28×28. Must fit in one panel.
pub(super) const FEW: usize = 8;

/// The padded image in planes, and where they are.
struct Planes<'a> {
    floats: &'a [f32],
    /// Floats of a plane and of a row.
    pitch: [usize; 2],
    rows: usize,
}

with_vectors! {
    fn lanes_of_pixels(product: &Product<'_>, x: &Planes<'_>, y: &mut [f32]) =
        Product::lanes_of_pixels::<V>
}

impl Product<'_> {
    /// Rows `oy` of the product over an image `(h, w, c)`; windows must be one cell apart.
    pub(super) fn few_filters(&self, level: Level, image: &[f32], oy: Range<usize>, y: &mut [f32]) {
        let (source, rows) = (&self.source, oy.len());
        let height = rows + source.reach()[0];
        let (plane, width) = (height * source.covered, source.covered);
        // Tiles may end behind the last window: up to 64 floats on AVX-512.
        with_scratch(source.channels * plane + 64, |floats| {
            source.copy_to_planes(image, oy.start, height, floats);
            let x = &Planes { floats, pitch: [plane, width], rows };
            lanes_of_pixels(level, self, x, y);
        });
    }

    #[inline(always)]
    fn lanes_of_pixels<V: Vector>(&self, x: &Planes<'_>, y: &mut [f32]) {
        if V::LANES < 16 {
            self.tiles_of_pixels::<V, 2>(x, y);
        } else {
            self.tiles_of_pixels::<V, 4>(x, y);
        }
    }

    /// Tiles of up to 6 filters by `N` vectors of pixels: with 4 vectors 24 of 32 registers, with 2
    /// 12 of 16.
    #[inline(always)]
    fn tiles_of_pixels<V: Vector, const N: usize>(&self, x: &Planes, y: &mut [f32]) {
        let [_, width] = x.pitch;
        let windows = (x.rows - 1) * width + self.output[1];
        for start in (0..windows).step_by(N * V::LANES) {
            for (first, filters) in pieces(self.filters, 6) {
                by_size!(filters, 1 2 3 4 5 6, J => {
                    self.tile_of_pixels::<V, J, N>(x, start, first, y)
                });
            }
        }
    }

    /// `J` filters by `N` vectors of pixels, held in registers over the whole depth of the product.
    #[inline(always)]
    fn tile_of_pixels<V: Vector, const J: usize, const N: usize>(
        &self,
        x: &Planes,
        start: usize,
        first: usize,
        y: &mut [f32],
    ) {
        let ([kh, kw], [dy, dx], c) =
            (self.source.kernel, self.source.dilation, self.source.channels);
        let [plane, width] = x.pitch;
        let panel = self.packed.len() / (kh * kw * c);
        let mut weights = self.packed.chunks_exact(panel);
        let mut sums = [[V::splat(0.0); N]; J];
        for ky in 0..kh {
            for kx in 0..kw {
                let at = start + ky * dy * width + kx * dx;
                for (channel, w) in weights.by_ref().take(c).enumerate() {
                    let x = &x.floats[channel * plane + at..][..N * V::LANES];
                    let x: [V; N] = std::array::from_fn(|i| V::load(&x[i * V::LANES..]));
                    let w: &[f32; J] = w[first..].first_chunk().unwrap();
                    for j in 0..J {
                        let w = V::splat(w[j]);
                        for i in 0..N {
                            sums[j][i] = sums[j][i].plus_product(w, x[i]);
                        }
                    }
                }
            }
        }

        let least = V::splat(if self.relu { 0.0 } else { f32::NEG_INFINITY });
        let mut tile = [[0.0; 64]; J];
        for j in 0..J {
            let bias = V::splat(self.bias.map_or(0.0, |bias| bias[first + j]));
            for i in 0..N {
                least.max(sums[j][i].plus(bias)).store(&mut tile[j][i * V::LANES..]);
            }
        }
        let ([_, ow], f) = (self.output, self.filters);
        let (mut oy, mut ox) = (start / width, start % width);
        let mut lane = 0;
        while lane < N * V::LANES && oy < x.rows {
            let used = ow.saturating_sub(ox).min(N * V::LANES - lane);
            if used > 0 {
                let y = &mut y[(oy * ow + ox) * f + first..];
                for i in 0..used {
                    let y: &mut [f32; J] = y[i * f..].first_chunk_mut().unwrap();
                    *y = std::array::from_fn(|j| tile[j][lane + i]);
                }
            }
            lane += width - ox;
            (oy, ox) = (oy + 1, 0);
        }
    }
}
