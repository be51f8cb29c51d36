#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    pub(crate) alpha: f32,
    pub(crate) one_minus_beta_1: f32,
    pub(crate) one_minus_beta_2: f32,
    pub(crate) epsilon: f32,
}
pub(crate) fn adam(s: AdamStep, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        *m += (g - *m) * s.one_minus_beta_1;
        *v += (g * g - *v) * s.one_minus_beta_2;
        *w -= *m * s.alpha / (v.sqrt() + s.epsilon);
    }
}
