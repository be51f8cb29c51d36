use convnet::callbacks::{Logs, Training};
use convnet::datasets::fashion_mnist;
use convnet::losses::IntoLosses;
use convnet::prelude::*;
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, Slice};
use serde_json::Value;

use super::fixtures::{fixture, float, list, map, text};
use super::optimizers::optimizer;

/// What rounding to f32 grows to in 20 steps.
const TOLERANCE: f64 = 1e-3;

/// Numbers that are the same in every language, as `fixtures/keras_training.py` makes them.
fn noise(seed: u32, shape: &[usize]) -> ArrayD<f32> {
    let [window @ .., inputs, outputs] = shape else { panic!("a kernel") };
    let window: usize = window.iter().product();
    let limit = (6.0 / (window * (inputs + outputs)) as f64).sqrt();
    let number = |i: usize| {
        let x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503 + 12_345);
        let x = (x ^ (x >> 16)).wrapping_mul(0x045d_9f3b);
        let x = f64::from(x ^ (x >> 16)) / 4_294_967_296.0;
        ((2.0 * x - 1.0) * limit) as f32
    };
    let floats = (0..shape.iter().product()).map(number).collect();
    ArrayD::from_shape_vec(IxDyn(shape), floats).unwrap()
}

/// The loss of each batch, out of the means over the epoch so far.
#[derive(Default)]
struct Losses {
    each: Vec<f64>,
    sum: f64,
}

impl Callback for Losses {
    fn on_train_batch_end(
        &mut self,
        batch: usize,
        logs: &Logs,
        _: &mut Training<'_>,
    ) -> convnet::Result<()> {
        let sum = logs["loss"] * (batch + 1) as f64;
        self.each.push(sum - self.sum);
        self.sum = sum;
        Ok(())
    }
}

fn case(name: &str) -> Value {
    let cases = fixture("curves");
    list(&cases).iter().find(|case| case["name"] == name).expect("a curve of this name").clone()
}

/// Twenty batches of 32 images in order, from the same weights as Keras.
fn train<'a>(
    name: &str,
    model: Model,
    losses: impl IntoLosses,
    weights: Option<&[f64]>,
    images: &'a ArrayD<f32>,
    labels: impl convnet::IntoLabels<'a>,
    fit: Fit<'_>,
) {
    let case = case(name);
    let mut model = model;
    for (seed, layer) in (0..).zip(list(&case["kernels"])) {
        let weight = format!("{}/kernel", text(layer));
        let weights = model.weights();
        let (_, kernel) = weights.iter().find(|(name, _)| *name == weight).unwrap();
        let kernel = noise(seed, kernel.shape());
        model.set_weight(&weight, &kernel).unwrap();
    }
    let mut found = Losses::default();
    let fit = fit.shuffle(false).verbose(Verbose::Silent).callback(&mut found);
    let optimizer = optimizer(text(&case["optimizer"]), map(&case["config"]));
    let mut model = model.compile(optimizer, losses, ());
    if let Some(weights) = weights {
        model = model.loss_weights(weights);
    }
    model.fit(images, labels, fit).unwrap();
    let expected = list(&case["losses"]);
    assert_eq!((found.each.len(), expected.len()), (20, 20));
    for (step, (loss, expected)) in found.each.iter().zip(expected).enumerate() {
        let off = (loss / float(expected) - 1.0).abs();
        assert!(off <= TOLERANCE, "{name}, step {step}: {loss}, not {expected}: {off:e}");
    }
}

/// The first 640 images of the sample, and their one-hot labels.
fn sample() -> (ArrayD<f32>, Array2<f32>) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-sample");
    let (train, _) = fashion_mnist::open(folder).unwrap().load().unwrap();
    let first = Slice::from(..640);
    let images = train.images.slice_axis(Axis(0), first).to_owned().into_dyn();
    (images, train.labels.slice_axis(Axis(0), first).mapv(f32::from))
}

fn lenet5() -> Model {
    let image = Input::new([28, 28, 1]);
    let class = image
        .apply(Conv2D::new(6, 5).padding(Same).activation(Relu))
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Conv2D::new(16, 5).activation(Relu)))
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(120).activation(Relu)))
        .and_then(|x| x.apply(Dense::new(84).activation(Relu)))
        .and_then(|x| x.apply(Dense::new(10).activation(Softmax)))
        .unwrap();
    Model::new(&image, &class).unwrap()
}

