use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::monitor::Watch;
use super::{Callback, Logs, Mode, Monitor, State, Training, refuse_nan, say};
use crate::error::{Error, Result};

/// Writes the weights to a file after every epoch, or after those that are the best so far. Keras:
/// `ModelCheckpoint` with `save_weights_only`.
///
/// The path may say `{epoch}`, counted from 1, and any number of the epoch: `{val_loss:.2}`; `{epoch:02}`
/// has at least two digits. Python's `{epoch:02d}` and `{val_loss:.2f}` are the same. Without a
/// placeholder the file is written over each time; what was there stays whole until the new one is
/// complete. [`Model::load_weights`](crate::Model::load_weights) reads it.
///
/// # Errors
/// `fit` refuses placeholders it will have no number for and those in a name that is not Unicode, a
/// number to monitor that it will not have, and an `initial_value_threshold` of NaN. It ends with an error
/// if a file cannot be written: no room, no right, no folder.
///
/// ```
/// # use convnet::prelude::*;
/// # use ndarray::{Array1, Array2};
/// # let input = Input::new(2);
/// # let output = input.apply(Dense::new(2).activation(Softmax))?;
/// # let model = Model::new(&input, &output)?;
/// # let mut model = model.compile(SGD::new(0.1), SparseCategoricalCrossentropy, ());
/// # let (x, y) = (Array2::<f32>::ones((8, 2)), Array1::<u8>::zeros(8));
/// let folder = tempfile::tempdir().unwrap();
/// let best = ModelCheckpoint::new(folder.path().join("best.safetensors"))
///     .monitor(Monitor::Loss)
///     .save_best_only(true);
/// let all = ModelCheckpoint::new(folder.path().join("epoch-{epoch:02}.safetensors"));
/// let fit = Fit::new().epochs(2).callback(best).callback(all).verbose(Verbose::Silent);
/// model.fit(&x, &y, fit)?;
/// for name in ["best", "epoch-01", "epoch-02"] {
///     model.load_weights(folder.path().join(name).with_extension("safetensors"))?;
/// }
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    path: PathBuf,
    watch: Watch,
    save_best_only: bool,
    initial_value_threshold: Option<f64>,
    verbose: bool,
    best: Option<f64>,
}

const WHO: &str = "model checkpoint";

impl ModelCheckpoint {
    /// Writes to this file after every epoch.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            watch: Watch::new(Monitor::ValLoss),
            save_best_only: false,
            initial_value_threshold: None,
            verbose: false,
            best: None,
        }
    }

    /// Which number says what is best; `ValLoss`.
    pub fn monitor(self, monitor: Monitor) -> Self {
        Self { watch: self.watch.monitor(monitor), ..self }
    }

    /// Which way is better; what the metric says of itself.
    pub fn mode(self, mode: Mode) -> Self {
        Self { watch: self.watch.mode(mode), ..self }
    }

    /// Whether only epochs that are better than all before are written; `false`.
    pub fn save_best_only(self, save_best_only: bool) -> Self {
        Self { save_best_only, ..self }
    }

    /// What the first epoch has to be better than; nothing.
    pub fn initial_value_threshold(self, initial_value_threshold: f64) -> Self {
        Self { initial_value_threshold: Some(initial_value_threshold), ..self }
    }

    /// Whether to print what is written; `false`.
    pub fn verbose(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// The path of an epoch.
    fn path(&self, epoch: usize, number: impl Fn(&str) -> Option<f64>) -> Result<PathBuf> {
        let number = |name: &str| match name {
            "epoch" => Some((epoch + 1) as f64),
            name => number(name),
        };
        let parts = self.path.iter().map(|part| match part.to_str() {
            Some(text) => filled(text, number).map(OsString::from),
            None if part.to_string_lossy().contains('{') => Err(format!(
                "the placeholder in {} cannot be filled, as that is not Unicode; give it a name that is",
                part.display()
            )),
            None => Ok(part.to_os_string()),
        });
        parts.collect::<Result<PathBuf, String>>().map_err(|why| {
            Error::training(format!("{WHO}: the path {}: {why}", self.path.display()))
        })
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.best = self.initial_value_threshold;
        if let Some(threshold) = self.initial_value_threshold {
            refuse_nan(WHO, "initial_value_threshold", threshold)?;
        }
        if self.save_best_only {
            self.watch.begin(WHO, training)?;
        }
        self.path(0, |name| training.larger_is_better(name).map(|_| 0.0)).map(|_| ())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> Result<()> {
        if let (true, Some(value)) = (self.save_best_only, logs.get(&self.watch.key())) {
            if self.best.is_some_and(|best| !self.watch.is_better(value, best, 0.0)) {
                return Ok(());
            }
            self.best = Some(value);
        }
        let path = self.path(epoch, |name| logs.get(name))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                let folder = folder.display();
                Error::file(format!(
                    "{WHO}: cannot make the folder {folder}: {error}; give a path that can be written"
                ))
            })?;
        }
        let saved = training.model().save_weights(&path);
        saved.map_err(|error| Error::new(error.kind(), format!("{WHO}: {error}")))?;
        if self.verbose {
            say(&format!("Epoch {}: saved the weights to {}", epoch + 1, path.display()));
        }
        Ok(())
    }

    fn state(&self) -> State {
        State::new().number("best", self.best)
    }

    fn set_state(&mut self, state: &State, _training: &Training<'_>) -> Result<(), String> {
        self.best = state.get_number("best");
        Ok(())
    }
}

