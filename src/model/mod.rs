//! A model: the sorted steps of a graph and all its weights. Predicts; `compile` makes it trainable.

use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Dimension, IxDyn};

use crate::arrays::Element;
use crate::batches::{Chunk, Data};
use crate::error::{Error, Result};
use crate::graph::Nodes;
use crate::kernels::buffer::Buffer;
use crate::kernels::parallel::inside_pool;
use crate::random::derive;
use crate::samples::IntoSamples;
use crate::shape::Shape;

mod activations;
mod dot;
mod explanation;
mod fine_tuning;
mod input_gradients;
mod matching;
mod network;
mod saving;
mod slots;
mod summary;
mod training_workspace;
mod weights_file;
mod workspace;

pub use explanation::Explanation;
#[cfg(feature = "report")]
pub(crate) use explanation::params;
pub use matching::Matching;
pub(crate) use network::{Network, Step};
pub use summary::Summary;
pub(crate) use training_workspace::TrainingWorkspace;
pub(crate) use workspace::Workspace;

/// How many samples `predict` and `evaluate` take at a time, as in Keras.
pub(crate) const BATCH_SIZE: usize = 32;

/// A network with its weights. [`compile`](Model::compile) turns it into one that can be trained.
///
/// ```
/// use convnet::prelude::*;
/// use ndarray::Array4;
///
/// let image = Input::new([28, 28, 1]);
/// let class = image.apply(Flatten::new())?.apply(Dense::new(10).activation(Softmax))?;
/// let model = Model::new(&image, &class)?;
/// assert_eq!(model.count_params(), 7850);
/// let probabilities = model.predict(&Array4::<f32>::zeros((5, 28, 28, 1)))?;
/// assert_eq!(probabilities.shape(), [5, 10]);
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Debug)]
pub struct Model {
    pub(crate) network: Network,
    /// The trainable weights, and those that the optimizer does not move.
    pub(crate) weights: Buffer,
    pub(crate) state: Buffer,
    /// Workspaces that no call of `predict` is using.
    idle: Mutex<Vec<Workspace>>,
}

/// A copy of all weights of a model.
#[derive(Clone, Debug)]
pub struct Snapshot {
    weights: Buffer,
    state: Buffer,
    /// Where each weight lies, in the layers' order: elsewhere once other layers are trained.
    places: Vec<Range<usize>>,
}

/// Copies every weight from the first to the second of its places. Of the floats the trainable come first.
fn copy_weights(
    network: &Network,
    places: impl Iterator<Item = (Range<usize>, Range<usize>)>,
    from: [&Buffer; 2],
    to: [&mut Buffer; 2],
) {
    for ((spec, _), (here, there)) in network.weights().zip(places) {
        let kind = usize::from(!spec.trainable);
        to[kind][there].copy_from_slice(&from[kind][here]);
    }
}

impl Model {
    /// The model that computes `outputs` from `inputs`, its weights drawn from seed 0.
    ///
    /// # Errors
    /// If an output needs an input that is not listed, if an input is used by no output, or if two
    /// layers were given the same name.
    pub fn new(inputs: impl Nodes, outputs: impl Nodes) -> Result<Self> {
        let network = Network::new(&inputs.nodes(), &outputs.nodes())?;
        let weights = Buffer::zeros(network.weights_len);
        let state = Buffer::zeros(network.frozen_len);
        let model = Self { network, weights, state, idle: Mutex::default() };
        Ok(model.seed(0))
    }

    /// Draws all weights anew from this seed.
    pub fn seed(mut self, seed: u64) -> Self {
        let Self { network, weights, state, .. } = &mut self;
        let seeds = (0..).map(|index| derive(seed, index));
        for ((spec, place), seed) in network.weights().zip(seeds) {
            let floats = if spec.trainable { &mut **weights } else { &mut **state };
            spec.initializer.fill(&spec.shape, seed, &mut floats[place]);
        }
        self
    }

    /// How many numbers all weights have together, frozen ones included.
    pub fn count_params(&self) -> usize {
        self.network.weights().map(|(spec, _)| spec.shape.size()).sum()
    }

    /// The table of layers with their shapes and numbers of weights, in Keras' layout.
    pub fn summary(&self) -> Summary {
        Summary::new(&self.network)
    }

    /// Every weight with its name, such as `conv2d/kernel`, in the order of the layers.
    pub fn weights(&self) -> Vec<(String, ArrayViewD<'_, f32>)> {
        let weights = self.network.named_weights().map(|(name, spec, place)| {
            let floats = if spec.trainable { &self.weights } else { &self.state };
            let view = ArrayViewD::from_shape(IxDyn(&spec.shape), &floats[place]);
            (name, view.expect("a weight has as many floats as its shape says"))
        });
        weights.collect()
    }

    /// Replaces one weight by name.
    ///
    /// # Errors
    /// If the model has no weight of that name, or it has another shape.
    pub fn set_weight<A, S, D>(&mut self, name: &str, weight: &ArrayBase<S, D>) -> Result<()>
    where
        A: Element,
        S: ndarray::Data<Elem = A>,
        D: Dimension,
    {
        let found = self.network.named_weights().find(|(known, ..)| known == name);
        let Some((_, spec, place)) = found else {
            let names: Vec<String> = self.network.named_weights().map(|(name, ..)| name).collect();
            return Err(Error::data(format!(
                "set_weight: the model has no weight `{name}`; it has {}",
                names.join(", ")
            )));
        };
        if weight.shape() != &*spec.shape {
            return Err(Error::data(format!(
                "set_weight: `{name}` has the shape {}, got {}",
                spec.shape,
                Shape::from(weight.shape())
            )));
        }
        let floats = if spec.trainable { &mut self.weights } else { &mut self.state };
        floats[place].copy_from_slice(&A::to_f32(weight.view()));
        Ok(())
    }

