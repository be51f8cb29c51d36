//! Depthwise convolution: every channel with kernels of its own.

use super::buffer::with_scratch;
use super::parallel::{Worth, flops};
use super::pool::{Cells, Pool, load, place, sweep};
use super::simd::{Fma, level, multiversion};
use super::window::Window;
use rayon::prelude::*;
use std::marker::PhantomData;

/// The sizes of a depthwise convolution: its window, input channels and kernels for each of them.
///
/// With several kernels a channel, the image is first widened: each channel stands there as often as
/// it has kernels, and then each has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depthwise {
    pub(crate) window: Window,
    pub(crate) channels: usize,
    pub(crate) multiplier: usize,
}

impl Depthwise {
    /// Channels of the output.
    pub(crate) fn filters(&self) -> usize {
        self.channels.saturating_mul(self.multiplier)
    }

    /// Floats of an image before and after.
    fn input_len(&self) -> usize {
        self.window.input[0] * self.window.input[1] * self.channels
    }

    pub(crate) fn output_len(&self) -> usize {
        self.window.output[0] * self.window.output[1] * self.filters()
    }

    fn kernel_len(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.filters()
    }

    /// Additions and multiplications for `n` images.
    fn flops(&self, n: usize) -> usize {
        2 * n * self.output_len() * self.window.kernel[0] * self.window.kernel[1]
    }

    /// `x (n, h, w, c)`, `w (kh, kw, c, m)`, `y (n, oh, ow, c·m)`.
    pub(crate) fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        let work = flops(self.flops(y.len() / self.output_len()));
        let images = y.par_chunks_exact_mut(self.output_len()).zip(x.par_chunks(self.input_len()));
        images.worth(work).for_each(|(y, x)| {
            self.widened(x, |x| forward(level(), &self.window, self.filters(), x, w, y));
        });
    }

    /// `dx` from `dy`.
    pub(crate) fn backward_input(&self, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        let work = flops(self.flops(dy.len() / self.output_len()));
        let (window, f) = (&self.window, self.filters());
        let images =
            dx.par_chunks_exact_mut(self.input_len()).zip(dy.par_chunks(self.output_len()));
        images.worth(work).for_each(|(dx, dy)| {
            if self.multiplier == 1 {
                return backward_input(level(), window, f, dy, w, dx);
            }
            with_scratch(dx.len() * self.multiplier, |wide| {
                backward_input(level(), window, f, dy, w, wide);
                for (dx, wide) in dx.iter_mut().zip(wide.chunks_exact(self.multiplier)) {
                    *dx = wide.iter().sum();
                }
            });
        });
    }

    /// `dw` from `x` and `dy`, in `scratch_len` floats of scratch: the sums over each image, which are
    /// added up in order.
    pub(crate) fn backward_weights(&self, x: &[f32], dy: &[f32], sums: &mut [f32], dw: &mut [f32]) {
        let n = dy.len() / self.output_len();
        let sums = &mut sums[..self.scratch_len(n)];
        let images = x.par_chunks(self.input_len()).zip(dy.par_chunks(self.output_len()));
        let pieces = sums.par_chunks_exact_mut(self.kernel_len()).zip(images);
        pieces.worth(flops(self.flops(n))).for_each(|(sums, (x, dy))| {
            self.widened(x, |x| {
                backward_weights(level(), &self.window, self.filters(), x, dy, sums)
            });
        });
        dw.fill(0.0);
        for sums in sums.chunks_exact(self.kernel_len()) {
            dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += sum);
        }
    }

    /// Floats of scratch that `backward_weights` works in.
    pub(crate) fn scratch_len(&self, n: usize) -> usize {
        n * self.kernel_len()
    }

    /// Calls `f` with the image in which every channel stands as often as it has kernels.
    fn widened(&self, x: &[f32], f: impl FnOnce(&[f32])) {
        if self.multiplier == 1 {
            return f(x);
        }
        with_scratch(x.len() * self.multiplier, |wide| {
            wide.chunks_exact_mut(self.multiplier).zip(x).for_each(|(wide, &x)| wide.fill(x));
            f(wide);
        });
    }
}

