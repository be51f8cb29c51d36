//! The training loop.

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;

use super::backup::{Backup, Place, settings};
use super::callbacks::Callbacks;
use super::compiled::{CompiledModel, Step, Turn, seed_of_samples};
use super::history::History;
use super::progress::{Progress, Verbose};
use super::split::validation_split;
use super::tallies::Tallies;
use super::weighting::Weighting;
use crate::batches::{Chunk, Data};
use crate::callbacks::{Callback, Logs, Plan, Wishes};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::parallel::inside_pool;
use crate::labels::{IntoLabels, Labels};
use crate::model::BATCH_SIZE;
use crate::random::{derive, generator};
use crate::samples::{Column, IntoSamples};

/// The settings of [`CompiledModel::fit`], with Keras' names and defaults.
///
/// ```
/// use convnet::prelude::*;
///
/// let fit = Fit::new()
///     .epochs(20)
///     .validation_split(0.2)
///     .callback(EarlyStopping::new(Monitor::ValLoss).patience(3).restore_best_weights(true));
/// ```
pub struct Fit<'a> {
    epochs: usize,
    initial_epoch: usize,
    batch_size: usize,
    validation_split: f64,
    validation_data: Option<(Vec<Column<'a>>, Labels<'a>)>,
    class_weight: Vec<(usize, f32)>,
    gradient_accumulation_steps: usize,
    shuffle: bool,
    seed: u64,
    verbose: Verbose,
    callbacks: Vec<Box<dyn Callback + 'a>>,
    resume_from: Option<PathBuf>,
}

impl<'a> Fit<'a> {
    /// One epoch in shuffled batches of 32, without validation.
    pub fn new() -> Self {
        Self {
            epochs: 1,
            initial_epoch: 0,
            batch_size: BATCH_SIZE,
            validation_split: 0.0,
            validation_data: None,
            class_weight: Vec::new(),
            gradient_accumulation_steps: 1,
            shuffle: true,
            seed: 0,
            verbose: Verbose::Auto,
            callbacks: Vec::new(),
            resume_from: None,
        }
    }

    /// Training ends before the epoch of this number; 1. With `initial_epoch` it is not how many
    /// epochs run, but where they end.
    pub fn epochs(self, epochs: usize) -> Self {
        Self { epochs, ..self }
    }

    /// The number of the first epoch, to go on where an earlier training ended; 0.
    pub fn initial_epoch(self, initial_epoch: usize) -> Self {
        Self { initial_epoch, ..self }
    }

    /// How many samples make a step; 32. The last batch of an epoch may be shorter.
    pub fn batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// The fraction of the samples to hold out and validate with after every epoch: the **last**
    /// ones, before any shuffling. Samples sorted by class have to be mixed first.
    pub fn validation_split(self, validation_split: f64) -> Self {
        Self { validation_split, ..self }
    }

    /// Samples to validate with after every epoch; takes the place of `validation_split`.
    pub fn validation_data(self, x: impl IntoSamples<'a>, y: impl IntoLabels<'a>) -> Self {
        Self { validation_data: Some((x.into_samples(), y.into_labels())), ..self }
    }

    /// How much the loss of a sample counts by its class, such as more for rare ones: pairs of a class
    /// and its weight. 1 for all others, and 1 in validation. As with [`Weighted`](crate::Weighted),
    /// which takes a weight for each sample, the loss is divided by the number of samples.
    pub fn class_weight(self, class_weight: impl IntoIterator<Item = (usize, f32)>) -> Self {
        Self { class_weight: class_weight.into_iter().collect(), ..self }
    }

    /// How many batches make a step together, for a batch size that does not fit the memory; 1. The
    /// weights move as with a `batch_size` so many times as large, but for batch normalisation and
    /// dropout, which see one batch. What is left at the end of an epoch is a step too, and each sample
    /// counts the same; Keras, where this is an argument of the optimizer, waits for the next epoch
    /// and counts each batch the same.
    pub fn gradient_accumulation_steps(self, gradient_accumulation_steps: usize) -> Self {
        Self { gradient_accumulation_steps, ..self }
    }

