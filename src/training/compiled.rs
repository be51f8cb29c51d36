//! A model with what it takes to train it, one batch at a time.

use std::ops::{ControlFlow, Deref, DerefMut, Range};

use crate::batches::{Chunk, Data};
use crate::callbacks::Logs;
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::buffer::Buffer;
use crate::kernels::parallel::inside_pool;
use crate::kernels::simd::level;
use crate::kernels::update::add_share;
use crate::labels::{IntoLabels, Labels};
use crate::losses::IntoLosses;
use crate::metrics::{IntoMetrics, OutputMetric};
use crate::model::{BATCH_SIZE, Model, Network, Summary};
use crate::optimizers::{self, MOST_SLOTS, Optimizer};
use crate::random::derive;
use crate::samples::{Column, IntoSamples};
use crate::shape::Shape;

use super::evaluation::Evaluation;
use super::objective::Objective;
use super::penalties::Penalties;
use super::shards::{Batch, Shards};
use super::tallies::{Output, Tallies};
use super::weighting::{Weighting, class_weights};

impl Model {
    /// Makes the model trainable. A loss given once is used for every output; [`IntoLosses`] and
    /// [`IntoMetrics`] say how to give one for each.
    ///
    /// Where an output ends in the activation that the loss pairs with — softmax with
    /// [`CategoricalCrossentropy`](struct@crate::losses::CategoricalCrossentropy) — training and evaluation
    /// leave that activation to the loss, which then works on scores and is exact.
    ///
    /// A model that has not been compiled cannot be trained; `fit` is a method of the
    /// [`CompiledModel`]:
    ///
    /// ```compile_fail,E0599
    /// # use convnet::prelude::*;
    /// # use ndarray::array;
    /// # let x = Input::new(2);
    /// # let y = x.apply(Dense::new(2).activation(Softmax))?;
    /// let mut model = Model::new(&x, &y)?;
    /// model.fit(&array![[0.0, 1.0]], &array![[0, 1]], Fit::new())?;
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn compile(
        self,
        optimizer: impl Optimizer + 'static,
        loss: impl IntoLosses,
        metrics: impl IntoMetrics,
    ) -> CompiledModel {
        let mut network = self.network.clone();
        let objective = Objective::new(loss.into_losses(), &mut network);
        let tensors = network.trained().map(|(_, place)| place).collect();
        let penalties = Penalties::new(&network);
        CompiledModel {
            state_before: Buffer::zeros(network.frozen_len),
            slots: (0..optimizer.slots().min(MOST_SLOTS))
                .map(|_| Buffer::zeros(network.trainable_len))
                .collect(),
            model: self,
            network,
            objective,
            optimizer: Box::new(optimizer),
            metrics: metrics.into_metrics(),
            tensors,
            penalties,
            accumulated: Buffer::zeros(0),
            shards: None,
            evaluation: None,
        }
    }
}

/// A model that can be trained. Dereferences to [`Model`], so that it predicts and summarises too.
#[derive(Debug)]
pub struct CompiledModel {
    pub(super) model: Model,
    /// The model's network, less the activations that the loss took over.
    pub(super) network: Network,
    objective: Objective,
    pub(super) optimizer: Box<dyn Optimizer>,
    metrics: Vec<OutputMetric>,
    penalties: Penalties,
    /// Where each trainable weight lies.
    tensors: Vec<Range<usize>>,
    /// The frozen weights before the current step: forward moves averages before the loss is known.
    state_before: Buffer,
    pub(super) slots: Vec<Buffer>,
    /// The gradients of the batches that are to become one step, if there are several.
    pub(super) accumulated: Buffer,
    shards: Option<Shards>,
    evaluation: Option<Evaluation>,
}

/// What samples are varied by: no batch, and so no mask of dropout, has this number.
pub(super) fn seed_of_samples(seed: u64) -> u64 {
    derive(seed, u64::MAX)
}

/// What is done with the samples of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'s> {
    /// The most samples a batch has, which decides how they are laid out: a short last batch goes the
    /// way of the others.
    pub(super) batch_size: usize,
    pub(super) seed: u64,
    pub(super) weighting: Weighting<'s>,
    pub(super) turn: Turn,
}

/// The place of a batch among those that become one step together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// How many samples the step has.
    pub(super) of: usize,
    pub(super) first: bool,
    pub(super) last: bool,
}

impl Deref for CompiledModel {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl DerefMut for CompiledModel {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}

impl CompiledModel {
    /// The model alone, without optimizer and gradients.
    pub fn into_model(self) -> Model {
        self.model
    }

