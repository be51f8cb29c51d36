//! How samples, classes, outputs and batches count in a training.

use convnet::prelude::*;
use ndarray::{Array1, Array2, Axis, s};

fn inputs() -> Array2<f32> {
    Array2::from_shape_fn((100, 3), |(i, j)| ((i * 37 + j * 11) % 23) as f32 / 23.0)
}

fn labels() -> Array1<u8> {
    Array1::from_shape_fn(100, |i| (i * 7 % 3) as u8)
}

fn model() -> CompiledModel {
    let x = Input::new(3);
    let class = x
        .apply(Dense::new(20).activation(Tanh).kernel_regularizer(L2(0.01)))
        .and_then(|x| x.apply(Dense::new(3).activation(Softmax)))
        .unwrap();
    let model = Model::new(&x, &class).unwrap();
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, [Accuracy])
}

fn silent<'a>() -> Fit<'a> {
    Fit::new().verbose(Verbose::Silent)
}

/// The largest difference between the weights of two models.
fn difference(a: &Model, b: &Model) -> f32 {
    let (a, b) = (a.weights(), b.weights());
    let pairs = a.iter().zip(&b).flat_map(|((_, a), (_, b))| a.iter().zip(b.iter()));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// 100 samples: the last batch is short, and so is the last step.
#[test]
fn accumulated_gradients_are_those_of_the_large_batch() {
    for (small, steps, large) in
        [(16, 2, 32), (7, 4, 28), (10, 10, 100), (30, 9, 270), (1, 100, 100)]
    {
        let train = |batch_size, steps| {
            // Not Adam, which makes much of the rounding of small gradients.
            let sgd = SGD::new(0.1).momentum(0.9);
            let model = model().into_model();
            let mut model = model.compile(sgd, SparseCategoricalCrossentropy, [Accuracy]);
            let fit = silent().epochs(3).batch_size(batch_size);
            let fit = fit.gradient_accumulation_steps(steps);
            let history = model.fit(&inputs(), &labels(), fit).unwrap();
            (model, history)
        };
        let ((whole, whole_history), (parts, parts_history)) =
            (train(large, 1), train(small, steps));
        assert!(difference(&whole, &parts) < 1e-6, "{small}: {}", difference(&whole, &parts));
        let losses = whole_history.history["loss"].iter().zip(&parts_history.history["loss"]);
        assert!(losses.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
    }
}

#[test]
fn accumulated_gradients_are_the_same_bits_on_any_number_of_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = model();
            let fit = silent().epochs(2).batch_size(32).gradient_accumulation_steps(2);
            let weights = Array1::from_shape_fn(100, |i| (i % 5) as f32);
            let fit = fit.class_weight([(1, 2.5)]);
            model.fit(&inputs(), Weighted::new(&labels(), &weights), fit).unwrap();
            model.into_model()
        })
    };
    assert_eq!(run(1).weights(), run(2).weights());
    assert_eq!(run(1).weights(), run(5).weights());
}

/// A weight of 1 changes nothing; one of 0 leaves the sample out, but it is still counted.
#[test]
fn weights_of_samples() {
    let ones = Array1::<f32>::ones(100);
    let (mut plain, mut weighted) = (model(), model());
    plain.fit(&inputs(), &labels(), silent().batch_size(32)).unwrap();
    weighted.fit(&inputs(), Weighted::new(&labels(), &ones), silent().batch_size(32)).unwrap();
    assert!(difference(&plain, &weighted) < 1e-6);

    let half = Array1::from_shape_fn(100, |i| if i < 50 { 2.0 } else { 0.0 });
    let (x, y) = (inputs(), labels());
    let logs = model().evaluate(&x, Weighted::new(&y, &half)).unwrap();
    let (first_x, first_y) = (x.slice(s![..50, ..]), y.slice(s![..50]));
    let first = model().evaluate(&first_x, &first_y).unwrap();
    assert!((logs["loss"] - first["loss"]).abs() < 1e-6);
    assert_eq!(logs["accuracy"], model().evaluate(&x, &y).unwrap()["accuracy"]);

    let (mut whole, mut part) = (model(), model());
    whole.train_on_batch(&x, Weighted::new(&y, &half), 0).unwrap();
    part.train_on_batch(&first_x, &first_y, 0).unwrap();
    assert!(difference(&whole, &part) < 1e-6);
}

