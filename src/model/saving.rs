//! A whole model in a file: its graph as JSON beside its weights.

use std::collections::HashMap;
use std::io::{Cursor, Read, Seek};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Model;
use super::network::Network;
use crate::error::{Error, Result};
use crate::files::{Tensors, versioned, write_tensors};
use crate::graph::{Input, Node, check_size};
use crate::kernels::buffer::Buffer;
use crate::layers::{Config, CustomObjects};
use crate::shape::Shape;

/// Under which name the graph stands in the file's metadata.
const KEY: &str = "convnet";

/// The version of what is written, and the only one that is read.
const VERSION: u64 = 1;

/// The most bytes of a graph that is read: tens of thousands of layers. What is made of a graph is many
/// times as large as its text.
const LARGEST_GRAPH: usize = 8 << 20;

/// The class of inputs, as Keras has it.
const INPUT: &str = "InputLayer";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    version: u64,
    layers: Vec<SavedLayer>,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedLayer {
    class: String,
    name: String,
    config: Config,
    trainable: bool,
    inputs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputConfig {
    shape: Vec<usize>,
}

/// # Saving and loading
///
/// A model is one safetensors file: the weights under their names as in [`weights`](Model::weights),
/// and in the metadata under `convnet` the graph as JSON. Programs that read safetensors read the
/// weights; `load_weights` does too.
///
/// ```json
/// {
///   "version": 1,
///   "layers": [
///     {"class": "InputLayer", "name": "input_layer", "config": {"shape": [28, 28, 1]},
///      "trainable": true, "inputs": []},
///     {"class": "Flatten", "name": "flatten", "config": {},
///      "trainable": true, "inputs": ["input_layer"]},
///     {"class": "Dense", "name": "dense",
///      "config": {"units": 10, "activation": "softmax", "use_bias": true,
///                 "kernel_initializer": "glorot_uniform", "bias_initializer": "zeros",
///                 "kernel_regularizer": null, "bias_regularizer": null},
///      "trainable": true, "inputs": ["flatten"]}
///   ],
///   "inputs": ["input_layer"],
///   "outputs": ["dense"]
/// }
/// ```
///
/// Every layer comes after those it reads. Its `config` is what [`Layer::config`] wrote; a field that
/// is not known, a class or a version are refused by name.
///
/// [`Layer::config`]: crate::layers::Layer::config
impl Model {
    /// Writes the network and all weights to a file, see [above](#saving-and-loading). A file that is
    /// there stays whole until the new one is complete; a program that is killed before leaves another
    /// one beside it whose name ends in `.unfinished`. Keras: `save`.
    ///
    /// What `compile` added is not in it: the optimizer, its state and the losses. A training that is to
    /// go on later keeps them by [`BackupAndRestore`](crate::callbacks::BackupAndRestore).
    ///
    /// # Errors
    /// If a layer from outside the crate does not write its `config`, or the file cannot be written: no
    /// room, no right, no folder.
    ///
    /// ```
    /// use convnet::prelude::*;
    /// use ndarray::Array4;
    ///
    /// let image = Input::new([28, 28, 1]);
    /// let model = Model::new(&image, models::lenet5(&image, 10)?)?;
    /// let folder = tempfile::tempdir().unwrap();
    /// let path = folder.path().join("lenet5.safetensors");
    /// model.save(&path)?;
    /// let loaded = Model::load(&path)?;
    /// let x = Array4::<f32>::ones((1, 28, 28, 1));
    /// assert_eq!(loaded.predict(&x)?, model.predict(&x)?);
    /// # Ok::<(), convnet::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let graph = self.graph().map_err(|why| Error::layer(format!("save: {why}")))?;
        let texts = HashMap::from([(KEY.to_string(), graph)]);
        write_tensors("save", path.as_ref(), self.tensors(""), texts)
    }

    /// Reads a model that [`save`](Model::save) wrote. Keras: `load_model`.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, holds weights alone or a model of a version or class that
    /// is not known, or if the model in it makes no sense.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &CustomObjects::new())
    }

    /// Reads a model with layers from outside the crate, see [`CustomObjects`].
    ///
    /// # Errors
    /// As those of [`load`](Model::load).
    pub fn load_with(path: impl AsRef<Path>, custom: &CustomObjects) -> Result<Self> {
        let path = path.as_ref();
        let loaded = Tensors::open(path).and_then(|file| Self::from_tensors(file, custom));
        loaded.map_err(|why| Error::file(format!("load: {} {why}", path.display())))
    }

    /// Reads a model from the bytes of a file that [`save`](Model::save) wrote, such as those that
    /// `include_bytes!` puts into a program.
    ///
    /// # Errors
    /// As those of [`load`](Model::load).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, &CustomObjects::new())
    }

    /// Reads a model with layers from outside the crate from bytes, see [`CustomObjects`].
    ///
    /// # Errors
    /// As those of [`load`](Model::load).
    pub fn from_bytes_with(bytes: &[u8], custom: &CustomObjects) -> Result<Self> {
        let loaded =
            Tensors::new(Cursor::new(bytes)).and_then(|file| Self::from_tensors(file, custom));
        loaded.map_err(|why| Error::file(format!("from_bytes: the model {why}")))
    }

    fn from_tensors<R: Read + Seek>(
        mut file: Tensors<R>,
        custom: &CustomObjects,
    ) -> Result<Self, String> {
        let text = file.text(KEY).ok_or(
            "holds no model, only weights perhaps; build the network and use load_weights, or save \
             the model by save",
        )?;
        let network = network(text, custom)?;
        // Now every weight is known to be in the file, and memory can be taken for it.
        network.compare(&file.infos()).strictly().map_err(|why| {
            format!("contradicts itself: the graph in it and its weights differ: it {why}")
        })?;
        let mut model = Self {
            weights: Buffer::zeros(network.weights_len),
            state: Buffer::zeros(network.frozen_len),
            network,
            idle: Default::default(),
        };
        let weights = model.read(&mut file, "", &model.network.weight_names())?;
        model.restore(&weights);
        Ok(model)
    }

    /// The graph as JSON.
    fn graph(&self) -> Result<String, String> {
        let steps = &self.network.steps;
        let names = |of: &[usize]| of.iter().map(|&i| steps[i].name.clone()).collect();
        let mut layers = Vec::with_capacity(steps.len());
        for step in steps {
            let name = step.name.clone();
            let (class, config) = match &step.layer {
                None => {
                    let shape = InputConfig { shape: step.shape.to_vec() };
                    (INPUT, crate::layers::config_of(&shape))
                }
                Some(layer) => (layer.class_name(), layer.config()),
            };
            layers.push(SavedLayer {
                class: class.to_string(),
                config: config.map_err(|why| format!("the layer `{name}` ({class}): {why}"))?,
                name,
                trainable: !step.is_fixed,
                inputs: names(&step.inputs),
            });
        }
        let Network { inputs, outputs, .. } = &self.network;
        let graph =
            Graph { version: VERSION, layers, inputs: names(inputs), outputs: names(outputs) };
        serde_json::to_string(&graph).map_err(|error| error.to_string())
    }
}

