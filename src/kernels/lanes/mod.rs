//! Kernels for small networks: images lie in the SIMD lanes.
//!
//! With few channels and few pixels, a vector along either is half empty. So a batch is cut into
//! blocks of [`LANES`] images, and a block of activations is stored as `(h, w, c, LANES)`: whatever
//! the layer's sizes, each instruction works on whole vectors, and padding and strides only select
//! which. Blocks start on a cache line. The lanes that are left over in the last block must be zero
//! in the network's input and in the gradients of its output; then they add nothing to the gradients
//! of the weights.
//!
//! [`batch`] works on several blocks at once, and on several rows or filters of a block. A dense layer is a convolution over
//! a single pixel, but for the gradient of its weights ([`dense`]). There are no pools here: a block is
//! an image of `(h, w, c·LANES)`, and [`max_pool`](super::max_pool) takes it as such. Convolution, ReLU
//! and max-pool in one pass took as long as one after the other (LeNet-5, 16 images: 39.9 and 68.3 µs
//! instead of 40.4 and 67.9): what lies between them stays in L2.

pub(crate) mod batch;
mod conv;
mod conv_input;
mod conv_weights;
mod dense;
pub(crate) mod peak;
pub(crate) mod transpose;

use super::conv::Conv;

/// Images in a block: the floats of the widest vector.
pub(crate) const LANES: usize = 16;

/// Whether there are samples enough for blocks of 16: few are faster one by one.
pub(crate) fn worth_lanes(n: usize) -> bool {
    n > LANES / 2
}

/// One number of each image of a block.
pub(crate) type Lanes = [f32; LANES];

impl Conv {
    /// Numbers of an image of `x`, of `w`, and of an image of `y`.
    fn lens(&self) -> [usize; 3] {
        assert_eq!(self.window.dilation, [1, 1], "dilated convolutions have no kernels in lanes");
        let [x, w, y] = [self.window.input, self.window.kernel, self.window.output]
            .map(|[vertical, horizontal]| vertical * horizontal);
        [x * self.channels, w * self.channels * self.filters, y * self.filters]
    }
}

/// Filters or channels of a tile, whose sums stay in registers: of one pixel, 12 of the 16 that AVX2 has, which
/// hides the 4 cycles a sum takes. With AVX-512 they are 6, where 12 were no faster; several pixels are.
const TILE: usize = 6;

/// Cuts `0..n` into as few ranges of at most `most` as it takes, of nearly equal length: `(first, count)`.
#[inline(always)]
fn tiles(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n.div_ceil(most);
    (0..count).map(move |i| (n * i / count, n * (i + 1) / count - n * i / count))
}

/// Calls `$tile::<V, …, n>(args)` for an `n` of 1 to [`TILE`] that is only known at run time.
macro_rules! sized_tile {
    ($n:expr, $tile:ident::<$($generic:tt),+>($($arg:expr),+ $(,)?)) => {
        match $n {
            1 => $tile::<$($generic),+, 1>($($arg),+),
            2 => $tile::<$($generic),+, 2>($($arg),+),
            3 => $tile::<$($generic),+, 3>($($arg),+),
            4 => $tile::<$($generic),+, 4>($($arg),+),
            5 => $tile::<$($generic),+, 5>($($arg),+),
            6 => $tile::<$($generic),+, 6>($($arg),+),
            n => unreachable!("a tile of {n}"),
        }
    };
}
use sized_tile;

/// What the tests of these kernels share.
#[cfg(test)]
mod testing {
    use super::{Conv, Lanes};
    use crate::kernels::window::{Padding, Window, testing};

    /// Multiples of a quarter: sums of their products are exact, in whatever order.
    pub(super) fn block(len: usize, seed: u32) -> Vec<Lanes> {
        testing::floats(len * 16, seed).as_chunks().0.to_vec()
    }

    /// Awkward windows with channels and filters that fill one tile, several, or none.
    pub(super) fn convs() -> Vec<Conv> {
        let sizes = [[1, 1], [1, 6], [2, 3], [3, 2], [5, 7], [6, 16], [7, 5], [17, 1], [16, 17]];
        let windows = testing::undilated();
        let conv = |[channels, filters]: [usize; 2], window| Conv {
            window,
            channels,
            filters,
            exact: true,
        };
        sizes
            .iter()
            .flat_map(|&size| windows.iter().map(move |&window| conv(size, window)))
            .collect()
    }

    pub(super) fn dense(inputs: usize, units: usize) -> Conv {
        let window = Window::new([1; 2], [1; 2], [1; 2], [1; 2], Padding::Valid).unwrap();
        Conv { window, channels: inputs, filters: units, exact: true }
    }

    /// The definition: `y[k] += x[i] · w[j]` for each `f(i, j, k)`.
    pub(super) fn each_product(conv: &Conv, mut f: impl FnMut(usize, usize, usize)) {
        let Conv { window, channels: c, filters, .. } = *conv;
        let ([kh, kw], [oh, ow]) = (window.kernel, window.output);
        for o in 0..oh * ow {
            for k in 0..kh * kw {
                let at = |axis: usize, o: usize, k: usize| {
                    (o * window.strides[axis] + k).wrapping_sub(window.before[axis])
                };
                let (y, x) = (at(0, o / ow, k / kw), at(1, o % ow, k % kw));
                if y < window.input[0] && x < window.input[1] {
                    for i in 0..c * filters {
                        let (channel, filter) = (i / filters, i % filters);
                        let x = (y * window.input[1] + x) * c + channel;
                        f(x, k * c * filters + i, o * filters + filter);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::max_pool::{max_pool, max_pool_backward};
    use crate::kernels::window::testing::{floats, undilated};

    #[test]
    fn tiles_are_all_of_it_in_order() {
        for n in 0..40 {
            let mut next = 0;
            for (first, count) in tiles(n, TILE) {
                assert!(first == next && (1..=TILE).contains(&count), "{n}: {first} {count}");
                next += count;
            }
            assert_eq!(next, n);
        }
    }

    /// `pool(images)` in lanes, back in rows.
    fn in_lanes<const N: usize>(
        images: [&[f32]; N],
        pool: impl Fn([&[f32]; N], &mut [f32]),
        len: usize,
    ) -> Vec<f32> {
        let blocks = images.map(|rows| {
            let mut block = vec![[f32::NAN; LANES]; rows.len() / LANES];
            transpose::to_lanes(rows, &mut block);
            block
        });
        let mut block = vec![[f32::NAN; LANES]; len];
        pool(blocks.each_ref().map(|block| block.as_flattened()), block.as_flattened_mut());
        let mut rows = vec![f32::NAN; LANES * len];
        transpose::from_lanes(&block, &mut rows);
        rows
    }

    #[test]
    fn pools_take_a_block_for_an_image() {
        for (window, c) in undilated().iter().zip([1, 2, 3].into_iter().cycle()) {
            let [x_len, y_len] = [window.input, window.output].map(|[h, w]| h * w * c);
            let (x, dy) = (floats(LANES * x_len, 1), floats(LANES * y_len, 2));
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            max_pool(window, c, false, &x, &mut y);
            max_pool_backward(window, c, false, &x, &y, &dy, &mut dx);

            let wide = c * LANES;
            assert_eq!(in_lanes([&x], |[x], y| max_pool(window, wide, false, x, y), y_len), y);
            let backward = |[x, y, dy]: [&[f32]; 3], dx: &mut [f32]| {
                max_pool_backward(window, wide, false, x, y, dy, dx);
            };
            assert_eq!(in_lanes([&x, &y, &dy], backward, x_len), dx);
        }
    }
}
