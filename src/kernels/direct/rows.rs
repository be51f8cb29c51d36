//! The rows of an image as the windows see them.

use std::ops::Range;

use super::Conv;
use crate::kernels::buffer::with_scratch;

/// Some rows of an image, wide enough for every window that lies on them.
pub(super) struct Rows<'a> {
    floats: &'a [f32],
    first: usize,
    /// Floats from row to row.
    pitch: usize,
}

/// What the windows of one row of outputs see.
pub(super) struct Seen<'a> {
    /// The rows of the kernel that lie on the image.
    pub(super) taps: Range<usize>,
    /// The image from the row under the first of them on.
    pub(super) x: &'a [f32],
    /// Floats from there to the row under the next.
    pub(super) step: usize,
}

impl Conv {
    /// The runs of floats side by side under a kernel row, and their length: one run, unless the taps lie apart.
    #[inline(always)]
    pub(super) fn runs(&self) -> [usize; 2] {
        let [_, kw] = self.window.kernel;
        if self.window.dilation[1] == 1 { [1, kw * self.channels] } else { [kw, self.channels] }
    }

    /// Floats from one run of a kernel row to the next.
    #[inline(always)]
    pub(super) fn run_step(&self) -> usize {
        self.window.dilation[1] * self.channels
    }

    /// Floats from one window to the next in a row of outputs.
    #[inline(always)]
    pub(super) fn window_step(&self) -> usize {
        self.window.strides[1] * self.channels
    }

    /// Columns that the windows of a row of outputs cover: more than the image has, where there are zeros.
    #[inline(always)]
    pub(super) fn covered(&self) -> usize {
        (self.window.output[1] - 1) * self.window.strides[1] + self.window.extent(1)
    }

    /// Lends `f` the rows of an image `(h, w, c)` under the windows of output rows `oy`.
    pub(super) fn with_rows<R>(
        &self,
        image: &[f32],
        oy: Range<usize>,
        f: impl FnOnce(Rows) -> R,
    ) -> R {
        let (window, [h, w]) = (&self.window, self.window.input);
        let [above, below] = [oy.start, oy.end - 1].map(|oy| oy * window.strides[0]);
        let first = above.saturating_sub(window.before[0]).min(h);
        let end = (below + window.extent(0)).saturating_sub(window.before[0]).clamp(first, h);
        let (width, pitch) = (w * self.channels, self.covered() * self.channels);
        let floats = &image[first * width..end * width];
        if pitch <= width {
            return f(Rows { floats, first, pitch: width });
        }
        with_scratch((end - first) * pitch, |padded| {
            for (to, from) in padded.chunks_exact_mut(pitch).zip(floats.chunks_exact(width)) {
                self.pad(from, to);
            }
            f(Rows { floats: padded, first, pitch })
        })
    }

    /// Copies the `height` rows from the first under the windows of output row `oy` to planes
    /// `(c, height, covered)`, with zeros around and behind them.
    pub(super) fn copy_to_planes(
        &self,
        image: &[f32],
        oy: usize,
        height: usize,
        planes: &mut [f32],
    ) {
        let ([h, w], c, covered) = (self.window.input, self.channels, self.covered());
        planes.fill(0.0);
        for y in 0..height {
            let row = (oy * self.window.strides[0] + y).wrapping_sub(self.window.before[0]);
            if row >= h {
                continue;
            }
            let row = &image[row * w * c..][..w * c];
            if c == 1 {
                self.pad(row, &mut planes[y * covered..][..covered]);
                continue;
            }
            for channel in 0..c {
                let to = &mut planes[(channel * height + y) * covered..][..covered];
                let to = to[self.window.before[1]..].iter_mut();
                for (to, from) in to.zip(row[channel..].iter().step_by(c)) {
                    *to = *from;
                }
            }
        }
    }

    /// Copies a row, with its zeros.
    fn pad(&self, from: &[f32], to: &mut [f32]) {
        let before = self.window.before[1] * self.channels;
        let end = to.len().min(before + from.len());
        to[..before].fill(0.0);
        to[before..end].copy_from_slice(&from[..end - before]);
        to[end..].fill(0.0);
    }
}

impl Rows<'_> {
    /// The floats from the row of the image under kernel row `ky` on, unless there are zeros.
    #[inline(always)]
    pub(super) fn row(&self, conv: &Conv, oy: usize, ky: usize) -> Option<&[f32]> {
        let taps = conv.window.taps(0, oy);
        let row = || conv.window.cell(0, oy, ky) - self.first;
        taps.contains(&ky).then(|| &self.floats[row() * self.pitch..])
    }

    /// What the windows of output row `oy` see.
    #[inline(always)]
    pub(super) fn seen(&self, conv: &Conv, oy: usize) -> Seen<'_> {
        let taps = conv.window.taps(0, oy);
        let x = self.row(conv, oy, taps.start).unwrap_or_default();
        Seen { taps, x, step: conv.window.dilation[0] * self.pitch }
    }
}
