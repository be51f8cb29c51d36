//! Every layer compared with what Keras computes: outputs, gradients, moving statistics.

use ndarray::{ArrayD, Axis, arr2, concatenate};
use serde_json::Value;

use self::fixtures::{error, fixture, float, layer, list, map, tensor, text};
use super::check::{Bench, input_name};
use super::*;
use crate::kernels::affine::Affine;

#[path = "../../tests/keras/fixtures.rs"]
mod fixtures;

/// So many copies of a batch are enough for samples in lanes.
const COPIES: usize = 9;

/// Runs all cases of a file, of which there are so many: as they are, and with copies of the batch
/// behind one another, which give copies of the outputs and add up in the gradients to the weights.
/// The tolerance is a fraction of the largest number of each tensor; sums in f32 reach 1e-6 here.
fn compare(file: &str, count: usize, tolerance: f32) {
    let cases = fixture(file);
    assert_eq!(list(&cases).len(), count, "cases in {file}.json");
    for case in list(&cases) {
        run(case, 1, Layout::Rows, tolerance);
        run(case, COPIES, Layout::Lanes, tolerance);
    }
}

fn run(case: &Value, copies: usize, layout: Layout, tolerance: f32) {
    let close = |what: &str, found: &[f32], expected: &ArrayD<f32>| {
        let (error, case) = (error(found, expected), text(&case["name"]));
        assert!(error <= tolerance, "{case}, {layout:?}, {what}: off by {error:e}");
    };
    let batch = |value: &Value| concatenate(Axis(0), &vec![tensor(value).view(); copies]).unwrap();
    let batches = |value: &Value| list(value).iter().map(batch).collect::<Vec<_>>();

    let calls = list(&case["calls"]);
    let first = batches(&calls[0]["inputs"]);
    let shapes: Vec<Shape> = first.iter().map(|x| Shape::from(&x.shape()[1..])).collect();
    let layer = layer(case).trainable(case["trainable"].as_bool().unwrap_or(true));
    let mut bench = Bench::new(layer, &shapes, first[0].shape()[0], layout);
    for (name, weight) in map(&case["weights"]) {
        bench.model.set_weight(&format!("layer/{name}"), &tensor(weight)).unwrap();
    }
    assert_eq!(bench.model.weights().len(), shapes.len() + map(&case["weights"]).len());

    for call in calls {
        let (x, y) = (batches(&call["inputs"]), batch(&call["output"]));
        let frozen = map(&call["frozen"]);
        let training = call["training"].as_bool().unwrap();
        // A layer without moving statistics computes the same in inference.
        if !training || frozen.is_empty() {
            let predicted = bench.predict(&x);
            assert_eq!(predicted.shape(), y.shape());
            close("inference", predicted.as_slice().unwrap(), &y);
        }
        // Nothing is trained in inference mode here, so Keras' gradients of it have no counterpart.
        if training {
            close("output", bench.forward(&x), &y);
            bench.backward(batch(&call["upstream"]).as_slice().unwrap());
            for (i, dx) in batches(&call["input_gradients"]).iter().enumerate() {
                let name = format!("{}/offset", input_name(i));
                close(&name, &in_rows(bench.gradient(&name), dx.shape(), layout), dx);
            }
            let weight_gradients = map(&call["weight_gradients"]);
            assert_eq!(bench.trainable().len(), shapes.len() + weight_gradients.len());
            for (name, dw) in weight_gradients {
                let dw = tensor(dw) * copies as f32;
                close(name, bench.gradient(&format!("layer/{name}")), &dw);
            }
        }
        for (name, expected) in frozen {
            let weights = bench.model.weights();
            let full_name = format!("layer/{name}");
            let (_, found) = weights.iter().find(|(name, _)| *name == full_name).unwrap();
            close(name, found.as_slice().unwrap(), &tensor(expected));
        }
    }
}

/// The numbers of samples of this shape, `(n, …)`, one sample after the other.
fn in_rows(floats: &[f32], shape: &[usize], layout: Layout) -> Vec<f32> {
    let (size, across) = (shape[1..].iter().product::<usize>(), layout.across());
    let place = |sample, i| (sample / across * size + i) * across + sample % across;
    let samples = 0..shape[0];
    samples.flat_map(|sample| (0..size).map(move |i| floats[place(sample, i)])).collect()
}

#[test]
fn activation() {
    compare("activation", 32, 1e-6);
}

