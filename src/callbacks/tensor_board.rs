use std::path::{Path, PathBuf};

use super::event_file::EventFile;
use super::{Callback, Logs, State, Training};
use crate::error::{Error, Result};

/// Writes the numbers of every epoch for TensorBoard, `tensorboard --logdir logs`. Keras:
/// `TensorBoard`. With the feature `tensorboard`.
///
/// As in Keras there are two runs, `train` and `validation`, in both of them `epoch_loss`,
/// `epoch_accuracy` and so on, so that the two curves are drawn in one picture; `train` has
/// `epoch_learning_rate` too. Each `fit` writes files of its own; one that goes on from a backup goes on
/// in those of the training before, where they were when the backup was made.
///
/// # Errors
/// `fit` ends with an error if the files cannot be written.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let input = Input::new(2);
/// # let output = input.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&input, &output)?;
/// # let mut model = model.compile(SGD::new(0.1), SparseCategoricalCrossentropy, [Accuracy]);
/// # let (x, y) = (Array2::<f32>::ones((8, 2)), Array1::<u8>::zeros(8));
/// let folder = tempfile::tempdir().unwrap();
/// let board = TensorBoard::new(folder.path().join("logs"));
/// let fit = Fit::new().epochs(2).validation_split(0.5).verbose(Verbose::Silent);
/// model.fit(&x, &y, fit.callback(board))?;
/// for run in ["logs/train", "logs/validation"] {
///     assert_eq!(std::fs::read_dir(folder.path().join(run)).unwrap().count(), 1);
/// }
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Debug)]
pub struct TensorBoard {
    log_dir: PathBuf,
    /// The files of this training.
    train: Option<EventFile>,
    validation: Option<EventFile>,
}

impl TensorBoard {
    /// Writes to folders in this one, which is made if it is not there.
    pub fn new(log_dir: impl AsRef<Path>) -> Self {
        Self { log_dir: log_dir.as_ref().to_path_buf(), train: None, validation: None }
    }

    /// Adds numbers to a file, which is made before the first of them.
    fn write(
        file: &mut Option<EventFile>,
        folder: &Path,
        epoch: usize,
        numbers: Vec<(String, f64)>,
    ) -> Result<()> {
        let open = match file {
            Some(open) => Ok(open),
            None => EventFile::new(folder).map(|new| file.insert(new)),
        };
        open.and_then(|open| open.scalars(epoch, numbers)).map_err(|error| {
            Error::file(format!(
                "tensor board: cannot write to {}: {error}; give a folder that can be written",
                folder.display()
            ))
        })
    }
}

impl Callback for TensorBoard {
    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        (self.train, self.validation) = (None, None);
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (name, value) in logs.iter().filter(|(name, _)| *name != "learning_rate") {
            match name.strip_prefix("val_") {
                Some(name) => validation.push((format!("epoch_{name}"), value)),
                None => train.push((format!("epoch_{name}"), value)),
            }
        }
        train.push(("epoch_learning_rate".to_string(), training.learning_rate()));
        Self::write(&mut self.train, &self.log_dir.join("train"), epoch, train)?;
        if validation.is_empty() {
            return Ok(());
        }
        Self::write(&mut self.validation, &self.log_dir.join("validation"), epoch, validation)
    }

    fn on_train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        (self.train, self.validation) = (None, None);
        Ok(())
    }

    fn state(&self) -> State {
        let mut state = State::new();
        for (run, file) in [("train", &self.train), ("validation", &self.validation)] {
            if let Some(file) = file {
                let name = file.name().to_string();
                state = state.text(run, name).number(run, file.length() as f64);
            }
        }
        state
    }

    fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
        for (run, file) in [("train", &mut self.train), ("validation", &mut self.validation)] {
            *file = match (state.get_text(run), state.get_count(run)) {
                (Some(name), Some(length)) => {
                    Some(EventFile::resume(&self.log_dir.join(run), name, length as u64)?)
                }
                _ => None,
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fit_with;
    use super::*;

    #[test]
    fn a_lent_one_leaves_no_file_open_after_training() {
        let folder = tempfile::tempdir().unwrap();
        let mut logger = TensorBoard::new(folder.path());
        fit_with(&mut logger);
        assert!(logger.train.is_none() && logger.validation.is_none());
    }
}
