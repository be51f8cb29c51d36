//! Convolution: which way it is computed. Start here to find out how one runs.

use super::buffer::with_scratch;
use super::direct::backward_weights::backward_weights_scratch;
use super::direct::pack::{pack_backward, pack_forward, packed_backward_len, packed_forward_len};
use super::direct;
use super::lanes::{self, LANES};
use super::layout::Layout;
use super::simd::level;
use super::window::Window;

/// Floats of a block of 16 images before and after a convolution that stay in a core's 1 MB of L2
/// cache.
const LARGEST_BLOCK: usize = 256 * 1024;

/// The sizes of a convolution: its window, input channels and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conv {
    pub(crate) window: Window,
    pub(crate) channels: usize,
    pub(crate) filters: usize,
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
        Self { window, channels: inputs, filters: units }
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
        match layout {
            Layout::Lanes => lanes::batch::forward(self, x, w, bias, relu, y),
            Layout::Rows => with_scratch(packed_forward_len(level(), self), |packed| {
                pack_forward(level(), self, w, packed);
                let bias = (!bias.is_empty()).then_some(bias);
                direct::forward::forward(level(), self, x, packed, bias, relu, y);
            }),
        }
    }

    /// `dx` from `dy`.
    pub(crate) fn backward_input(&self, layout: Layout, dy: &[f32], w: &[f32], dx: &mut [f32]) {
        match layout {
            Layout::Lanes => lanes::batch::backward_input(self, dy, w, dx),
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
            Layout::Rows => {
                direct::backward_weights::backward_weights(level(), self, x, dy, scratch, dw, dbias);
            }
        }
    }

    /// Floats of scratch that `backward_weights` works in.
    pub(crate) fn scratch_len(&self, layout: Layout, n: usize) -> usize {
        match layout {
            Layout::Lanes => lanes::batch::scratch_len(self, n),
            Layout::Rows => backward_weights_scratch(level(), self, n),
        }
    }
}
