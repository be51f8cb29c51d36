//! Numbers at the ends of what `f32` holds, and batches in which nothing differs.

use convnet::layers::LayerSpec;
use convnet::metrics::Average;
use convnet::prelude::*;
use convnet::{ErrorKind, Shape};
use ndarray::{Array2, ArrayD, array};

use crate::bench::{Bench, Outcome, gradient_of};

const DENORMAL: f32 = 1e-40;

fn run(
    layer: impl Into<LayerSpec>,
    n: usize,
    shape: impl Into<Shape>,
    x: &[f32],
    dy: &[f32],
) -> Outcome {
    let layer = layer.into();
    let bench = Bench { n, inputs: vec![(shape.into(), x)], weights: vec![], in_lanes: false };
    bench.run(|| layer.clone(), dy)
}

fn model(width: usize, layer: impl Into<LayerSpec>) -> Model {
    let x = Input::new(width);
    Model::new(&x, x.apply(layer).unwrap()).unwrap()
}

#[test]
fn softmax_of_the_largest_scores_is_certain() {
    let model = model(3, Softmax);
    for (x, p) in [
        ([1e4, -1e4, 0.0_f32], [1.0, 0.0, 0.0_f32]),
        ([f32::MAX, f32::MIN, 0.0], [1.0, 0.0, 0.0]),
        ([f32::MAX, f32::MAX, f32::MIN], [0.5, 0.5, 0.0]),
        ([DENORMAL, DENORMAL, -1e4], [0.5, 0.5, 0.0]),
    ] {
        let x = ArrayD::from_shape_vec(vec![1, 3], x.to_vec()).unwrap();
        assert_eq!(model.predict(&x).unwrap().as_slice().unwrap(), p);
    }
}

/// The loss of a class that is out of the question is the difference of the scores.
#[test]
fn crossentropy_of_the_largest_scores_is_their_difference() {
    let x = array![[1e4, -1e4]].into_dyn();
    let (loss, dx) = gradient_of(SparseCategoricalCrossentropy, Softmax, &x, &array![1]);
    assert_eq!((loss, dx), (2e4, vec![1.0, -1.0]));
    let (loss, dx) = gradient_of(BinaryCrossentropy, Sigmoid, &x, &array![[0.0, 1.0]]);
    assert_eq!((loss, dx), (1e4, vec![0.5, -0.5]));
    // Not taken over by the loss, answers are kept within 1e-7 of certainty.
    let x = array![[1.0, 0.0]].into_dyn();
    let (loss, dx) = gradient_of(SparseCategoricalCrossentropy, Linear, &x, &array![1]);
    assert!((loss - 1e7_f64.ln()).abs() < 1e-6, "{loss}");
    assert!(dx.iter().all(|dx| dx.is_finite()), "{dx:?}");
}

