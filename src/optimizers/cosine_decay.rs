use std::f64::consts::PI;

use super::{LearningRateSchedule, at_least_0};

/// A rate that falls along half a cosine, after a straight rise if there is a warm-up (Loshchilov &
/// Hutter 2017). Keras: `CosineDecay`.
///
/// | steps                                        | rate                                             |
/// |----------------------------------------------|--------------------------------------------------|
/// | the first `warmup_steps`                     | straight from the initial one to `warmup_target` |
/// | the `decay_steps` behind them                | along the cosine to `alpha` of where it began    |
/// | all later ones                               | stays there                                      |
///
/// # Errors
/// `fit` refuses 0 `decay_steps`, and numbers that are negative or not finite.
///
/// ```
/// use convnet::optimizers::{CosineDecay, LearningRateSchedule};
///
/// let rate = CosineDecay::new(0.0, 100).warmup(1.0, 10).alpha(0.1);
/// let found = [0, 5, 10, 60, 110, 500].map(|step| rate.at(step));
/// for (found, expected) in found.into_iter().zip([0.0, 0.5, 1.0, 0.55, 0.1, 0.1]) {
///     assert!((found - expected).abs() < 1e-12);
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CosineDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    alpha: f64,
    warmup: Option<(f64, u64)>,
}

impl CosineDecay {
    /// From this rate down to 0 in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self { initial_learning_rate, decay_steps, alpha: 0.0, warmup: None }
    }

    /// The share of the rate that is left at the end; 0.
    pub fn alpha(self, alpha: f64) -> Self {
        Self { alpha, ..self }
    }

    /// Before the decay, which then begins at `warmup_target`, the rate rises to it in `warmup_steps`;
    /// no warm-up.
    pub fn warmup(self, warmup_target: f64, warmup_steps: u64) -> Self {
        Self { warmup: Some((warmup_target, warmup_steps)), ..self }
    }
}

impl LearningRateSchedule for CosineDecay {
    fn at(&self, step: u64) -> f64 {
        let initial = self.initial_learning_rate;
        let (top, warmup_steps) = self.warmup.unwrap_or((initial, 0));
        if step < warmup_steps {
            return initial + (top - initial) * step as f64 / warmup_steps as f64;
        }
        let step = (step - warmup_steps).min(self.decay_steps);
        let cosine = (PI * step as f64 / self.decay_steps as f64).cos();
        top * ((1.0 - self.alpha) * 0.5 * (1.0 + cosine) + self.alpha)
    }

    fn check(&self) -> Result<(), String> {
        if self.decay_steps == 0 {
            return Err("decay_steps of its CosineDecay is 0; it is at least 1".to_string());
        }
        at_least_0([
            ("initial_learning_rate of its CosineDecay", self.initial_learning_rate),
            ("alpha of its CosineDecay", self.alpha),
            ("warmup_target of its CosineDecay", self.warmup.map_or(0.0, |(target, _)| target)),
        ])
    }
}
