//! What happens beside training: callbacks, one file each.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::model::{Model, Snapshot};
use crate::optimizers::{LearningRate, Optimizer};

mod backup_and_restore;
mod csv_logger;
mod early_stopping;
#[cfg(feature = "tensorboard")]
mod event_file;
mod learning_rate_scheduler;
mod logs;
mod model_checkpoint;
mod monitor;
mod reduce_lr_on_plateau;
mod state;
#[cfg(feature = "tensorboard")]
mod tensor_board;
mod terminate_on_nan;

pub use backup_and_restore::{BackupAndRestore, SaveFreq};
pub use csv_logger::CSVLogger;
pub use early_stopping::{Decision, EarlyStopping};
pub use learning_rate_scheduler::LearningRateScheduler;
pub use logs::Logs;
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::{Mode, Monitor};
pub use reduce_lr_on_plateau::ReduceLROnPlateau;
pub use state::State;
#[cfg(feature = "tensorboard")]
pub use tensor_board::TensorBoard;
pub use terminate_on_nan::TerminateOnNaN;

/// Refuses a setting of the callback `who` that nothing can be compared with.
fn refuse_nan(who: &str, name: &str, value: f64) -> Result<()> {
    if value.is_nan() {
        return Err(Error::training(format!("{who}: {name} is NaN; give a number")));
    }
    Ok(())
}

/// Something that `fit` calls at the moments Keras has. Every method does nothing unless written.
///
/// Epochs and batches are counted from 0. Callbacks run in the order in which they were given;
/// what one adds to the logs of an epoch the later ones see, and history and progress come last.
/// An error ends the training and comes out of `fit`.
///
/// ```
/// use convnet::callbacks::{Callback, Logs, Training};
///
/// /// Stops as soon as the training accuracy is good enough.
/// struct GoodEnough(f64);
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(
///         &mut self,
///         _epoch: usize,
///         logs: &mut Logs,
///         training: &mut Training<'_>,
///     ) -> convnet::Result<()> {
///         if logs["accuracy"] >= self.0 {
///             training.stop();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback: Send {
    /// Before the first epoch. The place to look at `training.metrics()` and refuse.
    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }

    /// After the last epoch, however training ended; after an error too.
    fn on_train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }

    /// Before an epoch.
    fn on_epoch_begin(&mut self, _epoch: usize, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its validation, with all numbers of the epoch.
    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        _logs: &mut Logs,
        _training: &mut Training<'_>,
    ) -> Result<()> {
        Ok(())
    }

    /// Before a batch.
    fn on_train_batch_begin(&mut self, _batch: usize, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }

    /// After a batch, with the means over the epoch so far.
    fn on_train_batch_end(
        &mut self,
        _batch: usize,
        _logs: &Logs,
        _training: &mut Training<'_>,
    ) -> Result<()> {
        Ok(())
    }

    /// After a batch whose loss was not finite: it has not moved the weights. `true` lets training end
    /// after this batch as if it had been stopped; without a callback that says so, `fit` ends with
    /// an error. Not in Keras.
    fn on_invalid_loss(
        &mut self,
        _batch: usize,
        _loss: f64,
        _training: &mut Training<'_>,
    ) -> Result<bool> {
        Ok(false)
    }

    /// Before the validation of an epoch.
    fn on_test_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }

    /// After the validation of an epoch, with its numbers, without the `val_` they have at the end
    /// of the epoch.
    fn on_test_end(&mut self, _logs: &Logs, _training: &mut Training<'_>) -> Result<()> {
        Ok(())
    }

    /// What a backup of the training has to keep of the callback; nothing. Not in Keras.
    fn state(&self) -> State {
        State::new()
    }

    /// Takes back what [`state`](Callback::state) has handed over to the backup that the training goes
    /// on from; after `on_train_begin`, and in the middle of an epoch after its `on_epoch_begin` again.
    /// What makes no sense in it is refused as the end of a sentence: it comes from a file. Not in Keras.
    fn set_state(&mut self, _state: &State, _training: &Training<'_>) -> Result<(), String> {
        Ok(())
    }

    /// The folder of the backup that the training is to go on from, as
    /// [`Fit::resume_from`](crate::training::Fit::resume_from), which comes first, takes it; none. Not
    /// in Keras.
    fn resume_from(&self) -> Option<PathBuf> {
        None
    }

    /// The name of its type, by which a backup knows it.
    fn class_name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}

impl<C: Callback + ?Sized> Callback for &mut C {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).on_train_begin(training)
    }

    fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).on_train_end(training)
    }

    fn on_epoch_begin(&mut self, epoch: usize, training: &mut Training<'_>) -> Result<()> {
        (**self).on_epoch_begin(epoch, training)
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        (**self).on_epoch_end(epoch, logs, training)
    }

    fn on_train_batch_begin(&mut self, batch: usize, training: &mut Training<'_>) -> Result<()> {
        (**self).on_train_batch_begin(batch, training)
    }

    fn on_train_batch_end(
        &mut self,
        batch: usize,
        logs: &Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        (**self).on_train_batch_end(batch, logs, training)
    }

    fn on_invalid_loss(
        &mut self,
        batch: usize,
        loss: f64,
        training: &mut Training<'_>,
    ) -> Result<bool> {
        (**self).on_invalid_loss(batch, loss, training)
    }

    fn on_test_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        (**self).on_test_begin(training)
    }

    fn on_test_end(&mut self, logs: &Logs, training: &mut Training<'_>) -> Result<()> {
        (**self).on_test_end(logs, training)
    }

    fn state(&self) -> State {
        (**self).state()
    }

    fn set_state(&mut self, state: &State, training: &Training<'_>) -> Result<(), String> {
        (**self).set_state(state, training)
    }

    fn resume_from(&self) -> Option<PathBuf> {
        (**self).resume_from()
    }

    fn class_name(&self) -> &'static str {
        (**self).class_name()
    }
}

