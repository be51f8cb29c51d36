//! Where the windows of a convolution or a pool lie on an image.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a convolution or a pool does at the border of an image: Keras' `padding`.
///
/// Along an axis of `n` cells, a kernel of `k` cells with dilation `d` extends over
/// `e = (k − 1)·d + 1` cells. With stride `s`:
///
/// | padding | output           | cells added                                             |
/// |---------|------------------|---------------------------------------------------------|
/// | `Valid` | `⌊(n − e)/s⌋ + 1` | none                                                    |
/// | `Same`  | `⌈n/s⌉`          | `p = max(0, (⌈n/s⌉ − 1)·s + e − n)`, `⌊p/2⌋` of them before |
///
/// A convolution takes added cells as 0; a pool leaves them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// Windows lie wholly on the image; rows and columns that do not fill a window are dropped.
    Valid,
    /// The image is extended so that every `stride`-th cell gets a window: with stride 1 the output
    /// is as large as the input. An odd cell is added at the bottom or right.
    Same,
}

/// The windows over one image, per axis: `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) input: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Cells of padding above and to the left.
    pub(crate) before: [usize; 2],
    pub(crate) output: [usize; 2],
}

impl Window {
    /// `None` where there would be no output, or where a dilated kernel extends over more cells
    /// than a `usize` counts.
    pub(crate) fn new(
        input: [usize; 2],
        kernel: [usize; 2],
        strides: [usize; 2],
        dilation: [usize; 2],
        padding: Padding,
    ) -> Option<Self> {
        let mut window = Self { input, kernel, strides, dilation, before: [0; 2], output: [0; 2] };
        for axis in 0..2 {
            let [n, k, s, d] = [input, kernel, strides, dilation].map(|of| of[axis]);
            assert!(
                k > 0 && s > 0 && d > 0,
                "kernel {k}, stride {s} and dilation {d} must not be 0"
            );
            // One tap is apart from none; from twice the image on no two taps lie on it.
            let d = if k == 1 { 1 } else { d.min(n.saturating_mul(2).max(1)) };
            window.dilation[axis] = d;
            let extent = (k - 1).checked_mul(d)?.checked_add(1)?;
            (window.before[axis], window.output[axis]) = match padding {
                Padding::Valid => (0, n.checked_sub(extent)? / s + 1),
                Padding::Same => {
                    let output = n.div_ceil(s);
                    let last = output.checked_sub(1)? * s;
                    (extent.saturating_sub(n - last) / 2, output)
                }
            };
        }
        Some(window)
    }

    /// Which cells of the kernel lie on the image when the kernel stands at output `o`.
    #[inline(always)]
    pub(crate) fn taps(&self, axis: usize, o: usize) -> Range<usize> {
        // The usual case without its division, which was a quarter of an im2col of one channel.
        let dilation = self.dilation[axis];
        let taps = |cells: usize| if dilation == 1 { cells } else { cells.div_ceil(dilation) };
        let start = o * self.strides[axis];
        let before = self.before[axis];
        let first = taps(before.saturating_sub(start));
        let behind = before.saturating_add(self.input[axis]).saturating_sub(start);
        let end = taps(behind).min(self.kernel[axis]);
        first.min(end)..end
    }

    /// How many cells the kernel extends over along an axis.
    #[inline(always)]
    pub(crate) fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    /// Cells of padding below or to the right.
    pub(crate) fn behind(&self, axis: usize) -> usize {
        let last = (self.output[axis] - 1) * self.strides[axis];
        last.saturating_add(self.extent(axis)).saturating_sub(self.before[axis] + self.input[axis])
    }

    /// The outputs along an axis whose windows do not reach beyond the image.
    #[inline(always)]
    pub(crate) fn inside(&self, axis: usize) -> Range<usize> {
        let [input, s, before, output] =
            [self.input, self.strides, self.before, self.output].map(|of| of[axis]);
        let start = before.div_ceil(s);
        let last = (input + before).checked_sub(self.extent(axis));
        let end = last.map_or(0, |last| last / s + 1).min(output);
        start.min(end)..end
    }

    /// Whether every cell of the image lies in exactly one window.
    pub(crate) fn tiles(&self) -> bool {
        self.strides == self.kernel
            && self.dilation == [1, 1]
            && (0..2).all(|axis| self.output[axis] * self.kernel[axis] == self.input[axis])
    }

    /// The windows over the outputs whose products, with the kernel turned by half a turn, are the
    /// gradient of the image. For strides of 1.
    pub(crate) fn turned(&self) -> Self {
        assert_eq!(self.strides, [1, 1]);
        let before = |axis| (self.kernel[axis] - 1) * self.dilation[axis] - self.before[axis];
        Self { input: self.output, output: self.input, before: [before(0), before(1)], ..*self }
    }

