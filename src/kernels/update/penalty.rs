//! What regularised weights add to the loss and to their gradients.

use super::super::buffer::with_scratch;
use super::super::parallel::{CHUNK, Worth, bytes};
use super::super::simd::{Fma, Level, multiversion};
use super::clip::CHAINS;
use super::pieces;
use rayon::prelude::*;

/// `l1·Σ|w| + l2·Σw²`. Pieces are summed up in f32, in short chains, then in order in f64.
pub(crate) fn penalty(level: Level, factors: [f32; 2], w: &[f32]) -> f64 {
    with_scratch(w.len().div_ceil(CHUNK), |sums| {
        let pieces = sums.par_iter_mut().zip(w.par_chunks(CHUNK));
        pieces.worth(bytes(4 * w.len())).for_each(|(sum, w)| *sum = sum_of(level, factors, w));
        sums.iter().map(|&sum| f64::from(sum)).sum()
    })
}

/// Adds the gradient of the penalty: `g += l1·sign(w) + 2·l2·w`.
pub(crate) fn add_penalty_gradient(level: Level, factors: [f32; 2], w: &[f32], g: &mut [f32]) {
    let work = bytes(3 * 4 * w.len());
    pieces(g, w).worth(work).for_each(|(g, w)| gradient(level, factors, w, g));
}

multiversion! { fn sum_of(factors: [f32; 2], w: &[f32]) -> f32 = sum_body }
multiversion! { fn gradient(factors: [f32; 2], w: &[f32], g: &mut [f32]) = gradient_body }

#[inline(always)]
fn sum_body<F: Fma>([l1, l2]: [f32; 2], w: &[f32]) -> f32 {
    let mut sums = [0.0; CHAINS];
    let cost = |w: f32| F::fma(l2 * w, w, l1 * w.abs());
    let (whole, rest) = w.as_chunks::<CHAINS>();
    for w in whole {
        sums.iter_mut().zip(w).for_each(|(sum, &w)| *sum += cost(w));
    }
    sums.iter_mut().zip(rest).for_each(|(sum, &w)| *sum += cost(w));
    sums.iter().sum()
}

#[inline(always)]
fn gradient_body<F: Fma>([l1, l2]: [f32; 2], w: &[f32], g: &mut [f32]) {
    for (g, &w) in g.iter_mut().zip(w) {
        let sign = if w == 0.0 { 0.0 } else { 1.0_f32.copysign(w) };
        *g += F::fma(2.0 * l2, w, l1 * sign);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parallel::assert_same_bits;
    use super::super::super::simd::level;
    use super::*;

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 2_654_435_761) >> 7) as f32 % 401.0 / 100.0 - 2.0).collect()
    }

    #[test]
    fn equals_the_naive_sums() {
        for n in [0, 1, 31, 33, CHUNK - 1, 3 * CHUNK + 7] {
            for factors in [[0.01, 0.0], [0.0, 0.02], [0.3, 0.1]] {
                let [l1, l2] = factors.map(f64::from);
                let w = noise(n);
                let naive: f64 =
                    w.iter().map(|&w| f64::from(w)).map(|w| l1 * w.abs() + l2 * w * w).sum();
                for level in Level::all() {
                    let found = penalty(level, factors, &w);
                    assert!((found - naive).abs() <= 1e-6 * naive, "{n} {factors:?}");
                    let mut g = vec![1.0; n];
                    add_penalty_gradient(level, factors, &w, &mut g);
                    for (&w, g) in w.iter().zip(g) {
                        let sign = f64::from(i8::from(w > 0.0) - i8::from(w < 0.0));
                        let wanted = 1.0 + l1 * sign + 2.0 * l2 * f64::from(w);
                        assert!((f64::from(g) - wanted).abs() < 3e-7, "{w} {g} {wanted}");
                    }
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let w = noise(50 * CHUNK + 3);
        assert_same_bits(|| {
            let mut g = vec![0.5; w.len()];
            add_penalty_gradient(level(), [0.1, 0.2], &w, &mut g);
            g.push(penalty(level(), [0.1, 0.2], &w) as f32);
            g
        });
    }
}
