//! What pools and depthwise convolutions share: the walk over windows and channels, and the walk over
//! images.

use std::ops::Range;

use super::window::Window;
use rayon::prelude::*;

/// The cells of one window that lie on the image, for a few channels: offsets into the image.
#[derive(Clone, Copy)]
pub(super) struct Cells {
    pub(super) start: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Floats from one row of the image to the next.
    pub(super) down: usize,
    /// Floats from one cell to the next: the channels.
    pub(super) right: usize,
    /// The cell of the kernel that lies on the first, vertically and horizontally.
    pub(super) taps: [usize; 2],
    /// The first of the channels.
    pub(super) channel: usize,
}

impl Cells {
    #[inline(always)]
    pub(super) fn count(&self) -> f32 {
        (self.rows * self.columns) as f32
    }
}

/// What a pool does with one window. Implementations must be `#[inline(always)]`.
pub(super) trait Pool {
    /// Handles channels `cells.start..cells.start + B`, which are `o..o + B` in the output.
    fn window<const B: usize>(&mut self, cells: Cells, o: usize);
}

/// Shows `pool` all windows of one image, from left to right and from top to bottom.
#[inline(always)]
pub(super) fn sweep(window: &Window, c: usize, pool: &mut impl Pool) {
    let all_inside = [0, 1].map(|axis| window.inside(axis).len()) == window.output;
    // The usual kernels as constants: the compiler unrolls the loops over their cells.
    match window.kernel {
        [2, 2] if all_inside => sweep_by(window, |_, _| 0..2, c, pool),
        [3, 3] if all_inside => sweep_by(window, |_, _| 0..3, c, pool),
        _ => sweep_by(window, |axis, o| window.taps(axis, o), c, pool),
    }
}

/// [`sweep`] where `taps(axis, o)` are the cells of the kernel that lie on the image.
#[inline(always)]
fn sweep_by(
    window: &Window,
    taps: impl Fn(usize, usize) -> Range<usize>,
    c: usize,
    pool: &mut impl Pool,
) {
    let [_, w] = window.input;
    let [oh, ow] = window.output;
    for oy in 0..oh {
        let ys = taps(0, oy);
        for ox in 0..ow {
            let xs = taps(1, ox);
            let start = (window.cell(0, oy, ys.start) * w + window.cell(1, ox, xs.start)) * c;
            let mut cells = Cells {
                start,
                rows: ys.len(),
                columns: xs.len(),
                down: window.dilation[0] * w * c,
                right: window.dilation[1] * c,
                taps: [ys.start, xs.start],
                channel: 0,
            };
            let mut o = (oy * ow + ox) * c;
            let mut left = c;
            // Arrays of a fixed length become vectors; the narrow ones are for the last channels.
            macro_rules! in_blocks_of {
                ($($block:literal)*) => {$(
                    while left >= $block {
                        pool.window::<$block>(cells, o);
                        cells.start += $block;
                        cells.channel += $block;
                        o += $block;
                        left -= $block;
                    }
                )*};
            }
            in_blocks_of!(16 8 4 2 1);
        }
    }
}

/// `floats[at..at + B]` as an array, which has no bounds to check.
#[inline(always)]
pub(super) fn load<const B: usize>(floats: &[f32], at: usize) -> [f32; B] {
    *floats[at..].first_chunk().unwrap()
}

/// `load` for writing.
#[inline(always)]
pub(super) fn place<const B: usize>(floats: &mut [f32], at: usize) -> &mut [f32; B] {
    floats[at..].first_chunk_mut().unwrap()
}

/// Batches with fewer floats than this stay on the calling thread: one thread pools 2 to 7 floats a
/// nanosecond, so that a second one would save 5 to 15 µs, about what it takes to call it.
const WORTH_A_THREAD: usize = 1 << 16;

/// Calls `f(i, image)` for each image of `len` floats in `images`, in parallel where it pays;
/// `work` counts the floats of a batch that it reads or writes.
pub(super) fn each_image(
    images: &mut [f32],
    len: usize,
    work: usize,
    f: impl Fn(usize, &mut [f32]) + Sync,
) {
    if work < WORTH_A_THREAD {
        images.chunks_exact_mut(len).enumerate().for_each(|(i, image)| f(i, image));
    } else {
        images.par_chunks_exact_mut(len).enumerate().for_each(|(i, image)| f(i, image));
    }
}

/// Floats of an input image and of an output image, after a check that `x` and `y` are batches of
/// as many of them.
pub(super) fn image_lens(window: &Window, c: usize, x: &[f32], y: &[f32]) -> [usize; 2] {
    let [h, w] = window.input;
    let [oh, ow] = window.output;
    let [from, to] = [h * w * c, oh * ow * c];
    assert!(from > 0, "an image of ({h}, {w}, {c}) has nothing to pool");
    let n = x.len() / from;
    assert_eq!(x.len(), n * from, "x of ({n}, {h}, {w}, {c})");
    assert_eq!(y.len(), n * to, "y of ({n}, {oh}, {ow}, {c})");
    [from, to]
}
