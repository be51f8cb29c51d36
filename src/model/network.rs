//! The graph in the order in which it runs, and where each weight lies.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Node, check_size};
use crate::kernels::lanes::worth_lanes;
use crate::layers::{Activation, FromLanes, Lanes, Layer, Layout, ToLanes, WeightSpec, snake_case};
use crate::shape::Shape;

/// The steps of a model: every step comes after those it reads.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) steps: Vec<Step>,
    /// The steps that are inputs, and those that are outputs, in the order of `Model::new`.
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    /// How many floats all trainable weights take, first those of the layers that are trained; and
    /// all weights that no optimizer moves.
    pub(crate) weights_len: usize,
    pub(crate) trainable_len: usize,
    pub(crate) frozen_len: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// The node of the graph that it is.
    pub(crate) node: Node,
    /// `None` for an input.
    pub(crate) layer: Option<Arc<dyn Layer>>,
    /// The steps it reads, and the shapes of their outputs.
    pub(crate) inputs: Vec<usize>,
    pub(crate) input_shapes: Vec<Shape>,
    pub(crate) shape: Shape,
    /// The weights, in the layer's order.
    pub(crate) weights: Vec<WeightSpec>,
    /// Whether the layer keeps its weights in training.
    pub(crate) is_fixed: bool,
    /// Where the trainable and the frozen ones lie in the model's floats, in the same order.
    pub(crate) trainable: Vec<Range<usize>>,
    pub(crate) frozen: Vec<Range<usize>>,
    /// How its inputs and its output lie in memory.
    pub(crate) input_layout: Layout,
    pub(crate) layout: Layout,
    /// Whether it or anything before it learns: whether backward has to come here.
    pub(crate) learns: bool,
}

impl Step {
    pub(crate) fn class_name(&self) -> &'static str {
        self.node.class_name()
    }

    /// How many numbers its weights have together, frozen ones included.
    pub(crate) fn count_params(&self) -> usize {
        self.weights.iter().map(|weight| weight.shape.size()).sum()
    }
}

/// Each weight starts on a cache line.
const WEIGHT_ALIGNMENT: usize = 16;

impl Network {
    pub(crate) fn new(inputs: &[Node], outputs: &[Node]) -> Result<Self> {
        for (nodes, what) in [(inputs, "input"), (outputs, "output")] {
            if nodes.is_empty() {
                return Err(Error::graph(format!("model: it has no {what}; give at least one")));
            }
        }
        if let Some(node) = inputs.iter().find(|node| node.layer().is_some()) {
            let class = snake_case(node.class_name());
            return Err(Error::graph(format!(
                "model: the output of `{}` cannot be an input of a model; begin with an Input",
                node.name().unwrap_or(&class)
            )));
        }
        // One that is an output too has been seen by no layer.
        for input in inputs {
            check_size("an input", input.shape())
                .map_err(|why| Error::graph(format!("model: {why}")))?;
        }
        for (nodes, what) in [(inputs, "input"), (outputs, "output")] {
            let mut seen = HashSet::new();
            if !nodes.iter().all(|node| seen.insert(node.id())) {
                return Err(Error::graph(format!("model: the same {what} is listed twice")));
            }
        }
        let order = sorted(inputs, outputs)?;
        let index_of: HashMap<usize, usize> =
            order.iter().enumerate().map(|(i, node)| (node.id(), i)).collect();
        let names = names(&order)?;

        let mut network = Self {
            steps: Vec::with_capacity(order.len()),
            inputs: inputs.iter().map(|node| index_of[&node.id()]).collect(),
            outputs: outputs.iter().map(|node| index_of[&node.id()]).collect(),
            weights_len: 0,
            trainable_len: 0,
            frozen_len: 0,
        };
        for (node, name) in order.iter().zip(names) {
            let step = network.step(node, name, &index_of);
            network.steps.push(step);
        }
        network.place_weights();
        let mut taken = HashSet::new();
        match network.weight_names().into_iter().find(|name| !taken.insert(name.clone())) {
            Some(name) => Err(Error::graph(format!(
                "model: two weights are called `{name}`; give each weight of a layer a name of its own"
            ))),
            None => Ok(network),
        }
    }

    fn step(&self, node: &Node, name: String, index_of: &HashMap<usize, usize>) -> Step {
        let inputs: Vec<usize> = node.inputs().iter().map(|node| index_of[&node.id()]).collect();
        let input_shapes: Vec<Shape> =
            inputs.iter().map(|&i| self.steps[i].shape.clone()).collect();
        Step {
            name,
            node: node.clone(),
            layer: node.layer().cloned(),
            weights: node.layer().map_or(Vec::new(), |layer| layer.weights(&input_shapes)),
            is_fixed: !node.trainable(),
            inputs,
            input_shapes,
            shape: node.shape().clone(),
            trainable: Vec::new(),
            frozen: Vec::new(),
            input_layout: Layout::Rows,
            layout: Layout::Rows,
            learns: false,
        }
    }

