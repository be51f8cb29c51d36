//! A network as a graph of ONNX's nodes.

use std::collections::HashSet;

use ndarray::{ArrayD, ArrayViewD};

use super::layers;
use super::proto::{
    AttributeProto, AttributeType, DataType, Dimension, DimensionProto, GraphProto, NodeProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use crate::model::{Model, Step};
use crate::shape::Shape;

/// What the first axis of every input and output is called.
const BATCH: &str = "batch";

/// How the axes of a value lie behind the first: channels last, as everywhere else in this crate, or
/// first, as ONNX's operators on images want them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axes {
    Last,
    First,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) axes: Axes,
}

/// The graph while it grows.
#[derive(Debug, Default)]
pub(super) struct Graph {
    proto: GraphProto,
    taken: HashSet<String>,
    /// For every step, its output with the channels last and first, as far as it is there.
    outputs: Vec<[Option<String>; 2]>,
}

impl Graph {
    /// The graph of a model, or why there is none, as the end of a sentence.
    pub(super) fn of(model: &Model) -> Result<GraphProto, String> {
        let network = &model.network;
        let mut graph = Self::default();
        graph.proto.name = "convnet".to_string();
        graph.taken = network.steps.iter().map(|step| step.name.clone()).collect();
        let mut weights = model.weights().into_iter();
        for step in &network.steps {
            let weights = weights.by_ref().take(step.weights.len()).collect();
            let output = match &step.layer {
                None => {
                    graph.proto.input.push(described(&step.name, &step.shape)?);
                    Value { name: step.name.clone(), axes: Axes::Last }
                }
                Some(layer) => {
                    let mut writer = Writer { graph: &mut graph, step, weights };
                    layers::write(&**layer, &mut writer).map_err(|why| {
                        format!("`{}` of class {} {why}", step.name, layer.class_name())
                    })?
                }
            };
            let mut places = [None, None];
            places[output.axes as usize] = Some(output.name);
            graph.outputs.push(places);
        }
        for &step in &network.outputs {
            let Step { name, shape, layer, .. } = &network.steps[step];
            graph.proto.output.push(described(name, shape)?);
            // An output that is an input stands for itself.
            if layer.is_some() {
                let value = graph.placed(step, shape, Axes::Last);
                graph.proto.node.push(NodeProto {
                    input: vec![value],
                    output: vec![name.clone()],
                    name: name.clone(),
                    op_type: "Identity".to_string(),
                    attribute: Vec::new(),
                });
            }
        }
        Ok(graph.proto)
    }

    /// A name that nothing else has.
    fn fresh(&mut self, name: &str) -> String {
        let numbered = (1..).map(|count| format!("{name}_{count}"));
        let mut names = std::iter::once(name.to_string()).chain(numbered);
        let name = names.find(|name| !self.taken.contains(name)).unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }

    fn node(
        &mut self,
        name: &str,
        op_type: &str,
        input: Vec<String>,
        attribute: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh(&format!("{name}/{op_type}"));
        self.proto.node.push(NodeProto {
            input,
            output: vec![output.clone()],
            name: output.clone(),
            op_type: op_type.to_string(),
            attribute,
        });
        output
    }

    /// The output of a step with these axes: where it is not there so, it is transposed.
    fn placed(&mut self, step: usize, shape: &Shape, axes: Axes) -> String {
        if let Some(there) = &self.outputs[step][axes as usize] {
            return there.clone();
        }
        let there = self.outputs[step].iter().flatten().next();
        let from = there.expect("an output is there in one way at least").clone();
        // A single axis has no other order.
        let rank = shape.len() as i64;
        let name = if rank < 2 {
            from
        } else {
            let perm = match axes {
                Axes::First => [0, rank].into_iter().chain(1..rank).collect(),
                Axes::Last => [0].into_iter().chain(2..=rank).chain([1]).collect(),
            };
            self.node(&from, "Transpose", vec![from.clone()], vec![ints("perm", perm)])
        };
        self.outputs[step][axes as usize] = Some(name.clone());
        name
    }
}

/// What a layer of the table is handed to write its nodes with.
pub(super) struct Writer<'a> {
    graph: &'a mut Graph,
    step: &'a Step,
    weights: Vec<(String, ArrayViewD<'a, f32>)>,
}

