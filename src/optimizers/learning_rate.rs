use std::fmt;
use std::sync::Arc;

use super::check_rate;

/// A learning rate that depends on the number of the step. Keras: `LearningRateSchedule`.
///
/// Give it in the place of a number: `Adam::new(ExponentialDecay::new(1e-3, 1000, 0.9))`. One of your
/// own:
///
/// ```
/// use convnet::optimizers::LearningRateSchedule;
/// use convnet::prelude::*;
///
/// /// Halves the rate after each of the first steps.
/// #[derive(Debug)]
/// struct Halving;
///
/// impl LearningRateSchedule for Halving {
///     fn at(&self, step: u64) -> f64 {
///         0.5_f64.powi(step.min(10) as i32)
///     }
/// }
///
/// assert_eq!(SGD::new(Halving).learning_rate(), 1.0);
/// ```
pub trait LearningRateSchedule: fmt::Debug + Send + Sync {
    /// The rate of the step of this number, counted from 0 over all epochs.
    fn at(&self, step: u64) -> f64;

    /// What makes no sense in the configuration, as the end of a sentence.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A number, or a schedule: what an optimizer takes as its learning rate.
///
/// ```
/// use convnet::optimizers::{ExponentialDecay, LearningRate};
///
/// assert_eq!(LearningRate::from(0.1).at(5), 0.1);
/// assert_eq!(LearningRate::from(ExponentialDecay::new(0.1, 5, 0.5)).at(5), 0.05);
/// ```
#[derive(Clone, Debug)]
pub enum LearningRate {
    /// The same in every step, until it is changed.
    Constant(f64),
    /// What a schedule says.
    Schedule(Arc<dyn LearningRateSchedule>),
}

impl LearningRate {
    /// The rate of the step of this number, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        match self {
            Self::Constant(rate) => *rate,
            Self::Schedule(schedule) => schedule.at(step),
        }
    }

    /// What makes no sense in it, as the end of a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Constant(rate) => check_rate(*rate),
            Self::Schedule(schedule) => schedule.check(),
        }
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

impl<S: LearningRateSchedule + 'static> From<S> for LearningRate {
    fn from(schedule: S) -> Self {
        Self::Schedule(Arc::new(schedule))
    }
}
