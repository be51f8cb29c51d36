//! Convolution as im2col and matrix products: any kernel, stride, dilation and padding. Input gradients
//! of strided convolutions run this way; the rest is what the tests compare the other ways with.

use rayon::prelude::*;

use super::buffer::with_scratch;
use super::conv::Conv;
use super::gemm::{Matrix, Write, gemm};
use super::im2col::col2im;
#[cfg(test)]
use super::im2col::im2col;
use super::parallel::{Worth, flops};
use super::simd::level;

/// Floats of columns made at a time: half of a core's 1 MB of L2 cache, so that the product finds
/// them there.
const TILE: usize = 128 * 1024;

/// Images whose gradients to the kernel are summed up before they are added to those of others:
/// enough to split a batch of 32 over eight cores, and to keep the sums few.
#[cfg(test)]
const IMAGES_PER_SUM: usize = 4;

impl Conv {
    fn pixels(&self) -> usize {
        self.window.output[0] * self.window.output[1]
    }

    /// Floats of scratch that `im2col_backward_weights` works in.
    #[cfg(test)]
    pub(super) fn im2col_sums_len(&self, n: usize) -> usize {
        n.div_ceil(IMAGES_PER_SUM) * self.depth() * self.filters
    }

    /// Calls `f` with ranges of output rows and their columns `(rows·ow, depth)`.
    fn each_tile(&self, mut f: impl FnMut(std::ops::Range<usize>, &mut [f32])) {
        let [oh, ow] = self.window.output;
        let row = ow * self.depth();
        let rows = (TILE / row).clamp(1, oh);
        with_scratch(rows * row, |columns| {
            for start in (0..oh).step_by(rows) {
                let end = oh.min(start + rows);
                f(start..end, &mut columns[..(end - start) * row]);
            }
        });
    }

    /// `x (n, h, w, c)`, `w (kh·kw·c, f)`, `y (n, oh, ow, f)`; `y` is overwritten.
    #[cfg(test)]
    pub(super) fn im2col_forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        let [depth, f] = [self.depth(), self.filters];
        let image = self.pixels() * f;
        let n = y.len() / image;
        assert_eq!(x.len(), n * self.input_len());
        let w = Matrix::new(w, depth, f);
        let images = y.par_chunks_mut(image).zip(x.par_chunks(self.input_len()));
        images.worth(flops(self.flops(n))).for_each(|(y, x)| {
            self.each_tile(|rows, columns| {
                im2col(&self.window, self.channels, x, rows.clone(), columns);
                let [from, to] = [rows.start, rows.end].map(|row| row * self.window.output[1]);
                let y = &mut y[from * f..to * f];
                // (pixels, depth) · (depth, f)
                gemm(level(), y, Matrix::new(columns, to - from, depth), w, Write::Overwrite);
            });
        });
    }

    /// `dy (n, oh, ow, f)`, `w (kh·kw·c, f)`, `dx (n, h, w, c)`; `dx` is overwritten.
    pub(super) fn im2col_backward_input(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        let [depth, f] = [self.depth(), self.filters];
        let image = self.pixels() * f;
        let n = dy.len() / image;
        assert_eq!(dx.len(), n * self.input_len());
        let w = Matrix::new(w, depth, f);
        let images = dx.par_chunks_mut(self.input_len()).zip(dy.par_chunks(image));
        images.worth(flops(self.flops(n))).for_each(|(dx, dy)| {
            dx.fill(0.0);
            self.each_tile(|rows, columns| {
                let [from, to] = [rows.start, rows.end].map(|row| row * self.window.output[1]);
                let dy = Matrix::new(&dy[from * f..to * f], to - from, f);
                // (pixels, f) · (f, depth)
                gemm(level(), columns, dy, w.t(), Write::Overwrite);
                col2im(&self.window, self.channels, columns, rows, dx);
            });
        });
    }

    /// `x (n, h, w, c)`, `dy (n, oh, ow, f)`, `dw (kh·kw·c, f)`; `dw` is overwritten. Sums over
    /// groups of images go to `sums`, then together in order.
    #[cfg(test)]
    pub(super) fn im2col_backward_weights(
        &self,
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
        dw: &mut [f32],
    ) {
        let [depth, f] = [self.depth(), self.filters];
        let [image, output] = [self.input_len(), self.pixels() * f];
        let n = x.len() / image;
        assert_eq!((dy.len(), dw.len()), (n * output, depth * f));
        let sums = &mut sums[..self.im2col_sums_len(n)];
        let groups = sums
            .par_chunks_mut(depth * f)
            .zip(x.par_chunks(IMAGES_PER_SUM * image))
            .zip(dy.par_chunks(IMAGES_PER_SUM * output));
        groups.worth(flops(self.flops(n))).for_each(|((sum, x), dy)| {
            sum.fill(0.0);
            for (x, dy) in x.chunks_exact(image).zip(dy.chunks_exact(output)) {
                self.each_tile(|rows, columns| {
                    im2col(&self.window, self.channels, x, rows.clone(), columns);
                    let [from, to] = [rows.start, rows.end].map(|row| row * self.window.output[1]);
                    let dy = Matrix::new(&dy[from * f..to * f], to - from, f);
                    // (depth, pixels) · (pixels, f)
                    let columns = Matrix::new(columns, to - from, depth);
                    gemm(level(), sum, columns.t(), dy, Write::Add);
                });
            }
        });
        dw.fill(0.0);
        for sum in sums.chunks_exact(depth * f) {
            dw.iter_mut().zip(sum).for_each(|(dw, sum)| *dw += sum);
        }
    }
}
