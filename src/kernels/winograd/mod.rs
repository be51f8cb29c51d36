//! Winograd's convolution: stride 1, 3×3 or 5×5 kernels, many channels.
//!
//! A tile of 6×6 pixels of the image gives 4×4 or 2×2 pixels of the output. Transformed, its
//! convolution is 36 products of one pixel each, so that over all tiles, channels and filters a
//! convolution is 36 products of matrices: a quarter of the multiplications for 3×3 kernels, 9/25
//! for 5×5. Largest error over the largest value: 2e-6 in AlexNet's layers, 1e-5 in the worst tiny
//! ones. A pixel that is not a number spoils the whole tile.

// The loops over constant ranges are unrolled; over iterators they need not be.
#![allow(clippy::needless_range_loop)]
#![allow(clippy::too_many_arguments)]

mod backward_weights;
mod forward;
mod matrices;
mod product;
#[cfg(test)]
mod tests;
mod tiling;
mod transform;
mod weights;

use crate::kernels::simd::Level;
use crate::kernels::window::Window;
use matrices::Matrices;
use ndarray::ArrayViewMut3;
use product::PACK;
use rayon::prelude::*;
use tiling::Tiling;

/// Tiles are 6×6 pixels, and a convolution is the 36 products of their transforms.
const SIDE: usize = 6;
const PRODUCTS: usize = SIDE * SIDE;

/// Channels or filters that lie side by side.
const LANES: usize = 16;
type Lanes = [f32; LANES];

/// Vectors between the transforms for two products. A tile has a vector in each of the 36; were
/// these a multiple of 4 KB apart, they would all fall into the same eight ways of the first-level
/// cache.
const GAP: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    /// 4×4 outputs, 3×3 kernel.
    F43,
    /// 2×2 outputs, 5×5 kernel.
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

/// The tiles of an image.
pub(crate) fn tiles(window: &Window) -> usize {
    let algorithm = Algorithm::of(window).expect("a window of stride 1, 3×3 or 5×5");
    algorithm.tiling(window).tiles.iter().product()
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

/// `y = x * w + bias`, and ReLU behind it: images `x` of `(n, h, w, c)`, weights `u` by
/// [`transform_weights`], `y` of `(n, oh, ow, f)`.
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
    assert!(bias.is_none_or(|bias| bias.len() == f));
    assert!(c > 0, "a convolution of no channels");
    if y.is_empty() {
        return;
    }
    let tiling = algorithm.tiling(window);
    let u = u.as_chunks().0.as_chunks().0;
    let job = forward::Job { algorithm, tiling, dims: [c, f], x, u, bias, relu };
    forward::split(level, &job, forward::rows_a_task(n, &tiling), 0..n * tiling.tiles[0], y);
}

/// `dx` of `(n, h, w, c)` from `dy` of `(n, oh, ow, f)`, weights `u` by [`transform_weights_back`]: the
/// convolution of `dy` with the kernels turned upside down.
pub(crate) fn backward_input(
    level: Level,
    window: &Window,
    [n, c, f]: [usize; 3],
    dy: &[f32],
    u: &[f32],
    dx: &mut [f32],
) {
    forward(level, &window.turned(), [n, f, c], dy, u, None, false, dx);
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
    let most = backward_weights::task_size([c, f]);
    backward_weights::split(level, &job, most, 0..c, 0..f, dw);
}
