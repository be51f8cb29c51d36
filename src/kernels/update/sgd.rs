//! Gradient descent.

use super::super::parallel::{CHUNK, Worth, bytes};
use super::super::simd::{Fma, Level, multiversion};
use super::pieces;
use rayon::prelude::*;

/// The numbers of one step of gradient descent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SgdStep {
    pub(crate) learning_rate: f32,
    pub(crate) momentum: f32,
    pub(crate) nesterov: bool,
}

/// Moves weights `w` along gradients `g`; with a `velocity`, by that, which the gradients move.
pub(crate) fn sgd(
    level: Level,
    step: SgdStep,
    w: &mut [f32],
    g: &[f32],
    velocity: Option<&mut [f32]>,
) {
    let n = w.len();
    match velocity {
        None => pieces(w, g)
            .worth(bytes(3 * 4 * n))
            .for_each(|(w, g)| descend(level, step.learning_rate, w, g)),
        Some(v) => {
            assert_eq!(v.len(), n, "a velocity for each weight");
            let pieces = pieces(w, g).zip(v.par_chunks_mut(CHUNK));
            pieces
                .worth(bytes(5 * 4 * n))
                .for_each(|((w, g), v)| with_velocity(level, step, w, g, v));
        }
    }
}

multiversion! {
    fn descend(learning_rate: f32, w: &mut [f32], g: &[f32]) = descend_body
}
multiversion! {
    fn with_velocity(step: SgdStep, w: &mut [f32], g: &[f32], v: &mut [f32]) = velocity_body
}

#[inline(always)]
fn descend_body<F: Fma>(learning_rate: f32, w: &mut [f32], g: &[f32]) {
    for (w, &g) in w.iter_mut().zip(g) {
        *w = F::fma(-learning_rate, g, *w);
    }
}

#[inline(always)]
fn velocity_body<F: Fma>(step: SgdStep, w: &mut [f32], g: &[f32], v: &mut [f32]) {
    let SgdStep { learning_rate, momentum, nesterov } = step;
    let pulled = |v: f32, g: f32| F::fma(momentum, v, -learning_rate * g);
    for ((w, &g), v) in w.iter_mut().zip(g).zip(v) {
        *v = pulled(*v, g);
        *w += if nesterov { pulled(*v, g) } else { *v };
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parallel::assert_same_bits;
    use super::super::super::simd::level;
    use super::*;

    const STEP: SgdStep = SgdStep { learning_rate: 0.01, momentum: 0.9, nesterov: false };

    fn steps(level: Level, n: usize, step: SgdStep, gs: &[f32]) -> Vec<f32> {
        let [mut w, mut v] = [vec![1.0; n], vec![0.0; n]];
        for &g in gs {
            let velocity = (step.momentum > 0.0).then_some(&mut *v);
            sgd(level, step, &mut w, &vec![g; n], velocity);
        }
        w
    }

    /// One weight, in f64.
    fn naive(step: SgdStep, gs: &[f32]) -> f64 {
        let [rate, momentum] = [step.learning_rate, step.momentum].map(f64::from);
        let (mut w, mut v) = (1.0, 0.0);
        for &g in gs {
            let pull = rate * f64::from(g);
            v = momentum * v - pull;
            w += if step.nesterov { momentum * v - pull } else { v };
        }
        w
    }

    #[test]
    fn equals_the_naive_steps() {
        let gs = [0.1, 0.2, -0.4];
        let plain = SgdStep { momentum: 0.0, ..STEP };
        let nesterov = SgdStep { nesterov: true, ..STEP };
        // By hand: the last weight of three steps.
        for (step, wanted) in [(plain, 1.001), (STEP, 0.99749), (nesterov, 0.998741)] {
            assert!((naive(step, &gs) - wanted).abs() < 1e-7, "{step:?}");
            for level in Level::all() {
                for n in [0, 1, 15, 33, 2 * CHUNK + 3] {
                    let found = steps(level, n, step, &gs);
                    assert_eq!(found.len(), n);
                    assert!(found.iter().all(|&w| (f64::from(w) - wanted).abs() < 2e-7));
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        for momentum in [0.0, 0.9] {
            let step = SgdStep { momentum, ..STEP };
            assert_same_bits(|| steps(level(), 40 * CHUNK + 1, step, &[0.3, -0.1]));
        }
    }
}
