//! The functional API: nodes, and layers applied to them. Shapes flow here, and shape errors
//! surface here, at the line that wrote the layer.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::layers::{Layer, LayerSpec, snake_case};
use crate::shape::Shape;

/// Where a model begins: images or vectors of a shape, without the number of samples.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([28, 28, 1]);
/// let class = image.apply(Flatten::new())?.apply(Dense::new(10).activation(Softmax))?;
/// assert_eq!(class.shape().to_string(), "(10)");
/// # Ok::<(), convnet::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Input {
    node: Node,
}

impl Input {
    /// An input whose samples have this shape: `[height, width, channels]` for images.
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self { node: Node::input(None, shape.into()) }
    }

    /// Gives it a name of its own; without one it is called `input_layer`.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { node: Node::input(Some(name.into()), self.node.shape().clone()) }
    }

    /// The shape of one sample.
    pub fn shape(&self) -> &Shape {
        self.node.shape()
    }
}

/// The output of a layer in the graph. Cheap to clone; a branch is a second use of the same node.
#[derive(Clone)]
pub struct Node(Arc<NodeInner>);

struct NodeInner {
    /// `None` for an input.
    layer: Option<Arc<dyn Layer>>,
    name: Option<String>,
    trainable: bool,
    inputs: Vec<Node>,
    shape: Shape,
}

impl Node {
    fn input(name: Option<String>, shape: Shape) -> Self {
        let inputs = Vec::new();
        Self(Arc::new(NodeInner { layer: None, name, trainable: true, inputs, shape }))
    }

    /// The output of a layer applied to these nodes; or why it cannot be, as a sentence.
    pub(crate) fn applied(spec: LayerSpec, inputs: Vec<Node>) -> Result<Self, String> {
        let LayerSpec { layer, name, trainable } = spec;
        let shapes: Vec<Shape> = inputs.iter().map(|node| node.shape().clone()).collect();
        let shape = checked_shape(&*layer, &shapes).map_err(|reason| {
            let who = name.clone().unwrap_or_else(|| snake_case(layer.class_name()));
            let shapes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
            let what = match shapes.as_slice() {
                [] => "no input at all".to_string(),
                [shape] => format!("an input of shape {shape}"),
                shapes => format!("inputs of shapes {}", shapes.join(", ")),
            };
            format!("{who}: cannot take {what}: {reason}")
        })?;
        Ok(Self(Arc::new(NodeInner { layer: Some(layer), name, trainable, inputs, shape })))
    }

    /// The shape of one sample.
    pub fn shape(&self) -> &Shape {
        &self.0.shape
    }

    pub(crate) fn layer(&self) -> Option<&Arc<dyn Layer>> {
        self.0.layer.as_ref()
    }

    pub(crate) fn class_name(&self) -> &'static str {
        self.layer().map_or("InputLayer", |layer| layer.class_name())
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Whether the layer was not told to keep its weights.
    pub(crate) fn trainable(&self) -> bool {
        self.0.trainable
    }

    pub(crate) fn inputs(&self) -> &[Node] {
        &self.0.inputs
    }

    /// What tells this node from all others.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The node alone: with all before it, a graph with branches would be printed once for each way through it.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} of shape {})", self.class_name(), self.shape())
    }
}

impl Drop for NodeInner {
    // Long chains would otherwise be dropped by recursion and overflow the stack.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.inputs);
        while let Some(node) = pending.pop() {
            if let Some(mut inner) = Arc::into_inner(node.0) {
                pending.append(&mut inner.inputs);
            }
        }
    }
}

/// One or several nodes, which a layer can be applied to: an [`Input`], a [`Node`], an array, slice
/// or `Vec` of one of these, or a tuple that mixes them.
///
/// A layer is moved into the node it makes, so it cannot be applied twice: layers are not shared.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([8, 8, 3]);
/// let left = image.apply(Conv2D::new(4, 3).padding(Same))?;
/// let right = image.apply(Conv2D::new(4, 1))?;
/// let sum = [left, right].apply(Add::new())?;
/// let all = (&image, &sum).apply(Concatenate::new())?;
/// assert_eq!(all.shape().to_string(), "(8, 8, 7)");
/// # Ok::<(), convnet::Error>(())
/// ```
pub trait Nodes {
    /// The nodes, in order.
    fn nodes(&self) -> Vec<Node>;

