//! A layer alone, through the doors that users have: `predict` and `train_on_batch`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use convnet::layers::{Backward, Infer, Lanes, LayerSpec, Layout, WeightSpec};
use convnet::losses::{IntoLosses, LossPass};
use convnet::optimizers::{Common, Step};
use convnet::prelude::*;
use convnet::{IntoLabels, Result, Shape};
use ndarray::{ArrayD, ArrayViewD};

/// A layer on a batch of `n` samples.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) n: usize,
    /// For each input the shape of a sample and the numbers.
    pub(crate) inputs: Vec<(Shape, &'a [f32])>,
    /// The numbers of each weight, by its name in the layer.
    pub(crate) weights: Vec<(&'static str, &'a [f32])>,
    /// Whether samples come to the layer in lanes, if it takes them.
    pub(crate) in_lanes: bool,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The output in inference and in training.
    pub(crate) predicted: Vec<f32>,
    pub(crate) y: Vec<f32>,
    /// The gradient to each input.
    pub(crate) dx: Vec<Vec<f32>>,
    /// The gradient to each weight, from the batch as a whole; what is not trained is there as it
    /// became.
    weights: BTreeMap<String, Vec<f32>>,
    /// The same from a model of this layer alone, which may be trained in parts of the batch.
    alone: Option<BTreeMap<String, Vec<f32>>>,
}

impl Outcome {
    /// The gradients to a weight: of the batch as a whole, and of the layer alone.
    pub(crate) fn gradients(&self, name: &str) -> Vec<&[f32]> {
        let name = format!("layer/{name}");
        let all = [Some(&self.weights), self.alone.as_ref()];
        all.into_iter().flatten().map(|weights| &*weights[&name]).collect()
    }
}

impl Bench<'_> {
    /// Forward, and backward from this gradient to the output.
    pub(crate) fn run(&self, layer: impl Fn() -> LayerSpec, dy: &[f32]) -> Outcome {
        let model = self.model(layer(), true);
        let predicted = floats(&model.predict(self.x()).unwrap());
        let (weights, y) = self.train(model, dy);
        let offset = |i| weights[&format!("probe_{i}/offset")].clone();
        let dx = (0..self.inputs.len()).map(offset).collect();
        let alone = self.model(layer(), false);
        let alone = (!self.weights.is_empty()).then(|| self.train(alone, dy).0);
        Outcome { predicted, y, dx, weights, alone }
    }

    fn model(&self, layer: LayerSpec, probed: bool) -> Model {
        let inputs: Vec<Input> =
            self.inputs.iter().map(|(shape, _)| Input::new(shape.clone())).collect();
        let probe = |(i, input): (usize, &Input)| {
            let lanes = if self.in_lanes { Lanes::Faster } else { Lanes::Never };
            input.apply(Probe { n: self.n, lanes }.name(format!("probe_{i}"))).unwrap()
        };
        let layer = layer.name("layer");
        let output = if probed {
            inputs.iter().enumerate().map(probe).collect::<Vec<Node>>().apply(layer)
        } else {
            inputs.apply(layer)
        };
        let mut model = Model::new(&inputs, output.unwrap()).unwrap();
        for (name, numbers) in &self.weights {
            let name = format!("layer/{name}");
            let all = model.weights();
            let (_, there) = all.iter().find(|(known, _)| *known == name).expect(&name);
            let weight = ArrayD::from_shape_vec(there.raw_dim(), numbers.to_vec()).unwrap();
            model.set_weight(&name, &weight).unwrap();
        }
        model
    }

    fn x(&self) -> Vec<ArrayViewD<'_, f32>> {
        self.inputs
            .iter()
            .map(|(shape, numbers)| {
                let dims: Vec<usize> = [self.n].iter().chain(&**shape).copied().collect();
                ArrayViewD::from_shape(dims, numbers).unwrap()
            })
            .collect()
    }

    /// All weights after a step that puts each gradient in the place of its weight, and the output.
    fn train(&self, model: Model, dy: &[f32]) -> (BTreeMap<String, Vec<f32>>, Vec<f32>) {
        let outputs = Arc::default();
        let loss = Upstream { outputs: Arc::clone(&outputs) };
        let mut model = model.compile(Gradients(Common::new(1.0)), loss, no_metrics());
        let shape = model.predict(self.x()).unwrap().raw_dim();
        let dy = ArrayD::from_shape_vec(shape, dy.to_vec()).unwrap();
        model.train_on_batch(self.x(), &dy, 1).unwrap();
        let weights = model.weights();
        let weights = weights.iter().map(|(name, weight)| (name.clone(), floats(weight))).collect();
        (weights, std::mem::take(&mut outputs.lock().unwrap()))
    }
}

