//! Every mistake a user can make gets its sentence: who, what it got, what it wanted, what to do.

mod callbacks;
mod data;
mod graph;
mod layers;
mod report;
mod training;

use convnet::prelude::*;
use convnet::{ErrorKind, Result};
use ndarray::{Array1, Array2};

/// Demands an error of this kind with exactly this sentence.
#[track_caller]
fn refused<T>(result: Result<T>, kind: ErrorKind, sentence: &str) {
    let Err(error) = result else { panic!("should be refused: {sentence}") };
    assert_eq!(error.to_string(), sentence);
    assert_eq!(error.kind(), kind);
    assert_eq!(format!("{error:?}"), sentence, "Debug reads like Display");
}

/// A classifier of 3 numbers into 4 classes, with one-hot labels.
fn classifier() -> CompiledModel {
    let x = Input::new(3);
    let class = x.apply(Dense::new(4).activation(Softmax)).unwrap();
    Model::new(&x, &class).unwrap().compile(Adam::default(), CategoricalCrossentropy, [Accuracy])
}

/// The same with integer labels.
fn sparse_classifier() -> CompiledModel {
    let model = classifier().into_model();
    model.compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy])
}

/// Eight samples for it, and their labels.
fn inputs() -> Array2<f32> {
    Array2::from_shape_fn((8, 3), |(i, j)| (i * 3 + j) as f32 / 24.0)
}

fn labels() -> Array1<u8> {
    Array1::from_shape_fn(8, |i| i as u8 % 4)
}

fn one_hot() -> Array2<f32> {
    Array2::from_shape_fn((8, 4), |(i, class)| f32::from(i % 4 == class))
}

fn silent<'a>() -> Fit<'a> {
    Fit::new().verbose(Verbose::Silent)
}