    /// Applies a layer; the node that comes back is its output.
    ///
    /// # Errors
    /// If the layer is misconfigured or cannot take inputs of these shapes; the sentence names the
    /// layer, the shapes, what to do, and the file and line of this call.
    #[track_caller]
    fn apply(&self, layer: impl Into<LayerSpec>) -> Result<Node> {
        let location = Location::caller();
        Node::applied(layer.into(), self.nodes())
            .map_err(|why| Error::layer(format!("{why} ({location})")))
    }
}

fn checked_shape(layer: &dyn Layer, inputs: &[Shape]) -> Result<Shape, String> {
    if inputs.is_empty() {
        return Err("a layer is applied to at least one node".to_string());
    }
    for input in inputs {
        check_size("an input", input)?;
    }
    let shape = layer.output_shape(inputs)?;
    check_size("the output", &shape)?;
    for weight in layer.weights(inputs) {
        check_size(&format!("the weight `{}`", weight.name), &weight.shape)?;
        weight.check().map_err(|why| format!("the weight `{}` {why}", weight.name))?;
    }
    Ok(shape)
}

/// The most floats one sample or one weight may have: 64 GiB of them. Beyond it a size is a typing
/// error, and products of sizes might not fit a machine word.
const MOST_FLOATS: usize = 1 << 34;

/// The most axes of a sample or a weight, as many as NumPy has had.
const MOST_AXES: usize = 32;

pub(crate) fn check_size(what: &str, shape: &Shape) -> Result<(), String> {
    let axes = shape.len();
    if axes > MOST_AXES {
        return Err(format!("{what} would have {axes} axes; at most {MOST_AXES} make sense"));
    }
    match shape.size() {
        0 => Err(format!("{what} of shape {shape} would be empty; every size is at least 1")),
        size if size > MOST_FLOATS => Err(format!(
            "{what} of shape {shape} would have more than {MOST_FLOATS} floats; use smaller sizes"
        )),
        _ => Ok(()),
    }
}

/// The node of an input, for loops that begin with it.
///
/// ```
/// use convnet::prelude::*;
///
/// let image = Input::new([32, 32, 3]);
/// let mut x = Node::from(&image);
/// for filters in [8, 16, 32] {
///     x = x.apply(Conv2D::new(filters, 3).padding(Same))?.apply(MaxPool2D::new(2))?;
/// }
/// assert_eq!(x.shape().to_string(), "(4, 4, 32)");
/// # Ok::<(), convnet::Error>(())
/// ```
impl From<&Input> for Node {
    fn from(input: &Input) -> Self {
        input.node.clone()
    }
}

impl Nodes for Input {
    fn nodes(&self) -> Vec<Node> {
        vec![self.node.clone()]
    }
}

impl Nodes for Node {
    fn nodes(&self) -> Vec<Node> {
        vec![self.clone()]
    }
}

impl<T: Nodes + ?Sized> Nodes for &T {
    fn nodes(&self) -> Vec<Node> {
        (**self).nodes()
    }
}

impl<T: Nodes> Nodes for [T] {
    fn nodes(&self) -> Vec<Node> {
        self.iter().flat_map(Nodes::nodes).collect()
    }
}

impl<T: Nodes, const N: usize> Nodes for [T; N] {
    fn nodes(&self) -> Vec<Node> {
        self.as_slice().nodes()
    }
}

impl<T: Nodes> Nodes for Vec<T> {
    fn nodes(&self) -> Vec<Node> {
        self.as_slice().nodes()
    }
}

macro_rules! tuples {
    ($($nodes:ident)*) => {
        impl<$($nodes: Nodes),*> Nodes for ($($nodes,)*) {
            fn nodes(&self) -> Vec<Node> {
                #[allow(non_snake_case)]
                let ($($nodes,)*) = self;
                [$($nodes.nodes()),*].concat()
            }
        }
    };
}
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
