//! Images shifted and turned, and the gradient of that.

use serde::{Deserialize, Serialize};

use super::interpolate::Interpolation;
use super::parallel::{Worth, flops};
use rayon::prelude::*;

/// What lies round an image: Keras' `fill_mode`. For a row `a b c d`:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FillMode {
    /// `k k k k | a b c d | k k k k` with the fill value.
    Constant,
    /// `a a a a | a b c d | d d d d`
    Nearest,
    /// `d c b a | a b c d | d c b a`
    Reflect,
    /// `a b c d | a b c d | a b c d`. TensorFlow's kernel, which Keras calls, errs where it reads
    /// between `d` and `a` or further out.
    Wrap,
}

impl FillMode {
    /// Which cell of `len` is seen at place `i`; `None` for the fill value.
    fn cell(self, i: isize, len: usize) -> Option<usize> {
        let size = len.cast_signed();
        let cell = match self {
            Self::Constant => return (0..size).contains(&i).then_some(i.cast_unsigned()),
            Self::Nearest => i.clamp(0, size - 1),
            Self::Reflect => {
                let cell = i.rem_euclid(2 * size);
                if cell < size { cell } else { 2 * size - 1 - cell }
            }
            Self::Wrap => i.rem_euclid(size),
        };
        Some(cell.cast_unsigned())
    }
}

/// Where a cell of the output is seen in the input: `x' = t[0]·x + t[1]·y + t[2]`,
/// `y' = t[3]·x + t[4]·y + t[5]`.
pub(crate) type Transform = [f32; 6];

/// How images of `(h, w, c)` are seen through a transform each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    pub(crate) image: [usize; 3],
    pub(crate) interpolation: Interpolation,
    pub(crate) fill_mode: FillMode,
    pub(crate) fill_value: f32,
}

impl Affine {
    /// `x` and `y` of `(n, h, w, c)`, a transform for each image.
    pub(crate) fn forward(&self, transforms: &[Transform], x: &[f32], y: &mut [f32]) {
        let (len, c) = (self.len(), self.image[2]);
        let images = y.par_chunks_exact_mut(len).zip(x.par_chunks(len)).zip(transforms);
        images.worth(self.work(transforms.len())).for_each(|((y, x), transform)| {
            y.fill(0.0);
            self.each_tap(transform, |to, from, share| {
                let y = y[to..to + c].iter_mut();
                match from {
                    Some(from) => y.zip(&x[from..]).for_each(|(y, x)| *y += share * x),
                    None => y.for_each(|y| *y += share * self.fill_value),
                }
            });
        });
    }

    /// `dx` from `dy`: each value's gradient goes to the cells it is a mean of.
    pub(crate) fn backward(&self, transforms: &[Transform], dy: &[f32], dx: &mut [f32]) {
        let (len, c) = (self.len(), self.image[2]);
        let images = dx.par_chunks_exact_mut(len).zip(dy.par_chunks(len)).zip(transforms);
        images.worth(self.work(transforms.len())).for_each(|((dx, dy), transform)| {
            dx.fill(0.0);
            self.each_tap(transform, |to, from, share| {
                if let Some(from) = from {
                    let dx = dx[from..from + c].iter_mut();
                    dx.zip(&dy[to..]).for_each(|(dx, dy)| *dx += share * dy);
                }
            });
        });
    }

    fn len(&self) -> usize {
        self.image.iter().product()
    }

    fn work(&self, n: usize) -> super::parallel::Nanoseconds {
        flops(40 * n * self.len())
    }