    /// Gives every weight its place: those of layers that are trained come first, so that the
    /// gradients and the optimizer know no others.
    pub(crate) fn place_weights(&mut self) {
        (self.weights_len, self.frozen_len) = (0, 0);
        for fixed in [false, true] {
            for step in self.steps.iter_mut().filter(|step| step.is_fixed == fixed) {
                (step.trainable, step.frozen) = (Vec::new(), Vec::new());
                for weight in &step.weights {
                    let (end, ranges) = if weight.trainable {
                        (&mut self.weights_len, &mut step.trainable)
                    } else {
                        (&mut self.frozen_len, &mut step.frozen)
                    };
                    let start = end.next_multiple_of(WEIGHT_ALIGNMENT);
                    *end = start + weight.shape.size();
                    ranges.push(start..*end);
                }
            }
            if !fixed {
                self.trainable_len = self.weights_len;
            }
        }
        for i in 0..self.steps.len() {
            let Step { is_fixed, trainable, inputs, .. } = &self.steps[i];
            let learns = !is_fixed && !trainable.is_empty();
            self.steps[i].learns = learns || inputs.iter().any(|&input| self.steps[input].learns);
        }
    }

    /// Whether a batch may be cut into parts: no layer mixes samples or has a state that moves.
    pub(crate) fn is_per_sample(&self) -> bool {
        let mut layers = self.steps.iter().filter_map(|step| step.layer.as_ref());
        self.frozen_len == 0 && layers.all(|layer| layer.is_per_sample())
    }

    /// Gives ReLU to a layer that does it as it writes its output: to the max-pool behind, where it has fewer
    /// numbers to look at; or, where it is a layer of its own, to the layer before, and leaves an identity
    /// there. What reads neither sees the same numbers, and all gradients stay the same, bit for bit.
    pub(crate) fn merge_relus(&mut self) {
        let without_relu = |layer: &dyn Layer| match layer.without_activation() {
            Some((Activation::Relu, rest)) => Some(rest),
            _ => None,
        };
        for to_pools in [true, false] {
            for behind in 0..self.steps.len() {
                let [before] = self.steps[behind].inputs[..] else { continue };
                let readers = self.steps.iter().filter(|step| step.inputs.contains(&before));
                if readers.count() > 1 || self.outputs.contains(&before) {
                    continue;
                }
                let [Some(first), Some(second)] =
                    [before, behind].map(|step| self.steps[step].layer.as_deref())
                else {
                    continue;
                };
                let merged = if to_pools {
                    let pool = second.commutes_with_relu().then(|| second.with_relu_behind());
                    without_relu(first).zip(pool.flatten())
                } else {
                    let rest = without_relu(second).filter(|rest| rest.is_identity());
                    first.with_relu_behind().zip(rest)
                };
                if let Some((first, second)) = merged {
                    self.steps[before].layer = Some(first);
                    self.steps[behind].layer = Some(second);
                }
            }
        }
    }

    /// The same network for passes over `n` samples, with samples in lanes where layers are faster
    /// so, and steps between the two layouts. Inputs and outputs stay in rows. Steps that would only copy
    /// their input, as `is_identity` says of their layers, are left out unless they are outputs; and a ReLU runs
    /// in the layer beside it where that can.
    pub(crate) fn laid_out(&self, n: usize, is_identity: impl Fn(&dyn Layer) -> bool) -> Self {
        let mut merged = self.clone();
        merged.merge_relus();
        let mut network = Self { steps: Vec::new(), ..self.clone() };
        // For every step of `self`, where its output now is in rows and in lanes.
        let mut places: Vec<[Option<usize>; 2]> = Vec::with_capacity(self.steps.len());
        for (i, step) in merged.steps.iter().enumerate() {
            if let ([input], Some(layer)) = (&*step.inputs, &step.layer)
                && is_identity(&**layer)
                && !self.outputs.contains(&i)
            {
                places.push(places[*input]);
                continue;
            }
            let in_lanes = |&input: &usize| places[input][Layout::Lanes as usize].is_some();
            let lanes = step.layer.as_ref().map_or(Lanes::Never, |l| l.lanes(&step.input_shapes));
            let layout = match lanes {
                Lanes::Faster if worth_lanes(n) => Layout::Lanes,
                Lanes::Either if step.inputs.iter().all(in_lanes) => Layout::Lanes,
                _ => Layout::Rows,
            };
            let inputs = step.inputs.iter();
            let inputs = inputs.map(|&input| network.place(&mut places[input], layout)).collect();
            let mut place = [None; 2];
            place[layout as usize] = Some(network.steps.len());
            places.push(place);
            network.steps.push(Step { inputs, input_layout: layout, layout, ..step.clone() });
        }
        let mut in_rows = |steps: &[usize]| {
            steps.iter().map(|&step| network.place(&mut places[step], Layout::Rows)).collect()
        };
        let (inputs, outputs) = (in_rows(&self.inputs), in_rows(&self.outputs));
        Self { inputs, outputs, ..network }
    }

