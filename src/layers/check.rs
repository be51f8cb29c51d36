//! The laws that every layer obeys, stated once, and the bench they are tried on.

use ndarray::{ArrayD, ArrayViewD};
use rand::RngExt;

use super::{Lanes, Layer, LayerSpec, Layout};
use crate::graph::{Input, Node, Nodes};
use crate::model::{Model, TrainingWorkspace};
use crate::random::generator;
use crate::shape::Shape;

/// Promised and produced shapes agree; inference twice gives the same bits, and wherever its output lies;
/// and the gradients of a randomly weighted sum of the outputs agree with central differences in random
/// directions, for all inputs and all weights, or for the inputs alone if the layer is not trained.
pub(crate) fn laws<L: Layer + 'static>(layer: impl Fn() -> L, shapes: &[Shape]) {
    laws_for(layer(), shapes, 3, Layout::Rows);
    laws_for(layer().trainable(false), shapes, 3, Layout::Rows);
    // A whole block of lanes and one sample more.
    laws_for(layer(), shapes, 17, Layout::Lanes);
}

fn laws_for(layer: impl Into<LayerSpec>, shapes: &[Shape], n: usize, layout: Layout) {
    let layer = layer.into();
    let is_identity = layer.layer.is_identity();
    let inputs: Vec<Input> = shapes.iter().cloned().map(Input::new).collect();
    let alone = inputs.apply(layer.clone()).and_then(|y| Model::new(&inputs, &y)).expect("a model");
    let mut bench = Bench::new(layer, shapes, n, layout);
    // Away from zeros and ones, so that biases, gammas and betas matter.
    let mut random = generator(7);
    for (_, place) in bench.trainable().into_iter().filter(|(name, _)| name.starts_with("layer/")) {
        for float in &mut bench.model.weights[place] {
            *float += 0.4 * (random.random::<f32>() - 0.5);
        }
    }

    let x: Vec<ArrayD<f32>> =
        shapes.iter().enumerate().map(|(i, shape)| uniform(shape, n, i as u64)).collect();
    let predict = || bench.predict(&x);
    let y = predict();
    assert_eq!(y.shape()[1..], **bench.output_shape(), "the promised shape");
    assert!(y.iter().all(|y| y.is_finite()));
    assert_eq!(y, predict(), "inference twice");
    if is_identity {
        assert!(y.iter().eq(&x[0]), "an identity");
    }
    // The bench's output lies where its input lay: what is not written looks as if it were passed on.
    if alone.weights().is_empty() && layout == Layout::Rows {
        let views: Vec<ArrayViewD<'_, f32>> = x.iter().map(|x| x.view()).collect();
        assert_eq!(alone.predict(views).expect("data of the right shape"), y, "alone");
    }

    gradients(&mut bench, &x);
}

/// Applying the layer is refused with a sentence that begins with this one and ends with this file.
pub(crate) fn refuses(layer: impl Into<LayerSpec>, shapes: &[Shape], sentence: &str) {
    let inputs: Vec<Input> = shapes.iter().cloned().map(Input::new).collect();
    let error = inputs.apply(layer).expect_err(sentence).to_string();
    assert!(error.starts_with(sentence), "{error}\nshould begin with\n{sentence}");
    assert!(error.contains("src/layers/check.rs:"), "{error} should name the caller");
}

/// Compares the gradients of `L = Σ r·y` with differences of `L` along random directions.
fn gradients(bench: &mut Bench, x: &[ArrayD<f32>]) {
    let r = uniform(bench.output_shape(), bench.n, 99);
    let r = r.as_slice().expect("made in row-major order");
    let loss = |bench: &mut Bench| -> f64 {
        let products = bench.forward(x).iter().zip(r);
        products.map(|(&y, &r)| f64::from(y) * f64::from(r)).sum()
    };
    loss(bench);
    bench.backward(r);

    for (name, place) in bench.trainable() {
        for direction in 0..4 {
            let mut random = generator(direction);
            let step: Vec<f32> =
                place.clone().map(|_| 2.0 * random.random::<f32>() - 1.0).collect();
            let size = 2e-3 / (step.len() as f32).sqrt().min(4.0);
            let mut moved = |sign: f32| {
                let before = bench.model.weights.clone();
                let slots = bench.model.weights[place.clone()].iter_mut();
                slots.zip(&step).for_each(|(w, s)| *w += sign * size * s);
                let moved = loss(bench);
                bench.model.weights = before;
                moved
            };
            let measured = (moved(1.0) - moved(-1.0)) / (2.0 * f64::from(size));
            let products = bench.gradient(&name).iter().zip(&step);
            let terms: Vec<f64> = products.map(|(&g, &s)| f64::from(g) * f64::from(s)).collect();
            let computed: f64 = terms.iter().sum();
            let scale = terms.iter().map(|t| t.abs()).sum::<f64>().max(0.1);
            assert!(
                (measured - computed).abs() <= 1e-2 * scale,
                "gradient to {name}: {computed}, by differences {measured}"
            );
        }
    }
}

