//! Normalisation by the neighbours among the channels (Krizhevsky, Sutskever & Hinton 2012):
//! `y = x · s^−β` with `s = k + α·Σ x²` over the channels around this one.

use super::buffer::with_scratch;
use super::parallel::{CHUNK, Worth, flops};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// The sizes and numbers of the normalisation. A pixel has `channels · across` floats: with samples
/// in lanes, a channel is so many of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalResponse {
    pub(crate) channels: usize,
    pub(crate) across: usize,
    /// So many channels before and behind are in the sum.
    pub(crate) radius: usize,
    pub(crate) k: f32,
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
}

impl LocalResponse {
    /// `x` and `y` of `(pixels, channels · across)`.
    pub(crate) fn forward(self, level: Level, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "floats of x and y");
        let (piece, work) = (self.piece(), flops(self.flops(x.len())));
        let pieces = y.par_chunks_mut(piece).zip(x.par_chunks(piece));
        pieces.worth(work).for_each(|(y, x)| {
            with_scratch(self.padded() + self.pixel(), |scratch| {
                forward(level, self, x, y, scratch)
            });
        });
    }

    /// `dx` from `dy`: `dx = dy·s^−β − 2αβ·x·Σ dy·x·s^−(β+1)`, the sum over the same channels.
    pub(crate) fn backward(self, level: Level, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        assert_eq!([x.len(), dy.len()], [dx.len(); 2], "floats of x, dy and dx");
        let (piece, work) = (self.piece(), flops(2 * self.flops(x.len())));
        let pieces = dx.par_chunks_mut(piece).zip(x.par_chunks(piece).zip(dy.par_chunks(piece)));
        pieces.worth(work).for_each(|(dx, (x, dy))| {
            with_scratch(self.padded() + self.pixel(), |scratch| {
                backward(level, self, x, dy, dx, scratch);
            });
        });
    }

    fn pixel(self) -> usize {
        self.channels * self.across
    }

    /// The floats of a pixel with zeros before and behind it.
    fn padded(self) -> usize {
        (self.channels + 2 * self.radius) * self.across
    }

    /// The floats of a piece: whole pixels.
    fn piece(self) -> usize {
        self.pixel() * (CHUNK / self.pixel()).max(1)
    }

    /// Arithmetic operations for so many floats.
    fn flops(self, floats: usize) -> usize {
        (2 * self.radius + 20) * floats
    }
}

multiversion! {
    fn forward(of: LocalResponse, x: &[f32], y: &mut [f32], scratch: &mut [f32]) = forward_body
}
multiversion! {
    fn backward(of: LocalResponse, x: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32])
        = backward_body
}

#[inline(always)]
fn forward_body<F: Fma>(of: LocalResponse, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
    let (padded, sums) = scratch.split_at_mut(of.padded());
    padded.fill(0.0);
    for (x, y) in x.chunks_exact(of.pixel()).zip(y.chunks_exact_mut(of.pixel())) {
        scales::<F>(of, x, padded, sums);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = *x);
        powers(of.beta, sums, y);
    }
}

#[inline(always)]
fn backward_body<F: Fma>(
    of: LocalResponse,
    x: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    let (padded, sums) = scratch.split_at_mut(of.padded());
    padded.fill(0.0);
    let pixels = x.chunks_exact(of.pixel()).zip(dy.chunks_exact(of.pixel()));
    for ((x, dy), dx) in pixels.zip(dx.chunks_exact_mut(of.pixel())) {
        scales::<F>(of, x, padded, sums);
        dx.copy_from_slice(dy);
        powers(of.beta, sums, dx);
        // What the sum is of: `dy·x·s^−β / s`.
        let inner = &mut padded[of.radius * of.across..][..x.len()];
        for ((inner, &x), (&dx, &s)) in inner.iter_mut().zip(x).zip(dx.iter().zip(&*sums)) {
            *inner = dx * x / s;
        }
        sum::<F>(of, padded, sums);
        let factor = -2.0 * of.alpha * of.beta;
        for ((dx, &x), &sum) in dx.iter_mut().zip(x).zip(&*sums) {
            *dx = F::fma(factor * x, sum, *dx);
        }
    }
}

/// `s` for one pixel.
#[inline(always)]
fn scales<F: Fma>(of: LocalResponse, x: &[f32], padded: &mut [f32], s: &mut [f32]) {
    let squares = &mut padded[of.radius * of.across..][..x.len()];
    squares.iter_mut().zip(x).for_each(|(square, x)| *square = x * x);
    sum::<F>(of, padded, s);
    s.iter_mut().for_each(|s| *s = F::fma(of.alpha, *s, of.k));
}