/// Prints a line. What is not read does not matter to the training, so a closed pipe is no error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The training a callback looks at and steers.
#[derive(Debug)]
pub struct Training<'a> {
    pub(crate) model: &'a mut Model,
    pub(crate) optimizer: &'a mut dyn Optimizer,
    pub(crate) plan: &'a Plan,
    pub(crate) wishes: &'a mut Wishes,
}

/// What callbacks want of the training.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) stop: bool,
    pub(crate) interrupt: bool,
    /// The folder for a backup.
    pub(crate) back_up: Option<PathBuf>,
}

/// What is known before the first epoch.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Training ends before this epoch.
    pub(crate) epochs: usize,
    pub(crate) steps: usize,
    /// The keys of the logs of an epoch, each with whether larger is better.
    pub(crate) metrics: Vec<(String, bool)>,
    /// Whether training goes on from a backup.
    pub(crate) is_resumed: bool,
    /// Whether training has come to its end.
    pub(crate) is_complete: bool,
}

impl Training<'_> {
    /// Ends training after the current batch, or the current epoch if it is called at its end.
    pub fn stop(&mut self) {
        self.wishes.stop = true;
    }

    /// Ends training after the current batch as if it were cut off there, or after the current epoch if
    /// it is called at its end: nothing is validated, and `fit` ends with an error of kind
    /// [`Interrupted`](crate::ErrorKind::Interrupted). With [`back_up`](Training::back_up) it can be
    /// resumed.
    pub fn interrupt(&mut self) {
        self.wishes.interrupt = true;
    }

    /// Makes a backup in this folder, for [`Fit::resume_from`](crate::training::Fit::resume_from), once
    /// all callbacks have been told of the end of this batch or epoch; from another moment, of the next
    /// one.
    pub fn back_up(&mut self, backup_dir: impl AsRef<Path>) {
        self.wishes.back_up = Some(backup_dir.as_ref().to_path_buf());
    }

    /// Whether training goes on from a backup: what a callback has written then stays.
    pub fn is_resumed(&self) -> bool {
        self.plan.is_resumed
    }

    /// Whether training has come to its end, by its epochs or a [`stop`](Training::stop): `false` before
    /// `on_train_end`, and there too if it ends by an error or an interruption.
    pub fn is_complete(&self) -> bool {
        self.plan.is_complete
    }

    /// The model as it is now.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// A copy of all weights, to be restored later.
    pub fn snapshot(&self) -> Snapshot {
        self.model.snapshot()
    }

    /// Puts all weights back to what they were.
    ///
    /// # Panics
    /// If the copy has other numbers of weights than the model.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.model.restore(snapshot);
    }

    /// The optimizer's learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    /// Changes the optimizer's learning rate from the next batch on; takes the place of a schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    /// Refuses a schedule, for a callback that would take its place.
    fn refuse_schedule(&self, who: &str) -> Result<()> {
        match self.optimizer.common().learning_rate() {
            LearningRate::Constant(_) => Ok(()),
            LearningRate::Schedule(schedule) => Err(Error::training(format!(
                "{who}: the learning rate follows {schedule:?}; give the optimizer a number, or leave \
                 this callback out"
            ))),
        }
    }

    /// The number of the last epoch plus one.
    pub fn epochs(&self) -> usize {
        self.plan.epochs
    }

    /// How many batches an epoch has.
    pub fn steps(&self) -> usize {
        self.plan.steps
    }

    /// The names the logs of an epoch will have.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.plan.metrics.iter().map(|(name, _)| name.as_str())
    }

    /// Whether more of this metric is better; `None` if there is no such metric.
    pub fn larger_is_better(&self, metric: &str) -> Option<bool> {
        self.plan.metrics.iter().find(|(name, _)| name == metric).map(|&(_, larger)| larger)
    }
}

/// The file of the backup in a folder for it.
pub(crate) fn backup_file(folder: &Path) -> PathBuf {
    folder.join("backup.safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use ndarray::Array2;

    /// Trains for an epoch with a callback.
    pub(super) fn fit_with(callback: impl Callback) {
        let input = Input::new(2);
        let output = input.apply(Dense::new(1)).unwrap();
        let model = Model::new(&input, &output).unwrap();
        let mut model = model.compile(SGD::default(), MeanSquaredError, ());
        let (x, y) = (Array2::<f32>::ones((4, 2)), Array2::<f32>::ones((4, 1)));
        model.fit(&x, &y, Fit::new().callback(callback).verbose(Verbose::Silent)).unwrap();
    }

    /// What `fit` asks a callback before it trains.
    fn asked(callback: impl Callback) -> (Option<PathBuf>, &'static str) {
        (callback.resume_from(), callback.class_name())
    }

    #[test]
    fn a_lent_callback_answers_as_one_that_is_given_away() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(backup_file(folder.path()), "").unwrap();
        let backup = BackupAndRestore::new(folder.path());
        let (resumes_from, class) = asked(&mut backup.clone());
        assert_eq!(resumes_from.as_deref(), Some(folder.path()));
        assert!(class.ends_with("::BackupAndRestore"), "{class}");
        assert_eq!(asked(backup), (resumes_from, class));
    }
}
