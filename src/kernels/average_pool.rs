//! Average-pooling and its gradient.

use super::pool::{Cells, Pool, each_image, image_lens, load, place, sweep};
use super::simd::{self, Fma, multiversion};
use super::window::Window;

/// `y` is the mean of each window over its cells on the image: padding is not counted.
///
/// `x (n, h, w, c)`, `y (n, oh, ow, c)`.
pub(crate) fn average_pool(window: &Window, c: usize, x: &[f32], y: &mut [f32]) {
    let [from, to] = image_lens(window, c, x, y);
    let level = simd::level();
    each_image(y, to, x.len(), |i, y| forward(level, window, c, &x[i * from..][..from], y));
}

/// Overwrites `dx` with the gradient: each window shares its `dy` equally among its cells on the
/// image, and windows that overlap add up.
///
/// `dy (n, oh, ow, c)`, `dx (n, h, w, c)`.
pub(crate) fn average_pool_backward(window: &Window, c: usize, dy: &[f32], dx: &mut [f32]) {
    let [from, to] = image_lens(window, c, dx, dy);
    let level = simd::level();
    each_image(dx, from, dx.len(), |i, dx| backward(level, window, c, &dy[i * to..][..to], dx));
}

struct Forward<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Pool for Forward<'_> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let mut sum = [0.0; B];
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let x = load::<B>(self.x, cells.start + row * cells.down + column * cells.right);
                for i in 0..B {
                    sum[i] += x[i];
                }
            }
        }
        *place(self.y, o) = sum.map(|sum| sum / cells.count());
    }
}

multiversion! { fn forward(window: &Window, c: usize, x: &[f32], y: &mut [f32]) = forward_body }

#[inline(always)]
fn forward_body<F: Fma>(window: &Window, c: usize, x: &[f32], y: &mut [f32]) {
    sweep(window, c, &mut Forward { x, y });
}

struct Backward<'a> {
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Pool for Backward<'_> {
    #[inline(always)]
    fn window<const B: usize>(&mut self, cells: Cells, o: usize) {
        let share = load::<B>(self.dy, o).map(|dy| dy / cells.count());
        for row in 0..cells.rows {
            for column in 0..cells.columns {
                let at = cells.start + row * cells.down + column * cells.right;
                let dx = place::<B>(self.dx, at);
                for i in 0..B {
                    dx[i] += share[i];
                }
            }
        }
    }
}

multiversion! { fn backward(window: &Window, c: usize, dy: &[f32], dx: &mut [f32]) = backward_body }

#[inline(always)]
fn backward_body<F: Fma>(window: &Window, c: usize, dy: &[f32], dx: &mut [f32]) {
    dx.fill(0.0);
    sweep(window, c, &mut Backward { dy, dx });
}

#[cfg(test)]
mod tests {
    use super::super::window::{Padding, testing};
    use super::*;
    use crate::kernels::simd::Level;

    /// All block widths, alone and one after another, and AlexNet's.
    const CHANNELS: [usize; 7] = [1, 2, 3, 6, 16, 31, 96];

    fn output_len(window: &Window, c: usize) -> usize {
        window.output[0] * window.output[1] * c
    }

    #[test]
    fn equals_the_naive_pool() {
        for window in testing::undilated() {
            for c in CHANNELS {
                let x = testing::floats(window.input[0] * window.input[1] * c, 1);
                let dy = testing::floats(output_len(&window, c), 2);
                let mut want_y = Vec::new();
                let mut want_dx = vec![0.0; x.len()];
                for (cells, dy) in testing::members(&window, c).iter().zip(&dy) {
                    let count = cells.len() as f32;
                    want_y.push(cells.iter().map(|&at| x[at]).sum::<f32>() / count);
                    cells.iter().for_each(|&at| want_dx[at] += dy / count);
                }
                for level in Level::all() {
                    let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
                    forward(level, &window, c, &x, &mut y);
                    backward(level, &window, c, &dy, &mut dx);
                    assert_eq!((y, &dx), (want_y.clone(), &want_dx), "{level:?} {window:?} {c}");
                }
            }
        }
    }

    /// The mean of equal cells is that cell, at the border as well.
    #[test]
    fn padding_is_not_counted() {
        let window = Window::new([7, 7], [3, 3], [2, 2], [1, 1], Padding::Same).unwrap();
        let mut y = vec![f32::NAN; output_len(&window, 6)];
        average_pool(&window, 6, &[-3.0; 7 * 7 * 6], &mut y);
        assert!(y.iter().all(|&y| y == -3.0));
    }

    /// `⟨pool(x), g⟩ = ⟨x, backward(g)⟩`, as for every linear map.
    #[test]
    fn backward_is_the_adjoint() {
        let dot = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
        };
        let window = Window::new([9, 10], [4, 3], [2, 3], [1, 1], Padding::Same).unwrap();
        let x = testing::floats(9 * 10 * 7, 3);
        let g = testing::floats(output_len(&window, 7), 4);
        let (mut y, mut dx) = (vec![f32::NAN; g.len()], vec![f32::NAN; x.len()]);
        average_pool(&window, 7, &x, &mut y);
        average_pool_backward(&window, 7, &g, &mut dx);
        let (forward, backward) = (dot(&y, &g), dot(&x, &dx));
        // Each of the 140 outputs is off by at most 2⁻²⁴.
        assert!((forward - backward).abs() < 1e-5 && forward != 0.0, "{forward} {backward}");
    }

    #[test]
    fn batches_are_images_on_any_number_of_threads() {
        let window = Window::new([17, 15], [3, 3], [2, 2], [1, 1], Padding::Same).unwrap();
        let c = 19;
        let (from, to) = (17 * 15 * c, output_len(&window, c));
        for n in [0, 1, 17] {
            let (x, dy) = (testing::floats(n * from, 5), testing::floats(n * to, 6));
            let [mut want_y, mut want_dx] = [vec![f32::NAN; n * to], vec![f32::NAN; n * from]];
            for (x, y) in x.chunks(from).zip(want_y.chunks_mut(to)) {
                forward(Level::Plain, &window, c, x, y);
            }
            for (dy, dx) in dy.chunks(to).zip(want_dx.chunks_mut(from)) {
                backward(Level::Plain, &window, c, dy, dx);
            }
            for (y, dx) in testing::on_threads(|| {
                let (mut y, mut dx) = (vec![f32::NAN; n * to], vec![f32::NAN; n * from]);
                average_pool(&window, c, &x, &mut y);
                average_pool_backward(&window, c, &dy, &mut dx);
                (y, dx)
            }) {
                assert_eq!((&y, &dx), (&want_y, &want_dx), "{n} images");
            }
        }
    }
}