/// The loss of a batch, and its gradient to what the activation is applied to.
pub(crate) fn gradient_of<'a>(
    loss: impl IntoLosses,
    activation: Activation,
    x: &'a ArrayD<f32>,
    labels: impl IntoLabels<'a>,
) -> (f64, Vec<f32>) {
    let input = Input::new(&x.shape()[1..]);
    let probe = Probe { n: x.shape()[0], lanes: Lanes::Never };
    let y = input.apply(probe.name("probe")).unwrap().apply(activation).unwrap();
    let model = Model::new(&input, &y).unwrap();
    let optimizer = Gradients(Common::new(1.0));
    let mut model = model.compile(optimizer, loss, no_metrics());
    let loss = model.train_on_batch(x, labels, 1).unwrap();
    (loss, floats(&model.weights()[0].1))
}

fn no_metrics() -> Vec<Box<dyn Metric>> {
    Vec::new()
}

fn floats<S: ndarray::Data<Elem = f32>, D: ndarray::Dimension>(
    array: &ndarray::ArrayBase<S, D>,
) -> Vec<f32> {
    array.iter().copied().collect()
}

/// `y = x`, with a weight for every number of every sample, to which the gradient is that to `x`.
#[derive(Debug)]
struct Probe {
    n: usize,
    lanes: Lanes,
}

impl Layer for Probe {
    fn class_name(&self) -> &'static str {
        "Probe"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<WeightSpec> {
        vec![WeightSpec::trainable("offset", self.n * inputs[0].size(), Initializer::Zeros)]
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        self.lanes
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.copy_from_slice(pass.x.get(0));
    }

    fn backward(&self, mut pass: Backward<'_>) {
        let (size, across) = (pass.x.shape(0).size(), pass.layout.across());
        let rows = pass.layout == Layout::Rows;
        for (i, dx) in pass.dw.get(0).iter_mut().enumerate() {
            let (sample, place) = (i / size, i % size);
            let lane = (sample / across * size + place) * across + sample % across;
            *dx = pass.dy[if rows { i } else { lane }];
        }
    }
}

/// The loss whose gradient to the output is the label.
#[derive(Debug)]
struct Upstream {
    outputs: Arc<Mutex<Vec<f32>>>,
}

impl convnet::losses::Loss for Upstream {
    fn target_shape(&self, output: &Shape) -> Result<Shape, String> {
        Ok(output.clone())
    }

    fn check_target(&self, _output: &Shape, _target: &[f32]) -> Result<(), String> {
        Ok(())
    }

    fn run(&self, pass: LossPass<'_>) -> f64 {
        self.outputs.lock().unwrap().splice(.., pass.y.iter().copied());
        if let Some(dy) = pass.dy {
            dy.copy_from_slice(pass.targets);
        }
        0.0
    }
}

/// Puts the gradient in the place of the weight.
#[derive(Debug)]
struct Gradients(Common);

impl Optimizer for Gradients {
    fn name(&self) -> &'static str {
        "gradients"
    }

    fn common(&self) -> &Common {
        &self.0
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.0
    }

    fn slots(&self) -> usize {
        0
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn step(&self, _: Step, w: &mut [f32], g: &[f32], _: &mut [&mut [f32]]) {
        w.copy_from_slice(g);
    }
}
