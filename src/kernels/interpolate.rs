//! Batches of images brought to another size inside a pass, which allocates nothing, and the gradient of
//! that. Sources of samples use [`resize`](super::resize), which keeps lists of weights.

use serde::{Deserialize, Serialize};

use super::buffer::with_scratch;
use super::parallel::{Worth, flops};
use rayon::prelude::*;

/// How the value between cells of an image is found: Keras' `interpolation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// As a mean of the four cells around it, the nearer ones counting for more.
    Bilinear,
    /// As that of the nearest cell.
    Nearest,
}

/// Images of `(h, w, c)` that become `(oh, ow, c)`. As in TensorFlow, the middle of cell `i` lies at
/// `i + ½`, and the edges of the images lie on each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interpolate {
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) interpolation: Interpolation,
}

/// Between which two cells a value lies, and how far from the first.
type Between = (usize, usize, f32);

impl Interpolate {
    /// `x (n, h, w, c)`, `y (n, oh, ow, c)`.
    pub(crate) fn forward(&self, x: &[f32], y: &mut [f32]) {
        let [from, to] = self.lens();
        let work = flops(10 * y.len());
        y.par_chunks_exact_mut(to).zip(x.par_chunks(from)).worth(work).for_each(|(y, x)| {
            let (c, row) = (self.channels, self.input[1] * self.channels);
            with_scratch(row, |between| {
                for (oy, y) in y.chunks_exact_mut(self.output[1] * c).enumerate() {
                    let (above, below, down) = self.between(0, oy);
                    let [above, below] = [above, below].map(|at| &x[at * row..][..row]);
                    for (between, (a, b)) in between.iter_mut().zip(above.iter().zip(below)) {
                        *between = a + (b - a) * down;
                    }
                    for (ox, y) in y.chunks_exact_mut(c).enumerate() {
                        let (left, right, along) = self.between(1, ox);
                        let [left, right] = [left, right].map(|at| &between[at * c..][..c]);
                        for (y, (a, b)) in y.iter_mut().zip(left.iter().zip(right)) {
                            *y = a + (b - a) * along;
                        }
                    }
                }
            });
        });
    }

    /// `dx` from `dy`: each value's gradient goes to the cells it lies between.
    pub(crate) fn backward(&self, dy: &[f32], dx: &mut [f32]) {
        let [from, to] = self.lens();
        let work = flops(10 * dy.len());
        dx.par_chunks_exact_mut(from).zip(dy.par_chunks(to)).worth(work).for_each(|(dx, dy)| {
            let (c, row) = (self.channels, self.input[1] * self.channels);
            dx.fill(0.0);
            with_scratch(row, |between| {
                for (oy, dy) in dy.chunks_exact(self.output[1] * c).enumerate() {
                    between.fill(0.0);
                    for (ox, dy) in dy.chunks_exact(c).enumerate() {
                        let (left, right, along) = self.between(1, ox);
                        for (at, share) in [(left, 1.0 - along), (right, along)] {
                            let cell = between[at * c..][..c].iter_mut();
                            cell.zip(dy).for_each(|(cell, dy)| *cell += share * dy);
                        }
                    }
                    let (above, below, down) = self.between(0, oy);
                    for (at, share) in [(above, 1.0 - down), (below, down)] {
                        let cells = dx[at * row..][..row].iter_mut();
                        cells.zip(&*between).for_each(|(dx, between)| *dx += share * between);
                    }
                }
            });
        });
    }

    /// Floats of an image before and after.
    fn lens(&self) -> [usize; 2] {
        [self.input, self.output].map(|[h, w]| h * w * self.channels)
    }

    /// Where the middle of cell `o` of the output lies in the input.
    fn middle(&self, axis: usize, o: usize) -> f32 {
        (o as f32 + 0.5) * (self.input[axis] as f32 / self.output[axis] as f32)
    }

    /// The cell of the input that is nearest to cell `o` of the output.
    pub(crate) fn nearest(&self, axis: usize, o: usize) -> usize {
        (self.middle(axis, o) as usize).min(self.input[axis] - 1)
    }