#[test]
fn add() {
    compare("add", 2, 1e-6);
}

#[test]
fn average() {
    compare("average", 2, 1e-6);
}

#[test]
fn average_pooling2d() {
    compare("average_pooling2d", 11, 1e-6);
}

#[test]
fn batch_normalization() {
    // Of one row the gradient is 0 and what the terms that cancel were rounded by is left, 2e-6.
    compare("batch_normalization", 4, 1e-5);
}

#[test]
fn concatenated() {
    compare("concatenate", 2, 0.0);
}

#[test]
fn conv2d() {
    compare("conv2d", 31, 2e-6);
}

#[test]
fn dense() {
    compare("dense", 8, 1e-6);
}

#[test]
fn depthwise_conv2d() {
    compare("depthwise_conv2d", 9, 2e-6);
}

#[test]
fn flatten() {
    compare("flatten", 3, 0.0);
}

#[test]
fn frozen() {
    compare("frozen", 5, 1e-6);
}

#[test]
fn global_average_pooling2d() {
    compare("global_average_pooling2d", 3, 1e-6);
}

#[test]
fn global_max_pooling2d() {
    compare("global_max_pooling2d", 3, 1e-6);
}

#[test]
fn leaky_re_lu() {
    compare("leaky_re_lu", 2, 1e-6);
}

#[test]
fn local_response_normalization() {
    // TensorFlow computes it in single precision only.
    compare("local_response_normalization", 4, 3e-6);
}

#[test]
fn max_pooling2d() {
    compare("max_pooling2d", 12, 1e-6);
}

#[test]
fn multiply() {
    compare("multiply", 2, 1e-6);
}

#[test]
fn re_lu() {
    compare("re_lu", 6, 1e-6);
}

/// What a draw makes of an image; the draws themselves have laws of their own.
#[test]
fn random_transforms() {
    let cases = fixture("random_transforms");
    assert_eq!(list(&cases).len(), 24);
    for case in list(&cases) {
        let (x, expected, config) =
            (tensor(&case["input"]), tensor(&case["output"]), &case["config"]);
        let image: [usize; 3] = Shape::from(&x.shape()[1..]).dims().unwrap();
        let numbers = |value: &Value| list(value).iter().map(float).collect::<Vec<_>>();
        let transform = match text(&case["layer"]) {
            "RandomTranslation" => {
                RandomTranslation::transform(numbers(&case["shift"]).try_into().unwrap())
            }
            _ => RandomRotation::transform([image[0], image[1]], float(&case["turns"])),
        };
        let affine = Affine {
            image,
            interpolation: serde_json::from_value(config["interpolation"].clone()).unwrap(),
            fill_mode: serde_json::from_value(config["fill_mode"].clone()).unwrap(),
            fill_value: float(&config["fill_value"]) as f32,
        };
        let mut y = vec![f32::NAN; x.len()];
        affine.forward(&[transform], x.as_slice().unwrap(), &mut y);
        let error = error(&y, &expected);
        assert!(error < 1e-5, "{}: off by {error:e}", text(&case["name"]));
    }
}

#[test]
fn rescaling() {
    compare("rescaling", 2, 1e-6);
}

#[test]
fn reshape() {
    compare("reshape", 3, 0.0);
}

#[test]
fn resizing() {
    compare("resizing", 8, 1e-6);
}

#[test]
fn separable_conv2d() {
    compare("separable_conv2d", 6, 2e-6);
}

#[test]
fn zero_padding2d() {
    compare("zero_padding2d", 3, 0.0);
}

/// One channel of 1, 2, 3, 4 in training, then 2.5 in inference, by hand: the variance is divided by
/// the number of samples both for the output and for the moving one.
#[test]
fn batch_normalization_of_one_to_four() {
    let mut bench = Bench::new(BatchNormalization::new(), &[1.into()], 4, Layout::Rows);
    let y = bench.forward(&[arr2(&[[1.0], [2.0], [3.0], [4.0]]).into_dyn()]);
    assert!(error(y, &[-1.341_104_5, -0.447_034_8, 0.447_034_8, 1.341_104_5]) < 1e-6);
    let moving: Vec<f32> = bench.model.weights()[3..].iter().map(|(_, w)| w[0]).collect();
    assert!(error(&moving, &[0.025, 1.0025]) < 1e-6);
    let y = bench.predict(&[arr2(&[[2.5]]).into_dyn()]);
    assert!(error(&y, &[2.470_68]) < 1e-6);
}