    /// The image's cell under cell `tap` of the kernel at output `o`; `tap` must be one of `taps`.
    #[inline(always)]
    pub(crate) fn cell(&self, axis: usize, o: usize, tap: usize) -> usize {
        o * self.strides[axis] + tap * self.dilation[axis] - self.before[axis]
    }
}

/// What the tests of all kernels with windows share.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Floats of −1, −0.75, … 1 without a pattern; few enough values that windows have ties.
    pub(in crate::kernels) fn floats(len: usize, mut seed: u32) -> Vec<f32> {
        let step = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) as f32 % 9.0 / 4.0 - 1.0
        };
        std::iter::repeat_with(step).take(len).collect()
    }

    /// Awkward windows: a single cell, strides that skip cells or overlap, kernels as large as the
    /// image or larger, prime and oblong sizes; dilated ones last, see `undilated`.
    pub(in crate::kernels) fn windows() -> Vec<Window> {
        let mut windows = Vec::new();
        for (input, kernel, strides, dilation) in [
            ([1, 1], [1, 1], [1, 1], [1, 1]),
            ([5, 4], [1, 1], [1, 1], [1, 1]),
            ([5, 4], [1, 1], [2, 3], [1, 1]),
            ([4, 6], [2, 2], [2, 2], [1, 1]),
            ([7, 7], [2, 2], [2, 2], [1, 1]),
            ([7, 7], [3, 3], [2, 2], [1, 1]),
            ([13, 11], [6, 2], [5, 3], [1, 1]),
            ([6, 5], [6, 5], [1, 1], [1, 1]),
            ([3, 3], [5, 9], [1, 2], [1, 1]),
            ([8, 7], [3, 3], [1, 1], [1, 1]),
            ([1, 9], [1, 4], [1, 1], [1, 1]),
            ([2, 2], [2, 3], [1, 1], [1, 1]),
            ([7, 7], [3, 3], [1, 1], [2, 2]),
            ([5, 8], [2, 3], [1, 1], [4, 3]),
            ([2, 2], [2, 2], [1, 1], [5, 1]),
            ([8, 9], [3, 3], [1, 1], [3, 3]),
        ] {
            for padding in [Padding::Valid, Padding::Same] {
                windows.extend(Window::new(input, kernel, strides, dilation, padding));
            }
        }
        windows
    }

    pub(in crate::kernels) fn undilated() -> Vec<Window> {
        windows().into_iter().filter(|window| window.dilation == [1, 1]).collect()
    }

    /// For each output of one image of `c` channels, the cells of its window that lie on the image,
    /// in scan order, as indices into the image.
    pub(in crate::kernels) fn members(window: &Window, c: usize) -> Vec<Vec<usize>> {
        let ([h, w], [kh, kw], [oh, ow]) = (window.input, window.kernel, window.output);
        let at = |axis: usize, o: usize, k: usize| {
            (o * window.strides[axis] + k * window.dilation[axis]).wrapping_sub(window.before[axis])
        };
        let mut members = vec![Vec::new(); oh * ow * c];
        for (o, members) in members.iter_mut().enumerate() {
            for k in 0..kh * kw {
                let (y, x) = (at(0, o / c / ow, k / kw), at(1, o / c % ow, k % kw));
                if y < h && x < w {
                    members.push((y * w + x) * c + o % c);
                }
            }
        }
        members
    }

    /// What `f` returns in pools of 1, 2 and 5 threads.
    pub(in crate::kernels) fn on_threads<R: Send>(f: impl Fn() -> R + Sync) -> [R; 3] {
        [1, 2, 5].map(|threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&f)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(n: usize, k: usize, s: usize, d: usize, padding: Padding) -> Option<Window> {
        Window::new([n; 2], [k; 2], [s; 2], [d; 2], padding)
    }

    #[test]
    fn sizes_and_padding_are_keras() {
        // (n, k, s, d), output and padding before and after for `same`, output for `valid`
        for ([n, k, s, d], [same, before, after], valid) in [
            ([28, 5, 1, 1], [28, 2, 2], 24),
            ([28, 2, 1, 1], [28, 0, 1], 27),
            ([28, 2, 2, 1], [14, 0, 0], 14),
            ([7, 2, 2, 1], [4, 0, 1], 3),
            ([28, 3, 2, 1], [14, 0, 1], 13),
            ([27, 3, 2, 1], [14, 1, 1], 13),
            ([14, 4, 1, 1], [14, 1, 2], 11),
            ([224, 7, 2, 1], [112, 2, 3], 109),
            ([224, 11, 4, 1], [56, 3, 4], 54),
            ([227, 11, 4, 1], [57, 4, 4], 55),
            ([13, 6, 5, 1], [3, 1, 2], 2),
            ([5, 1, 2, 1], [3, 0, 0], 3),
            ([7, 3, 1, 2], [7, 2, 2], 3),
            ([3, 5, 1, 1], [3, 2, 2], 0),
            ([32, 3, 3, 1], [11, 0, 1], 10),
        ] {
            let window = square(n, k, s, d, Padding::Same).unwrap();
            assert_eq!((window.output, window.before), ([same; 2], [before; 2]), "{window:?}");
            // The last window reaches over the end by exactly the padding behind.
            let end = (same - 1) * s + (k - 1) * d + 1;
            assert_eq!(end.saturating_sub(before + n), after, "{window:?}");
            assert_eq!([window.behind(0), window.behind(1)], [after; 2], "{window:?}");

            let window = square(n, k, s, d, Padding::Valid);
            assert_eq!(window.map_or(0, |window| window.output[0]), valid, "{n} {k} {s} {d}");
            assert!(window.is_none_or(|window| window.before == [0; 2]));
        }
    }

    #[test]
    fn the_two_axes_are_independent() {
        let window = Window::new([28, 7], [5, 2], [1, 2], [1, 1], Padding::Same).unwrap();
        assert_eq!((window.output, window.before), ([28, 4], [2, 0]));
        assert_eq!(Window::new([28, 1], [5, 2], [1, 1], [1, 1], Padding::Valid), None);
    }

    #[test]
    fn taps_are_the_cells_on_the_image() {
        for window in testing::windows() {
            for axis in 0..2 {
                for o in 0..window.output[axis] {
                    let position = |tap: usize| {
                        (o * window.strides[axis] + tap * window.dilation[axis]) as isize
                            - window.before[axis] as isize
                    };
                    let on_image: Vec<usize> = (0..window.kernel[axis])
                        .filter(|&tap| (0..window.input[axis] as isize).contains(&position(tap)))
                        .collect();
                    assert_eq!(window.taps(axis, o).collect::<Vec<_>>(), on_image, "{window:?}");
                    let inside = on_image.len() == window.kernel[axis];
                    assert_eq!(window.inside(axis).contains(&o), inside, "{window:?} {o}");
                    for tap in on_image {
                        assert_eq!(window.cell(axis, o, tap) as isize, position(tap), "{window:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn windows_that_tile_the_image_see_every_cell_once() {
        let same = |kernel, strides, dilation| {
            Window::new([6, 6], kernel, strides, dilation, Padding::Same).unwrap()
        };
        assert!(same([2, 3], [2, 3], [1, 1]).tiles());
        let overlapping = Window::new([6, 6], [3, 3], [2, 2], [1, 1], Padding::Valid).unwrap();
        let apart = same([2, 2], [2, 2], [2, 2]);
        for window in testing::windows().into_iter().chain([overlapping, apart]) {
            let mut seen = testing::members(&window, 1).concat();
            seen.sort();
            let once = seen.into_iter().eq(0..window.input[0] * window.input[1]);
            assert!(once || !window.tiles(), "{window:?}");
        }
    }

    #[test]
    fn a_turned_window_lies_on_the_outputs_whose_windows_lie_on_the_cell() {
        for window in testing::windows().into_iter().filter(|window| window.strides == [1, 1]) {
            let turned = window.turned();
            assert_eq!((turned.input, turned.output), (window.output, window.input));
            for axis in 0..2 {
                let pairs = |window: &Window, cells: usize| -> Vec<[usize; 3]> {
                    let taps = |o| window.taps(axis, o).map(move |tap| [o, tap]);
                    let pairs = (0..cells).flat_map(taps);
                    pairs.map(|[o, tap]| [o, tap, window.cell(axis, o, tap)]).collect()
                };
                let mut want = pairs(&window, window.output[axis]);
                for pair in &mut want {
                    let [o, tap, cell] = *pair;
                    *pair = [cell, window.kernel[axis] - 1 - tap, o];
                }
                want.sort();
                assert_eq!(pairs(&turned, window.input[axis]), want, "{window:?}");
            }
        }
    }

    #[test]
    fn absurd_sizes_do_not_overflow() {
        const MAX: usize = usize::MAX;
        assert_eq!(square(0, 1, 1, 1, Padding::Same), None);
        assert_eq!(square(0, 1, 1, 1, Padding::Valid), None);
        assert_eq!(square(28, MAX, 1, 1, Padding::Valid), None);
        assert_eq!(square(28, MAX, MAX, MAX, Padding::Same), None);
        assert_eq!(square(28, 3, MAX, 1, Padding::Valid).unwrap().output, [1; 2]);
        let window = square(28, MAX, 1, 1, Padding::Same).unwrap();
        assert_eq!(window.output, [28; 2]);
        assert_eq!(window.taps(0, 0).len(), 28);
        let window = square(28, MAX, MAX, 1, Padding::Same).unwrap();
        assert_eq!((window.output, window.taps(0, 0).len()), ([1; 2], 28));
    }
}
