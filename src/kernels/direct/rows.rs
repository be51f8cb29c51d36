//! The rows of an image as the windows see them.

use std::ops::Range;

use super::Conv;
use crate::kernels::buffer::with_scratch;
use crate::kernels::window::Window;

/// The image a correlation reads: `(h, w, c)`, pixels `spread` apart (1, or the strides when it is
/// the gradient of a strided convolution), zeros between and around them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    spread: [usize; 2],
    before: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) kernel: [usize; 2],
    /// Columns that the windows of a row of outputs cover: more than the image has, where there are zeros.
    pub(super) covered: usize,
}

/// Some rows of an image, wide enough for every window that lies on them.
pub(super) struct Rows<'a> {
    pub(super) floats: &'a [f32],
    first: usize,
    /// Floats from row to row.
    pitch: usize,
}

impl Source {
    /// What `y = windows(x) · w` reads.
    pub(super) fn of_forward(conv: &Conv) -> Self {
        let Window { input, kernel, strides, dilation, before, output } = conv.window;
        Self {
            size: input,
            channels: conv.channels,
            spread: [1, 1],
            before,
            strides,
            dilation,
            kernel,
            covered: (output[1] - 1) * strides[1] + (kernel[1] - 1) * dilation[1] + 1,
        }
    }

    /// What `dx = windows(dy) · (turned and transposed w)` reads.
    pub(super) fn of_backward(conv: &Conv) -> Self {
        let Window { input, kernel, strides, dilation, before, output } = conv.window;
        let reach = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis]);
        assert!(before[0] <= reach[0] && before[1] <= reach[1], "a window lies beside the image");
        Self {
            size: output,
            channels: conv.filters,
            spread: strides,
            before: [reach[0] - before[0], reach[1] - before[1]],
            strides: [1, 1],
            dilation,
            kernel,
            covered: input[1] + reach[1],
        }
    }

    /// Kernel rows, the runs of floats side by side in each, and their length: one run, unless the
    /// taps lie apart.
    #[inline(always)]
    pub(super) fn runs(&self) -> [usize; 3] {
        let [kh, kw] = self.kernel;
        if self.dilation[1] == 1 { [kh, 1, kw * self.channels] } else { [kh, kw, self.channels] }
    }

    /// Floats from one run of a kernel row to the next.
    #[inline(always)]
    pub(super) fn run_step(&self) -> usize {
        self.dilation[1] * self.channels
    }

    /// Floats from one window to the next in a row of outputs.
    #[inline(always)]
    pub(super) fn window_step(&self) -> usize {
        self.strides[1] * self.channels
    }

    /// The row of the image under kernel row `ky` of the windows of output row `oy`, unless there
    /// are zeros.
    #[inline(always)]
    pub(super) fn row(&self, oy: usize, ky: usize) -> Option<usize> {
        let below = (oy * self.strides[0] + ky * self.dilation[0]).checked_sub(self.before[0])?;
        // The usual case without its division, which takes as long as ten multiply-adds.
        let spread = self.spread[0];
        let row = if spread == 1 { below } else { below / spread };
        (row * spread == below && row < self.size[0]).then_some(row)
    }

    /// Lends `f` the rows of an image `(h, w, c)` under the windows of output rows `oy`.
    pub(super) fn with_rows<R>(
        &self,
        image: &[f32],
        oy: Range<usize>,
        f: impl FnOnce(Rows) -> R,
    ) -> R {
        let ([h, w], c) = (self.size, self.channels);
        let below = |oy: usize, ky: usize| {
            (oy * self.strides[0] + ky * self.dilation[0]).saturating_sub(self.before[0])
        };
        let first = below(oy.start, 0).div_ceil(self.spread[0]).min(h);
        let last = below(oy.end - 1, self.kernel[0] - 1) / self.spread[0] + 1;
        let last = last.clamp(first, h);
        let floats = &image[first * w * c..last * w * c];
        if self.covered <= w {
            return f(Rows { floats, first, pitch: w * c });
        }
        let pitch = self.covered * c;
        with_scratch((last - first) * pitch, |padded| {
            for (to, from) in padded.chunks_exact_mut(pitch).zip(floats.chunks_exact(w * c)) {
                self.pad(from, to);
            }
            f(Rows { floats: padded, first, pitch })
        })
    }

    /// Rows and columns from the first to the last cell under a window.
    pub(super) fn reach(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1) * self.dilation[axis])
    }

    /// Copies the `height` rows from the first under the windows of output row `oy` to planes
    /// `(c, height, covered)`, with zeros between, around and behind them.
    pub(super) fn copy_to_planes(
        &self,
        image: &[f32],
        oy: usize,
        height: usize,
        planes: &mut [f32],
    ) {
        let ([_, w], c, covered) = (self.size, self.channels, self.covered);
        planes.fill(0.0);
        for y in 0..height {
            let Some(row) = self.row(oy + y, 0) else { continue };
            let row = &image[row * w * c..][..w * c];
            if c == 1 {
                self.pad(row, &mut planes[y * covered..][..covered]);
                continue;
            }
            for channel in 0..c {
                let to = &mut planes[(channel * height + y) * covered..][..covered];
                let to = to[self.before[1]..].iter_mut().step_by(self.spread[1]);
                for (to, from) in to.zip(row[channel..].iter().step_by(c)) {
                    *to = *from;
                }
            }
        }
    }

    /// Copies a row, with its zeros.
    fn pad(&self, from: &[f32], to: &mut [f32]) {
        let (before, c) = (self.before[1] * self.channels, self.channels);
        if self.spread[1] > 1 {
            to.fill(0.0);
            let step = self.spread[1] * c;
            for (to, from) in to[before..].chunks_mut(step).zip(from.chunks_exact(c)) {
                to[..c].copy_from_slice(from);
            }
        } else {
            let end = to.len().min(before + from.len());
            to[..before].fill(0.0);
            to[before..end].copy_from_slice(&from[..end - before]);
            to[end..].fill(0.0);
        }
    }
}

impl Rows<'_> {
    /// Where a row of the image starts in `floats`.
    #[inline(always)]
    pub(super) fn start(&self, row: usize) -> usize {
        (row - self.first) * self.pitch
    }
}
