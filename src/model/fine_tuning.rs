//! Which layers are trained, and models built on layers of others.

use std::collections::HashMap;

use super::Model;
use super::network::Step;
use crate::error::{Error, Result};
use crate::graph::Node;
use crate::kernels::buffer::Buffer;

/// # Fine-tuning
///
/// A model's layers can go on in another one: take the output of a layer, apply a new head to it,
/// and take over what the layers have learnt.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let base = Model::new(&image, models::lenet5(&image, 10)?)?;
/// // … trained, then:
/// let features = base.output_of("dense_1")?;
/// let class = features.apply(Dense::new(3).activation(Softmax).name("head"))?;
/// let known = base.layer_names();
/// let model = Model::new(base.inputs(), &class)?
///     .weights_from(&base)?
///     .trainable(known.iter().filter(|name| *name != "dense_2"), false)?;
/// let summary = model.summary().to_string();
/// assert!(summary.contains("Trainable params: 255 "));
/// assert!(summary.contains("Non-trainable params: 60,856 "));
/// # Ok::<(), convnet::Error>(())
/// ```
impl Model {
    /// The names of all layers, inputs included, as `summary` shows them; each comes after those it
    /// reads.
    pub fn layer_names(&self) -> Vec<String> {
        self.network.steps.iter().map(|step| step.name.clone()).collect()
    }

    /// The model's inputs, for a new model that begins with them.
    pub fn inputs(&self) -> Vec<Node> {
        self.network.inputs.iter().map(|&input| self.network.steps[input].node.clone()).collect()
    }

    /// The output of a layer, for a new model to go on from.
    ///
    /// # Errors
    /// If no layer has this name.
    pub fn output_of(&self, layer: &str) -> Result<Node> {
        Ok(self.step("output_of", layer)?.node.clone())
    }

    /// Takes over from another model what the layers that are in both have learnt, and whether they
    /// are trained. A layer is in both if both were built on its node, as `output_of` gives it; names do
    /// not matter.
    ///
    /// # Errors
    /// If no layer with weights is in both.
    pub fn weights_from(self, other: &Self) -> Result<Self> {
        let others: HashMap<usize, &Step> =
            other.network.steps.iter().map(|step| (step.node.id(), step)).collect();
        let theirs = |step: &Step| others.get(&step.node.id()).copied();
        let shared = |step: &&Step| theirs(step).is_some_and(|step| !step.weights.is_empty());
        if !self.network.steps.iter().any(|step| shared(&step)) {
            return Err(Error::graph(
                "weights_from: no layer with weights is in both models; build the new one on an \
                 output_of the other",
            ));
        }
        let mut model = self.fixed(|step| theirs(step).map_or(step.is_fixed, |step| step.is_fixed));
        for step in &model.network.steps {
            let Some(theirs) = theirs(step) else { continue };
            for (to, from) in step.trainable.iter().zip(&theirs.trainable) {
                model.weights[to.clone()].copy_from_slice(&other.weights[from.clone()]);
            }
            for (to, from) in step.frozen.iter().zip(&theirs.frozen) {
                model.state[to.clone()].copy_from_slice(&other.state[from.clone()]);
            }
        }
        Ok(model)
    }

    /// Says of these layers whether they are trained, whatever was said when they were applied. What
    /// that means is said in [`Layer::trainable`](crate::layers::Layer::trainable).
    ///
    /// As in Keras it counts from the next `compile` on; [`into_model`](crate::training::CompiledModel::into_model)
    /// gives back the model of one that has been compiled.
    ///
    /// # Errors
    /// If one of these names is no layer's.
    pub fn trainable<S: AsRef<str>>(
        self,
        layers: impl IntoIterator<Item = S>,
        trainable: bool,
    ) -> Result<Self> {
        let names = layers.into_iter().map(|layer| {
            let step = self.step("trainable", layer.as_ref())?;
            Ok(step.name.clone())
        });
        let names = names.collect::<Result<Vec<String>>>()?;
        Ok(self.fixed(|step| if names.contains(&step.name) { !trainable } else { step.is_fixed }))
    }

    /// The same model with these layers fixed: their weights move to other places.
    fn fixed(self, is_fixed: impl Fn(&Step) -> bool) -> Self {
        let mut network = self.network.clone();
        network.steps.iter_mut().for_each(|step| step.is_fixed = is_fixed(step));
        network.place_weights();
        let mut weights = Buffer::zeros(network.weights_len);
        let mut state = Buffer::zeros(network.frozen_len);
        for ((spec, from), (_, to)) in self.network.weights().zip(network.weights()) {
            let (from_all, to_all) = match spec.trainable {
                true => (&self.weights, &mut weights),
                false => (&self.state, &mut state),
            };
            to_all[to].copy_from_slice(&from_all[from]);
        }
        // Workspaces have a network of their own.
        Self { network, weights, state, idle: Default::default() }
    }

    fn step(&self, who: &str, layer: &str) -> Result<&Step> {
        self.network.steps.iter().find(|step| step.name == layer).ok_or_else(|| {
            Error::graph(format!(
                "{who}: the model has no layer `{layer}`; it has {}",
                self.layer_names().join(", ")
            ))
        })
    }
}
