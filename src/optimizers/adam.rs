use super::Optimizer;
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
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    learning_rate: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
}

impl Adam {
    /// Adam with this learning rate; [`Adam::default`] has 0.001.
    pub fn new(learning_rate: f64) -> Self {
        Self { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 }
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
    fn slots(&self) -> usize {
        2
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    fn check(&self) -> Result<(), String> {
        for (name, value, top) in [
            ("learning_rate", self.learning_rate, f64::MAX),
            ("beta_1", self.beta_1, 1.0),
            ("beta_2", self.beta_2, 1.0),
            ("epsilon", self.epsilon, f64::MAX),
        ] {
            if !(0.0..top).contains(&value) {
                return Err(format!(
                    "adam: {name} is {value}; it must be at least 0{}",
                    if top == 1.0 { " and below 1" } else { " and finite" }
                ));
            }
        }
        Ok(())
    }

    fn step(&self, iteration: u64, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        let [m, v] = slots else { unreachable!("Adam asks for two slots") };
        let betas = [self.beta_1, self.beta_2];
        let step = AdamStep::new(self.learning_rate, betas, self.epsilon, iteration + 1);
        adam(level(), step, w, g, m, v);
    }
}
