use super::{LearningRateSchedule, at_least_0};

/// A rate that falls by the same factor over so many steps: `initial · decay_rate^(step /
/// decay_steps)`. Keras: `ExponentialDecay`.
///
/// # Errors
/// `fit` refuses 0 `decay_steps`, and numbers that are negative or not finite. A negative number of
/// steps does not compile.
///
/// ```
/// use convnet::optimizers::{ExponentialDecay, LearningRateSchedule};
///
/// let decay = ExponentialDecay::new(0.1, 100, 0.5);
/// assert_eq!([0, 100, 200].map(|step| decay.at(step)), [0.1, 0.05, 0.025]);
/// assert_eq!(decay.staircase(true).at(199), 0.05);
/// ```
///
/// ```compile_fail,E0600
/// convnet::optimizers::ExponentialDecay::new(0.1, -100, 0.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialDecay {
    initial_learning_rate: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl ExponentialDecay {
    /// From this rate, times `decay_rate` after every `decay_steps`.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self { initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }

    /// Whether the rate falls all at once at the end of every `decay_steps`; `false`.
    pub fn staircase(self, staircase: bool) -> Self {
        Self { staircase, ..self }
    }
}

impl LearningRateSchedule for ExponentialDecay {
    fn at(&self, step: u64) -> f64 {
        let times = step as f64 / self.decay_steps as f64;
        let times = if self.staircase { times.floor() } else { times };
        self.initial_learning_rate * self.decay_rate.powf(times)
    }

    fn check(&self) -> Result<(), String> {
        if self.decay_steps == 0 {
            return Err("decay_steps of its ExponentialDecay is 0; it is at least 1".to_string());
        }
        at_least_0([
            ("initial_learning_rate of its ExponentialDecay", self.initial_learning_rate),
            ("decay_rate of its ExponentialDecay", self.decay_rate),
        ])
    }
}
