//! Convolution: which way it is computed. Start here to find out how one runs.

use super::buffer::with_scratch;
use super::direct;
use super::direct::backward_weights::{backward_weights, backward_weights_scratch};
use super::direct::pack::{pack_backward, pack_forward, packed_backward_len, packed_forward_len};
use super::lanes::{self, LANES};
use super::layout::Layout;
use super::reductions::sum_rows;
use super::simd::level;
use super::window::Window;
use super::winograd;

/// Floats of a block of 16 images before and after a convolution that stay in a core's 1 MB of L2
/// cache.
const LARGEST_BLOCK: usize = 256 * 1024;

/// The sizes of a convolution: its window, input channels and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conv {
    pub(crate) window: Window,
    pub(crate) channels: usize,
    pub(crate) filters: usize,
    /// Whether Winograd's way is ruled out.
    pub(crate) exact: bool,
}

impl Conv {
    /// A dense layer, which is a convolution over a single pixel.
    pub(crate) fn dense(inputs: usize, units: usize) -> Self {
        let window = Window {
            input: [1; 2],
            kernel: [1; 2],
            strides: [1; 2],
            dilation: [1; 2],
            before: [0; 2],
            output: [1; 2],
        };
        Self { window, channels: inputs, filters: units, exact: true }
    }

    /// Whether blocks of 16 images in lanes are the faster way.
    pub(crate) fn few_filters(&self) -> bool {
        // With images in rows vectors lie along the filters, and few of them leave vectors empty.
        // A block should stay in a core's cache between two layers.
        let [ih, iw] = self.window.input;
        let [oh, ow] = self.window.output;
        let floats = (ih * iw * self.channels + oh * ow * self.filters) * LANES;
        self.filters < 32 && floats <= LARGEST_BLOCK
    }

    /// Floats under one window: the rows of the kernel matrix.
    pub(super) fn depth(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.channels
    }

    /// Floats of an image before and after the convolution.
    pub(super) fn input_len(&self) -> usize {
        self.window.input[0] * self.window.input[1] * self.channels
    }

    pub(super) fn output_len(&self) -> usize {
        self.window.output[0] * self.window.output[1] * self.filters
    }

    /// Additions and multiplications for `n` images.
    pub(super) fn flops(&self, n: usize) -> usize {
        2 * n * self.window.output[0] * self.window.output[1] * self.depth() * self.filters
    }

    /// The convolution that makes the gradient of the input from that of the output, with the kernel turned
    /// by half a turn. For strides of 1.
    pub(super) fn turned(&self) -> Self {
        let (channels, filters) = (self.filters, self.channels);
        Self { window: self.window.turned(), channels, filters, ..*self }
    }

    /// Whether Winograd's way pays, which needs 2 to 4 times fewer multiplications than the others.
    /// It is for strides of 1; and with few channels or filters, which it fills up to 16 and 32, the
    /// transforms eat the gain.
    fn winograd(&self) -> bool {
        !self.exact && self.channels >= 32 && self.filters >= 32 && winograd::applies(&self.window)
    }

    /// Whether it also pays to transform the weights for `n` images, forward or for the input's gradient.
    fn winograd_of(&self, n: usize) -> bool {
        // Transformed weights are 4 times as large as those of a 3×3 kernel. Where they take more than 4 MB,
        // writing and reading them takes as long as what is saved on some 64 tiles: 4 images of 13×13.
        let large = winograd::weights_len([self.channels, self.filters]) > 1024 * 1024;
        self.winograd() && (!large || n * winograd::tiles(&self.window) >= 64)
    }

    /// `y = x ∗ w + bias`, and 0 where that is negative if `relu`. In rows `x (n, h, w, c)`,
    /// `w (kh, kw, c, f)`, `bias (f)` or empty, `y (n, oh, ow, f)`.
    pub(crate) fn forward(
        &self,
        layout: Layout,
        x: &[f32],
        w: &[f32],
        bias: &[f32],
        relu: bool,
        y: &mut [f32],
    ) {
        let given = (!bias.is_empty()).then_some(bias);
        match layout {
            Layout::Lanes => lanes::batch::forward(self, x, w, bias, relu, y),
            Layout::Rows if self.winograd_of(self.sizes(x)[0]) => {
                let ([n, c, f], window) = (self.sizes(x), &self.window);
                with_scratch(winograd::weights_len([c, f]), |u| {
                    winograd::transform_weights(level(), window, [c, f], w, u);
                    winograd::forward(level(), window, [n, c, f], x, u, given, relu, y);
                });
            }
            Layout::Rows => with_scratch(packed_forward_len(level(), self), |packed| {
                pack_forward(level(), self, w, packed);
                direct::forward::forward(level(), self, x, packed, given, relu, y);
            }),
        }
    }