/// The article's network without dropout, which no two programs draw alike.
fn fashion_cnn() -> Model {
    let image = Input::new([28, 28, 1]);
    let class = image
        .apply(Conv2D::new(32, 3).padding(Same).activation(Relu))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(512).activation(Relu)))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(Dense::new(10).activation(Softmax)))
        .unwrap();
    Model::new(&image, &class).unwrap()
}

#[test]
fn lenet5_with_adam() {
    let (images, labels) = sample();
    train("LeNet-5", lenet5(), CategoricalCrossentropy, None, &images, &labels, Fit::new());
}

#[test]
fn lenet5_with_momentum_and_clipping() {
    let name = "LeNet-5, momentum and clipping";
    let (images, labels) = sample();
    train(name, lenet5(), CategoricalCrossentropy, None, &images, &labels, Fit::new());
}

#[test]
fn lenet5_with_two_batches_a_step() {
    let fit = Fit::new().gradient_accumulation_steps(2);
    let name = "LeNet-5, two batches a step";
    let (images, labels) = sample();
    train(name, lenet5(), CategoricalCrossentropy, None, &images, &labels, fit);
}

#[test]
fn lenet5_with_weighted_samples() {
    let weights = Array1::from_shape_fn(640, |i| (i % 7) as f64 / 3.0);
    let (images, labels) = sample();
    let labels = Weighted::new(&labels, &weights);
    let name = "LeNet-5, weighted samples";
    train(name, lenet5(), CategoricalCrossentropy, None, &images, labels, Fit::new());
}

#[test]
fn lenet5_with_weighted_classes() {
    let weights = (0..9).map(|class| (class, (class + 1) as f32 / 4.0));
    let fit = Fit::new().class_weight(weights.clone());
    let name = "LeNet-5, weighted classes";
    let (images, labels) = sample();
    train(name, lenet5(), CategoricalCrossentropy, None, &images, &labels, fit);

    // The same with the classes' numbers.
    let class_of = |row: ndarray::ArrayView1<'_, f32>| row.iter().position(|&t| t == 1.0).unwrap();
    let labels = labels.map_axis(Axis(1), class_of);
    let fit = Fit::new().class_weight(weights);
    train(name, lenet5(), SparseCategoricalCrossentropy, None, &images, &labels, fit);
}

#[test]
fn the_articles_network() {
    let name = "the article's network without dropout";
    let (images, labels) = sample();
    train(name, fashion_cnn(), CategoricalCrossentropy, None, &images, &labels, Fit::new());
}

#[test]
fn the_articles_network_with_smoothed_labels_and_decay() {
    let smoothed = CategoricalCrossentropy.label_smoothing(0.1);
    let name = "the article's network, smoothed labels";
    let (images, labels) = sample();
    train(name, fashion_cnn(), smoothed, None, &images, &labels, Fit::new());
}

#[test]
fn branches_with_two_outputs_and_regularisers() {
    let network = || {
        let image = Input::new([28, 28, 1]);
        let stem = Conv2D::new(8, 3).strides(2).activation(Relu).kernel_regularizer(L2(1e-3));
        let stem = image.apply(stem.name("stem")).unwrap();
        let left = Conv2D::new(8, 3).padding(Same).activation(Relu).name("left");
        let left = stem.apply(left).unwrap();
        let right = Conv2D::new(8, 1).kernel_regularizer(L1(1e-3)).bias_regularizer(L2(0.1));
        let right = stem.apply(right.name("right")).unwrap();
        let sum = [&left, &right].apply(Add::new()).unwrap();
        let flat = [&sum, &stem]
            .apply(Concatenate::new())
            .and_then(|x| x.apply(MaxPool2D::new(2)))
            .and_then(|x| x.apply(Flatten::new()))
            .unwrap();
        let label = Dense::new(10).activation(Softmax);
        let label = label.kernel_regularizer(L1L2 { l1: 1e-4, l2: 1e-3 });
        let label = flat.apply(label.name("label")).unwrap();
        let bright = flat.apply(Dense::new(2).activation(Sigmoid).name("bright")).unwrap();
        Model::new(&image, [&label, &bright]).unwrap()
    };
    let (images, one_hot) = sample();
    let halves = images.to_shape((640, 2, 392)).unwrap().mean_axis(Axis(2)).unwrap();
    let labels = || [one_hot.view(), halves.view()];
    let weights = Some(&[0.5, 2.0][..]);
    let losses = (CategoricalCrossentropy, MeanSquaredError);
    train("two outputs", network(), losses, weights, &images, labels(), Fit::new());
    let named = (("bright", MeanSquaredError), ("label", CategoricalCrossentropy));
    train("two outputs", network(), named, weights, &images, labels(), Fit::new());
}