/// The network that a text describes; every layer is judged as by `apply`.
fn network(text: &str, custom: &CustomObjects) -> Result<Network, String> {
    if text.len() > LARGEST_GRAPH {
        let length = text.len();
        return Err(format!("has a graph of {length} bytes; at most {LARGEST_GRAPH} make sense"));
    }
    let unreadable = |error| format!("has a graph that cannot be read: {error}; save it anew");
    let graph: Graph = versioned(text, VERSION, unreadable)?;
    let count = graph.layers.len();
    let mut nodes: HashMap<String, Node> = HashMap::with_capacity(count);
    let find = |nodes: &HashMap<String, Node>, name: &String, who: &str| {
        let node = nodes.get(name).cloned();
        node.ok_or_else(|| {
            format!("makes no sense: {who} `{name}`, and there is no such layer before")
        })
    };
    for SavedLayer { class, name, config, trainable, inputs } in graph.layers {
        let wrong = |why: String| format!("makes no sense: the layer `{name}` ({class}): {why}");
        let node = if class == INPUT {
            let InputConfig { shape } = serde_json::from_value(config)
                .map_err(|why| wrong(format!("its config is wrong: {why}")))?;
            if !inputs.is_empty() {
                return Err(wrong("an input reads no layer".to_string()));
            }
            let shape = Shape::from(shape);
            check_size("its samples", &shape).map_err(wrong)?;
            Node::from(&Input::new(shape).name(&name))
        } else {
            let who = format!("`{name}` reads");
            let inputs = inputs.iter().map(|input| find(&nodes, input, &who));
            let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
            let spec = custom.build(&class, config).map_err(wrong)?;
            Node::applied(spec.name(&name).trainable(trainable), inputs).map_err(wrong)?
        };
        if nodes.insert(name.clone(), node).is_some() {
            return Err(wrong("another one has the same name".to_string()));
        }
    }
    let all = |names: &[String], who: &str| {
        names.iter().map(|name| find(&nodes, name, who)).collect::<Result<Vec<_>, _>>()
    };
    let inputs = all(&graph.inputs, "it begins with")?;
    let outputs = all(&graph.outputs, "it ends with")?;
    let network =
        Network::new(&inputs, &outputs).map_err(|why| format!("makes no sense: {why}"))?;
    match network.steps.len() {
        used if used == count => Ok(network),
        used => Err(format!("makes no sense: {} of its layers lead nowhere", count - used)),
    }
}
