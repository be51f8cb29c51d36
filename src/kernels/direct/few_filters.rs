//! The product of windows and weights where few filters would leave lanes empty: lanes are pixels.
//!
//! The image is copied to planes, one a channel, with its padding. Planes as wide as the padded image
//! make a window one cell further right the next float, also at the end of a row: a whole image is one
//! long row of outputs, of which the few between rows are not used.

use std::ops::Range;

use super::by_size;
use super::forward::Product;
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
        let (conv, rows, width) = (self.conv, oy.len(), self.conv.covered());
        let height = rows - 1 + conv.window.extent(0);
        let plane = height * width;
        // Tiles may end behind the last window, by up to 64 floats.
        with_scratch(conv.channels * plane + 64, |floats| {
            conv.copy_to_planes(image, oy.start, height, floats);
            let x = &Planes { floats, pitch: [plane, width], rows };
            lanes_of_pixels(level, self, x, y);
        });
    }

    #[inline(always)]
    fn lanes_of_pixels<V: Vector>(&self, x: &Planes<'_>, y: &mut [f32]) {
        // As many vectors of pixels as fill registers with sums: up to 24 of 32, or 12 of 16.
        if V::LANES < 16 {
            by_size!(self.conv.filters,
                1, F => self.tiles_of_pixels::<V, F, 8>(x, y),
                2, F => self.tiles_of_pixels::<V, F, 4>(x, y),
                3, F => self.tiles_of_pixels::<V, F, 3>(x, y),
                4 5 6, F => self.tiles_of_pixels::<V, F, 2>(x, y),
                7 8, F => self.tiles_of_pixels::<V, F, 1>(x, y)
            )
        } else {
            by_size!(self.conv.filters,
                1 2 3 4 5 6, F => self.tiles_of_pixels::<V, F, 4>(x, y),
                7 8, F => self.tiles_of_pixels::<V, F, 2>(x, y)
            )
        }
    }

    /// Tiles of all `F` filters by `N` vectors of pixels.
    #[inline(always)]
    fn tiles_of_pixels<V: Vector, const F: usize, const N: usize>(
        &self,
        x: &Planes,
        y: &mut [f32],
    ) {
        let least = V::splat(if self.relu { 0.0 } else { f32::NEG_INFINITY });
        let bias: [V; F] = match self.bias {
            Some(bias) => std::array::from_fn(|j| V::splat(bias[j])),
            None => [V::splat(0.0); F],
        };
        let ([_, width], [_, ow]) = (x.pitch, self.conv.window.output);
        let (y, _) = y.as_chunks_mut::<F>();
        let mut tile = [[0.0; 64]; F];
        let windows = (x.rows - 1) * width + ow;
        let (mut oy, mut ox) = (0, 0);
        for start in (0..windows).step_by(N * V::LANES) {
            let sums = self.tile_of_pixels::<V, F, N>(x, start);
            for j in 0..F {
                for i in 0..N {
                    least.max(sums[j][i].plus(bias[j])).store(&mut tile[j][i * V::LANES..]);
                }
            }
            let mut lanes = 0..N * V::LANES;
            while !lanes.is_empty() && oy < x.rows {
                // From `ow` on `ox` lies between two rows.
                if ox < ow {
                    let used = lanes.len().min(ow - ox);
                    let y = &mut y[oy * ow + ox..][..used];
                    let tile: [&[f32]; F] =
                        std::array::from_fn(|j| &tile[j][lanes.start..][..used]);
                    for (i, y) in y.iter_mut().enumerate() {
                        *y = std::array::from_fn(|j| tile[j][i]);
                    }
                }
                let passed = lanes.len().min(width - ox);
                lanes.start += passed;
                ox += passed;
                if ox == width {
                    (oy, ox) = (oy + 1, 0);
                }
            }
        }
    }

    /// `F` filters by `N` vectors of pixels, held in registers over the whole depth of the product.
    #[inline(always)]
    // The loops over constant ranges are unrolled; over iterators they need not be.
    #[allow(unsafe_code, clippy::needless_range_loop)]
    fn tile_of_pixels<V: Vector, const F: usize, const N: usize>(
        &self,
        x: &Planes,
        start: usize,
    ) -> [[V; N]; F] {
        let ([kh, kw], [dy, dx], c) =
            (self.conv.window.kernel, self.conv.window.dilation, self.conv.channels);
        let [plane, width] = x.pitch;
        let panel = self.packed.len() / (kh * kw * c);
        assert!(F <= panel);
        let mut sums = [[V::splat(0.0); N]; F];
        for ky in 0..kh {
            for channel in 0..c {
                let at = channel * plane + ky * dy * width + start;
                let x = &x.floats[at..][..(kw - 1) * dx + N * V::LANES];
                let w =
                    &self.packed[(ky * kw * c + channel) * panel..][..((kw - 1) * c + 1) * panel];
                for kx in 0..kw {
                    let (x_at, w_at) = (kx * dx, kx * c * panel);
                    // SAFETY: `kx` is at most `kw - 1`, for which `x` has as many floats behind it.
                    let x = unsafe { x.get_unchecked(x_at..x_at + N * V::LANES) };
                    // SAFETY: as above, and `F` is at most `panel`.
                    let w = unsafe { w.get_unchecked(w_at..w_at + F) };
                    let x: [V; N] = std::array::from_fn(|i| V::load(&x[i * V::LANES..]));
                    for j in 0..F {
                        let w = V::splat(w[j]);
                        for i in 0..N {
                            sums[j][i] = sums[j][i].plus_product(w, x[i]);
                        }
                    }
                }
            }
        }
        sums
    }
}
