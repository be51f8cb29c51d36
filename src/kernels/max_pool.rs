//! Max-pooling and its gradient.

use super::pool::{Cells, Pool, each_image, image_lens, load, place, sweep};
use super::simd::{self, Fma, multiversion};
use super::window::Window;

/// `y` is the largest cell of each window, and with `relu` at least 0; cells off the image do not count. A
/// NaN counts as larger than any number, so that a window with a NaN gives NaN.
///
/// `x (n, h, w, c)`, `y (n, oh, ow, c)`.
pub(crate) fn max_pool(window: &Window, c: usize, relu: bool, x: &[f32], y: &mut [f32]) {
    let [from, to] = image_lens(window, c, x, y);
    let level = simd::level();
    each_image(y, to, x.len(), |i, y| forward(level, window, c, relu, &x[i * from..][..from], y));
}

/// Overwrites `dx` with the gradient: each window hands its `dy` to the first cell in scan order
/// that is its maximum (the first NaN, if it has one), and windows that overlap add up. With `relu` windows
/// of 0 hand on nothing.
///
/// The winners are found again from `x` and `y`, which must be what `max_pool` read and wrote. Keeping
/// them as bytes instead, tried when windows did not know their size, made AlexNet's pools 30 % faster,
/// forward and backward together (under 1 % of a training step), and LeNet's first 15 % slower.
///
/// `x`, `dx (n, h, w, c)`, `y`, `dy (n, oh, ow, c)`.
pub(crate) fn max_pool_backward(
    window: &Window,
    c: usize,
    relu: bool,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    let [from, to] = image_lens(window, c, x, y);
    assert_eq!((dx.len(), dy.len()), (x.len(), y.len()), "gradients of other shapes");
    let level = simd::level();
    each_image(dx, from, x.len(), |i, dx| {
        let [y, dy] = [y, dy].map(|batch| &batch[i * to..][..to]);
        backward(level, window, c, relu, &x[i * from..][..from], y, dy, dx);
    });
}

struct Forward<'a> {
    /// 0 with ReLU.
    least: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Pool for Forward<'_> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let mut best = [self.least; B];
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let x = load::<B>(self.x, cells.start + row * cells.down + column * cells.right);
                for i in 0..B {
                    let stays = best[i] >= x[i] || best[i].is_nan();
                    best[i] = if stays { best[i] } else { x[i] };
                }
            }
        }
        *place(self.y, o) = best;
    }
}

multiversion! {
    fn forward(window: &Window, c: usize, relu: bool, x: &[f32], y: &mut [f32]) = forward_body
}

#[inline(always)]
fn forward_body<F: Fma>(window: &Window, c: usize, relu: bool, x: &[f32], y: &mut [f32]) {
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    sweep(window, c, &mut Forward { least, x, y });
}

/// With `TILES`, every cell lies in exactly one window, so that `dx` is written and not added to.
struct Backward<'a, const TILES: bool> {
    relu: bool,
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl<const TILES: bool> Pool for Backward<'_, TILES> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let y = load::<B>(self.y, o);
        let mut owed = load::<B>(self.dy, o);
        for i in 0..B {
            owed[i] = if self.relu & (y[i] <= 0.0) { 0.0 } else { owed[i] };
        }
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let at = cells.start + row * cells.down + column * cells.right;
                let x = load::<B>(self.x, at);
                let mut won = [0.0; B];
                for i in 0..B {
                    let wins = (x[i] == y[i]) | x[i].is_nan();
                    won[i] = if wins { owed[i] } else { 0.0 };
                    owed[i] = if wins { 0.0 } else { owed[i] };
                }
                let dx = place::<B>(self.dx, at);
                if TILES {
                    *dx = won;
                } else {
                    for i in 0..B {
                        dx[i] += won[i];
                    }
                }
            }
        }
    }
}

multiversion! {
    fn backward(window: &Window, c: usize, relu: bool, x: &[f32], y: &[f32], dy: &[f32], dx: &mut [f32]) =
        backward_body
}

