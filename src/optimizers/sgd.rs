use super::{Common, LearningRate, Optimizer, Step};
use crate::kernels::simd::level;
use crate::kernels::update::{SgdStep, sgd};

/// Gradient descent, with or without momentum. Keras: `SGD`.
///
/// ```text
/// without momentum    w −= learning_rate·g
/// with momentum μ     v = μ·v − learning_rate·g,    w += v
/// Nesterov's          v = μ·v − learning_rate·g,    w += μ·v − learning_rate·g
/// ```
///
/// ```
/// use convnet::prelude::*;
///
/// let sgd = SGD::new(0.1).momentum(0.9).nesterov(true);
/// assert_eq!(sgd.learning_rate(), 0.1);
/// assert_eq!(SGD::default().learning_rate(), 0.01);
/// ```
#[derive(Clone, Debug)]
pub struct SGD {
    common: Common,
    momentum: f64,
    nesterov: bool,
}

impl SGD {
    /// Descent with this learning rate or schedule; [`SGD::default`] has 0.01.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self { common: Common::new(learning_rate), momentum: 0.0, nesterov: false }
    }

    /// How much of its velocity a weight keeps, in `0..=1`; 0.
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// Whether the velocity is applied once more, as Nesterov does; `false`. Without momentum it
    /// changes nothing.
    pub fn nesterov(self, nesterov: bool) -> Self {
        Self { nesterov, ..self }
    }
}

impl Default for SGD {
    fn default() -> Self {
        Self::new(0.01)
    }
}

impl Optimizer for SGD {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn slots(&self) -> usize {
        usize::from(self.momentum != 0.0)
    }

    fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(format!("momentum is {}; it must be from 0 to 1", self.momentum));
        }
        Ok(())
    }

    fn step(&self, step: Step, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        let step = SgdStep {
            learning_rate: step.learning_rate as f32,
            momentum: self.momentum as f32,
            nesterov: self.nesterov,
        };
        sgd(level(), step, w, g, slots.first_mut().map(|velocity| &mut **velocity));
    }
}
