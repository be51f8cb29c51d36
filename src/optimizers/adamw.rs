use super::{Adam, Common, LearningRate, Optimizer, Step};

/// [`Adam`] with weights that decay (Loshchilov & Hutter 2019). Keras: `AdamW`.
///
/// Before each step every weight shrinks by `learning_rate · weight_decay` of itself, biases and those
/// of batch normalisation included, as in Keras; then Adam moves it.
///
/// ```
/// use convnet::prelude::*;
///
/// let adamw = AdamW::new(3e-4).weight_decay(0.01).beta_1(0.8);
/// assert_eq!(adamw.learning_rate(), 3e-4);
/// ```
#[derive(Clone, Debug)]
pub struct AdamW {
    adam: Adam,
}

impl AdamW {
    /// AdamW with this learning rate or schedule and a `weight_decay` of 0.004; [`AdamW::default`] has
    /// 0.001.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
        Self { adam: Adam::new(learning_rate).weight_decay(0.004) }
    }

    /// How much of the mean of the gradients each step keeps, in `0..1`; 0.9.
    pub fn beta_1(self, beta_1: f64) -> Self {
        Self { adam: self.adam.beta_1(beta_1) }
    }

    /// How much of the mean of their squares each step keeps, in `0..1`; 0.999.
    pub fn beta_2(self, beta_2: f64) -> Self {
        Self { adam: self.adam.beta_2(beta_2) }
    }

    /// What keeps the division from exploding; 1e-7.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { adam: self.adam.epsilon(epsilon) }
    }
}

impl Default for AdamW {
    fn default() -> Self {
        Self::new(1e-3)
    }
}

impl Optimizer for AdamW {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn common(&self) -> &Common {
        self.adam.common()
    }

    fn common_mut(&mut self) -> &mut Common {
        self.adam.common_mut()
    }

    fn slots(&self) -> usize {
        self.adam.slots()
    }

    fn check(&self) -> Result<(), String> {
        self.adam.check()
    }

    fn step(&self, step: Step, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        self.adam.step(step, w, g, slots);
    }
}