    /// How much the loss of each output counts, in their order; 1 for each. Too few, too many and such as
    /// are negative or not finite are refused by `fit`, `evaluate` and `train_on_batch`.
    pub fn loss_weights(mut self, loss_weights: impl Into<Vec<f64>>) -> Self {
        self.objective.weigh(loss_weights.into());
        self
    }

    /// The table of layers as [`Model::summary`] gives it; once training has begun it counts what
    /// the optimizer keeps too, as Keras does.
    pub fn summary(&self) -> Summary {
        match self.optimizer.iterations() {
            0 => self.model.summary(),
            _ => self.model.summary().optimizer(self.slots.len()),
        }
    }

    /// The optimizer, for a look at its learning rate or a change of it.
    pub fn optimizer(&mut self) -> &mut dyn Optimizer {
        &mut *self.optimizer
    }

    /// Loss and metrics over all samples, in inference mode, 32 samples at a time.
    ///
    /// # Errors
    /// If the data do not fit the model or the loss, are empty, not finite or cannot be loaded.
    ///
    /// ```
    /// use convnet::prelude::*;
    /// use ndarray::array;
    ///
    /// let x = Input::new(2);
    /// let model = Model::new(&x, x.apply(Activation::Softmax)?)?;
    /// let mut model = model.compile(SGD::default(), SparseCategoricalCrossentropy, [Accuracy]);
    /// let logs = model.evaluate(&array![[0.0, 1.0], [0.0, 1.0]], &array![0, 1])?;
    /// assert_eq!(logs["accuracy"], 0.5);
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn evaluate<'a>(
        &mut self,
        x: impl IntoSamples<'a>,
        y: impl IntoLabels<'a>,
    ) -> Result<Logs> {
        let data = self.data(x.into_samples(), y.into_labels(), "evaluate")?;
        let order: Vec<usize> = (0..data.len()).collect();
        let mut tallies = self.tallies();
        inside_pool(|| self.evaluate_samples(&data, &order, BATCH_SIZE, &mut tallies))?;
        Ok(tallies.logs().clone())
    }

