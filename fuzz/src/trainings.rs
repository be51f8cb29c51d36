//! A training whose backups are damaged.

use convnet::callbacks::{BackupAndRestore, SaveFreq};
use convnet::prelude::*;
use ndarray::{Array1, Array4};

/// Under which key a backup keeps all but floats.
pub const KEY: &str = "convnet_backup";

fn model() -> CompiledModel {
    let image = Input::new([4, 4, 1]);
    let class = image
        .apply(Conv2D::new(2, 3).activation(Relu))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dropout::new(0.3)))
        .and_then(|x| x.apply(Dense::new(2).activation(Softmax)))
        .expect("it makes sense");
    let model = Model::new(&image, &class).expect("it makes sense");
    model.compile(Adam::default(), SparseCategoricalCrossentropy, (Accuracy, AUC::new()))
}

fn data() -> (Array4<f32>, Array1<u8>) {
    let images = Array4::from_shape_fn((6, 4, 4, 1), |(i, y, x, _)| {
        ((i * 31 + y * 17 + x * 29) % 23) as f32 / 23.0
    });
    (images, Array1::from_shape_fn(6, |i| (i % 2) as u8))
}

/// 2 batches an epoch, which are one step.
fn fit<'a>(epochs: usize) -> Fit<'a> {
    Fit::new()
        .epochs(epochs)
        .batch_size(2)
        .gradient_accumulation_steps(2)
        .verbose(Verbose::Silent)
        .validation_split(0.17)
        .callback(EarlyStopping::new(Monitor::ValLoss).patience(9).restore_best_weights(true))
        .callback(ReduceLROnPlateau::new(Monitor::Loss).patience(1))
        .callback(TerminateOnNaN::new())
}

/// The bytes of a backup that was made after so many batches.
pub fn backup(batches: usize) -> Vec<u8> {
    let (x, y) = data();
    let folder = crate::folder().join("made");
    // What is there would be resumed.
    let _ = std::fs::remove_dir_all(&folder);
    let backup = BackupAndRestore::new(&folder).save_freq(SaveFreq::Batches(batches));
    let epochs = batches.div_ceil(2);
    let fit = fit(epochs).callback(backup.delete_checkpoint(false));
    model().fit(&x, &y, fit).expect("it trains");
    std::fs::read(folder.join("backup.safetensors")).expect("it was made")
}

/// Goes on from a backup in this folder, to the end of the third epoch.
pub fn resume(folder: &std::path::Path) -> convnet::Result<History> {
    let (x, y) = data();
    let mut model = model();
    // What the backup was made by, which keeps nothing.
    let backup = BackupAndRestore::new(crate::folder().join("none"));
    let fit = fit(3).callback(backup).resume_from(folder);
    let history = model.fit(&x, &y, fit);
    model.predict(&x).expect("the model is usable, however it ends");
    history
}