    /// Between which cells of the input cell `o` of the output lies.
    fn between(&self, axis: usize, o: usize) -> Between {
        let (middle, last) = (self.middle(axis, o), self.input[axis] - 1);
        match self.interpolation {
            Interpolation::Nearest => {
                let nearest = self.nearest(axis, o);
                (nearest, nearest, 0.0)
            }
            Interpolation::Bilinear => {
                let place = middle - 0.5;
                let before = place.floor();
                // A cast to unsigned takes what is before the first cell to it.
                ((before as usize).min(last), (place.ceil() as usize).min(last), place - before)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::testing::{floats, on_threads};
    use super::*;
    use Interpolation::{Bilinear, Nearest};

    /// Every value as a weighted mean of all cells, in f64.
    fn naive(of: &Interpolate, x: &[f32], dy: &[f32]) -> [Vec<f64>; 2] {
        let weight = |axis: usize, o: usize, cell: usize| {
            let scale = of.input[axis] as f64 / of.output[axis] as f64;
            let middle = (o as f64 + 0.5) * scale;
            match of.interpolation {
                Nearest => f64::from(u8::from(middle.floor() == cell as f64)),
                Bilinear => {
                    let place = (middle - 0.5).clamp(0.0, of.input[axis] as f64 - 1.0);
                    (1.0 - (place - cell as f64).abs()).max(0.0)
                }
            }
        };
        let ([h, w], [oh, ow], c) = (of.input, of.output, of.channels);
        let [mut y, mut dx] = [vec![0.0; dy.len()], vec![0.0; x.len()]];
        for o in 0..oh * ow * c {
            for i in (o % c..h * w * c).step_by(c) {
                let share = weight(0, o / c / ow, i / c / w) * weight(1, o / c % ow, i / c % w);
                y[o] += share * f64::from(x[i]);
                dx[i] += share * f64::from(dy[o]);
            }
        }
        [y, dx]
    }

    #[test]
    fn equals_weighted_means() {
        for (input, output) in [
            ([1, 1], [3, 2]),
            ([4, 5], [4, 5]),
            ([3, 4], [7, 4]),
            ([9, 7], [4, 3]),
            ([2, 8], [5, 1]),
            ([28, 28], [67, 67]),
        ] {
            for (channels, interpolation) in [(1, Bilinear), (3, Bilinear), (17, Nearest)] {
                let of = Interpolate { input, output, channels, interpolation };
                let [from, to] = of.lens();
                let [x, dy] = [floats(from, 1), floats(to, 2)];
                let [mut y, mut dx] = [vec![f32::NAN; to], vec![f32::NAN; from]];
                of.forward(&x, &mut y);
                of.backward(&dy, &mut dx);
                for (found, wanted) in [y, dx].iter().zip(naive(&of, &x, &dy)) {
                    for (found, wanted) in found.iter().zip(wanted) {
                        let error = (f64::from(*found) - wanted).abs();
                        assert!(error < 2e-5, "{of:?}: {found}, not {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn batches_are_images_on_any_number_of_threads() {
        let (input, output) = ([19, 23], [40, 12]);
        let of = Interpolate { input, output, channels: 3, interpolation: Bilinear };
        let ([from, to], n) = (of.lens(), 33);
        let [x, dy] = [floats(n * from, 1), floats(n * to, 2)];
        let [mut want_y, mut want_dx] = [vec![0.0; n * to], vec![0.0; n * from]];
        for i in 0..n {
            of.forward(&x[i * from..][..from], &mut want_y[i * to..][..to]);
            of.backward(&dy[i * to..][..to], &mut want_dx[i * from..][..from]);
        }
        for (y, dx) in on_threads(|| {
            let [mut y, mut dx] = [vec![0.0; n * to], vec![0.0; n * from]];
            of.forward(&x, &mut y);
            of.backward(&dy, &mut dx);
            (y, dx)
        }) {
            assert_eq!((&y, &dx), (&want_y, &want_dx));
        }
    }
}