/// The sums over neighbouring channels.
#[inline(always)]
fn sum<F: Fma>(of: LocalResponse, padded: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    for neighbour in 0..=2 * of.radius {
        let floats = &padded[neighbour * of.across..][..sums.len()];
        sums.iter_mut().zip(floats).for_each(|(sum, float)| *sum += float);
    }
}

/// `y = y · s^−β`. The paper's power is two roots, which vectorise.
#[inline(always)]
fn powers(beta: f32, s: &[f32], y: &mut [f32]) {
    if beta == 0.75 {
        for (y, &s) in y.iter_mut().zip(s) {
            let root = s.sqrt();
            *y /= root * root.sqrt();
        }
    } else {
        y.iter_mut().zip(s).for_each(|(y, s)| *y *= s.powf(-beta));
    }
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::super::window::testing::floats;
    use super::*;

    /// By the definition, and its derivative term by term.
    fn naive(of: LocalResponse, x: &[f32], dy: &[f32]) -> [Vec<f64>; 2] {
        let LocalResponse { channels: c, radius: r, .. } = of;
        let [k, alpha, beta] = [of.k, of.alpha, of.beta].map(f64::from);
        let [mut y, mut dx] = [vec![0.0; x.len()], vec![0.0; x.len()]];
        for i in 0..x.len() {
            let (pixel, channel) = (i / c * c, i % c);
            let near = pixel + channel.saturating_sub(r)..pixel + (channel + r + 1).min(c);
            let s = k + alpha * near.clone().map(|j| f64::from(x[j]).powi(2)).sum::<f64>();
            y[i] = f64::from(x[i]) * s.powf(-beta);
            dx[i] += f64::from(dy[i]) * s.powf(-beta);
            for j in near {
                let slope = -2.0 * alpha * beta * s.powf(-beta - 1.0) * f64::from(x[i] * x[j]);
                dx[j] += f64::from(dy[i]) * slope;
            }
        }
        [y, dx]
    }

    #[test]
    fn equals_the_definition() {
        for level in Level::all() {
            for (channels, radius) in [(1, 0), (1, 2), (2, 1), (5, 2), (7, 9), (16, 2), (97, 3)] {
                for (alpha, beta) in [(1e-4, 0.75), (0.7, 0.75), (0.3, 0.5), (0.2, 1.7)] {
                    let of = LocalResponse { channels, across: 1, radius, k: 2.0, alpha, beta };
                    let x = floats(11 * channels, 1);
                    let dy = floats(11 * channels, 2);
                    let [mut y, mut dx] = [vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]];
                    of.forward(level, &x, &mut y);
                    of.backward(level, &x, &dy, &mut dx);
                    for (found, wanted) in [y, dx].iter().zip(naive(of, &x, &dy)) {
                        for (found, wanted) in found.iter().zip(wanted) {
                            let error = (f64::from(*found) - wanted).abs();
                            assert!(error < 1e-6, "{level:?} {of:?}: {found}, not {wanted}");
                        }
                    }
                }
            }
        }
    }

    /// Lanes are so many pixels side by side.
    #[test]
    fn lanes_do_not_mix() {
        let one =
            LocalResponse { channels: 6, across: 1, radius: 2, k: 1.0, alpha: 0.5, beta: 0.75 };
        let across = LocalResponse { across: 4, ..one };
        let [x, dy] = [floats(24, 1), floats(24, 2)];
        let turned = |x: &[f32]| (0..24).map(|i| x[i % 4 * 6 + i / 4]).collect::<Vec<f32>>();
        let run = |of: LocalResponse, x: &[f32], dy: &[f32]| {
            let [mut y, mut dx] = [vec![f32::NAN; 24], vec![f32::NAN; 24]];
            of.forward(Level::Plain, x, &mut y);
            of.backward(Level::Plain, x, dy, &mut dx);
            [y, dx]
        };
        let wanted = run(one, &x, &dy).map(|of| turned(&of));
        assert_eq!(run(across, &turned(&x), &turned(&dy)), wanted);
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let of =
            LocalResponse { channels: 96, across: 1, radius: 2, k: 2.0, alpha: 0.1, beta: 0.75 };
        let [x, dy] = [floats(96 * 3000, 1), floats(96 * 3000, 2)];
        assert_same_bits(|| {
            let [mut y, mut dx] = [vec![0.0; x.len()], vec![0.0; x.len()]];
            of.forward(super::super::simd::level(), &x, &mut y);
            of.backward(super::super::simd::level(), &x, &dy, &mut dx);
            [y, dx].concat()
        });
    }
}