    /// One training step on these samples, all in one batch; returns their loss before the step.
    /// For a training loop of your own; `seed` is what dropout draws from, another for every step.
    ///
    /// # Errors
    /// If the data do not fit the model or the loss, are empty, not finite or cannot be loaded, or if
    /// the loss is not finite; the weights are then as before.
    ///
    /// ```
    /// use convnet::prelude::*;
    /// use ndarray::array;
    ///
    /// let x = Input::new(1);
    /// let model = Model::new(&x, x.apply(Dense::new(1))?)?;
    /// let mut model = model.compile(SGD::new(0.1), MeanSquaredError, ());
    /// let (x, y) = (array![[0.0], [1.0]], array![[1.0], [3.0]]);
    /// let losses = (0..100).map(|step| model.train_on_batch(&x, &y, step));
    /// let losses = losses.collect::<convnet::Result<Vec<f64>>>()?;
    /// assert!(losses[99] < 0.01 * losses[0]);
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn train_on_batch<'a>(
        &mut self,
        x: impl IntoSamples<'a>,
        y: impl IntoLabels<'a>,
        seed: u64,
    ) -> Result<f64> {
        let data = self.data(x.into_samples(), y.into_labels(), "train_on_batch")?;
        self.check("train_on_batch")?;
        let order: Vec<usize> = (0..data.len()).collect();
        let (mut tallies, mut loss) = (self.tallies(), Ok(0.0));
        let step = |chunk: Chunk<'_>| {
            self.check_loaded(&data, &chunk)?;
            let weighting = Weighting { samples: data.sample_weight(), classes: None };
            let turn = Turn { of: data.len(), first: true, last: true };
            let step = Step { batch_size: data.len(), seed, weighting, turn };
            self.check_rate("train_on_batch")?;
            loss = self.train_samples(&chunk, step, &mut tallies);
            Ok(ControlFlow::Continue(()))
        };
        inside_pool(|| data.each(&order, data.len(), Some(seed_of_samples(seed)), step))?;
        loss.map_err(|loss| {
            let why = format!(
                "train_on_batch: the loss became {loss}; the weights are as before; try a smaller \
                 learning rate or scale the inputs"
            );
            Error::new(ErrorKind::Diverged, why)
        })
    }

    /// Tallies for this model's outputs and metrics that have seen no sample.
    pub(super) fn tallies(&self) -> Tallies {
        Tallies::new(self.outputs(), &self.metrics)
    }

    /// Data checked against the inputs, outputs and the loss.
    pub(super) fn data<'a>(
        &self,
        x: Vec<Column<'a>>,
        (y, sample_weight): Labels<'a>,
        who: &str,
    ) -> Result<Data<'a>> {
        let checked = self.objective.check().and_then(|()| self.check_metrics());
        checked.map_err(|why| Error::training(format!("{who}: {why}")))?;
        let x = Data::inputs(x, self.network.shapes(&self.network.inputs), who)?;
        let mut targets = Vec::new();
        for (output, shape) in self.network.shapes(&self.network.outputs).enumerate() {
            let target = self.objective.loss(output).target_shape(shape);
            targets.push(target.map_err(|why| Error::data(format!("{who}: {why}")))?);
        }
        let mut data = x.labels(y, &targets)?;
        if let Some(sample_weight) = sample_weight {
            data = data.weighted(sample_weight)?;
        }
        for (output, target) in targets.iter().enumerate() {
            let labels = data.labels_in_memory(output).unwrap_or(&[]);
            for (sample, label) in labels.chunks_exact(target.size()).enumerate() {
                self.check_label(output, sample, label, who)?;
            }
        }
        Ok(data)
    }

    /// The labels of samples that were just loaded.
    pub(super) fn check_loaded(&self, data: &Data<'_>, chunk: &Chunk<'_>) -> Result<()> {
        for output in (0..chunk.y.arrays()).filter(|_| chunk.loaded) {
            for (&place, &sample) in chunk.places.iter().zip(chunk.indices) {
                self.check_label(output, sample, chunk.y.sample(output, place), data.who())?;
            }
        }
        Ok(())
    }

    fn check_label(&self, output: usize, sample: usize, label: &[f32], who: &str) -> Result<()> {
        let shape = &self.network.steps[self.network.outputs[output]].shape;
        let checked = self.objective.loss(output).check_target(shape, label);
        checked.map_err(|why| Error::data(format!("{who}: the label of sample {sample} {why}")))
    }

    /// What makes no sense before any work is done.
    pub(super) fn check(&self, who: &str) -> Result<()> {
        optimizers::check(&*self.optimizer)
            .map_err(|why| Error::training(format!("{who}: {why}")))?;
        if self.optimizer.slots() > MOST_SLOTS {
            return Err(Error::training(format!(
                "{who}: the optimizer wants {} numbers a weight; at most {MOST_SLOTS} are kept",
                self.optimizer.slots()
            )));
        }
        if self.network.trainable_len == 0 {
            return Err(Error::training(match self.network.weights_len {
                0 => format!("{who}: the model has no weights to train; add a layer that has some"),
                _ => format!(
                    "{who}: no layer with weights is trainable; set one to trainable(true) before \
                     compile"
                ),
            }));
        }
        Ok(())
    }

    /// A learning rate that a schedule leads to and no weights survive.
    pub(super) fn check_rate(&self, who: &str) -> Result<()> {
        optimizers::check_rate(self.optimizer.learning_rate()).map_err(|why| {
            Error::training(format!("{who}: in step {}: {why}", self.optimizer.iterations()))
        })
    }

    /// Metrics that cannot tell anything of an output, or two of the same name.
    fn check_metrics(&self) -> Result<(), String> {
        for output in self.outputs() {
            for metric in output.metrics(&self.metrics) {
                metric.check(output.shape).map_err(|why| format!("{}: {why}", metric.name()))?;
            }
        }
        let named = self.metrics.iter().filter_map(|(output, _)| output.as_deref());
        for name in named {
            let names: Vec<&str> = self.outputs().map(|output| output.name).collect();
            if !names.contains(&name) {
                return Err(format!(
                    "there is a metric for `{name}`; the model's outputs are {}",
                    names.join(", ")
                ));
            }
        }
        self.keys(false).map(|_| ())
    }

    /// The keys of what an epoch is told about, in order, each with whether larger is better. No two are
    /// the same.
    pub(super) fn keys(&self, validation: bool) -> Result<Vec<(String, bool)>, String> {
        let mut keys = vec![("loss".to_string(), false)];
        for output in self.outputs() {
            keys.extend(output.loss_key().map(|key| (key, false)));
            for metric in output.metrics(&self.metrics) {
                let larger = metric.larger_is_better();
                keys.extend(output.keys(metric).into_iter().map(|key| (key, larger)));
            }
        }
        if validation {
            let held_out = keys.iter().map(|(key, larger)| (format!("val_{key}"), *larger));
            keys.extend(held_out.collect::<Vec<_>>());
        }
        keys.sort();
        match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(format!(
                "two numbers would be called `{}`; give a metric another name with named, or an output \
                 layer with name",
                pair[0].0
            )),
            None => Ok(keys),
        }
    }

    /// The model's outputs as tallies see them.
    fn outputs(&self) -> impl Iterator<Item = Output<'_>> {
        let outputs = &self.network.outputs;
        outputs.iter().enumerate().map(|(i, &output)| {
            let step = &self.network.steps[output];
            let (alone, weight) = (outputs.len() == 1, self.objective.weight(i));
            Output { name: &step.name, shape: &step.shape, alone, weight }
        })
    }

    /// The weight of each class, as `fit` is given them.
    pub(super) fn class_weights(&self, given: &[(usize, f32)], who: &str) -> Result<Vec<f32>> {
        let outputs: Vec<&Shape> = self.network.shapes(&self.network.outputs).collect();
        let weights = class_weights(given, &outputs);
        weights.map_err(|why| Error::training(format!("{who}: {why}")))
    }

    /// One step on these samples, or their part of one. Returns their mean loss; `Err` with it if it is
    /// not finite, and then the model is as before.
    pub(super) fn train_samples(
        &mut self,
        chunk: &Chunk<'_>,
        step: Step<'_>,
        tallies: &mut Tallies,
    ) -> Result<f64, f64> {
        let Step { batch_size, seed, weighting, turn } = step;
        let n = chunk.places.len();
        // Out of the model's hands while others work in them: after a panic there are new ones.
        let shards = self.shards.take().filter(|shards| shards.are_for(batch_size));
        let mut shards = shards.unwrap_or_else(|| Shards::new(&self.network, batch_size));
        let Model { weights, state, .. } = &mut self.model;
        self.state_before.copy_from_slice(state);
        let mut state = Undo { state, before: &self.state_before, done: false };
        let objective = &self.objective;
        let network = &self.network;
        let batch = Batch { network, chunk, weighting, weights, objective, seed };
        shards.run(&batch, state.state);
        let mut total = 0.0;
        shards.each_output(n, |i, loss, outputs, targets| {
            tallies.add(i, loss, outputs, targets, objective.classes(i));
            total += objective.weight(i) * loss;
        });
        let shards = self.shards.insert(shards);
        let penalty = self.penalties.sum(weights);
        tallies.count(n);
        tallies.penalise(n, penalty);
        let loss = total / n as f64 + penalty;
        if !loss.is_finite() {
            return Err(loss);
        }
        state.done = true;
        let mut gradients = shards.gradients();
        if !(turn.first && turn.last) {
            if self.accumulated.len() != gradients.len() {
                self.accumulated = Buffer::zeros(gradients.len());
            }
            if turn.first {
                self.accumulated.fill(0.0);
            }
            let share = n as f32 / turn.of as f32;
            add_share(level(), &mut self.accumulated, gradients, share);
            if !turn.last {
                return Ok(loss);
            }
            gradients = &mut self.accumulated;
        }
        let mut slots: [&mut [f32]; MOST_SLOTS] = Default::default();
        let count = self.slots.len();
        for (slot, buffer) in slots.iter_mut().zip(&mut self.slots) {
            *slot = buffer;
        }
        let weights = &mut weights[..self.network.trainable_len];
        self.penalties.add_gradients(weights, gradients);
        self.optimizer.apply(&self.tensors, weights, gradients, &mut slots[..count]);
        Ok(loss)
    }

    /// Loss and metrics of the samples of these indices.
    pub(super) fn evaluate_samples(
        &mut self,
        data: &Data<'_>,
        indices: &[usize],
        batch_size: usize,
        tallies: &mut Tallies,
    ) -> Result<()> {
        let batch_size = batch_size.min(indices.len());
        let mut evaluation = match self.evaluation.take() {
            Some(evaluation) if evaluation.is_for(batch_size) => evaluation,
            _ => Evaluation::new(&self.network, batch_size),
        };
        tallies.penalise(indices.len(), self.penalties.sum(&self.model.weights));
        let evaluated = data.each(indices, evaluation.at_once(), None, |chunk| {
            self.check_loaded(data, &chunk)?;
            let weighting = Weighting { samples: data.sample_weight(), classes: None };
            evaluation.run(&self.model, &self.objective, &chunk, weighting, tallies);
            Ok(ControlFlow::Continue(()))
        });
        self.evaluation = Some(evaluation);
        evaluated
    }
}

/// Puts the frozen weights back to what they were, if a step has not come so far that its loss is known:
/// it was not finite, or a layer, the loss or a metric has panicked.
struct Undo<'a> {
    state: &'a mut [f32],
    before: &'a [f32],
    done: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.state.copy_from_slice(self.before);
        }
    }
}
