use convnet::prelude::*;
use ndarray::{Axis, Slice};

use super::fixtures::{error, fixture, float, layer, list, map, tensor, text};

/// What rounding to f32 grows to in 20 steps: losses and predictions are 7e-6 off at most, and a few
/// times that is left to sums in another order.
const TOLERANCE: f64 = 5e-5;

/// Trains a net as Keras did: 20 steps with Adam on 5 batches of 4 samples in turn, from the same
/// weights.
fn train(name: &str) {
    let all = fixture("training");
    let mut nets = list(&all["nets"]).iter();
    let net = nets.find(|net| net["name"] == name).expect("a net of this name");
    let (images, labels) = (tensor(&all["images"]), tensor(&all["labels"]));

    let image = Input::new(&images.shape()[1..]);
    let layers = list(&net["layers"]);
    let class = layers.iter().fold(Node::from(&image), |x, l| x.apply(layer(l)).unwrap());
    let mut model = Model::new(&image, &class).unwrap();
    let weights = layers.iter().flat_map(|l| map(&l["weights"]).iter().map(move |w| (l, w)));
    let mut count = 0;
    for (layer, (weight, value)) in weights {
        // Layers without a name of their own are called as in Keras.
        let name = format!("{}/{weight}", text(&layer["name"]));
        model.set_weight(&name, &tensor(value)).unwrap();
        count += 1;
    }
    assert_eq!(model.weights().len(), count);

    let adam = Adam::new(float(&all["learning_rate"]));
    let mut model = model.compile(adam, CategoricalCrossentropy, [Accuracy]);
    let losses = list(&net["losses"]);
    assert_eq!(losses.len(), 20);
    for (step, expected) in losses.iter().map(float).enumerate() {
        let start = step % 5 * 4;
        let batch = Slice::from(start..start + 4);
        let (x, y) = (images.slice_axis(Axis(0), batch), labels.slice_axis(Axis(0), batch));
        let loss = model.train_on_batch(&x, &y, 0).unwrap();
        let off = (loss / expected - 1.0).abs();
        assert!(off <= TOLERANCE, "{name}, step {step}: {loss}, not {expected}: {off:e}");
    }
    let first = images.slice_axis(Axis(0), Slice::from(..4));
    let off = error(&model.predict(&first).unwrap(), &tensor(&net["predicted"]));
    assert!(f64::from(off) <= TOLERANCE, "{name}: predictions are off by {off:e}");
}

#[test]
fn convolutions_and_max_pooling() {
    train("lenet");
}

#[test]
fn batch_normalization_and_average_pooling() {
    train("batch_norm");
}