    /// Whether every epoch takes the samples in another order; `true`.
    pub fn shuffle(self, shuffle: bool) -> Self {
        Self { shuffle, ..self }
    }

    /// What the order of the samples and dropout are drawn from; 0. The same seed gives the same
    /// weights, bit for bit, on any number of threads.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// What is printed; a live bar on a terminal, else one line an epoch.
    pub fn verbose(self, verbose: Verbose) -> Self {
        Self { verbose, ..self }
    }

    /// Adds a callback; give `&mut callback` to look at it afterwards.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Goes on from the backup in this folder, which [`BackupAndRestore`](crate::callbacks::BackupAndRestore)
    /// or a callback of one's own made; that callback goes on from its own without this. Everything but
    /// `epochs` and `verbose` has to be as it was.
    pub fn resume_from(self, backup_dir: impl AsRef<Path>) -> Self {
        Self { resume_from: Some(backup_dir.as_ref().to_path_buf()), ..self }
    }
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Fit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fit")
            .field("epochs", &self.epochs)
            .field("initial_epoch", &self.initial_epoch)
            .field("batch_size", &self.batch_size)
            .field("validation_split", &self.validation_split)
            .field("validation_data", &self.validation_data.is_some())
            .field("class_weight", &self.class_weight)
            .field("gradient_accumulation_steps", &self.gradient_accumulation_steps)
            .field("shuffle", &self.shuffle)
            .field("seed", &self.seed)
            .field("verbose", &self.verbose)
            .field("callbacks", &self.callbacks.len())
            .field("resume_from", &self.resume_from)
            .finish()
    }
}