/// What the three directions have in common: the kernels, `(kh, kw, c)`, and how they lie.
#[derive(Clone, Copy)]
struct Kernel {
    width: usize,
    channels: usize,
}

impl Kernel {
    /// Where the weights of these channels are for a cell of the window.
    #[inline(always)]
    fn at(self, cells: &Cells, row: usize, column: usize) -> usize {
        let tap = (cells.taps[0] + row) * self.width + cells.taps[1] + column;
        tap * self.channels + cells.channel
    }
}

struct Forward<'a, F> {
    kernel: Kernel,
    x: &'a [f32],
    w: &'a [f32],
    y: &'a mut [f32],
    fma: PhantomData<F>,
}

impl<F: Fma> Pool for Forward<'_, F> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let mut sum = [0.0; B];
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let x = load::<B>(self.x, cells.start + row * cells.down + column * cells.right);
                let w = load::<B>(self.w, self.kernel.at(&cells, row, column));
                for i in 0..B {
                    sum[i] = F::fma(x[i], w[i], sum[i]);
                }
            }
        }
        *place(self.y, o) = sum;
    }
}

struct BackwardInput<'a, F> {
    kernel: Kernel,
    dy: &'a [f32],
    w: &'a [f32],
    dx: &'a mut [f32],
    fma: PhantomData<F>,
}

impl<F: Fma> Pool for BackwardInput<'_, F> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let dy = load::<B>(self.dy, o);
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let w = load::<B>(self.w, self.kernel.at(&cells, row, column));
                let at = cells.start + row * cells.down + column * cells.right;
                let dx = place::<B>(self.dx, at);
                for i in 0..B {
                    dx[i] = F::fma(dy[i], w[i], dx[i]);
                }
            }
        }
    }
}

struct BackwardWeights<'a, F> {
    kernel: Kernel,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
    fma: PhantomData<F>,
}

impl<F: Fma> Pool for BackwardWeights<'_, F> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let dy = load::<B>(self.dy, o);
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let x = load::<B>(self.x, cells.start + row * cells.down + column * cells.right);
                let dw = place::<B>(self.dw, self.kernel.at(&cells, row, column));
                for i in 0..B {
                    dw[i] = F::fma(dy[i], x[i], dw[i]);
                }
            }
        }
    }
}

multiversion! {
    fn forward(window: &Window, c: usize, x: &[f32], w: &[f32], y: &mut [f32]) = forward_body
}
multiversion! {
    fn backward_input(window: &Window, c: usize, dy: &[f32], w: &[f32], dx: &mut [f32])
        = backward_input_body
}
multiversion! {
    fn backward_weights(window: &Window, c: usize, x: &[f32], dy: &[f32], dw: &mut [f32])
        = backward_weights_body
}

#[inline(always)]
fn forward_body<F: Fma>(window: &Window, c: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    let kernel = Kernel { width: window.kernel[1], channels: c };
    sweep(window, c, &mut Forward::<F> { kernel, x, w, y, fma: PhantomData });
}

#[inline(always)]
fn backward_input_body<F: Fma>(window: &Window, c: usize, dy: &[f32], w: &[f32], dx: &mut [f32]) {
    dx.fill(0.0);
    let kernel = Kernel { width: window.kernel[1], channels: c };
    sweep(window, c, &mut BackwardInput::<F> { kernel, dy, w, dx, fma: PhantomData });
}

