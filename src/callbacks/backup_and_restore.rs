use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Callback, Logs, Training, backup_file};
use crate::error::{Error, Result};
use crate::files::remove_unfinished;

/// Keeps a backup of the training in a folder, and goes on from one that is there. Keras:
/// `BackupAndRestore`.
///
/// A training that is killed at any moment and started again with the same model, data and settings
/// ends with the same weights and the same history, bit for bit, as one that ran through, on any number
/// of threads. The backup holds weights, the optimizer's state, the place in the epoch, the state of
/// all callbacks and the history; it is deleted when the training has come to its end, and stays after
/// an error or an interruption. It is written whole or not at all.
///
/// # Errors
/// `fit` refuses a backup that is damaged or belongs to another training and a `save_freq` of 0 batches,
/// and ends with an error if a backup cannot be written.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let (x, y) = (Array2::<f32>::ones((8, 2)), Array1::<u8>::zeros(8));
/// let folder = tempfile::tempdir().unwrap();
/// let trained = |epochs, backup: Option<BackupAndRestore>| {
///     let input = Input::new(2);
///     let output = input.apply(Dense::new(2).activation(Softmax))?;
///     let model = Model::new(&input, &output)?;
///     let mut model = model.compile(Adam::new(0.1), SparseCategoricalCrossentropy, ());
///     let mut fit = Fit::new().epochs(epochs).batch_size(2).verbose(Verbose::Silent);
///     if let Some(backup) = backup {
///         fit = fit.callback(backup);
///     }
///     let history = model.fit(&x, &y, fit)?;
///     convnet::Result::Ok((history, model.into_model()))
/// };
/// // Kept at its end, as if the training were to have 4 epochs and was killed after 2.
/// let backup = BackupAndRestore::new(folder.path());
/// trained(2, Some(backup.clone().delete_checkpoint(false)))?;
/// let (history, resumed) = trained(4, Some(backup))?;
/// let (expected, through) = trained(4, None)?;
/// assert_eq!(history, expected);
/// assert_eq!(resumed.weights(), through.weights());
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackupAndRestore {
    backup_dir: PathBuf,
    save_freq: SaveFreq,
    delete_checkpoint: bool,
    interrupt: Option<Arc<AtomicBool>>,
    batches: usize,
}

/// How often a backup is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFreq {
    /// After every epoch.
    Epoch,
    /// Whenever so many batches have been trained on.
    Batches(usize),
}

impl BackupAndRestore {
    /// Keeps the backup in this folder, which is made if it is not there.
    pub fn new(backup_dir: impl AsRef<Path>) -> Self {
        Self {
            backup_dir: backup_dir.as_ref().to_path_buf(),
            save_freq: SaveFreq::Epoch,
            delete_checkpoint: true,
            interrupt: None,
            batches: 0,
        }
    }

    /// How often a backup is made; after every epoch.
    pub fn save_freq(self, save_freq: SaveFreq) -> Self {
        Self { save_freq, ..self }
    }

    /// Whether the backup is deleted when the training has come to its end; `true`.
    pub fn delete_checkpoint(self, delete_checkpoint: bool) -> Self {
        Self { delete_checkpoint, ..self }
    }

    /// A flag, such as one that Ctrl-C sets: once it is set, the current batch is ended, a backup made,
    /// and `fit` ends with an error of kind [`Interrupted`](crate::ErrorKind::Interrupted). None.
    pub fn interrupt(self, interrupt: Arc<AtomicBool>) -> Self {
        Self { interrupt: Some(interrupt), ..self }
    }

    /// Deletes the backup, if there is one, for a training that is to start anew.
    ///
    /// # Errors
    /// If it is there and cannot be deleted.
    pub fn discard(&self) -> Result<()> {
        let file = backup_file(&self.backup_dir);
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(Error::file(format!(
                    "backup and restore: cannot delete {}: {error}; delete it by hand",
                    file.display()
                )));
            }
        }
        // The folder too, unless something else is in it.
        let _ = remove_unfinished(&file);
        let _ = std::fs::remove_dir(&self.backup_dir);
        Ok(())
    }

    fn end_of_moment(&mut self, due: bool, training: &mut Training<'_>) {
        let interrupted = self.interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::SeqCst));
        if due || interrupted {
            training.back_up(&self.backup_dir);
            self.batches = 0;
        }
        if interrupted {
            training.interrupt();
        }
    }
}

impl Callback for BackupAndRestore {
    fn resume_from(&self) -> Option<PathBuf> {
        backup_file(&self.backup_dir).exists().then(|| self.backup_dir.clone())
    }

    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.batches = 0;
        // What a training that was killed had begun to write; where there is no folder there is none.
        let _ = remove_unfinished(&backup_file(&self.backup_dir));
        if self.save_freq == SaveFreq::Batches(0) {
            return Err(Error::training(
                "backup and restore: save_freq is 0 batches; it is at least 1",
            ));
        }
        Ok(())
    }

    fn on_train_batch_end(
        &mut self,
        _batch: usize,
        _logs: &Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        self.batches += 1;
        let due = matches!(self.save_freq, SaveFreq::Batches(batches) if self.batches >= batches);
        self.end_of_moment(due, training);
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _epoch: usize,
        _logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        self.end_of_moment(self.save_freq == SaveFreq::Epoch, training);
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if training.is_complete() && self.delete_checkpoint { self.discard() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_backup_that_is_there_can_fail_to_be_deleted() {
        let folder = tempfile::tempdir().unwrap();
        BackupAndRestore::new(folder.path().join("none")).discard().unwrap();
        std::fs::create_dir(backup_file(folder.path())).unwrap();
        let error = BackupAndRestore::new(folder.path()).discard().unwrap_err().to_string();
        assert!(error.starts_with("backup and restore: cannot delete "), "{error}");
    }
}
