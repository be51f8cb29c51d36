//! Winograd's convolution: stride 1, 3×3 or 5×5 kernels, many channels.

mod backward_weights;
mod forward;
mod matrices;
mod product;
#[cfg(test)]
mod tests;
mod tiling;
mod transform;
mod vector;
mod weights;

use crate::kernels::simd::Level;
use crate::kernels::window::Window;
use forward::Job;
use matrices::Matrices;
use ndarray::ArrayViewMut3;
use product::PACK;
use rayon::prelude::*;
use std::ops::Range;
use tiling::Tiling;
use vector::LANES;

/// Tiles are 6×6 pixels, and a convolution is the 36 products of their transforms.
const SIDE: usize = 6;
const PRODUCTS: usize = SIDE * SIDE;

/// Vectors between the transforms for two products. A tile has a vector in each of the 36; were
/// these a multiple of 4 KB apart, they would all fall into the same eight ways of the first-level
/// cache.
const GAP: usize = 1;

/// Tiles a task: at 384 channels they take 3.5 MB, read again for each block of filters from the
/// third-level cache, and all the weights' 21 MB are read once for them.
const TASK_TILES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    F43,
    F25,
}

const F43: Matrices<4, 3> = Matrices::new();
const F25: Matrices<2, 5> = Matrices::new();

impl Algorithm {
    fn of(window: &Window) -> Option<Self> {
        let [before_h, before_w] = window.before;
        if window.strides != [1, 1] || window.dilation != [1, 1] {
            return None;
        }
        match window.kernel {
            [3, 3] if before_h < 3 && before_w < 3 => Some(Self::F43),
            [5, 5] if before_h < 5 && before_w < 5 => Some(Self::F25),
            _ => None,
        }
    }

    fn outputs(self) -> usize {
        match self {
            Self::F43 => 4,
            Self::F25 => 2,
        }
    }
    fn tiling(self, window: &Window) -> Tiling {
        Tiling {
            input: window.input,
            output: window.output,
            before: window.before,
            tiles: window.output.map(|o| o.div_ceil(self.outputs())),
        }
    }
}

/// Whether these kernels can compute this convolution.
pub(crate) fn applies(window: &Window) -> bool {
    Algorithm::of(window).is_some()
}

/// The floats of the transformed weights of `c` channels and `f` filters.
pub(crate) fn weights_len([c, f]: [usize; 2]) -> usize {
    PRODUCTS * c.next_multiple_of(LANES) * f.next_multiple_of(PACK)
}

/// Transforms weights `w` of `(k, k, c, f)` for [`forward`].
pub(crate) fn transform_weights(
    level: Level,
    window: &Window,
    dims: [usize; 2],
    w: &[f32],
    u: &mut [f32],
) {
    transform(level, window, false, dims, w, u);
}

/// Transforms weights `w` of `(k, k, c, f)` for [`backward_input`]: `u` has
/// `weights_len([f, c])` floats.
pub(crate) fn transform_weights_back(
    level: Level,
    window: &Window,
    [c, f]: [usize; 2],
    w: &[f32],
    u: &mut [f32],
) {
    transform(level, window, true, [f, c], w, u);
}

fn transform(
    level: Level,
    window: &Window,
    turned: bool,
    [c, f]: [usize; 2],
    w: &[f32],
    u: &mut [f32],
) {
    let algorithm = Algorithm::of(window).expect("a window of stride 1, 3×3 or 5×5");
    assert_eq!(w.len(), window.kernel[0] * window.kernel[1] * c * f);
    assert_eq!(u.len(), weights_len([c, f]));
    let block = PRODUCTS * c.next_multiple_of(LANES);
    let u = u.as_chunks_mut().0.as_chunks_mut().0;
    u.par_chunks_exact_mut(block.max(1))
        .enumerate()
        .for_each(|(i, u)| weights::transform(level, algorithm, turned, [c, f], i, w, u));
}

/// `y = x * w + bias`, and ReLU behind it: images `x` of `(n, h, w, c)`, `y` of `(n, oh, ow, f)`.
pub(crate) fn forward(
    level: Level,
    window: &Window,
    [n, c, f]: [usize; 3],
    x: &[f32],
    u: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    let algorithm = Algorithm::of(window).expect("a window of stride 1, 3×3 or 5×5");
    let [h, w] = window.input;
    let [oh, ow] = window.output;
    assert_eq!(x.len(), n * h * w * c);
    assert_eq!(y.len(), n * oh * ow * f);
    assert_eq!(u.len(), weights_len([c, f]));
    let tiling = algorithm.tiling(window);
    if y.is_empty() {
        return;
    }
    assert!(c > 0);
    let u = u.as_chunks().0.as_chunks().0;
    let job = Job { algorithm, tiling, dims: [c, f], x, u, bias, relu };
    split(level, &job, 0..n * tiling.tiles[0], y);
}

fn split(level: Level, job: &Job<'_>, rows: Range<usize>, y: &mut [f32]) {
    let [down, across] = job.tiling.tiles;
    let [oh, ow] = job.tiling.output;
    let [_, f] = job.dims;
    let out = |row: usize| row / down * oh + (row % down * job.algorithm.outputs()).min(oh);
    let rows_a_task = (TASK_TILES / across).max(1);
    if rows.len() > rows_a_task {
        let middle = rows.start + rows.len().div_ceil(rows_a_task) / 2 * rows_a_task;
        let (above, below) = y.split_at_mut((out(middle) - out(rows.start)) * ow * f);
        rayon::join(
            || split(level, job, rows.start..middle, above),
            || split(level, job, middle..rows.end, below),
        );
        return;
    }
    forward::block(level, job, rows.start * across..rows.end * across, out(rows.start), y);
}

/// `dx` from `dy`, with the weights of [`transform_weights_back`].
pub(crate) fn backward_input(
    level: Level,
    window: &Window,
    [n, c, f]: [usize; 3],
    dy: &[f32],
    u: &[f32],
    dx: &mut [f32],
) {
    let [kh, kw] = window.kernel;
    let [top, left] = window.before;
    let back = Window {
        input: window.output,
        before: [kh - 1 - top, kw - 1 - left],
        output: window.input,
        ..*window
    };
    forward(level, &back, [n, f, c], dy, u, None, false, dx);
}

/// `dw` of `(k, k, c, f)` from `x` of `(n, h, w, c)` and `dy` of `(n, oh, ow, f)`.
pub(crate) fn backward_weights(
    level: Level,
    window: &Window,
    [n, c, f]: [usize; 3],
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let algorithm = Algorithm::of(window).expect("a window of stride 1, 3×3 or 5×5");
    let [h, w] = window.input;
    let [oh, ow] = window.output;
    let taps = window.kernel[0] * window.kernel[1];
    assert_eq!(x.len(), n * h * w * c);
    assert_eq!(dy.len(), n * oh * ow * f);
    let dw = ArrayViewMut3::from_shape((taps, c, f), dw).expect("dw of (k, k, c, f)");
    let tiling = algorithm.tiling(window);
    let job = backward_weights::Job { algorithm, tiling, dims: [n, c, f], x, dy };
    backward_weights::split(level, &job, 0..c, 0..f, dw);
}