    /// `dx` from `dy`.
    pub(crate) fn backward_input(&self, layout: Layout, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        match layout {
            Layout::Lanes => lanes::batch::backward_input(self, dy, w, dx),
            Layout::Rows if self.winograd_of(self.sizes(dx)[0]) => {
                let ([n, c, f], window) = (self.sizes(dx), &self.window);
                with_scratch(winograd::weights_len([f, c]), |u| {
                    winograd::transform_weights_back(level(), window, [c, f], w, u);
                    winograd::backward_input(level(), window, [n, c, f], dy, u, dx);
                });
            }
            // Directly, a stride would mean multiplying with the zeros between two steps.
            Layout::Rows if self.window.strides != [1, 1] => self.im2col_backward_input(dy, w, dx),
            Layout::Rows => with_scratch(packed_backward_len(level(), self), |packed| {
                pack_backward(level(), self, w, packed);
                direct::forward::backward_input(level(), self, dy, packed, dx);
            }),
        }
    }

    /// `dw` and, unless it is empty, `dbias`, from `x` and `dy`, in `scratch_len` floats of scratch.
    pub(crate) fn backward_weights(
        &self,
        layout: Layout,
        x: &[f32],
        dy: &[f32],
        scratch: &mut [f32],
        [dw, dbias]: [&mut [f32]; 2],
    ) {
        match layout {
            Layout::Lanes => lanes::batch::backward_weights(self, x, dy, scratch, [dw, dbias]),
            Layout::Rows if self.winograd() => {
                winograd::backward_weights(level(), &self.window, self.sizes(x), x, dy, dw);
                if !dbias.is_empty() {
                    sum_rows(level(), dy, dbias);
                }
            }
            Layout::Rows => backward_weights(level(), self, x, dy, scratch, dw, dbias),
        }
    }

    /// Floats of scratch that `backward_weights` works in.
    pub(crate) fn scratch_len(&self, layout: Layout, n: usize) -> usize {
        match layout {
            Layout::Lanes => lanes::batch::scratch_len(self, n),
            Layout::Rows if self.winograd() => 0,
            Layout::Rows => backward_weights_scratch(level(), self, n),
        }
    }