impl CompiledModel {
    /// Trains on arrays, or on [`Samples`](crate::Samples) that are made when they are needed.
    /// Weights and the optimizer's state go on from where they are, so a second call
    /// continues the first.
    ///
    /// # Errors
    /// Before any work: if data or settings make no sense. While training: if the loss becomes NaN
    /// or infinite, a sample cannot be loaded, or a callback fails; callbacks are then still told that
    /// training has ended, so that early stopping restores the best weights.
    ///
    /// # Panics
    /// If a layer, loss, metric, callback or `Samples` of one's own does. Callbacks are then not told, the
    /// weights are those after the last step that came to its end, and the model can be used on.
    pub fn fit<'a>(
        &mut self,
        x: impl IntoSamples<'a>,
        y: impl IntoLabels<'a>,
        mut fit: Fit<'_>,
    ) -> Result<History> {
        self.check("fit")?;
        let data = self.data(x.into_samples(), y.into_labels(), "fit")?;
        for (setting, value) in [
            ("batch_size", fit.batch_size),
            ("gradient_accumulation_steps", fit.gradient_accumulation_steps),
            ("epochs", fit.epochs),
        ] {
            if value == 0 {
                return Err(Error::training(format!("fit: {setting} is 0; it is at least 1")));
            }
        }
        if fit.initial_epoch >= fit.epochs {
            return Err(Error::training(format!(
                "fit: nothing to do from epoch {} to {}; epochs is the number of the last epoch, \
                 not how many",
                fit.initial_epoch, fit.epochs
            )));
        }
        let class_weight = match &*fit.class_weight {
            [] => None,
            given => Some(self.class_weights(given, "fit")?),
        };
        let (train, held_out) = match fit.validation_data {
            Some(_) => (0..data.len(), 0..0),
            None => validation_split(data.len(), fit.validation_split)?,
        };
        let given = fit.validation_data.take();
        let given = given.map(|(x, y)| self.data(x, y, "fit: validation_data")).transpose()?;
        let validation = match &given {
            Some(data) => Some((data, (0..data.len()).collect())),
            None if held_out.is_empty() => None,
            None => Some((&data, held_out.collect())),
        };

        let keys = self.keys(validation.is_some());
        let keys = keys.map_err(|why| Error::training(format!("fit: {why}")))?;
        let plan = Plan {
            epochs: fit.epochs,
            steps: train.len().div_ceil(fit.batch_size),
            metrics: keys,
            is_resumed: false,
            is_complete: false,
        };
        let mut callbacks = Callbacks {
            list: fit.callbacks,
            plan,
            settings: Default::default(),
            wishes: Wishes::default(),
            history: History::default(),
        };
        let task = Task {
            data: &data,
            train: train.collect(),
            validation,
            epochs: fit.initial_epoch..fit.epochs,
            batch_size: fit.batch_size,
            class_weight,
            gradient_accumulation_steps: fit.gradient_accumulation_steps,
            shuffle: fit.shuffle,
            seed: fit.seed,
        };
        callbacks.settings = settings(self, &task, &callbacks);
        let wished = || callbacks.list.iter().find_map(|callback| callback.resume_from());
        let backup = fit.resume_from.or_else(wished);
        let backup = backup.map(|folder| Backup::open(&folder, self, &task, &callbacks));
        let mut backup = backup.transpose()?;
        callbacks.plan.is_resumed = backup.is_some();
        callbacks.list.extend(Progress::callback(fit.verbose));
        inside_pool(|| {
            let trained = self.train_epochs(&task, backup.as_mut(), &mut callbacks);
            callbacks.plan.is_complete = trained.is_ok();
            let ended = callbacks.end(self);
            trained.and(ended)
        })?;
        Ok(callbacks.history)
    }

    fn train_epochs(
        &mut self,
        task: &Task<'_>,
        mut backup: Option<&mut Backup>,
        callbacks: &mut Callbacks<'_>,
    ) -> Result<()> {
        let mut order = task.train.clone();
        let mut from = Place { epoch: task.epochs.start, batch: 0 };
        callbacks.begin(self)?;
        if let Some(backup) = &mut backup {
            (from, callbacks.history) = (backup.place(), backup.history(task));
            backup.restore(self, task, callbacks)?;
            if backup.is_over() {
                return Ok(());
            }
        }
        for epoch in from.epoch..task.epochs.end {
            let seed = task.seed_of(epoch);
            if task.shuffle {
                // From the same order every time, so that an epoch depends on its number alone.
                order.sort_unstable();
                order.shuffle(&mut generator(seed));
            }
            callbacks.call(self, |callback, training| callback.on_epoch_begin(epoch, training))?;
            let mut tallies = self.tallies();
            if let (Some(backup), true) = (&mut backup, from.batch > 0) {
                backup.restore(self, task, callbacks)?;
                backup.restore_tallies(&mut tallies)?;
            }
            let place = Place { epoch, batch: std::mem::take(&mut from.batch) };
            let mut logs = self.train_epoch(task, &order, place, &mut tallies, callbacks)?;
            if let Some((data, indices)) = &task.validation {
                callbacks.call(self, |callback, training| callback.on_test_begin(training))?;
                let mut tallies = self.tallies();
                self.evaluate_samples(data, indices, task.batch_size, &mut tallies)?;
                let found = tallies.logs();
                // Where a callback took such a training loss for the end, this one is no news.
                if !found["loss"].is_finite() && logs["loss"].is_finite() {
                    return Err(diverged(
                        &format!("the validation loss became {}", found["loss"]),
                        &format!("after epoch {}", epoch + 1),
                        "of that epoch",
                    ));
                }
                callbacks.call(self, |callback, training| callback.on_test_end(found, training))?;
                for (name, value) in found.iter() {
                    logs.set(&format!("val_{name}"), value);
                }
            }
            callbacks.call(self, |callback, training| {
                callback.on_epoch_end(epoch, &mut logs, training)
            })?;
            callbacks.history.push(epoch, &logs);
            let place = Place { epoch: epoch + 1, batch: 0 };
            callbacks.end_of_moment(self, task, place, None)?;
            if callbacks.wishes.stop {
                break;
            }
        }
        Ok(())
    }

    /// Every batch of an epoch from this place on.
    fn train_epoch(
        &mut self,
        task: &Task<'_>,
        order: &[usize],
        place: Place,
        tallies: &mut Tallies,
        callbacks: &mut Callbacks<'_>,
    ) -> Result<Logs> {
        let epoch = place.epoch;
        let seed = task.seed_of(epoch);
        let batch_size = task.batch_size();
        let weighting =
            Weighting { samples: task.data.sample_weight(), classes: task.class_weight.as_deref() };
        // What had been stopped in the middle of an epoch only ends it.
        let done = if callbacks.wishes.stop && place.batch > 0 {
            order.len()
        } else {
            order.len().min(place.batch * batch_size)
        };
        let rest = &order[done..];
        let mut batches = place.batch..;
        let step = |chunk: Chunk<'_>| {
            let batch = batches.next().unwrap_or_default();
            self.check_loaded(task.data, &chunk)?;
            callbacks
                .call(self, |callback, training| callback.on_train_batch_begin(batch, training))?;
            let seed = derive(seed, batch as u64);
            let step = Step { batch_size, seed, weighting, turn: task.turn(batch) };
            self.check_rate("fit")?;
            let trained = self.train_samples(&chunk, step, tallies);
            if let Err(loss) = trained
                && !callbacks.accept(self, batch, loss)?
            {
                return Err(diverged(
                    &format!("the loss became {loss}"),
                    &format!("in epoch {}, batch {}", epoch + 1, batch + 1),
                    "before that batch",
                ));
            }
            let logs = tallies.logs();
            callbacks.call(self, |callback, training| {
                callback.on_train_batch_end(batch, logs, training)
            })?;
            let place = Place { epoch, batch: batch + 1 };
            callbacks.end_of_moment(self, task, place, Some(tallies))?;
            let stop = callbacks.wishes.stop;
            Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        task.data.each(rest, batch_size, Some(seed_of_samples(seed)), step)?;
        Ok(tallies.logs().clone())
    }
}