    /// Calls `f(to, from, share)` for every pixel of the output and each pixel of the input that
    /// counts for it; `None` is the fill value.
    fn each_tap(&self, t: &Transform, mut f: impl FnMut(usize, Option<usize>, f32)) {
        let [h, w, c] = self.image;
        for pixel in 0..h * w {
            let [x, y] = [pixel % w, pixel / w].map(|at| at as f32);
            let x_seen = t[0] * x + t[1] * y + t[2];
            let y_seen = t[3] * x + t[4] * y + t[5];
            let mut tap = |y: f32, x: f32, share: f32| {
                let y = self.fill_mode.cell(y as isize, h);
                let x = self.fill_mode.cell(x as isize, w);
                f(pixel * c, y.zip(x).map(|(y, x)| (y * w + x) * c), share);
            };
            match self.interpolation {
                Interpolation::Nearest => tap(y_seen.round(), x_seen.round(), 1.0),
                Interpolation::Bilinear => {
                    let [above, left] = [y_seen.floor(), x_seen.floor()];
                    let [down, along] = [y_seen - above, x_seen - left];
                    for (y, vertical) in [(above, 1.0 - down), (above + 1.0, down)] {
                        for (x, horizontal) in [(left, 1.0 - along), (left + 1.0, along)] {
                            tap(y, x, vertical * horizontal);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::testing::{floats, on_threads};
    use super::*;
    use Interpolation::{Bilinear, Nearest};

    const FILL_MODES: [FillMode; 4] =
        [FillMode::Constant, FillMode::Nearest, FillMode::Reflect, FillMode::Wrap];

    fn affine(image: [usize; 3], interpolation: Interpolation, fill_mode: FillMode) -> Affine {
        Affine { image, interpolation, fill_mode, fill_value: 9.0 }
    }

    fn seen(of: &Affine, transform: Transform, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len()];
        of.forward(&[transform], x, &mut y);
        y
    }

    #[test]
    fn what_lies_round_an_image() {
        let row = [1.0, 2.0, 3.0, 4.0];
        for interpolation in [Bilinear, Nearest] {
            for (fill_mode, left, right) in [
                (FillMode::Constant, [9.0, 9.0, 1.0, 2.0], [3.0, 4.0, 9.0, 9.0]),
                (FillMode::Nearest, [1.0, 1.0, 1.0, 2.0], [3.0, 4.0, 4.0, 4.0]),
                (FillMode::Reflect, [2.0, 1.0, 1.0, 2.0], [3.0, 4.0, 4.0, 3.0]),
                (FillMode::Wrap, [3.0, 4.0, 1.0, 2.0], [3.0, 4.0, 1.0, 2.0]),
            ] {
                for (shift, wanted) in [(-2.0, left), (2.0, right)] {
                    let along = [1.0, 0.0, shift, 0.0, 1.0, 0.0];
                    let down = [1.0, 0.0, 0.0, 0.0, 1.0, shift];
                    let of = |image| affine(image, interpolation, fill_mode);
                    assert_eq!(seen(&of([1, 4, 1]), along, &row), wanted, "{fill_mode:?}");
                    assert_eq!(seen(&of([4, 1, 1]), down, &row), wanted, "{fill_mode:?}");
                }
            }
        }
    }

    #[test]
    fn half_a_cell_is_the_mean_of_two() {
        let [along, down] = [[1.0, 0.0, 0.5, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.5]];
        for (fill_mode, last) in FILL_MODES.into_iter().zip([6.5, 4.0, 4.0, 2.5]) {
            for (image, half) in [([1, 4, 1], along), ([4, 1, 1], down)] {
                let of = affine(image, Bilinear, fill_mode);
                assert_eq!(seen(&of, half, &[1.0, 2.0, 3.0, 4.0]), [1.5, 2.5, 3.5, last]);
            }
        }
    }

    #[test]
    fn a_quarter_turn_moves_every_cell() {
        // x' = y, y' = 2 − x: the columns become rows.
        let of = affine([3, 3, 2], Nearest, FillMode::Constant);
        let x = floats(18, 1);
        let y = seen(&of, [0.0, 1.0, 0.0, -1.0, 0.0, 2.0], &x);
        for (row, column, c) in (0..18).map(|i| (i / 6, i / 2 % 3, i % 2)) {
            assert_eq!(y[(row * 3 + column) * 2 + c], x[((2 - column) * 3 + row) * 2 + c]);
        }
    }

    /// `⟨forward(x), g⟩ = ⟨x, backward(g)⟩` where the fill value is 0.
    #[test]
    fn backward_is_the_adjoint() {
        let dot = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
        };
        let turn = [0.9, -0.3, 1.2, 0.4, 1.1, -2.3];
        for (interpolation, fill_mode) in
            [Bilinear, Nearest].into_iter().flat_map(|i| FILL_MODES.map(|mode| (i, mode)))
        {
            let of = Affine { fill_value: 0.0, ..affine([7, 5, 3], interpolation, fill_mode) };
            let [x, g] = [floats(105, 1), floats(105, 2)];
            let mut dx = vec![f32::NAN; 105];
            of.backward(&[turn], &g, &mut dx);
            let (forward, backward) = (dot(&seen(&of, turn, &x), &g), dot(&x, &dx));
            assert!((forward - backward).abs() < 1e-4 && forward != 0.0, "{of:?}");
        }
    }

    #[test]
    fn batches_are_images_on_any_number_of_threads() {
        let of = affine([17, 19, 3], Bilinear, FillMode::Reflect);
        let (n, len) = (33, of.len());
        let transforms: Vec<Transform> =
            (0..n).map(|i| [1.0, 0.1 * i as f32, 0.3, -0.2, 1.0, i as f32]).collect();
        let [x, dy] = [floats(n * len, 1), floats(n * len, 2)];
        let [mut want_y, mut want_dx] = [vec![0.0; n * len], vec![0.0; n * len]];
        for (i, transform) in transforms.iter().enumerate() {
            let here = i * len..(i + 1) * len;
            of.forward(&[*transform], &x[here.clone()], &mut want_y[here.clone()]);
            of.backward(&[*transform], &dy[here.clone()], &mut want_dx[here]);
        }
        for (y, dx) in on_threads(|| {
            let [mut y, mut dx] = [vec![0.0; n * len], vec![0.0; n * len]];
            of.forward(&transforms, &x, &mut y);
            of.backward(&transforms, &dy, &mut dx);
            (y, dx)
        }) {
            assert_eq!((&y, &dx), (&want_y, &want_dx));
        }
    }
}
