//! The laws that every layer obeys, stated once.

use ndarray::{ArrayD, ArrayViewD};
use rand::RngExt;

use super::{Layer, LayerSpec};
use crate::graph::{Input, Node, Nodes};
use crate::model::{Model, TrainingWorkspace};
use crate::random::generator;
use crate::shape::Shape;

/// How many samples: not a multiple of any vector's length.
const SAMPLES: usize = 3;

/// Promised and produced shapes agree; inference twice gives the same bits; and the gradients of a
/// randomly weighted sum of the outputs agree with central differences in random directions, for
/// all inputs and all weights.
pub(crate) fn laws<L: Layer + 'static>(layer: impl Fn() -> L, shapes: &[Shape]) {
    let inputs: Vec<Input> = shapes.iter().cloned().map(Input::new).collect();
    let output = inputs.apply(layer()).expect("the layer takes these inputs");
    let mut model = Model::new(&inputs, &output).expect("one layer is a model");
    // Away from zeros and ones, so that biases, gammas and betas matter.
    let mut random = generator(7);
    for float in model.weights.iter_mut() {
        *float += 0.4 * (random.random::<f32>() - 0.5);
    }

    let x: Vec<ArrayD<f32>> =
        shapes.iter().enumerate().map(|(i, shape)| uniform(shape, i as u64)).collect();
    let predict = || model.predict(views(&x)).expect("data of the right shape");
    let y = predict();
    assert_eq!(y.shape()[1..], **output.shape(), "the promised shape");
    assert!(y.iter().all(|y| y.is_finite()));
    assert_eq!(y, predict(), "inference twice");

    gradients(&model, &output, x);
}

/// Applying the layer is refused with a sentence that begins with this one and ends with this file.
pub(crate) fn refuses(layer: impl Into<LayerSpec>, shapes: &[Shape], sentence: &str) {
    let inputs: Vec<Input> = shapes.iter().cloned().map(Input::new).collect();
    let error = inputs.apply(layer).expect_err(sentence).to_string();
    assert!(error.starts_with(sentence), "{error}\nshould begin with\n{sentence}");
    assert!(error.contains("src/layers/check.rs:"), "{error} should name the caller");
}

/// Compares the gradients of `L = Σ r·y` with differences of `L` along random directions.
fn gradients(model: &Model, output: &Node, x: Vec<ArrayD<f32>>) {
    // An identity that learns before every input, so that backward goes as far as the inputs.
    let inputs: Vec<Input> = x.iter().map(|x| Input::new(Shape::from(&x.shape()[1..]))).collect();
    let identities: Vec<Node> =
        inputs.iter().map(|input| input.apply(Offset).expect("any shape")).collect();
    let layer = output.layer().expect("a layer").clone();
    let output = identities.apply(LayerSpec { layer, name: None }).expect("as before");
    let mut offset = Model::new(&inputs, &output).expect("as before");
    let weights = offset.weights.len() - model.weights.len();
    offset.weights[weights..].copy_from_slice(&model.weights);
    let r = uniform(output.shape(), 99);

    let network = offset.network.clone();
    let (last, trained) = (network.outputs[0], network.trainable_len);
    let mut workspace = TrainingWorkspace::new(&network, SAMPLES);
    let mut loss = |weights: &[f32], gradient: Option<&mut [f32]>| -> f64 {
        for (x, &step) in x.iter().zip(&network.inputs) {
            let floats = x.as_slice().expect("made in row-major order");
            workspace.output(&network, step, SAMPLES).copy_from_slice(floats);
        }
        let mut state = offset.state.clone();
        workspace.forward(&network, SAMPLES, weights, &mut state, 3);
        let (y, dy) = workspace.output_and_gradient(&network, last, SAMPLES);
        let r = r.as_slice().expect("made in row-major order");
        let loss = y.iter().zip(r).map(|(&y, &r)| f64::from(y) * f64::from(r)).sum();
        dy.copy_from_slice(r);
        if let Some(gradient) = gradient {
            workspace.backward(&network, SAMPLES, weights, gradient);
        }
        loss
    };
    let mut gradient = vec![f32::NAN; trained];
    loss(&offset.weights, Some(&mut gradient));

    for (spec, place) in network.weights().filter(|(spec, _)| spec.trainable) {
        for direction in 0..4 {
            let mut random = generator(direction);
            let step: Vec<f32> =
                place.clone().map(|_| 2.0 * random.random::<f32>() - 1.0).collect();
            let size = 2e-3 / (step.len() as f32).sqrt().min(4.0);
            let mut moved = |sign: f32| {
                let mut weights = offset.weights.clone();
                let slots = weights[place.clone()].iter_mut();
                slots.zip(&step).for_each(|(w, s)| *w += sign * size * s);
                loss(&weights, None)
            };
            let measured = (moved(1.0) - moved(-1.0)) / (2.0 * f64::from(size));
            let products = gradient[place.clone()].iter().zip(&step);
            let terms: Vec<f64> = products.map(|(&g, &s)| f64::from(g) * f64::from(s)).collect();
            let computed: f64 = terms.iter().sum();
            let scale = terms.iter().map(|t| t.abs()).sum::<f64>().max(0.1);
            assert!(
                (measured - computed).abs() <= 1e-2 * scale,
                "gradient to {}: {computed}, by differences {measured}",
                spec.name
            );
        }
    }
}

/// `y = x + offset` with an offset for every element of every sample, so that the gradient to the
/// offset is the gradient to the input.
#[derive(Debug)]
struct Offset;

impl Layer for Offset {
    fn class_name(&self) -> &'static str {
        "Offset"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn weights(&self, inputs: &[Shape]) -> Vec<super::WeightSpec> {
        let shape = SAMPLES * inputs[0].size();
        vec![super::WeightSpec::trainable("offset", shape, crate::initializers::Initializer::Zeros)]
    }

    fn infer(&self, pass: super::Infer<'_>) {
        let sums = pass.x.get(0).iter().zip(pass.w.get(0));
        pass.y.iter_mut().zip(sums).for_each(|(y, (x, offset))| *y = x + offset);
    }

    fn backward(&self, mut pass: super::Backward<'_>) {
        pass.dw.get(0).copy_from_slice(pass.dy);
    }
}

/// Numbers of `SAMPLES` samples in −1..1, no two equal up to what differences move them by, so that
/// maxima and signs stay where they are.
fn uniform(shape: &Shape, seed: u64) -> ArrayD<f32> {
    let len = SAMPLES * shape.size();
    let mut floats: Vec<f32> = (0..len).map(|i| (2 * i + 1) as f32 / len as f32 - 1.0).collect();
    use rand::seq::SliceRandom;
    floats.shuffle(&mut generator(seed));
    let dims: Vec<usize> = [SAMPLES].iter().chain(&**shape).copied().collect();
    ArrayD::from_shape_vec(dims, floats).expect("as many floats as the shape says")
}

fn views(arrays: &[ArrayD<f32>]) -> Vec<ArrayViewD<'_, f32>> {
    arrays.iter().map(|array| array.view()).collect()
}