    /// A copy of all weights, frozen ones included.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            weights: self.weights.clone(),
            state: self.state.clone(),
            places: self.network.places().collect(),
        }
    }

    /// Writes all weights over an earlier copy of them.
    ///
    /// # Panics
    /// If the copy has other numbers of weights than the model.
    #[track_caller]
    pub fn snapshot_into(&self, snapshot: &mut Snapshot) {
        self.assert_fits(snapshot);
        let Snapshot { weights, state, places } = snapshot;
        let places = self.network.places().zip(places.iter().cloned());
        copy_weights(&self.network, places, [&self.weights, &self.state], [weights, state]);
    }

    /// Puts all weights back to what they were, also if other layers were
    /// [trainable](Model::trainable) then.
    ///
    /// # Panics
    /// If the copy has other numbers of weights than the model.
    #[track_caller]
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.assert_fits(snapshot);
        let Self { network, weights, state, .. } = self;
        let places = snapshot.places.iter().cloned().zip(network.places());
        copy_weights(network, places, [&snapshot.weights, &snapshot.state], [weights, state]);
    }

    #[track_caller]
    fn assert_fits(&self, snapshot: &Snapshot) {
        let own = self.network.places().map(|place| place.len());
        let theirs = snapshot.places.iter().map(Range::len);
        assert!(own.eq(theirs), "the snapshot is of a model with other weights");
    }

    /// The output for each sample of `x`, in inference mode, for a model with one output.
    ///
    /// # Errors
    /// If the data do not have the shape of the model's input, are empty or not finite, or if the
    /// model has several outputs: use [`predict_all`](Model::predict_all).
    pub fn predict<'a>(&self, x: impl IntoSamples<'a>) -> Result<ArrayD<f32>> {
        let count = self.network.outputs.len();
        if count != 1 {
            return Err(Error::data(format!(
                "predict: the model has {count} outputs; use predict_all, which gives them all"
            )));
        }
        Ok(self.outputs(x, "predict")?.remove(0))
    }

    /// Every output for each sample of `x`, in the order of `Model::new`.
    ///
    /// # Errors
    /// If the data do not have the shapes of the model's inputs, are empty or not finite.
    pub fn predict_all<'a>(&self, x: impl IntoSamples<'a>) -> Result<Vec<ArrayD<f32>>> {
        self.outputs(x, "predict_all")
    }

    /// Predicts batch after batch, as they come.
    ///
    /// ```
    /// # use convnet::prelude::*;
    /// # use ndarray::Array2;
    /// # let x = Input::new(3);
    /// # let model = Model::new(&x, x.apply(Dense::new(2))?)?;
    /// let batches = (1..4).map(|n| Array2::<f32>::ones((n, 3)));
    /// for (n, y) in (1..4).zip(model.predict_batches(batches)) {
    ///     assert_eq!(y?.shape(), [n, 2]);
    /// }
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn predict_batches<B>(
        &self,
        batches: impl IntoIterator<Item = B>,
    ) -> impl Iterator<Item = Result<ArrayD<f32>>>
    where
        for<'a> &'a B: IntoSamples<'a>,
    {
        batches.into_iter().map(|batch| self.predict(&batch))
    }

    fn outputs<'a>(&self, x: impl IntoSamples<'a>, who: &str) -> Result<Vec<ArrayD<f32>>> {
        let network = &self.network;
        let data = Data::inputs(x.into_samples(), network.shapes(&network.inputs), who)?;
        let mut workspace = self.workspace(data.len().min(BATCH_SIZE));
        let outputs = self.infer(&data, network, &mut workspace)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        Ok(outputs)
    }

    /// The outputs of a network of this model's layers for all samples, in a workspace made for it.
    fn infer(
        &self,
        data: &Data<'_>,
        network: &Network,
        workspace: &mut Workspace,
    ) -> Result<Vec<ArrayD<f32>>> {
        let order: Vec<usize> = (0..data.len()).collect();
        let mut outputs: Vec<Vec<f32>> = network
            .shapes(&network.outputs)
            .map(|shape| Vec::with_capacity(data.len() * shape.size()))
            .collect();
        let run = |chunk: Chunk<'_>| {
            let n = chunk.places.len();
            for i in 0..chunk.x.arrays() {
                chunk.x.gather(i, chunk.places, workspace.input(i, n));
            }
            workspace.infer(n, &self.weights, &self.state);
            for (i, floats) in outputs.iter_mut().enumerate() {
                floats.extend_from_slice(workspace.output(i, n));
            }
            Ok(ControlFlow::Continue(()))
        };
        let run = || data.each(&order, BATCH_SIZE, None, run);
        // A single batch is over before another thread would have woken up.
        if data.len() <= BATCH_SIZE { run() } else { inside_pool(run) }?;

        let arrays = outputs.into_iter().zip(network.shapes(&network.outputs));
        let arrays = arrays.map(|(floats, shape)| {
            let dims: Vec<usize> = [data.len()].iter().chain(&**shape).copied().collect();
            ArrayD::from_shape_vec(dims, floats).expect("as many floats as the shape says")
        });
        Ok(arrays.collect())
    }

    /// A workspace that nobody uses, or a new one.
    fn workspace(&self, capacity: usize) -> Workspace {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().position(|workspace| workspace.suits(capacity));
        match found {
            Some(position) => idle.swap_remove(position),
            None => {
                let new = Workspace::for_inference(&self.network, capacity);
                // It does what smaller ones did.
                idle.retain(|old| !new.suits(old.capacity));
                new
            }
        }
    }
}