#[test]
fn a_validation_split_takes_its_weights_along() {
    let weights = Array1::from_shape_fn(100, |i| if i < 80 { 1.0 } else { 0.5 });
    let mut split = model();
    let fit = silent().batch_size(20).validation_split(0.2);
    let history = split.fit(&inputs(), Weighted::new(&labels(), &weights), fit).unwrap();
    let (x, y) = (inputs(), labels());
    let (held_x, held_y) = (x.slice(s![80.., ..]), y.slice(s![80..]));
    let (held, penalty) = (split.evaluate(&held_x, &held_y).unwrap()["loss"], penalty(&split));
    let expected = (held - penalty) / 2.0 + penalty;
    assert!((history.history["val_loss"][0] - expected).abs() < 1e-6);

    let held_weights = weights.slice(s![80..]);
    let fit = silent().validation_data(&held_x, Weighted::new(&held_y, &held_weights));
    let history = model().fit(&inputs(), &labels(), fit).unwrap();
    assert_eq!(history.history["val_loss"].len(), 1);
}

fn penalty(model: &Model) -> f64 {
    let weights = model.weights();
    weights[0].1.iter().map(|&w| 0.01 * f64::from(w).powi(2)).sum()
}

/// A class with weight 0 teaches nothing: its unit's bias is only pushed down.
#[test]
fn weights_of_classes_are_weights_of_samples() {
    let classes = [0.5, 1.0, 3.0];
    let weights = labels().mapv(|class| classes[usize::from(class)]);
    let (mut by_class, mut by_sample) = (model(), model());
    let fit = || silent().epochs(2).validation_split(0.1);
    let given = [(2, 3.0), (0, 0.5)];
    let by_class_history = by_class.fit(&inputs(), &labels(), fit().class_weight(given)).unwrap();
    let by_sample_history =
        by_sample.fit(&inputs(), Weighted::new(&labels(), &weights), fit()).unwrap();
    assert_eq!(by_class.weights(), by_sample.weights());
    assert_eq!(by_class_history.history["loss"], by_sample_history.history["loss"]);
    // Validation counts all classes alike.
    assert_ne!(by_class_history.history["val_loss"], by_sample_history.history["val_loss"]);
}

#[test]
fn each_output_has_its_loss_its_weight_and_its_metrics() {
    let x = Input::new(3);
    let label = x.apply(Dense::new(3).activation(Softmax).name("label")).unwrap();
    let sum = x.apply(Dense::new(1).name("sum")).unwrap();
    let model = Model::new(&x, [&label, &sum]).unwrap();
    let sums = inputs().sum_axis(Axis(1)).insert_axis(Axis(1));
    let one_hot = Array2::from_shape_fn((100, 3), |(i, c)| f32::from(labels()[i] == c as u8));
    let mut model = model
        .compile(
            Adam::default(),
            (CategoricalCrossentropy, MeanSquaredError),
            (("label", Accuracy), MeanSquaredError.named("mse")),
        )
        .loss_weights([2.0, 0.25]);
    let logs = model.evaluate(&inputs(), [one_hot.view(), sums.view()]).unwrap();
    let keys: Vec<&str> = logs.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["label_accuracy", "label_loss", "label_mse", "loss", "sum_loss", "sum_mse"]);
    assert!((logs["sum_loss"] - logs["sum_mse"]).abs() < 1e-6);
    assert!((logs["loss"] - 2.0 * logs["label_loss"] - 0.25 * logs["sum_loss"]).abs() < 1e-9);
}
