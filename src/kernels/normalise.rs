//! The two passes of batch normalisation over `(rows, c)` floats; their sums are in
//! [`reductions`](super::reductions).

use super::buffer::with_scratch;
use super::channels::{piece, widened};
use super::parallel::{Worth, bytes};
use super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// `y = (x - mean) · scale + offset` in each row, and 0 where that is negative if `relu`. The mean is not folded into the offset: where it is
/// large, the result would be the difference of large numbers.
pub(crate) fn normalise(
    level: Level,
    y: &mut [f32],
    x: &[f32],
    [mean, scale, offset]: [&[f32]; 3],
    relu: bool,
) {
    assert_eq!(y.len(), x.len(), "floats of y and x");
    let [piece, work] = [piece(x.len(), mean.len()), 8 * x.len()];
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    widened([mean, scale, offset], |params| {
        let pieces = y.par_chunks_mut(piece).zip(x.par_chunks(piece));
        pieces.worth(bytes(work)).for_each(|(y, x)| forward(level, y, x, params, least));
    });
}

/// `dx = γ·inv_std/N · (N·dy - Σdy - x̂·Σdy·x̂)`, where `x̂ = (x - mean)·inv_std` and
/// `sums` are `Σdy` and `Σdy·x̂` over the `N` rows, by [`gradient_sums`](super::reductions::gradient_sums). With
/// `offset` of a [`normalise`] with ReLU, `dy` is 0 where that gave 0.
pub(crate) fn normalise_backward(
    level: Level,
    dx: &mut [f32],
    [dy, x]: [&[f32]; 2],
    [mean, inv_std, gamma]: [&[f32]; 3],
    relu: Option<&[f32]>,
    sums: [&[f32]; 2],
) {
    assert_eq!([dy.len(), x.len()], [dx.len(); 2], "floats of dy, x and dx");
    let c = mean.len();
    let [piece, work] = [piece(x.len(), c), 12 * x.len()];
    let rows = (x.len() / c) as f32;
    with_scratch(3 * c, |factors| {
        let (of_dy, factors) = factors.split_at_mut(c);
        let (of_x, constant) = factors.split_at_mut(c);
        for j in 0..c {
            of_dy[j] = gamma[j] * inv_std[j];
            of_x[j] = -of_dy[j] * inv_std[j] * sums[1][j] / rows;
            constant[j] = -of_dy[j] * sums[0][j] / rows;
        }
        let offset = relu.unwrap_or(mean);
        widened([mean, of_dy, of_x, constant, offset], |params| {
            let pieces =
                dx.par_chunks_mut(piece).zip(dy.par_chunks(piece).zip(x.par_chunks(piece)));
            pieces.worth(bytes(work)).for_each(|(dx, (dy, x))| {
                backward(level, dx, dy, x, params, relu.is_some());
            });
        });
    });
}

multiversion! {
    fn forward(y: &mut [f32], x: &[f32], params: [&[f32]; 3], least: f32) = forward_body
}
multiversion! {
    fn backward(
        dx: &mut [f32],
        dy: &[f32],
        x: &[f32],
        params: [&[f32]; 5],
        relu: bool,
    ) = backward_body
}

#[inline(always)]
fn forward_body<F: Fma>(y: &mut [f32], x: &[f32], params: [&[f32]; 3], least: f32) {
    let [mean, scale, offset] = params;
    let wide = mean.len();
    for (y, x) in y.chunks_mut(wide).zip(x.chunks(wide)) {
        let params = mean.iter().zip(scale).zip(offset);
        for ((y, &x), ((&mean, &scale), &offset)) in y.iter_mut().zip(x).zip(params) {
            let z = F::fma(x - mean, scale, offset);
            *y = if z < least { least } else { z };
        }
    }
}