#[inline(always)]
fn backward_body<F: Fma>(
    window: &Window,
    c: usize,
    relu: bool,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) {
    if window.tiles() {
        sweep(window, c, &mut Backward::<true> { relu, x, y, dy, dx });
    } else {
        dx.fill(0.0);
        sweep(window, c, &mut Backward::<false> { relu, x, y, dy, dx });
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::{Padding, testing};
    use super::*;
    use crate::kernels::simd::Level;

    /// All block widths, alone and one after another, and AlexNet's.
    const CHANNELS: [usize; 7] = [1, 2, 3, 6, 16, 31, 96];

    /// The index of each output's winner: the first cell that no other exceeds.
    fn naive(window: &Window, c: usize, x: &[f32]) -> Vec<usize> {
        let first_best = |cells: Vec<usize>| {
            let nan = cells.iter().copied().find(|&at| x[at].is_nan());
            let exceeded = |at: usize| cells.iter().any(|&other| x[other] > x[at]);
            nan.unwrap_or_else(|| cells.iter().copied().find(|&at| !exceeded(at)).unwrap())
        };
        testing::members(window, c).into_iter().map(first_best).collect()
    }

    /// Forward and backward of one image at one level: `y` and `dx`.
    fn both(
        level: Level,
        window: &Window,
        c: usize,
        relu: bool,
        x: &[f32],
        dy: &[f32],
    ) -> [Vec<f32>; 2] {
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        forward(level, window, c, relu, x, &mut y);
        backward(level, window, c, relu, x, &y, dy, &mut dx);
        [y, dx]
    }

    fn assert_like_naive(window: &Window, c: usize, x: &[f32], dy: &[f32]) {
        let winners = naive(window, c, x);
        for relu in [false, true] {
            let is_cut = |at: usize| relu && x[at] <= 0.0;
            let want_y: Vec<f32> =
                winners.iter().map(|&at| if is_cut(at) { 0.0 } else { x[at] }).collect();
            let mut want_dx = vec![0.0; x.len()];
            let owed = winners.iter().zip(dy).filter(|(at, _)| !is_cut(**at));
            owed.for_each(|(&at, dy)| want_dx[at] += dy);
            for level in Level::all() {
                let [y, dx] = both(level, window, c, relu, x, dy);
                let who = format!("{level:?} {window:?} {c} relu {relu}");
                // As text, in which NaN equals NaN and −0 differs from 0.
                assert_eq!(format!("{y:?}"), format!("{want_y:?}"), "{who}");
                assert_eq!(format!("{dx:?}"), format!("{want_dx:?}"), "{who}");
            }
        }
    }

    fn output_len(window: &Window, c: usize) -> usize {
        window.output[0] * window.output[1] * c
    }

    /// The floats have nine values: most windows have ties, which the first cell must win, even between
    /// 0 and −0.
    #[test]
    fn equals_the_naive_pool() {
        for window in testing::undilated() {
            for c in CHANNELS {
                let mut x = testing::floats(window.input[0] * window.input[1] * c, 1);
                x.iter_mut().filter(|x| **x == 0.0).step_by(2).for_each(|x| *x = -0.0);
                let dy = testing::floats(output_len(&window, c), 2);
                assert_like_naive(&window, c, &x, &dy);
            }
        }
    }

    #[test]
    fn padding_never_wins() {
        let window = Window::new([7, 7], [3, 3], [2, 2], [1, 1], Padding::Same).unwrap();
        for x in [-3.0, f32::MIN, f32::NEG_INFINITY] {
            let x = vec![x; 7 * 7 * 6];
            let dy = vec![1.0; output_len(&window, 6)];
            assert_like_naive(&window, 6, &x, &dy);
            for level in Level::all() {
                let [y, dx] = both(level, &window, 6, false, &x, &dy);
                assert_eq!(y, x[..y.len()]);
                assert_eq!(dx.iter().sum::<f32>(), dy.len() as f32);
            }
        }
    }

    #[test]
    fn nan_comes_through_and_gets_the_gradient() {
        let window = Window::new([6, 6], [3, 3], [2, 2], [1, 1], Padding::Same).unwrap();
        let mut x = testing::floats(6 * 6 * 19, 3);
        x.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
        x.iter_mut().step_by(11).for_each(|x| *x = f32::INFINITY);
        let dy = testing::floats(output_len(&window, 19), 4);
        assert_like_naive(&window, 19, &x, &dy);
    }

    /// A NaN or an infinity in `dy` reaches the winner alone.
    #[test]
    fn gradients_that_are_not_finite_do_not_spread() {
        let window = Window::new([4, 4], [2, 2], [2, 2], [1, 1], Padding::Valid).unwrap();
        let x = testing::floats(4 * 4 * 3, 5);
        let mut dy = testing::floats(output_len(&window, 3), 6);
        dy[1] = f32::NAN;
        dy[5] = f32::INFINITY;
        assert_like_naive(&window, 3, &x, &dy);
    }

    /// `(f(x + ε) − f(x − ε)) / 2ε` of a randomly weighted sum, exact since max is linear between ties.
    #[test]
    fn gradient_is_the_difference_quotient() {
        let window = Window::new([5, 6], [3, 2], [2, 1], [1, 1], Padding::Same).unwrap();
        let x: Vec<f32> = (0..5 * 6 * 2u16).map(|i| f32::from(i * 37 % 61)).collect(); // all differ
        let weights = testing::floats(output_len(&window, 2), 7);
        let value = |x: &[f32]| -> f32 {
            let mut y = vec![0.0; weights.len()];
            max_pool(&window, 2, false, x, &mut y);
            y.iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        let mut y = vec![0.0; weights.len()];
        max_pool(&window, 2, false, &x, &mut y);
        let mut dx = vec![f32::NAN; x.len()];
        max_pool_backward(&window, 2, false, &x, &y, &weights, &mut dx);
        for i in 0..x.len() {
            let moved = |by: f32| {
                let mut x = x.clone();
                x[i] += by;
                value(&x)
            };
            assert_eq!((moved(0.25) - moved(-0.25)) / 0.5, dx[i], "cell {i}");
        }
    }

    #[test]
    fn batches_are_images_on_any_number_of_threads() {
        let window = Window::new([17, 15], [3, 3], [2, 2], [1, 1], Padding::Same).unwrap();
        let c = 19;
        for n in [0, 1, 17] {
            let (from, to) = (17 * 15 * c, output_len(&window, c));
            let (x, dy) = (testing::floats(n * from, 8), testing::floats(n * to, 9));
            let [mut want_y, mut want_dx] = [Vec::new(), Vec::new()];
            for (x, dy) in x.chunks(from).zip(dy.chunks(to)) {
                let [y, dx] = both(Level::Plain, &window, c, false, x, dy);
                want_y.extend(y);
                want_dx.extend(dx);
            }
            for (y, dx) in testing::on_threads(|| {
                let (mut y, mut dx) = (vec![f32::NAN; n * to], vec![f32::NAN; n * from]);
                max_pool(&window, c, false, &x, &mut y);
                max_pool_backward(&window, c, false, &x, &y, &dy, &mut dx);
                (y, dx)
            }) {
                assert_eq!((&y, &dx), (&want_y, &want_dx), "{n} images");
            }
        }
    }
}
