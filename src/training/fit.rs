//! The training loop.

use std::fmt;
use std::ops::{ControlFlow, Range};

use rand::seq::SliceRandom;

use super::compiled::{CompiledModel, Step, Turn, seed_of_samples};
use super::history::History;
use super::progress::{Progress, Verbose};
use super::split::validation_split;
use super::weighting::Weighting;
use crate::batches::{Chunk, Data};
use crate::callbacks::{Callback, Logs, Plan, Training};
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
    pub fn fit<'a>(
        &mut self,
        x: impl IntoSamples<'a>,
        y: impl IntoLabels<'a>,
        mut fit: Fit<'_>,
    ) -> Result<History> {
        self.check("fit")?;
        let data = self.data(x.into_samples(), y.into_labels(), "fit")?;
        if fit.batch_size == 0 {
            return Err(Error::training("fit: batch_size is 0; it is at least 1"));
        }
        if fit.gradient_accumulation_steps == 0 {
            return Err(Error::training("fit: gradient_accumulation_steps is 0; it is at least 1"));
        }
        if fit.epochs == 0 {
            return Err(Error::training("fit: epochs is 0; it is at least 1"));
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

        let plan = Plan {
            epochs: fit.epochs,
            steps: train.len().div_ceil(fit.batch_size),
            metrics: self.all_keys(validation.is_some()),
        };
        let mut callbacks = Callbacks { list: fit.callbacks, stop: false, plan };
        callbacks.list.extend(Progress::callback(fit.verbose));
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
        inside_pool(|| {
            let trained = self.train_epochs(&task, &mut callbacks);
            let ended = callbacks.end(self);
            let history = trained?;
            ended.map(|()| history)
        })
    }

    fn train_epochs(&mut self, task: &Task<'_>, callbacks: &mut Callbacks<'_>) -> Result<History> {
        let mut history = History::default();
        let mut order = task.train.clone();
        callbacks.begin(self)?;
        for epoch in task.epochs.clone() {
            let seed = derive(task.seed, epoch as u64);
            if task.shuffle {
                // From the same order every time, so that an epoch depends on its number alone.
                order.sort_unstable();
                order.shuffle(&mut generator(seed));
            }
            callbacks.call(self, |callback, training| callback.on_epoch_begin(epoch, training))?;
            let mut logs = self.train_epoch(task, &order, epoch, seed, callbacks)?;
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
            history.push(epoch, &logs);
            if callbacks.stop {
                break;
            }
        }
        Ok(history)
    }

    /// Every batch of an epoch.
    fn train_epoch(
        &mut self,
        task: &Task<'_>,
        order: &[usize],
        epoch: usize,
        seed: u64,
        callbacks: &mut Callbacks<'_>,
    ) -> Result<Logs> {
        let mut tallies = self.tallies();
        let batch_size = task.batch_size.min(order.len());
        let weighting =
            Weighting { samples: task.data.sample_weight(), classes: task.class_weight.as_deref() };
        let mut batches = 0..;
        let step = |chunk: Chunk<'_>| {
            let batch = batches.next().unwrap_or_default();
            self.check_loaded(task.data, &chunk)?;
            callbacks
                .call(self, |callback, training| callback.on_train_batch_begin(batch, training))?;
            let seed = derive(seed, batch as u64);
            let turn = turn(batch, order.len(), batch_size, task.gradient_accumulation_steps);
            let step = Step { batch_size, seed, weighting, turn };
            let trained = self.train_samples(&chunk, step, &mut tallies);
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
            Ok(if callbacks.stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        task.data.each(order, batch_size, Some(seed_of_samples(seed)), step)?;
        Ok(tallies.logs().clone())
    }

    /// The keys of the logs of an epoch, each with whether larger is better.
    fn all_keys(&self, validation: bool) -> Vec<(String, bool)> {
        let mut keys = self.keys();
        if validation {
            let held_out = keys.iter().map(|(name, larger)| (format!("val_{name}"), *larger));
            keys.extend(held_out.collect::<Vec<_>>());
        }
        keys.sort();
        keys
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

/// The place of a batch of an epoch of `n` samples among the `steps` batches that become one step.
fn turn(batch: usize, n: usize, batch_size: usize, steps: usize) -> Turn {
    let of_step = batch_size.saturating_mul(steps);
    let start = batch * batch_size;
    let first = start / of_step * of_step;
    let end = n.min(first.saturating_add(of_step));
    Turn { of: end - first, first: start == first, last: start + batch_size >= end }
}

/// A training whose data and settings have been checked.
struct Task<'t> {
    data: &'t Data<'t>,
    /// The samples to train on, and those to validate with.
    train: Vec<usize>,
    validation: Option<(&'t Data<'t>, Vec<usize>)>,
    epochs: Range<usize>,
    batch_size: usize,
    class_weight: Option<Vec<f32>>,
    gradient_accumulation_steps: usize,
    shuffle: bool,
    seed: u64,
}

/// The callbacks of a training and what they share.
struct Callbacks<'a> {
    list: Vec<Box<dyn Callback + 'a>>,
    plan: Plan,
    stop: bool,
}

impl Callbacks<'_> {
    /// Whether a callback takes a loss that is not finite for the end of training; all are asked.
    fn accept(&mut self, compiled: &mut CompiledModel, batch: usize, loss: f64) -> Result<bool> {
        let mut accepted = false;
        self.call(compiled, |callback, training| {
            accepted |= callback.on_invalid_loss(batch, loss, training)?;
            Ok(())
        })?;
        self.stop |= accepted;
        Ok(accepted)
    }

    /// Tells all that training begins; what comes after one that refuses has no part in it.
    fn begin(&mut self, compiled: &mut CompiledModel) -> Result<()> {
        let mut told = 0;
        let begun = self.call(compiled, |callback, training| {
            told += 1;
            callback.on_train_begin(training)
        });
        if begun.is_err() {
            self.list.truncate(told);
        }
        begun
    }

    /// Tells all that training has ended, whatever one of them says; the first error comes out.
    fn end(&mut self, compiled: &mut CompiledModel) -> Result<()> {
        let mut ended = Ok(());
        self.call(compiled, |callback, training| {
            let told = callback.on_train_end(training);
            if ended.is_ok() {
                ended = told;
            }
            Ok(())
        })?;
        ended
    }

    /// Calls all, in order; the first error ends it.
    fn call(
        &mut self,
        compiled: &mut CompiledModel,
        mut moment: impl FnMut(&mut dyn Callback, &mut Training<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut training = Training {
            model: &mut compiled.model,
            optimizer: &mut *compiled.optimizer,
            plan: &self.plan,
            stop: &mut self.stop,
        };
        self.list.iter_mut().try_for_each(|callback| moment(&mut **callback, &mut training))
    }
}