#[inline(always)]
fn backward_body<F: Fma>(dx: &mut [f32], dy: &[f32], x: &[f32], params: [&[f32]; 5], relu: bool) {
    let [mean, of_dy, of_x, constant, offset] = params;
    let wide = mean.len();
    for (dx, (dy, x)) in dx.chunks_mut(wide).zip(dy.chunks(wide).zip(x.chunks(wide))) {
        let params = mean.iter().zip(of_dy).zip(of_x.iter().zip(constant.iter().zip(offset)));
        let floats = dx.iter_mut().zip(dy.iter().zip(x));
        for ((dx, (&dy, &x)), ((&mean, &a), (&b, (&constant, &offset)))) in floats.zip(params) {
            let distance = x - mean;
            let cut = relu && F::fma(distance, a, offset) <= 0.0;
            let dy = if cut { 0.0 } else { dy };
            *dx = F::fma(dy, a, F::fma(distance, b, constant));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parallel::assert_same_bits;
    use super::super::reductions::{gradient_sums, moments};
    use super::super::simd::level;
    use super::*;

    fn wave(n: usize, step: f64, offset: f64) -> Vec<f32> {
        (0..n).map(|i| ((i as f64 * step).sin() + offset) as f32).collect()
    }

    /// Normalises and goes back: `y` and `dx`, one after the other.
    fn run(level: Level, [x, dy]: [&[f32]; 2], [gamma, beta]: [&[f32]; 2], relu: bool) -> Vec<f32> {
        let c = gamma.len();
        let [mut mean, mut variance, mut dbeta, mut dgamma] = [(); 4].map(|()| vec![0.0; c]);
        moments(level, x, &mut mean, &mut variance);
        let inv_std: Vec<f32> = variance.iter().map(|v| 1.0 / (v + 1e-3).sqrt()).collect();
        let scale: Vec<f32> = inv_std.iter().zip(gamma).map(|(s, g)| s * g).collect();
        let mut y = vec![0.0; x.len()];
        normalise(level, &mut y, x, [&mean, &scale, beta], relu);
        let cut = relu.then_some([&scale[..], beta]);
        gradient_sums(level, [dy, x], [&mean, &inv_std], cut, [&mut dbeta, &mut dgamma]);
        let mut dx = vec![0.0; x.len()];
        let (params, cut) = ([&mean[..], &inv_std, gamma], relu.then_some(beta));
        normalise_backward(level, &mut dx, [dy, x], params, cut, [&dbeta, &dgamma]);
        [y, dx].concat()
    }

    fn naive(x: &[f32], dy: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f64> {
        let c = gamma.len();
        let mut both = vec![0.0; 2 * x.len()];
        let rows = (x.len() / c) as f64;
        for j in 0..c {
            let channel = || (j..x.len()).step_by(c);
            let mean = channel().map(|i| f64::from(x[i])).sum::<f64>() / rows;
            let square = |i: usize| (f64::from(x[i]) - mean).powi(2);
            let inv_std = 1.0 / (channel().map(square).sum::<f64>() / rows + 1e-3).sqrt();
            let hat = |i: usize| (f64::from(x[i]) - mean) * inv_std;
            let sum = channel().map(|i| f64::from(dy[i])).sum::<f64>();
            let dot = channel().map(|i| f64::from(dy[i]) * hat(i)).sum::<f64>();
            for i in channel() {
                both[i] = hat(i) * f64::from(gamma[j]) + f64::from(beta[j]);
                let inner = rows * f64::from(dy[i]) - sum - hat(i) * dot;
                both[x.len() + i] = f64::from(gamma[j]) * inv_std / rows * inner;
            }
        }
        both
    }

    #[test]
    fn equals_the_naive_layer() {
        for level in Level::all() {
            for c in [1, 3, 16, 64, 130] {
                for rows in [1, 5, 33, 700] {
                    let [x, dy] = [wave(rows * c, 0.7, 3.0), wave(rows * c, 1.3, 0.2)];
                    let [gamma, beta] = [wave(c, 0.5, 2.0), wave(c, 0.9, 0.0)];
                    for relu in [false, true] {
                        let got = run(level, [&x, &dy], [&gamma, &beta], relu);
                        let mut dy = dy.clone();
                        if relu {
                            let cut = dy.iter_mut().zip(&got).filter(|(_, y)| **y == 0.0);
                            cut.for_each(|(dy, _)| *dy = 0.0);
                        }
                        let mut wanted = naive(&x, &dy, &gamma, &beta);
                        if relu {
                            wanted[..x.len()].iter_mut().for_each(|y| *y = y.max(0.0));
                        }
                        for (got, wanted) in got.iter().zip(wanted) {
                            let error = (f64::from(*got) - wanted).abs();
                            assert!(
                                error < 5e-5 * (1.0 + wanted.abs()),
                                "{level:?} {rows}×{c}, {relu}: {got} {wanted}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let [x, dy] = [wave(60_000 * 10, 0.7, 3.0), wave(60_000 * 10, 1.3, 0.2)];
        assert_same_bits(|| run(level(), [&x, &dy], [&[1.5; 10], &[0.5; 10]], true));
    }
}