#[inline(always)]
fn backward_weights_body<F: Fma>(window: &Window, c: usize, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    dw.fill(0.0);
    let kernel = Kernel { width: window.kernel[1], channels: c };
    sweep(window, c, &mut BackwardWeights::<F> { kernel, x, dy, dw, fma: PhantomData });
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::super::simd::Level;
    use super::super::window::testing::{floats, windows};
    use super::*;

    /// Calls `f(x, w, y)` for every product of the definition, with places in one image.
    fn each_product(of: &Depthwise, mut f: impl FnMut(usize, usize, usize)) {
        let Depthwise { window, channels, multiplier } = *of;
        for oy in 0..window.output[0] {
            for (ox, filter) in (0..window.output[1])
                .flat_map(|ox| (0..channels * multiplier).map(move |filter| (ox, filter)))
            {
                for (ky, kx) in
                    window.taps(0, oy).flat_map(|ky| window.taps(1, ox).map(move |kx| (ky, kx)))
                {
                    let pixel = window.cell(0, oy, ky) * window.input[1] + window.cell(1, ox, kx);
                    let x = pixel * channels + filter / multiplier;
                    let w = (ky * window.kernel[1] + kx) * channels * multiplier + filter;
                    f(x, w, (oy * window.output[1] + ox) * channels * multiplier + filter);
                }
            }
        }
    }

    fn run(of: &Depthwise, [x, dy, w]: [&[f32]; 3], n: usize) -> [Vec<f32>; 3] {
        let [mut y, mut dx, mut dw] = [dy, x, w].map(|of| vec![f32::NAN; of.len()]);
        let mut scratch = vec![f32::NAN; of.scratch_len(n)];
        of.forward(x, w, &mut y);
        of.backward_input(dy, w, &mut dx);
        of.backward_weights(x, dy, &mut scratch, &mut dw);
        [y, dx, dw]
    }

    fn data(of: &Depthwise, n: usize) -> [Vec<f32>; 3] {
        [floats(n * of.input_len(), 1), floats(n * of.output_len(), 2), floats(of.kernel_len(), 3)]
    }

    /// All products are multiples of 1/16 and small: the sums are exact.
    #[test]
    fn equals_the_definition() {
        for window in windows() {
            for (channels, multiplier) in [(1, 1), (3, 1), (16, 1), (33, 1), (1, 3), (5, 2)] {
                let of = Depthwise { window, channels, multiplier };
                let n = 3;
                let [x, dy, w] = data(&of, n);
                let [mut want_y, mut want_dx, mut want_dw] =
                    [&dy, &x, &w].map(|of| vec![0.0; of.len()]);
                let (from, to) = (of.input_len(), of.output_len());
                for image in 0..n {
                    each_product(&of, |at_x, at_w, at_y| {
                        let (at_x, at_y) = (image * from + at_x, image * to + at_y);
                        want_y[at_y] += x[at_x] * w[at_w];
                        want_dx[at_x] += dy[at_y] * w[at_w];
                        want_dw[at_w] += dy[at_y] * x[at_x];
                    });
                }
                assert_eq!(run(&of, [&x, &dy, &w], n), [want_y, want_dx, want_dw], "{of:?}");
            }
        }
    }

    #[test]
    fn equals_itself_at_every_level() {
        for window in windows() {
            let c = 31;
            let x = floats(window.input[0] * window.input[1] * c, 1);
            let dy = floats(window.output[0] * window.output[1] * c, 2);
            let w = floats(window.kernel[0] * window.kernel[1] * c, 3);
            let run = |level| {
                let [mut y, mut dx, mut dw] = [&dy, &x, &w].map(|of| vec![f32::NAN; of.len()]);
                forward(level, &window, c, &x, &w, &mut y);
                backward_input(level, &window, c, &dy, &w, &mut dx);
                backward_weights(level, &window, c, &x, &dy, &mut dw);
                [y, dx, dw]
            };
            let plain = run(Level::Plain);
            Level::all().for_each(|level| assert_eq!(run(level), plain, "{level:?} {window:?}"));
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        use super::super::window::Padding;
        let window = Window::new([28, 28], [3; 2], [1; 2], [1; 2], Padding::Same).unwrap();
        let of = Depthwise { window, channels: 9, multiplier: 2 };
        let [x, dy, w] = data(&of, 33);
        let w: Vec<f32> = w.iter().map(|w| w * 0.3).collect();
        assert_same_bits(|| run(&of, [&x, &dy, &w], 33).concat());
    }
}
