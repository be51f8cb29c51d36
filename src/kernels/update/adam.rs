//! Adam.

use super::super::parallel::{CHUNK, Worth, bytes};
use super::super::simd::{Fma, Level, multiversion};
use rayon::prelude::*;

/// The numbers of one step of Adam, as Keras takes it: `epsilon` is added to the root of `v` before
/// its bias is corrected (Kingma & Ba 2015, end of section 2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    alpha: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    epsilon: f32,
}

impl AdamStep {
    /// Step `t`, counted from 1. In double precision, since `1 - 0.999` would lose 10 bits.
    pub(crate) fn new(learning_rate: f64, [beta1, beta2]: [f64; 2], epsilon: f64, t: u64) -> Self {
        let t = t as f64;
        let alpha = learning_rate * (1.0 - beta2.powf(t)).sqrt() / (1.0 - beta1.powf(t));
        Self {
            alpha: alpha as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            epsilon: epsilon as f32,
        }
    }
}

/// Moves weights `w` along gradients `g`, and the running means `m` of `g` and `v` of `g²`.
pub(crate) fn adam(
    level: Level,
    step: AdamStep,
    w: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    let n = w.len();
    assert!([g.len(), m.len(), v.len()] == [n; 3], "g, m and v belong to {n} weights");
    let work = bytes(7 * 4 * n);
    let slots = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
    let pieces = w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).zip(slots);
    pieces.worth(work).for_each(|((w, g), (m, v))| chunk(level, step, w, g, m, v));
}

multiversion! {
    fn chunk(step: AdamStep, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) = body
}

#[inline(always)]
fn body<F: Fma>(step: AdamStep, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        *m = F::fma(g - *m, step.one_minus_beta1, *m);
        *v = F::fma(F::fma(g, g, -*v), step.one_minus_beta2, *v);
        *w -= *m * step.alpha / (v.sqrt() + step.epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parallel::assert_same_bits;
    use super::super::super::simd::level;
    use super::*;

    const BETAS: [f64; 2] = [0.9, 0.999];

    fn steps(level: Level, n: usize, learning_rate: f64, w: f32, gs: &[f32]) -> [Vec<f32>; 3] {
        let [mut ws, mut ms, mut vs] = [vec![w; n], vec![0.0; n], vec![0.0; n]];
        for (t, &g) in (1..).zip(gs) {
            let step = AdamStep::new(learning_rate, BETAS, 1e-7, t);
            adam(level, step, &mut ws, &vec![g; n], &mut ms, &mut vs);
        }
        [ws, ms, vs]
    }

    fn close(got: f32, wanted: f64, relative: f64) {
        assert!((f64::from(got) - wanted).abs() <= relative * wanted.abs(), "{got} {wanted}");
    }

    #[test]
    fn equals_keras() {
        for level in Level::all() {
            for n in [1, 15, 16, 33, 2 * CHUNK + 3] {
                let gs = [0.1, 0.2, -0.3];
                for (t, wanted) in
                    [0.999000031622, 0.998034863247, 0.998101461699].iter().enumerate()
                {
                    let [w, ..] = steps(level, n, 1e-3, 1.0, &gs[..=t]);
                    w.iter().for_each(|&w| close(w, *wanted, 1.2e-7));
                }
                let [_, m, v] = steps(level, n, 1e-3, 1.0, &gs);
                m.iter().for_each(|&m| close(m, -0.0039, 1e-6));
                v.iter().for_each(|&v| close(v, 1.3994001e-4, 1e-6));
            }
            // Where epsilon is added shows when the gradient is tiny.
            close(steps(level, 1, 1e-3, 0.0, &[1e-8])[0][0], -3.15231e-6, 2e-6);
            for (w, g) in [(1.0, 1.0), (2.0, 6.0), (3.0, 7.0), (4.0, 2.0)] {
                let wanted = f64::from(w) - 0.5 / (1.0 + 1e-7 / 0.001_f64.sqrt() / f64::from(g));
                close(steps(level, 1, 0.5, w, &[g])[0][0], wanted, 1.2e-7);
            }
        }
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        assert_same_bits(|| steps(level(), 20 * CHUNK + 1, 1e-3, 1.0, &[0.3, -0.1]).concat());
    }
}