impl<'a> Writer<'a> {
    /// The shapes of the layer's inputs, and of its output.
    pub(super) fn input_shapes(&self) -> &'a [Shape] {
        &self.step.input_shapes
    }

    pub(super) fn output_shape(&self) -> &'a Shape {
        &self.step.shape
    }

    /// An input with these axes.
    pub(super) fn input(&mut self, index: usize, axes: Axes) -> String {
        self.graph.placed(self.step.inputs[index], &self.step.input_shapes[index], axes)
    }

    /// All inputs as they are, or with the channels first where they differ.
    pub(super) fn inputs(&mut self) -> (Vec<String>, Axes) {
        let there = |axes: Axes| {
            let mut inputs = self.step.inputs.iter();
            inputs.all(|&input| self.graph.outputs[input][axes as usize].is_some())
        };
        let axes = if !there(Axes::First) && there(Axes::Last) { Axes::Last } else { Axes::First };
        ((0..self.step.inputs.len()).map(|input| self.input(input, axes)).collect(), axes)
    }

    /// The only input as it is.
    pub(super) fn single(&mut self) -> Value {
        let (mut names, axes) = self.inputs();
        Value { name: names.remove(0), axes }
    }

    /// A weight of the layer, if it has one of this name.
    pub(super) fn weight(&self, name: &str) -> Option<ArrayViewD<'a, f32>> {
        let index = self.step.weights.iter().position(|weight| weight.name == name)?;
        Some(self.weights[index].1.clone())
    }

    /// A node; its output.
    pub(super) fn node<'b>(
        &mut self,
        op_type: &str,
        inputs: impl IntoIterator<Item = &'b String>,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let inputs = inputs.into_iter().cloned().collect();
        self.graph.node(&self.step.name, op_type, inputs, attributes)
    }

    /// Floats that the nodes read.
    pub(super) fn floats(&mut self, name: &str, floats: &ArrayD<f32>) -> Result<String, String> {
        let bytes = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        self.tensor(name, DataType::Float, floats.shape(), bytes)
    }

    /// A number that the nodes read.
    pub(super) fn scalar(&mut self, name: &str, number: f32) -> Result<String, String> {
        self.tensor(name, DataType::Float, &[], number.to_le_bytes().to_vec())
    }

    /// Whole numbers that the nodes read.
    pub(super) fn whole(&mut self, name: &str, numbers: &[i64]) -> Result<String, String> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.tensor(name, DataType::Int64, &[numbers.len()], bytes)
    }

    fn tensor(
        &mut self,
        name: &str,
        data_type: DataType,
        shape: &[usize],
        raw_data: Vec<u8>,
    ) -> Result<String, String> {
        let name = self.graph.fresh(&format!("{}/{name}", self.step.name));
        let dims = shape.iter().map(|&size| whole(size)).collect::<Result<_, _>>()?;
        let data_type = data_type.into();
        self.graph.proto.initializer.push(TensorProto {
            dims,
            data_type,
            name: name.clone(),
            raw_data,
        });
        Ok(name)
    }
}

/// An input or output of a model.
fn described(name: &str, shape: &Shape) -> Result<ValueInfoProto, String> {
    let mut dims = vec![Dimension::Param(BATCH.to_string())];
    for &size in &**shape {
        dims.push(Dimension::Value(whole(size)?));
    }
    let dim = dims.into_iter().map(|dim| DimensionProto { value: Some(dim) }).collect();
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: DataType::Float.into(), shape });
    Ok(ValueInfoProto { name: name.to_string(), r#type: Some(TypeProto { tensor_type }) })
}

/// A size as ONNX writes it.
pub(super) fn whole(size: usize) -> Result<i64, String> {
    i64::try_from(size).map_err(|_| format!("has a size of {size}, too much for ONNX"))
}

fn attribute(name: &str, r#type: AttributeType) -> AttributeProto {
    let name = name.to_string();
    AttributeProto { name, r#type: r#type.into(), ..AttributeProto::default() }
}

pub(super) fn float(name: &str, number: f32) -> AttributeProto {
    AttributeProto { f: Some(number), ..attribute(name, AttributeType::Float) }
}

pub(super) fn int(name: &str, number: i64) -> AttributeProto {
    AttributeProto { i: Some(number), ..attribute(name, AttributeType::Int) }
}

pub(super) fn ints(name: &str, numbers: Vec<i64>) -> AttributeProto {
    AttributeProto { ints: numbers, ..attribute(name, AttributeType::Ints) }
}

pub(super) fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto { s: Some(text.as_bytes().to_vec()), ..attribute(name, AttributeType::String) }
}
