//! Every layer compared with what Keras computes: outputs, gradients, moving statistics.

use ndarray::{ArrayD, arr2};

use self::fixtures::{error, fixture, layer, list, map, tensor, text};
use super::check::{Bench, input_name};
use super::{LayerSpec, Layout, Pair};
use crate::prelude::*;
use crate::shape::Shape;

#[path = "../../tests/keras/fixtures.rs"]
mod fixtures;

/// Runs all cases of a file, of which there are so many. Errors are relative to the largest number of
/// a tensor.
fn compare(file: &str, count: usize, tolerance: f32) {
    let cases = fixture(file);
    assert_eq!(list(&cases).len(), count, "cases in {file}.json");
    for case in list(&cases) {
        let case_name = text(&case["name"]);
        let close = |what: &str, found: &[f32], expected: &ArrayD<f32>| {
            let error = error(found, expected);
            eprintln!("ERR {file} {error:e} {case_name} {what}");
            assert!(error <= tolerance, "{file}, {case_name}, {what}: off by {error:e}");
        };
        let calls = list(&case["calls"]);
        let first: Vec<ArrayD<f32>> = list(&calls[0]["inputs"]).iter().map(tensor).collect();
        let shapes: Vec<Shape> = first.iter().map(|x| Shape::from(&x.shape()[1..])).collect();
        let mut bench = Bench::new(layer(case), &shapes, first[0].shape()[0], Layout::Rows);
        for (name, weight) in map(&case["weights"]) {
            bench.model.set_weight(&format!("layer/{name}"), &tensor(weight)).unwrap();
        }
        assert_eq!(bench.model.weights().len(), shapes.len() + map(&case["weights"]).len());

        for call in calls {
            let x: Vec<ArrayD<f32>> = list(&call["inputs"]).iter().map(tensor).collect();
            let y = tensor(&call["output"]);
            let frozen = map(&call["frozen"]);
            let training = call["training"].as_bool().unwrap();
            // A layer without moving statistics computes the same in inference.
            if !training || frozen.is_empty() {
                let predicted = bench.predict(&x);
                assert_eq!(predicted.shape(), y.shape(), "{file}, {case_name}");
                close("inference", predicted.as_slice().unwrap(), &y);
            }
            // Nothing is trained in inference mode here, so Keras' gradients of it have no counterpart.
            if training {
                close("output", bench.forward(&x), &y);
                bench.backward(tensor(&call["upstream"]).as_slice().unwrap());
                for (i, dx) in list(&call["input_gradients"]).iter().enumerate() {
                    let name = format!("{}/offset", input_name(i));
                    close(&name, bench.gradient(&name), &tensor(dx));
                }
                let weight_gradients = map(&call["weight_gradients"]);
                assert_eq!(bench.trainable().len(), shapes.len() + weight_gradients.len());
                for (name, dw) in weight_gradients {
                    close(name, bench.gradient(&format!("layer/{name}")), &tensor(dw));
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
}

#[test]
fn activation() {
    compare("activation", 14, 1e-6);
}

#[test]
fn add() {
    compare("add", 2, 1e-6);
}

#[test]
fn average_pooling2d() {
    compare("average_pooling2d", 11, 1e-6);
}

#[test]
fn batch_normalization() {
    compare("batch_normalization", 6, 1e-5);
}

#[test]
fn concatenate() {
    compare("concatenate", 2, 0.0);
}

#[test]
fn conv2d() {
    compare("conv2d", 20, 1e-5);
}

#[test]
fn dense() {
    compare("dense", 8, 1e-5);
}

#[test]
fn flatten() {
    compare("flatten", 3, 0.0);
}

#[test]
fn max_pooling2d() {
    compare("max_pooling2d", 12, 1e-6);
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
    assert!(error(&y, &[2.470_680_1]) < 1e-6);
}
