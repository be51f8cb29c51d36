//! Layers that are not trained, and models built on layers of others.

use convnet::prelude::*;
use ndarray::{Array1, Array4, ArrayD};

fn images(n: usize) -> Array4<f32> {
    let pixel = |(n, y, x, c)| ((n * 31 + y * 7 + x * 3 + c) % 17) as f32 / 8.0 - 1.0;
    Array4::from_shape_fn((n, 6, 6, 2), pixel)
}

fn classes(n: usize) -> Array1<f32> {
    Array1::from_shape_fn(n, |n| (n % 3) as f32)
}

/// A node behind a convolution, batch normalisation and a dense layer.
fn features(image: &Input) -> Node {
    image
        .apply(Conv2D::new(4, 3).activation(Relu))
        .and_then(|x| x.apply(BatchNormalization::new().momentum(0.5)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(5).activation(Tanh)))
        .unwrap()
}

fn compiled(model: Model) -> CompiledModel {
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, ())
}

/// A model trained for a few steps.
fn trained(model: Model, x: &Array4<f32>) -> CompiledModel {
    let mut model = compiled(model);
    let y = classes(x.dim().0);
    for seed in 0..4 {
        model.train_on_batch(x, &y, seed).unwrap();
    }
    model
}

fn weight(model: &Model, name: &str) -> ArrayD<f32> {
    let weights = model.weights();
    let found = weights.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name}")).1.to_owned()
}

fn base() -> Model {
    let image = Input::new([6, 6, 2]);
    let class = features(&image).apply(Dense::new(3).activation(Softmax)).unwrap();
    Model::new(&image, &class).unwrap().seed(5)
}

#[test]
fn frozen_layers_keep_their_weights_and_statistics() {
    let x = images(12);
    for names in [vec!["conv2d"], vec!["batch_normalization"], vec!["dense", "conv2d"]] {
        let model = base().trainable(&names, false).unwrap();
        let before = model.snapshot();
        let model = trained(model, &x);
        let mut other = base().trainable(&names, false).unwrap();
        other.restore(&before);
        for (name, after) in model.weights() {
            let frozen = names.iter().any(|layer| name.starts_with(&format!("{layer}/")));
            let same = weight(&other, &name) == after;
            assert_eq!(same, frozen, "{name} with {names:?} frozen");
        }
    }
}

#[test]
fn weights_are_restored_though_other_layers_are_frozen_now() {
    let mut one = base();
    let mut snapshot = one.snapshot();
    for names in [vec!["conv2d"], vec!["batch_normalization"], vec!["dense", "conv2d"]] {
        let mut other = base().seed(9).trainable(&names, false).unwrap();
        other.restore(&snapshot);
        assert_eq!(other.weights(), one.weights(), "{names:?}");
        one = one.seed(names.len() as u64);
        other.restore(&one.snapshot());
        other.snapshot_into(&mut snapshot);
        one = one.seed(9);
        one.restore(&snapshot);
        assert_eq!(other.weights(), one.weights(), "{names:?}");
    }
}

#[test]
#[should_panic(expected = "the snapshot is of a model with other weights")]
fn a_snapshot_of_another_model() {
    let x = Input::new(3);
    let mut other = Model::new(&x, x.apply(Dense::new(2)).unwrap()).unwrap();
    other.restore(&base().snapshot());
}

/// Frozen when it was applied or later: the same training.
#[test]
fn it_does_not_matter_where_a_layer_was_frozen() {
    let x = images(12);
    let image = Input::new([6, 6, 2]);
    let frozen = Conv2D::new(4, 3).activation(Relu).name("conv").trainable(false);
    let class = image
        .apply(frozen)
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(3).activation(Softmax)))
        .unwrap();
    let model = || Model::new(&image, &class).unwrap().seed(3);
    let at_once = trained(model(), &x);
    let again = model().trainable(["conv"], true).unwrap().trainable(["conv"], false).unwrap();
    assert_eq!(trained(again, &x).weights(), at_once.weights());
    let free = trained(model().trainable(["conv"], true).unwrap(), &x);
    assert_ne!(free.weights(), at_once.weights());
}