/// The text with numbers in the place of `{name}` and `{name:spec}`.
fn filled(text: &str, number: impl Fn(&str) -> Option<f64>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, after) =
            after.split_once('}').ok_or("a `{` has no `}`; close the placeholder")?;
        let (name, spec) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        let value = number(name).ok_or_else(|| {
            format!("there is no number `{name}`; use epoch or a number of the history")
        })?;
        let written = written(value, spec).ok_or_else(|| {
            format!("`{spec}` is no way to write a number; use one such as 02 or .4")
        })?;
        filled += before;
        filled += &written;
        rest = after;
    }
    Ok(filled + rest)
}

/// More digits than a number has are a typing error.
const MOST_DIGITS: usize = 40;

/// A number as `02`, `.2` or `08.3` say, with Python's `d` or `f` behind or not.
fn written(value: f64, spec: &str) -> Option<String> {
    let spec = spec.strip_suffix(['d', 'f']).unwrap_or(spec);
    let (width, digits) = match spec.split_once('.') {
        Some((width, digits)) => (width, Some(digits.parse().ok()?)),
        None => (spec, None),
    };
    let zeros = width.starts_with('0');
    let width: usize = if width.is_empty() { 0 } else { width.parse().ok()? };
    if width.max(digits.unwrap_or(0)) > MOST_DIGITS {
        return None;
    }
    Some(match (zeros, digits) {
        (true, Some(digits)) => format!("{value:0width$.digits$}"),
        (true, None) => format!("{value:0width$}"),
        (false, Some(digits)) => format!("{value:width$.digits$}"),
        (false, None) => format!("{value:width$}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled() {
        let number = |name: &str| match name {
            "epoch" => Some(7.0),
            "val_loss" => Some(0.123_456),
            _ => None,
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("{epoch}", "7"),
            ("a-{epoch:02}-{val_loss:.2}.st", "a-07-0.12.st"),
            ("a-{epoch:02d}-{val_loss:.4f}.st", "a-07-0.1235.st"),
            ("{val_loss}", "0.123456"),
            ("{epoch:3}|{val_loss:07.3f}", "  7|000.123"),
            ("{epoch:040}", &format!("{}7", "0".repeat(39))),
        ] {
            assert_eq!(filled(text, number).unwrap(), expected);
        }
        for (text, expected) in [
            ("{loss}", "there is no number `loss`; use epoch or a number of the history"),
            ("{}", "there is no number ``; use epoch or a number of the history"),
            ("{epoch", "a `{` has no `}`; close the placeholder"),
            ("{epoch:041}", "`041` is no way to write a number; use one such as 02 or .4"),
            ("{epoch:x}", "`x` is no way to write a number; use one such as 02 or .4"),
            (
                "{epoch:99999999}",
                "`99999999` is no way to write a number; use one such as 02 or .4",
            ),
        ] {
            assert_eq!(filled(text, number).unwrap_err(), expected);
        }
    }
}