    /// The step that has an output in this layout: the one that is there, or a new one that moves it.
    fn place(&mut self, place: &mut [Option<usize>; 2], layout: Layout) -> usize {
        if let Some(there) = place[layout as usize] {
            return there;
        }
        let from = place.iter().flatten().next().copied();
        let from = from.expect("a step's output is in one layout at least");
        let mover: Arc<dyn Layer> = match layout {
            Layout::Rows => Arc::new(FromLanes),
            Layout::Lanes => Arc::new(ToLanes),
        };
        self.steps.push(Step {
            layer: Some(mover),
            inputs: vec![from],
            input_shapes: vec![self.steps[from].shape.clone()],
            weights: Vec::new(),
            trainable: Vec::new(),
            frozen: Vec::new(),
            input_layout: self.steps[from].layout,
            layout,
            ..self.steps[from].clone()
        });
        place[layout as usize] = Some(self.steps.len() - 1);
        self.steps.len() - 1
    }

    /// Every weight with its place in the trainable or the frozen floats, in the layers' order.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&WeightSpec, Range<usize>)> {
        self.steps.iter().flat_map(|step| {
            let (mut trainable, mut frozen) = (step.trainable.iter(), step.frozen.iter());
            step.weights.iter().filter_map(move |spec| {
                let place = if spec.trainable { trainable.next() } else { frozen.next() };
                place.map(|place| (spec, place.clone()))
            })
        })
    }

    /// Where each weight lies, among the trainable or among the frozen ones.
    pub(crate) fn places(&self) -> impl Iterator<Item = Range<usize>> {
        self.weights().map(|(_, place)| place)
    }

    /// Every weight with its full name, `step/weight`.
    pub(crate) fn named_weights(
        &self,
    ) -> impl Iterator<Item = (String, &WeightSpec, Range<usize>)> {
        let names = self.steps.iter().flat_map(|step| {
            step.weights.iter().map(move |spec| format!("{}/{}", step.name, spec.name))
        });
        names.zip(self.weights()).map(|(name, (spec, place))| (name, spec, place))
    }

    /// The weights that an optimizer moves, with their full names and places.
    pub(crate) fn named_trained(
        &self,
    ) -> impl Iterator<Item = (String, &WeightSpec, Range<usize>)> {
        self.named_weights().filter(|(_, spec, place)| self.is_trained(spec, place))
    }

    /// The weights that an optimizer moves, with their places.
    pub(crate) fn trained(&self) -> impl Iterator<Item = (&WeightSpec, Range<usize>)> {
        self.weights().filter(|(spec, place)| self.is_trained(spec, place))
    }

    fn is_trained(&self, spec: &WeightSpec, place: &Range<usize>) -> bool {
        spec.trainable && place.end <= self.trainable_len
    }

    /// The shapes of the outputs of these steps.
    pub(crate) fn shapes<'a>(&'a self, steps: &'a [usize]) -> impl Iterator<Item = &'a Shape> {
        steps.iter().map(|&step| &self.steps[step].shape)
    }
}

/// All nodes the outputs need, inputs first, each after those it reads.
fn sorted(inputs: &[Node], outputs: &[Node]) -> Result<Vec<Node>> {
    let mut done: HashSet<usize> = inputs.iter().map(Node::id).collect();
    let mut order: Vec<Node> = inputs.to_vec();
    let mut pending: Vec<Node> = outputs.iter().rev().cloned().collect();
    while let Some(node) = pending.last() {
        if done.contains(&node.id()) {
            pending.pop();
            continue;
        }
        if node.layer().is_none() {
            return Err(Error::graph(format!(
                "model: the graph is disconnected: an output needs {} of shape {}, which is not \
                 among the inputs; add it to them",
                node.name().map_or("an Input".to_string(), |name| format!("the Input `{name}`")),
                node.shape()
            )));
        }
        let missing: Vec<Node> =
            node.inputs().iter().rev().filter(|n| !done.contains(&n.id())).cloned().collect();
        if missing.is_empty() {
            done.insert(node.id());
            order.extend(pending.pop());
        } else {
            pending.extend(missing);
        }
    }
    let used: HashSet<usize> =
        order.iter().flat_map(Node::inputs).chain(outputs).map(Node::id).collect();
    match inputs.iter().position(|node| !used.contains(&node.id())) {
        Some(i) => Err(Error::graph(format!(
            "model: no output is reached from the input `{}` of shape {}; leave it out or use it",
            names(&order)?[i],
            inputs[i].shape()
        ))),
        None => Ok(order),
    }
}

/// The given names, and for the others the class with a number, as Keras counts them; a name given
/// twice is refused.
fn names(order: &[Node]) -> Result<Vec<String>> {
    let mut taken = HashSet::new();
    for name in order.iter().filter_map(Node::name) {
        if name.is_empty() || !taken.insert(name.to_string()) {
            return Err(Error::graph(format!(
                "model: the name `{name}` is {}; give every layer a name of its own",
                if name.is_empty() { "empty" } else { "used twice" }
            )));
        }
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    let names = order.iter().map(|node| {
        if let Some(name) = node.name() {
            return name.to_string();
        }
        let base = snake_case(node.class_name());
        let count = counts.entry(base.clone()).or_default();
        loop {
            let name = if *count == 0 { base.clone() } else { format!("{base}_{count}") };
            *count += 1;
            if taken.insert(name.clone()) {
                return name;
            }
        }
    });
    Ok(names.collect())
}