/// A head on frozen layers learns what it would learn from their outputs, computed beforehand.
#[test]
fn a_head_on_frozen_layers_is_a_model_of_their_outputs() {
    let (x, y) = (images(12), classes(12));
    let base = trained(base(), &x);
    let head = |node: &Node| node.apply(Dense::new(3).activation(Softmax).name("head")).unwrap();

    let class = head(&base.output_of("dense").unwrap());
    let names = base.layer_names();
    let model = Model::new(base.inputs(), &class).unwrap().weights_from(&base).unwrap();
    let kept = names.iter().filter(|name| *name != "dense_1");
    let model = model.trainable(kept, false).unwrap().compile(
        Adam::new(0.01),
        SparseCategoricalCrossentropy,
        (),
    );

    let extractor = Model::new(base.inputs(), base.output_of("dense").unwrap()).unwrap();
    let extractor = extractor.weights_from(&base).unwrap();
    let outputs = extractor.predict(&x).unwrap();
    let input = Input::new(5);
    let mut alone = Model::new(&input, head(&Node::from(&input))).unwrap();
    for name in ["head/kernel", "head/bias"] {
        alone.set_weight(name, &weight(&model, name)).unwrap();
    }
    let (mut model, mut alone) = (model, compiled(alone));
    for seed in 0..10 {
        let [together, apart] = [
            model.train_on_batch(&x, &y, seed).unwrap(),
            alone.train_on_batch(&outputs, &y, seed).unwrap(),
        ];
        assert!((together - apart).abs() < 1e-6 * apart, "step {seed}: {together}, {apart}");
    }
    for name in ["conv2d/kernel", "batch_normalization/moving_mean", "dense/bias"] {
        assert_eq!(weight(&model, name), weight(&base, name), "{name}");
    }
}

/// Layers are known by their nodes: the second branch of the old model is the only one of the new
/// one, and called otherwise there.
#[test]
fn weights_follow_the_layers_not_their_names() {
    let image = Input::new([6, 6, 2]);
    let left = image.apply(Conv2D::new(3, 3)).unwrap();
    let right = image.apply(Conv2D::new(3, 3)).unwrap();
    let sum = [&left, &right].apply(Add::new()).unwrap();
    let both = Model::new(&image, &sum).unwrap().seed(9);
    let right = right.apply(Conv2D::new(3, 1)).unwrap();
    let one = Model::new(&image, &right).unwrap().weights_from(&both).unwrap();
    assert_eq!(one.layer_names(), ["input_layer", "conv2d", "conv2d_1"]);
    assert_eq!(weight(&one, "conv2d/kernel"), weight(&both, "conv2d_1/kernel"));
}

#[test]
fn whether_a_layer_is_trained_goes_with_its_weights() {
    let frozen = base().trainable(["dense"], false).unwrap();
    let class = frozen.output_of("dense").unwrap().apply(Dense::new(2)).unwrap();
    let model = Model::new(frozen.inputs(), &class).unwrap();
    let count = |model: &Model| {
        let summary = model.summary().to_string();
        let line = summary.lines().find(|line| line.contains("Non-trainable")).unwrap().to_string();
        line.split_whitespace().nth(2).unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(count(&model), 8, "moving statistics");
    assert_eq!(count(&model.weights_from(&frozen).unwrap()), 8 + 64 * 5 + 5);
}

/// As in Keras: what is not trained adds nothing to the loss.
#[test]
fn a_frozen_layer_has_no_penalty() {
    let (x, y) = (images(6), classes(6));
    let loss = |penalty: f32, trainable: bool| {
        let image = Input::new([6, 6, 2]);
        let conv = Conv2D::new(2, 3).kernel_regularizer(Regularizer::L2(penalty));
        let class = image
            .apply(conv.trainable(trainable))
            .and_then(|x| x.apply(Flatten::new()))
            .and_then(|x| x.apply(Dense::new(3).activation(Softmax)))
            .unwrap();
        let mut model = compiled(Model::new(&image, &class).unwrap());
        model.train_on_batch(&x, &y, 0).unwrap()
    };
    assert_eq!(loss(1.0, false), loss(0.0, false));
    assert_ne!(loss(1.0, true), loss(0.0, true));
}
