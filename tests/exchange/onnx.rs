//! `export_onnx`. What ONNX Runtime computes of these files is compared in `interop/`.

use std::fs;

use convnet::Shape;
use convnet::layers::{Backward, Infer, LayerSpec};

use super::*;

/// ONNX Runtime has read this file and predicted the same as the model, and what is written today is
/// the same file.
#[test]
fn every_layer_is_the_file_that_onnx_runtime_has_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("every_layer.onnx");
    networks::every_layer().unwrap().export_onnx(&path).unwrap();
    let (found, expected) = (fs::read(&path), fs::read(fixture("every_layer.onnx")));
    assert!(found.unwrap() == expected.unwrap(), "the file is another one");
}

/// A trained model is exported as the model that it was compiled from: `compile` moves activations.
#[test]
fn a_compiled_model_is_the_same_file() {
    let image = Input::new([12, 12, 1]);
    let class = image
        .apply(Conv2D::new(2, 3).activation(Relu))
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(3).activation(Softmax)))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |model: &Model| {
        let path = folder.path().join("model.onnx");
        model.export_onnx(&path).unwrap();
        fs::read(path).unwrap()
    };
    let model = Model::new(&image, &class).unwrap();
    let before = file(&model);
    let compiled = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);
    assert!(file(&compiled) == before);
}

/// A layer of one's own.
#[derive(Debug)]
struct Twice;

impl Layer for Twice {
    fn class_name(&self) -> &'static str {
        "Twice"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn infer(&self, pass: Infer<'_>) {
        pass.y.iter_mut().zip(pass.x.get(0)).for_each(|(y, x)| *y = 2.0 * x);
    }

    fn backward(&self, mut pass: Backward<'_>) {
        if let Some(dx) = pass.dx.get(0) {
            dx.iter_mut().zip(&*pass.dy).for_each(|(dx, dy)| *dx = 2.0 * dy);
        }
    }
}

#[test]
fn what_onnx_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let x = Input::new(3);
    let exported = |layer: LayerSpec| Model::new(&x, x.apply(layer)?)?.export_onnx(&path);
    refused(
        exported(Twice.into()),
        ErrorKind::Graph,
        "export_onnx: `twice` of class Twice has no like in ONNX that is known here; leave it out of \
         the model that is exported",
    );
    refused(
        exported(LocalResponseNormalization::new().name("lrn")),
        ErrorKind::Graph,
        "export_onnx: `lrn` of class LocalResponseNormalization is applied to (3); ONNX's LRN takes \
         images only",
    );
    assert!(!path.exists());
}

#[test]
fn a_window_too_large_for_onnx() {
    let image = Input::new([4, 4, 1]);
    let pool = image.apply(MaxPool2D::new(usize::MAX).padding(Same)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    refused(
        Model::new(&image, &pool).unwrap().export_onnx(folder.path().join("model.onnx")),
        ErrorKind::Graph,
        "export_onnx: `max_pooling2d` of class MaxPooling2D has a size of 18446744073709551615, too \
         much for ONNX",
    );
}

#[test]
fn a_file_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder");
    let x = Input::new(3);
    let model = Model::new(&x, x.apply(Dense::new(1)).unwrap()).unwrap();
    let error = model.export_onnx(&path).unwrap_err();
    let begin = format!("export_onnx: cannot write {}: ", path.display());
    assert!(error.to_string().starts_with(&begin), "{error}");
    assert!(error.to_string().ends_with("; give a path that can be written"), "{error}");
    assert_eq!(error.kind(), ErrorKind::File);
}
