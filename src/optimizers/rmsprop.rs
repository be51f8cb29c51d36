use super::{Common, LearningRate, Optimizer, Step, above_0, below_1};
use crate::kernels::simd::level;
use crate::kernels::update::{RmspropStep, rmsprop};

/// Divides gradients by the root of a running mean of their squares (Hinton 2012). Keras: `RMSprop`.
///
/// ```text
/// v = ρ·v + (1 − ρ)·g²
/// w −= learning_rate·g / √(v + ε)
/// ```
///
/// Centred, the square of a running mean of `g` is taken from `v` under the root; with momentum `w`
/// moves by what is left of its last way and this one.
///
/// ```
/// use convnet::prelude::*;
///
/// let rmsprop = RMSprop::new(0.01).rho(0.95).momentum(0.9).centered(true);
/// assert_eq!(rmsprop.learning_rate(), 0.01);
/// assert_eq!(RMSprop::default().learning_rate(), 0.001);
/// ```
#[derive(Clone, Debug)]
pub struct RMSprop {
    common: Common,
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl RMSprop {
    /// RMSprop with this learning rate or schedule; [`RMSprop::default`] has 0.001.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        let common = Common::new(learning_rate);
        Self { common, rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }

    /// How much of the running means each step keeps, in `0..1`; 0.9.
    pub fn rho(self, rho: f64) -> Self {
        Self { rho, ..self }
    }

    /// How much of its last way a weight goes again, in `0..1`; 0.
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// What keeps the division from exploding; 1e-7.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// Whether gradients are divided by their deviation from their mean; `false`.
    pub fn centered(self, centered: bool) -> Self {
        Self { centered, ..self }
    }
}

impl Default for RMSprop {
    fn default() -> Self {
        Self::new(1e-3)
    }
}

impl Optimizer for RMSprop {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn slots(&self) -> usize {
        1 + usize::from(self.centered) + usize::from(self.momentum > 0.0)
    }

    fn check(&self) -> Result<(), String> {
        below_1([("rho", self.rho), ("momentum", self.momentum)])?;
        above_0([("epsilon", self.epsilon)])
    }

    fn step(&self, step: Step, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        let step = RmspropStep {
            learning_rate: step.learning_rate as f32,
            rho: self.rho as f32,
            one_minus_rho: (1.0 - self.rho) as f32,
            momentum: self.momentum as f32,
            epsilon: self.epsilon as f32,
            centered: self.centered,
        };
        rmsprop(level(), step, w, g, slots);
    }
}