/// The error of a loss that is not finite, with which weights the model is left with.
fn diverged(what: &str, when: &str, weights: &str) -> Error {
    let why = format!(
        "fit: {what} {when} (counted from 1); the weights are those {weights}, or the best so far \
         with restore_best_weights; try a smaller learning rate or scale the inputs"
    );
    Error::new(ErrorKind::Diverged, why)
}

/// A training whose data and settings have been checked.
pub(super) struct Task<'t> {
    data: &'t Data<'t>,
    /// The samples to train on, and those to validate with.
    pub(super) train: Vec<usize>,
    pub(super) validation: Option<(&'t Data<'t>, Vec<usize>)>,
    pub(super) epochs: Range<usize>,
    pub(super) batch_size: usize,
    pub(super) class_weight: Option<Vec<f32>>,
    pub(super) gradient_accumulation_steps: usize,
    pub(super) shuffle: bool,
    pub(super) seed: u64,
}

impl Task<'_> {
    /// The most samples a batch has.
    fn batch_size(&self) -> usize {
        self.batch_size.min(self.train.len())
    }

    /// What an epoch draws from.
    fn seed_of(&self, epoch: usize) -> u64 {
        derive(self.seed, epoch as u64)
    }

    /// The place of a batch of an epoch among those that become one step.
    pub(super) fn turn(&self, batch: usize) -> Turn {
        let (n, batch_size) = (self.train.len(), self.batch_size());
        let of_step = batch_size.saturating_mul(self.gradient_accumulation_steps);
        let start = batch * batch_size;
        let first = start / of_step * of_step;
        let end = n.min(first.saturating_add(of_step));
        Turn { of: end - first, first: start == first, last: start + batch_size >= end }
    }
}
