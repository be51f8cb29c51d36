use convnet::losses::{Loss, LossPass};
use convnet::prelude::*;
use ndarray::{ArrayD, IxDyn};

use super::fixtures::{error, fixture, float, list, map, tensor, text};

/// The mean loss of a batch and its gradient to `y`.
fn run(loss: &dyn Loss, targets: &[f32], y: &ArrayD<f32>, scores: bool) -> (f64, Vec<f32>) {
    let [n, classes] = *y.shape() else { panic!("rows of classes") };
    let mut floats = y.iter().copied().collect::<Vec<_>>();
    let mut dy = vec![f32::NAN; floats.len()];
    let sum = loss.run(LossPass {
        n,
        classes,
        y: &mut floats,
        scores,
        targets,
        dy: Some(&mut dy),
        share: 1.0,
    });
    (sum / n as f64, dy)
}

#[test]
fn losses_and_gradients() {
    let cases = fixture("losses");
    assert_eq!(list(&cases).len(), 19);
    for case in list(&cases) {
        let (mut scores, mut smoothing) = (false, 0.0);
        for (name, value) in map(&case["config"]) {
            match name.as_str() {
                "from_logits" => scores = value.as_bool().unwrap(),
                "label_smoothing" => smoothing = float(value) as f32,
                _ => panic!("no loss of ours has {name}"),
            }
        }
        let (truth, predicted) = (tensor(&case["truth"]), tensor(&case["predicted"]));
        let loss: &dyn Loss = match text(&case["loss"]) {
            "categorical_crossentropy" => &CategoricalCrossentropy.label_smoothing(smoothing),
            "binary_crossentropy" => &BinaryCrossentropy.label_smoothing(smoothing),
            name => {
                assert_eq!(smoothing, 0.0);
                match name {
                    "sparse_categorical_crossentropy" => &SparseCategoricalCrossentropy,
                    "mean_squared_error" => &MeanSquaredError,
                    name => panic!("no loss of ours is {name}"),
                }
            }
        };
        let (value, dy) = run(loss, truth.as_slice().unwrap(), &predicted, scores);

        let what = format!("{} of {}", text(&case["loss"]), text(&case["name"]));
        let off = (value / float(&case["value"]) - 1.0).abs();
        assert!(off <= 1e-6, "{what}: {value}, off by {off:e}");
        let off = error(&dy, &tensor(&case["gradient"]));
        assert!(off <= 1e-6, "gradient of {what}: off by {off:e}");
    }
}

/// Keras' `label_smoothing`.
fn smooth(target: f32, by: f32, classes: f32) -> f32 {
    target * (1.0 - by) + by / classes
}

/// Labels smoothed by 0.1 over three classes are 0.933333 and 0.033333: a distribution, which the
/// loss takes, and which it makes itself.
#[test]
fn smoothed_labels_are_taken() {
    let targets = [1.0, 0.0, 0.0].map(|t| smooth(t, 0.1, 3.0));
    assert!(error(&targets, &[0.933_333_3, 0.033_333_3, 0.033_333_3]) < 1e-6);
    assert!(CategoricalCrossentropy.check_target(&3.into(), &targets).is_ok());
    let y = ArrayD::from_shape_vec(IxDyn(&[1, 3]), vec![0.5, -1.0, 2.0]).unwrap();
    let own = run(&CategoricalCrossentropy.label_smoothing(0.1), &[1.0, 0.0, 0.0], &y, true);
    let (value, dy) = run(&CategoricalCrossentropy, &targets, &y, true);
    assert!((own.0 - value).abs() < 1e-6 && error(&own.1, &dy) < 1e-6);
}

/// Probabilities are kept 1e-7 from 0 and 1 before the logarithm; 1 − 1e-7 is 0.99999988 in f32.
#[test]
fn the_largest_and_smallest_loss_of_probabilities() {
    for (y, expected) in [([0.0, 1.0], 16.118_095_65), ([1.0, 0.0], 1.192_093e-7)] {
        let y = ArrayD::from_shape_vec(IxDyn(&[1, 2]), y.to_vec()).unwrap();
        for (loss, targets) in [
            (&CategoricalCrossentropy as &dyn Loss, &[1.0, 0.0][..]),
            (&SparseCategoricalCrossentropy, &[0.0]),
        ] {
            let (value, dy) = run(loss, targets, &y, false);
            assert!((value / expected - 1.0).abs() < 1e-6, "{value}");
            assert_eq!(dy, [0.0, 0.0], "nothing moves a clipped probability");
        }
    }
}
