//! Faults of the world around: full disks, cut files, other people's threads, and panics in what users
//! write.

mod cut;
#[cfg(target_os = "linux")]
mod disk;
mod panics;
mod threads;

use std::path::{Path, PathBuf};

use convnet::callbacks::{Logs, Training};
use convnet::prelude::*;
use ndarray::{Array1, Array4};
use tempfile::TempDir;

/// Images that are not hard to tell apart, and their classes.
fn data(n: usize) -> (Array4<f32>, Array1<u8>) {
    let labels = Array1::from_shape_fn(n, |i| (i * 7 % 3) as u8);
    let images = Array4::from_shape_fn((n, 8, 8, 1), |(i, y, x, _)| {
        let noise = ((i * 131 + y * 17 + x * 29) % 97) as f32 / 97.0;
        noise + if (x + y) % 3 == labels[i] as usize { 0.5 } else { 0.0 }
    });
    (images, labels)
}

/// A network whose training draws. With `normal` it has a state beside its weights and takes a batch whole;
/// without, in parts.
fn network(normal: bool, more: impl FnOnce(Node) -> convnet::Result<Node>) -> Model {
    let image = Input::new([8, 8, 1]);
    let class = image
        .apply(Conv2D::new(4, 3).activation(Relu))
        .and_then(|x| if normal { x.apply(BatchNormalization::new()) } else { Ok(x) })
        .and_then(more)
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dropout::new(0.3)))
        .and_then(|x| x.apply(Dense::new(3).activation(Softmax)))
        .unwrap();
    Model::new(&image, &class).unwrap().seed(5)
}

fn compiled(normal: bool) -> CompiledModel {
    let model = network(normal, Ok);
    model.compile(Adam::new(3e-3), SparseCategoricalCrossentropy, [Accuracy])
}

fn silent<'a>() -> Fit<'a> {
    Fit::new().seed(11).verbose(Verbose::Silent)
}

/// The bits of all weights.
fn bits(model: &Model) -> Vec<u32> {
    let weights = model.weights();
    weights.iter().flat_map(|(_, weight)| weight.iter().map(|float| float.to_bits())).collect()
}

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exchange").join(name)
}

/// Stops training after so many batches.
struct After(usize);

impl Callback for After {
    fn on_train_batch_end(
        &mut self,
        _: usize,
        _: &Logs,
        training: &mut Training<'_>,
    ) -> convnet::Result<()> {
        self.0 -= 1;
        if self.0 == 0 {
            training.stop();
        }
        Ok(())
    }
}
