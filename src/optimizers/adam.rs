use super::{Common, LearningRate, Optimizer, Step, above_0, below_1};
use crate::kernels::simd::level;
use crate::kernels::update::{AdamStep, adam};

/// Adam (Kingma & Ba 2015) as in Keras: with `t` the number of the step from 1,
///
/// ```text
/// m += (g − m)·(1 − β₁)          v += (g² − v)·(1 − β₂)
/// w −= learning_rate·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε)
/// ```
///
/// ε is added to √v before its bias is corrected, which is not what PyTorch does.
///
/// ```
/// use convnet::prelude::*;
///
/// let adam = Adam::new(3e-4).beta_1(0.8);
/// assert_eq!(adam.learning_rate(), 3e-4);
/// assert_eq!(Adam::default().learning_rate(), 1e-3);
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    common: Common,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Adam {
    /// Adam with this learning rate or schedule; [`Adam::default`] has 0.001.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self { common: Common::new(learning_rate), beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
    }

    /// How much of the mean of the gradients each step keeps, in `0..1`; 0.9.
    pub fn beta_1(self, beta_1: f64) -> Self {
        Self { beta_1, ..self }
    }

    /// How much of the mean of their squares each step keeps, in `0..1`; 0.999.
    pub fn beta_2(self, beta_2: f64) -> Self {
        Self { beta_2, ..self }
    }

    /// What keeps the division from exploding; 1e-7.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self::new(1e-3)
    }
}

impl Optimizer for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn slots(&self) -> usize {
        2
    }

    fn check(&self) -> Result<(), String> {
        below_1([("beta_1", self.beta_1), ("beta_2", self.beta_2)])?;
        above_0([("epsilon", self.epsilon)])
    }

    fn step(&self, step: Step, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        let [m, v] = slots else { unreachable!("Adam asks for two slots") };
        let betas = [self.beta_1, self.beta_2];
        let step = AdamStep::new(step.learning_rate, betas, self.epsilon, step.iteration + 1);
        adam(level(), step, w, g, m, v);
    }
}