/// A model of one layer, called `layer`, with an identity that learns before every input, so that
/// backward goes as far as the inputs: the gradient to `input_0/offset`, `input_1/offset`, … is the
/// gradient to that input.
pub(crate) struct Bench {
    pub(crate) model: Model,
    workspace: TrainingWorkspace,
    gradients: Vec<f32>,
    n: usize,
}

impl Bench {
    /// For batches of `n` samples; the layer is handed inputs in this layout if it takes it.
    pub(crate) fn new(
        layer: impl Into<LayerSpec>,
        shapes: &[Shape],
        n: usize,
        layout: Layout,
    ) -> Self {
        let inputs: Vec<Input> = shapes.iter().cloned().map(Input::new).collect();
        let identity =
            |(i, input): (usize, &Input)| input.apply(Offset { n, layout }.name(input_name(i)));
        let identities: Vec<Node> =
            inputs.iter().enumerate().map(identity).collect::<Result<_, _>>().expect("any shape");
        let layer = LayerSpec { name: Some("layer".to_string()), ..layer.into() };
        let output = identities.apply(layer).expect("the layer takes these inputs");
        let model = Model::new(&inputs, &output).expect("one layer is a model");
        let workspace = TrainingWorkspace::new(&model.network, n);
        let gradients = vec![f32::NAN; model.network.trainable_len];
        Self { model, workspace, gradients, n }
    }

    pub(crate) fn output_shape(&self) -> &Shape {
        &self.model.network.steps[self.model.network.outputs[0]].shape
    }

    /// Inference.
    pub(crate) fn predict(&self, x: &[ArrayD<f32>]) -> ArrayD<f32> {
        let views: Vec<ArrayViewD<'_, f32>> = x.iter().map(|x| x.view()).collect();
        self.model.predict(views).expect("data of the right shape")
    }

    /// The forward pass of training, always with the same seed.
    pub(crate) fn forward(&mut self, x: &[ArrayD<f32>]) -> &[f32] {
        let Model { weights, state, .. } = &mut self.model;
        for (i, x) in x.iter().enumerate() {
            let floats = x.as_slice().expect("made in row-major order");
            self.workspace.input(i, self.n).copy_from_slice(floats);
        }
        self.workspace.forward(self.n, weights, state, 3);
        self.workspace.output_and_gradient(0, self.n).0
    }

    /// The backward pass from this gradient to the output of the forward pass before.
    pub(crate) fn backward(&mut self, dy: &[f32]) {
        self.workspace.output_and_gradient(0, self.n).1.copy_from_slice(dy);
        self.workspace.backward(self.n, &self.model.weights, &mut self.gradients);
    }

    /// What `backward` found for a weight.
    pub(crate) fn gradient(&self, name: &str) -> &[f32] {
        let mut trainable = self.trainable().into_iter();
        let (_, place) = trainable.find(|(known, _)| known == name).expect(name);
        &self.gradients[place]
    }

    /// The names of all trainable weights and their places in the model's.
    pub(crate) fn trainable(&self) -> Vec<(String, std::ops::Range<usize>)> {
        let weights = self.model.network.named_weights();
        let trained = self.model.network.trainable_len;
        let trainable = weights.filter(|(_, spec, place)| spec.trainable && place.end <= trained);
        trainable.map(|(name, _, place)| (name, place)).collect()
    }
}

/// The name of the identity before an input.
pub(crate) fn input_name(index: usize) -> String {
    format!("input_{index}")
}

/// `y = x + offset` with an offset for every element of every sample, so that the gradient to the
/// offset is the gradient to the input.
#[derive(Debug)]
struct Offset {
    n: usize,
    layout: Layout,
}

impl Layer for Offset {
    fn class_name(&self) -> &'static str {
        "Offset"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<super::WeightSpec> {
        let shape = self.layout.floats(self.n, inputs[0].size());
        vec![super::WeightSpec::trainable("offset", shape, crate::initializers::Initializer::Zeros)]
    }

    fn lanes(&self, _inputs: &[Shape]) -> Lanes {
        if self.layout == Layout::Lanes { Lanes::Faster } else { Lanes::Never }
    }

    fn infer(&self, pass: super::Infer<'_>) {
        let sums = pass.x.get(0).iter().zip(pass.w.get(0));
        pass.y.iter_mut().zip(sums).for_each(|(y, (x, offset))| *y = x + offset);
    }

    fn backward(&self, mut pass: super::Backward<'_>) {
        pass.dw.get(0).copy_from_slice(pass.dy);
    }
}

/// Numbers of `n` samples in −1..1, no two equal up to what differences move them by, so that
/// maxima and signs stay where they are.
fn uniform(shape: &Shape, n: usize, seed: u64) -> ArrayD<f32> {
    let len = n * shape.size();
    let mut floats: Vec<f32> = (0..len).map(|i| (2 * i + 1) as f32 / len as f32 - 1.0).collect();
    use rand::seq::SliceRandom;
    floats.shuffle(&mut generator(seed));
    let dims: Vec<usize> = [n].iter().chain(&**shape).copied().collect();
    ArrayD::from_shape_vec(dims, floats).expect("as many floats as the shape says")
}