    /// Images in `x`, channels and filters.
    fn sizes(&self, x: &[f32]) -> [usize; 3] {
        [x.len() / self.input_len(), self.channels, self.filters]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::lanes::transpose::{from_lanes, to_lanes};
    use crate::kernels::window::testing::{floats, undilated};
    use crate::kernels::window::{Padding, Window};

    /// Awkward windows with few channels, enough of them for Winograd's way, and an image that im2col
    /// takes in two pieces.
    fn convs() -> impl Iterator<Item = Conv> {
        let sizes = [[1, 1], [3, 2], [5, 17], [2, 33], [33, 7]];
        let awkward = sizes.into_iter().flat_map(|[channels, filters]| {
            let conv = move |window| Conv { window, channels, filters, exact: false };
            undilated().into_iter().map(conv)
        });
        let large = [(3, Padding::Same), (3, Padding::Valid), (5, Padding::Same)];
        let large = large.into_iter().map(|(kernel, padding)| {
            let window = Window::new([7, 9], [kernel; 2], [1; 2], [1; 2], padding);
            Conv { window: window.unwrap(), channels: 40, filters: 33, exact: false }
        });
        let window = Window::new([40, 40], [5; 2], [2; 2], [1; 2], Padding::Same).unwrap();
        let in_pieces = Conv { window, channels: 16, filters: 4, exact: false };
        awkward.chain(large).chain([in_pieces])
    }

    /// Far above what rounding and Winograd's way do, far below one product gone astray.
    fn assert_close(got: &[f32], want: &[f32], what: &str, conv: &Conv) {
        let largest = want.iter().fold(1e-3f32, |largest, w| largest.max(w.abs()));
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() <= 2e-5 * largest, "{what} of {conv:?}: {got}, not {want}");
        }
    }

    #[test]
    fn winograds_way_is_not_taken_where_it_is_ruled_out_or_does_not_apply_or_pay() {
        let conv = |stride, channels, filters, exact| {
            let window = Window::new([7, 9], [3; 2], [stride; 2], [1; 2], Padding::Same).unwrap();
            Conv { window, channels, filters, exact }
        };
        assert!(conv(1, 40, 40, false).winograd());
        for other in [(2, 40, 40, false), (1, 8, 40, false), (1, 40, 8, false), (1, 40, 40, true)] {
            let (stride, channels, filters, exact) = other;
            assert!(!conv(stride, channels, filters, exact).winograd(), "{other:?}");
        }
    }

    #[test]
    fn large_weights_are_transformed_for_many_images_only() {
        let window = Window::new([13; 2], [3; 2], [1; 2], [1; 2], Padding::Same).unwrap();
        let conv = |channels| Conv { window, channels, filters: 384, exact: false };
        assert_eq!([1, 4].map(|n| conv(256).winograd_of(n)), [false, true]);
        assert_eq!([1, 4].map(|n| conv(32).winograd_of(n)), [true, true]);
        assert_eq!([1, 4].map(|n| conv(3).winograd_of(n)), [false, false]);
    }

    #[test]
    fn every_way_agrees_with_im2col() {
        let mut winograd = 0;
        for conv in convs() {
            winograd += usize::from(conv.winograd());
            let n = 3;
            let x = floats(n * conv.input_len(), 1);
            let dy = floats(n * conv.output_len(), 2);
            let w = floats(conv.depth() * conv.filters, 3);
            let bias = floats(conv.filters, 4);

            let mut want_y = vec![f32::NAN; dy.len()];
            conv.im2col_forward(&x, &w, &mut want_y);
            for (y, b) in want_y.iter_mut().zip(bias.iter().cycle()) {
                *y = (*y + b).max(0.0);
            }
            let mut want_dx = vec![f32::NAN; x.len()];
            conv.im2col_backward_input(&dy, &w, &mut want_dx);
            let mut want_dw = vec![f32::NAN; w.len()];
            let mut sums = vec![f32::NAN; conv.im2col_sums_len(n)];
            conv.im2col_backward_weights(&x, &dy, &mut sums, &mut want_dw);
            let mut want_db = vec![0.0; conv.filters];
            dy.iter().enumerate().for_each(|(i, dy)| want_db[i % conv.filters] += dy);

            for layout in [Layout::Rows, Layout::Lanes] {
                let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
                let (mut dw, mut db) = (vec![f32::NAN; w.len()], vec![f32::NAN; conv.filters]);
                let mut scratch = vec![f32::NAN; conv.scratch_len(layout, n)];
                let laid_out = |rows: &[f32], size| match layout {
                    Layout::Rows => rows.to_vec(),
                    Layout::Lanes => {
                        let mut block = vec![[f32::NAN; LANES]; size];
                        to_lanes(rows, &mut block);
                        block.concat()
                    }
                };
                let (x, dy) = (laid_out(&x, conv.input_len()), laid_out(&dy, conv.output_len()));
                let (mut laid_y, mut laid_dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
                conv.forward(layout, &x, &w, &bias, true, &mut laid_y);
                conv.backward_input(layout, &dy, &w, &mut laid_dx);
                conv.backward_weights(layout, &x, &dy, &mut scratch, [&mut dw, &mut db]);
                match layout {
                    Layout::Rows => (y, dx) = (laid_y, laid_dx),
                    Layout::Lanes => {
                        from_lanes(laid_y.as_chunks().0, &mut y);
                        from_lanes(laid_dx.as_chunks().0, &mut dx);
                    }
                }
                assert_close(&y, &want_y, "y", &conv);
                assert_close(&dx, &want_dx, "dx", &conv);
                assert_close(&dw, &want_dw, "dw", &conv);
                assert_close(&db, &want_db, "db", &conv);
            }
        }
        assert!(winograd >= 3, "Winograd's way was taken {winograd} times");
    }
}
