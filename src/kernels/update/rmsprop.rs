//! RMSprop.

use super::super::parallel::{CHUNK, Worth, bytes};
use super::super::simd::{Fma, Level, multiversion};
use super::pieces;
use rayon::prelude::*;

/// The numbers of one step of RMSprop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RmspropStep {
    pub(crate) learning_rate: f32,
    pub(crate) rho: f32,
    /// In double precision `1 - rho`, then rounded.
    pub(crate) one_minus_rho: f32,
    pub(crate) momentum: f32,
    pub(crate) epsilon: f32,
    pub(crate) centered: bool,
}

/// Moves weights `w` along gradients `g`. The slots are the running mean of `g²`, then that of `g` if
/// the step is centred, then the momentum if there is one.
pub(crate) fn rmsprop(
    level: Level,
    step: RmspropStep,
    w: &mut [f32],
    g: &[f32],
    slots: &mut [&mut [f32]],
) {
    let n = w.len();
    assert!(slots.iter().all(|slot| slot.len() == n), "slots of {n} weights");
    let work = bytes((3 + 2 * slots.len()) * 4 * n);
    let none = || -> &mut [f32] { &mut [] };
    match slots {
        [v] => {
            let pieces = pieces(w, g).zip(v.par_chunks_mut(CHUNK));
            pieces
                .worth(work)
                .for_each(|((w, g), v)| chunk(level, step, w, g, [v, none(), none()]));
        }
        [v, other] => {
            let slots = v.par_chunks_mut(CHUNK).zip(other.par_chunks_mut(CHUNK));
            pieces(w, g).zip(slots).worth(work).for_each(|((w, g), (v, other))| {
                let [mean, moved] = if step.centered { [other, none()] } else { [none(), other] };
                chunk(level, step, w, g, [v, mean, moved]);
            });
        }
        [v, mean, moved] => {
            let slots = v.par_chunks_mut(CHUNK).zip(mean.par_chunks_mut(CHUNK));
            let slots = slots.zip(moved.par_chunks_mut(CHUNK));
            pieces(w, g).zip(slots).worth(work).for_each(|((w, g), ((v, mean), moved))| {
                chunk(level, step, w, g, [v, mean, moved]);
            });
        }
        _ => unreachable!("RMSprop has one to three slots"),
    }
}

multiversion! {
    fn chunk(step: RmspropStep, w: &mut [f32], g: &[f32], slots: [&mut [f32]; 3]) = body
}

#[inline(always)]
fn body<F: Fma>(step: RmspropStep, w: &mut [f32], g: &[f32], slots: [&mut [f32]; 3]) {
    let [v, mean, moved] = slots;
    let running = |x: f32, of: f32| F::fma(step.rho, of, step.one_minus_rho * x);
    // The way of a weight whose gradients have the running mean `m`, which is 0 if it is not kept.
    let way = |g: f32, v: &mut f32, m: f32| {
        *v = running(g * g, *v);
        // Never negative but for rounding.
        let variance = F::fma(-m, m, *v).max(0.0);
        step.learning_rate * g / (variance + step.epsilon).sqrt()
    };
    let weights = w.iter_mut().zip(g).zip(v);
    match [mean.is_empty(), moved.is_empty()] {
        [true, true] => weights.for_each(|((w, &g), v)| *w -= way(g, v, 0.0)),
        [false, true] => weights.zip(mean).for_each(|(((w, &g), v), m)| {
            *m = running(g, *m);
            *w -= way(g, v, *m);
        }),
        [true, false] => weights.zip(moved).for_each(|(((w, &g), v), moved)| {
            *moved = F::fma(step.momentum, *moved, way(g, v, 0.0));
            *w -= *moved;
        }),
        [false, false] => weights.zip(mean).zip(moved).for_each(|((((w, &g), v), m), moved)| {
            *m = running(g, *m);
            *moved = F::fma(step.momentum, *moved, way(g, v, *m));
            *w -= *moved;
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parallel::assert_same_bits;
    use super::super::super::simd::level;
    use super::*;

    fn step(momentum: f32, centered: bool) -> RmspropStep {
        let [learning_rate, rho, one_minus_rho, epsilon] = [1e-3, 0.9, 0.1, 1e-7];
        RmspropStep { learning_rate, rho, one_minus_rho, momentum, epsilon, centered }
    }

    fn steps(level: Level, n: usize, step: RmspropStep, gs: &[f32]) -> Vec<f32> {
        let mut w = vec![1.0; n];
        let count = 1 + usize::from(step.centered) + usize::from(step.momentum > 0.0);
        let mut slots = vec![vec![0.0; n]; count];
        for &g in gs {
            let mut slots: Vec<&mut [f32]> = slots.iter_mut().map(|slot| &mut slot[..]).collect();
            rmsprop(level, step, &mut w, &vec![g; n], &mut slots);
        }
        w
    }

    /// One weight, in f64.
    fn naive(step: RmspropStep, gs: &[f32]) -> f64 {
        let [mut w, mut v, mut m, mut moved] = [1.0, 0.0, 0.0, 0.0];
        for &g in gs {
            let g = f64::from(g);
            v = 0.9 * v + 0.1 * g * g;
            m = if step.centered { 0.9 * m + 0.1 * g } else { 0.0 };
            moved = f64::from(step.momentum) * moved + 1e-3 * g / (v - m * m + 1e-7).sqrt();
            w -= moved;
        }
        w
    }

    #[test]
    fn equals_the_naive_steps() {
        let gs = [0.1, 0.2, -0.3];
        // Keras' third weight.
        assert!((naive(step(0.0, false), &gs) - 0.996571396).abs() < 1e-8);
        for level in Level::all() {
            for (momentum, centered) in [(0.0, false), (0.0, true), (0.5, false), (0.5, true)] {
                let step = step(momentum, centered);
                let wanted = naive(step, &gs);
                for n in [0, 1, 15, 33, 2 * CHUNK + 3] {
                    let found = steps(level, n, step, &gs);
                    assert_eq!(found.len(), n);
                    let close = |&w: &f32| (f64::from(w) - wanted).abs() < 3e-7;
                    assert!(found.iter().all(close), "{step:?} {:?} {wanted}", found.first());
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        for (momentum, centered) in [(0.0, false), (0.0, true), (0.5, true)] {
            let step = step(momentum, centered);
            assert_same_bits(|| steps(level(), 20 * CHUNK + 1, step, &[0.3, -0.1]));
        }
    }
}
