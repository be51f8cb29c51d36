use std::fmt;

use super::{Callback, Logs, Training};
use crate::error::{Error, Result};

/// Sets the learning rate before every epoch, from the epoch's number and the rate there is. Keras:
/// `LearningRateScheduler`.
///
/// Adds the learning rate of each epoch to the history as `learning_rate`. A rate that changes with
/// every step is a [schedule](crate::optimizers::LearningRateSchedule) of the optimizer. What the
/// function itself remembers is not in a backup of the training; the learning rate is.
///
/// # Errors
/// `fit` ends with an error if the rate is negative or not finite, and refuses an optimizer whose
/// learning rate follows a schedule.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let input = Input::new(2);
/// # let output = input.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&input, &output)?;
/// # let mut model = model.compile(SGD::new(0.5), SparseCategoricalCrossentropy, ());
/// # let (x, y) = (Array2::<f32>::ones((8, 2)), Array1::<u8>::zeros(8));
/// let halved = LearningRateScheduler::new(|epoch, rate| if epoch < 2 { rate } else { rate / 2.0 });
/// let fit = Fit::new().epochs(4).callback(halved).verbose(Verbose::Silent);
/// let history = model.fit(&x, &y, fit)?;
/// assert_eq!(history.history["learning_rate"], [0.5, 0.5, 0.25, 0.125]);
/// # Ok::<(), convnet::Error>(())
/// ```
pub struct LearningRateScheduler<F> {
    schedule: F,
}

impl<F: FnMut(usize, f64) -> f64 + Send> LearningRateScheduler<F> {
    /// Asks this function, given the epoch counted from 0 and the learning rate.
    pub fn new(schedule: F) -> Self {
        Self { schedule }
    }
}

impl<F> fmt::Debug for LearningRateScheduler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LearningRateScheduler")
    }
}

impl<F: FnMut(usize, f64) -> f64 + Send> Callback for LearningRateScheduler<F> {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        training.refuse_schedule("learning rate scheduler")
    }

    fn on_epoch_begin(&mut self, epoch: usize, training: &mut Training<'_>) -> Result<()> {
        let rate = (self.schedule)(epoch, training.learning_rate());
        if !(0.0..=f64::MAX).contains(&rate) {
            return Err(Error::training(format!(
                "learning rate scheduler: the rate of epoch {epoch} (counted from 0) is {rate}; it \
                 must be at least 0 and finite"
            )));
        }
        training.set_learning_rate(rate);
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        logs.set("learning_rate", training.learning_rate());
        Ok(())
    }
}
