//! The architecture in a `.keras` file: Keras' `Sequential` and functional models.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::layers::{check_neutral, layer};
use crate::graph::{Input, Node, Nodes};
use crate::model::Model;
use crate::shape::Shape;

/// The model that a `config.json` describes, if its weights are no more than so many numbers.
pub(super) fn model(config: &Value, mut most: usize) -> Result<Model, String> {
    let class = text(config, "class_name")?;
    let layers = config["config"]["layers"].as_array().ok_or("has no list of layers")?;
    let mut nodes: HashMap<&str, Node> = HashMap::new();
    let (mut inputs, mut last): (Vec<Node>, Option<Node>) = Default::default();
    for described in layers {
        let described = Described::of(described)?;
        if nodes.contains_key(described.name) {
            return Err(described.refused("is there twice"));
        }
        let node = if described.class == "InputLayer" {
            let node = described.input().map_err(|why| described.refused(&why))?;
            inputs.push(node.clone());
            node
        } else {
            let from = match class {
                "Sequential" => last.iter().cloned().collect(),
                _ => described.inbound(&nodes).map_err(|why| described.refused(&why))?,
            };
            described.applied(from, &mut most).map_err(|why| described.refused(&why))?
        };
        last = Some(node.clone());
        nodes.insert(described.name, node);
    }
    let (inputs, outputs) = match class {
        "Sequential" => (inputs, last.into_iter().collect()),
        "Functional" => (
            ends(&config["config"]["input_layers"], &nodes)?,
            ends(&config["config"]["output_layers"], &nodes)?,
        ),
        _ => {
            return Err(format!("is a {class}; only Sequential and functional models can be read"));
        }
    };
    Model::new(inputs, outputs).map_err(|error| error.to_string())
}

/// One entry of the list of layers.
struct Described<'a> {
    class: &'a str,
    name: &'a str,
    config: &'a Map<String, Value>,
    entry: &'a Value,
}

impl<'a> Described<'a> {
    fn of(entry: &'a Value) -> Result<Self, String> {
        let class = text(entry, "class_name")?;
        let config = entry["config"].as_object().ok_or("has a layer without config")?;
        let name = text(&entry["config"], "name")?;
        let described = Self { class, name, config, entry };
        // A class of one's own may have the name of one of Keras'.
        match entry["module"].as_str() {
            Some(module) if module == "keras" || module.starts_with("keras.") => Ok(described),
            _ => Err(described.refused("is not one of Keras' own layers")),
        }
    }

    fn refused(&self, why: &str) -> String {
        format!("has the layer `{}` of class {}, which {why}", self.name, self.class)
    }

    fn input(&self) -> Result<Node, String> {
        let mut shape = Vec::new();
        for (name, value) in self.config {
            match (name.as_str(), value) {
                ("batch_shape", Value::Array(sizes)) => {
                    // The first is the number of samples.
                    for size in sizes.iter().skip(1) {
                        let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
                        shape.push(size.ok_or_else(|| {
                            format!("has batch_shape = {value}; sizes must be known here")
                        })?);
                    }
                }
                _ => check_neutral(name, value, 0)?,
            }
        }
        Ok(Node::from(&Input::new(Shape::from(shape)).name(self.name)))
    }

    /// The nodes that the layer is applied to.
    fn inbound(&self, nodes: &HashMap<&str, Node>) -> Result<Vec<Node>, String> {
        let calls = self.entry["inbound_nodes"].as_array().map_or(&[][..], Vec::as_slice);
        let [call] = calls else {
            return Err(format!("is applied {} times; layers are not shared here", calls.len()));
        };
        // Keras notes whether the call was one of training, and then overrides it.
        let says = |(name, value): &(&String, &Value)| !(value.is_null() || *name == "training");
        if let Some((name, value)) = call["kwargs"].as_object().and_then(|of| of.iter().find(says))
        {
            return Err(format!("is called with {name} = {value}, which has no like here"));
        }
        let tensors = match call["args"].as_array().map_or(&[][..], Vec::as_slice) {
            [Value::Array(tensors)] => tensors.as_slice(),
            args => args,
        };
        let source = |tensor: &Value| node(&tensor["config"]["keras_history"], nodes);
        tensors.iter().map(source).collect()
    }

    /// The layer applied to these nodes; takes its weights off what is left for them.
    fn applied(&self, from: Vec<Node>, most: &mut usize) -> Result<Node, String> {
        let shapes: Vec<Shape> = from.iter().map(|node| node.shape().clone()).collect();
        let axes = shapes.first().map_or(0, |shape| 1 + shape.len());
        let trainable = self.config.get("trainable").is_none_or(|trainable| *trainable == true);
        let spec = layer(self.class, self.config, axes)?.name(self.name).trainable(trainable);
        let applied = from.apply(spec).map_err(|error| {
            // Without the line, which would be one of this file.
            let error = error.to_string();
            let error = error.rsplit_once(" (").map_or(&*error, |(sentence, _)| sentence);
            format!("cannot be built: {error}")
        })?;
        let weights = applied.layer().map_or(Vec::new(), |layer| layer.weights(&shapes));
        let wanted = weights.iter().map(|weight| weight.shape.size()).sum();
        *most = most.checked_sub(wanted).ok_or("wants more weights than the file has")?;
        Ok(applied)
    }
}

/// The inputs or outputs of a functional model: a list of tensors, or the only one.
fn ends(listed: &Value, nodes: &HashMap<&str, Node>) -> Result<Vec<Node>, String> {
    match listed.as_array().map_or(&[][..], Vec::as_slice) {
        [Value::String(_), ..] => Ok(vec![node(listed, nodes)?]),
        list => list.iter().map(|end| node(end, nodes)).collect(),
    }
}

/// The node of a tensor, which Keras writes as the layer that made it, which call of it, and which of
/// its outputs.
fn node(tensor: &Value, nodes: &HashMap<&str, Node>) -> Result<Node, String> {
    let known = match tensor.as_array().map_or(&[][..], Vec::as_slice) {
        [Value::String(name), call, output] if *call == 0 && *output == 0 => nodes.get(&**name),
        _ => None,
    };
    known.cloned().ok_or_else(|| {
        let shown: String = tensor.to_string().chars().take(80).collect();
        format!("reads {shown}, which no layer before it makes")
    })
}

fn text<'a>(of: &'a Value, name: &str) -> Result<&'a str, String> {
    of[name].as_str().ok_or_else(|| format!("has no {name} where one is expected"))
}