#[test]
fn a_loss_that_is_too_large_for_a_number_ends_the_step_and_changes_nothing() {
    let x = Input::new(1);
    let y = x.apply(Dense::new(2).use_bias(false).activation(Softmax)).unwrap();
    let mut model = Model::new(&x, &y).unwrap().compile(
        SGD::new(1.0),
        SparseCategoricalCrossentropy,
        [Accuracy],
    );
    let kernel = array![[f32::MAX, f32::MIN]];
    model.set_weight("dense/kernel", &kernel).unwrap();
    let error = model.train_on_batch(&array![[1.0]], &array![1], 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
    assert_eq!(model.weights()[0].1, kernel.into_dyn());
}

#[test]
fn batches_in_which_nothing_differs_are_normalised_to_beta() {
    for value in [0.0, DENORMAL, 1e-7, 0.1, 1.0, 12_345.678, 1e10, -1e18] {
        for (n, rows) in [(1, 1), (2, 1), (3, 5), (40, 49), (1, 3000)] {
            for c in [1, 3, 16, 70] {
                let x = vec![value; n * rows * c];
                let dy: Vec<f32> = (0..x.len()).map(|i| (i % 7) as f32 - 3.0).collect();
                let layer = BatchNormalization::new();
                let got = run(layer, n, [rows, c], &x, &dy);
                // The mean is known to a few units, and epsilon makes 32 times as much of them.
                let most = f64::from(value.abs()) * 32.0 * 2.0_f64.powi(-22) + 1e-30;
                for y in &got.y {
                    assert!(f64::from(y.abs()) <= most, "{value} became {y}");
                }
                assert!(got.dx[0].iter().all(|dx| dx.is_finite()));
            }
        }
    }
}

#[test]
fn a_batch_of_one_number_is_beta() {
    for value in [0.3, -1e30, f32::MAX, DENORMAL] {
        let beta = [0.25, -7.0];
        let weights = vec![("beta", &beta[..])];
        let x = [value, -value];
        let bench = Bench { n: 1, inputs: vec![(2.into(), &x)], weights, in_lanes: false };
        let got = bench.run(|| BatchNormalization::new().into(), &[1.0, -2.0]);
        assert_eq!(got.y, beta, "of {value}");
    }
}

#[test]
fn moving_statistics_of_what_never_changes_stay_numbers() {
    let x = Input::new(2);
    let y = x.apply(BatchNormalization::new().momentum(0.5)).unwrap();
    let mut model =
        Model::new(&x, &y).unwrap().compile(SGD::new(0.0), MeanSquaredError, [MeanSquaredError]);
    let batch = Array2::from_elem((8, 2), 0.1_f32);
    for seed in 0..300 {
        model.train_on_batch(&batch, &batch, seed).unwrap();
    }
    let weights = model.weights();
    let of = |name: &str| weights.iter().find(|(known, _)| known.ends_with(name)).unwrap().1[0];
    assert!((of("moving_mean") - 0.1).abs() < 2e-8, "{}", of("moving_mean"));
    assert!((0.0..1e-12).contains(&of("moving_variance")), "{}", of("moving_variance"));
}

#[test]
fn padding_is_never_the_maximum() {
    for value in [-1.0, f32::MIN, -DENORMAL] {
        for (size, stride) in [(2, 1), (3, 2), (4, 3), (5, 1)] {
            let layer = MaxPool2D::new(size).strides(stride).padding(Same);
            let x = vec![value; 2 * 25 * 3];
            let outputs = 2 * 5_usize.div_ceil(stride).pow(2) * 3;
            let dy = vec![1.0; outputs];
            let got = run(layer, 2, [5, 5, 3], &x, &dy);
            assert!(got.y.iter().all(|&y| y == value), "{:?}", got.y);
            // Every gradient goes somewhere on the image.
            assert_eq!(got.dx[0].iter().sum::<f32>(), outputs as f32);
        }
    }
}

#[test]
fn zeros_have_a_sign_and_no_slope() {
    let got = run(Relu, 1, 4, &[0.0, -0.0, DENORMAL, -DENORMAL], &[1.0; 4]);
    assert_eq!(got.y, [0.0, 0.0, DENORMAL, 0.0]);
    assert_eq!(got.dx[0], [0.0, 0.0, 1.0, 0.0]);
}

/// At the ends every activation is its limit, and its slope that of the limit; none is NaN.
#[test]
fn activations_of_the_largest_numbers_are_their_limits() {
    for size in [1e3, 1e4, 1e10, 1e20, 1e30, f32::MAX] {
        for (activation, [high, low], [rises, falls]) in [
            (Relu, [size, 0.0], [1.0, 0.0]),
            (LeakyRelu, [size, -0.2 * size], [1.0, 0.2]),
            (Relu6, [6.0, 0.0], [0.0, 0.0]),
            (Tanh, [1.0, -1.0], [0.0, 0.0]),
            (Sigmoid, [1.0, 0.0], [0.0, 0.0]),
            (Elu, [size, -1.0], [1.0, 0.0]),
            (Gelu, [size, 0.0], [1.0, 0.0]),
            (GeluApproximate, [size, 0.0], [1.0, 0.0]),
            (Silu, [size, 0.0], [1.0, 0.0]),
        ] {
            let got = run(activation, 1, 2, &[size, -size], &[1.0, 1.0]);
            assert_eq!(got.y, [high, low], "{activation:?} of ±{size}");
            assert_eq!(got.dx[0], [rises, falls], "the slope of {activation:?} at ±{size}");
        }
    }
}

/// Numbers below the least normal one are not flushed to zero.
#[test]
fn denormals_survive() {
    let x: Vec<f32> = (0..64).map(|i| (i - 32) as f32 * DENORMAL).collect();
    for activation in [Linear, Tanh, Elu, Relu6] {
        let got = run(activation, 1, 32, &x[32..], &x[..32]);
        assert_eq!(got.y, x[32..], "{activation:?}");
    }
    let ones = [1.0; 9];
    let weights = vec![("kernel", &ones[..])];
    for in_lanes in [false, true] {
        let inputs = vec![([4, 4, 1].into(), &x[..])];
        let bench = Bench { n: 4, inputs, weights: weights.clone(), in_lanes };
        let got = bench.run(|| Conv2D::new(1, 3).use_bias(false).into(), &[1.0; 16]);
        let first: f32 = [0, 1, 2, 4, 5, 6, 8, 9, 10].iter().map(|&i| x[i]).sum();
        assert_eq!(got.y[0], first);
    }
}

/// Neither side of a product may overflow where the product does not.
#[test]
fn huge_weights_and_tiny_inputs_meet_in_the_middle() {
    for layer in [LayerSpec::from(Dense::new(5)), Conv2D::new(5, 1).into()] {
        let kernel = [1e37; 8 * 5];
        let bias = vec![0.0; 5];
        let x = vec![1e-37; 3 * 8];
        let shape: Shape =
            if format!("{layer:?}").contains("Dense") { 8.into() } else { [1, 1, 8].into() };
        let weights = vec![("kernel", &kernel[..]), ("bias", &bias)];
        let bench = Bench { n: 3, inputs: vec![(shape, &x)], weights, in_lanes: false };
        let got = bench.run(|| layer.clone(), &[1.0; 15]);
        assert!(got.y.iter().all(|y| (y - 8.0).abs() < 1e-5), "{:?}", got.y);
        assert!(got.dx[0].iter().all(|dx| (dx / 5e37 - 1.0).abs() < 1e-6), "{:?}", got.dx);
    }
}

#[test]
fn zeros_pass_through_local_response_normalization() {
    let layer = LocalResponseNormalization::new();
    let got = run(layer, 2, [3, 7], &[0.0; 42], &[1.0; 42]);
    assert!(got.y.iter().all(|&y| y == 0.0));
    let slope = 2.0_f32.powf(-0.75);
    assert!(got.dx[0].iter().all(|dx| (dx - slope).abs() < 1e-6), "{:?}", got.dx);
}

/// Scores of metrics where one of the classes is missing are Keras': an empty fraction is 0.
#[test]
fn metrics_of_a_single_class_are_numbers() {
    let x = Input::new(1);
    let model = Model::new(&x, x.apply(Linear).unwrap()).unwrap();
    let metrics: Vec<Box<dyn Metric>> = vec![
        Box::new(AUC::new()),
        Box::new(Precision::new()),
        Box::new(Recall::new()),
        Box::new(F1Score::new().threshold(0.5).average(Average::Macro)),
        Box::new(BinaryAccuracy::new()),
    ];
    let mut model = model.compile(SGD::default(), BinaryCrossentropy, metrics);
    let answers = array![[0.1], [0.7], [0.9], [1.0]];
    for (label, wanted) in
        [(0.0, [0.0, 0.0, 0.0, 0.0, 0.25]), (1.0, [0.0, 1.0, 0.75, 6.0 / 7.0, 0.75])]
    {
        let labels = Array2::from_elem((4, 1), label);
        let logs = model.evaluate(&answers, &labels).unwrap();
        let names = ["auc", "precision", "recall", "f1_score", "binary_accuracy"];
        for (name, wanted) in names.into_iter().zip(wanted) {
            let got = logs[name];
            assert!((got - wanted).abs() < 1e-6, "{name} of {label} alone: {got}, not {wanted}");
        }
        assert!(logs["loss"].is_finite());
    }
}

/// A batch of one sample through everything that has windows, and of an image of one pixel.
#[test]
fn a_single_pixel_is_an_image() {
    let image = Input::new([1, 1, 1]);
    let class = image
        .apply(Conv2D::new(33, 3).padding(Same).activation(Relu))
        .and_then(|x| x.apply(Conv2D::new(33, 5).padding(Same)))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(DepthwiseConv2D::new(3).padding(Same).strides(2)))
        .and_then(|x| x.apply(MaxPool2D::new(2).padding(Same)))
        .and_then(|x| x.apply(AveragePooling2D::new(3).padding(Same)))
        .and_then(|x| x.apply(LocalResponseNormalization::new()))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(2).activation(Softmax)))
        .unwrap();
    let model = Model::new(&image, &class).unwrap();
    let mut model = model.compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy]);
    let x = ArrayD::from_elem(vec![1, 1, 1, 1], 0.5_f32);
    for seed in 0..5 {
        assert!(model.train_on_batch(&x, &array![1], seed).unwrap().is_finite());
    }
    let sum = model.predict(&x).unwrap().sum();
    assert!((sum - 1.0).abs() < 1e-6);
}
