//! Files that are cut at every length, and files that are replaced while they are read.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use convnet::callbacks::{BackupAndRestore, SaveFreq};
use convnet::datasets::{idx, load_image};
use convnet::prelude::*;
use convnet::{Error, ErrorKind};
use jpeg_encoder::{ColorType, Encoder};
use ndarray::array;

use crate::{bits, compiled, data, file, fixture, silent};

/// Reads a file of each of these lengths. Each has to be refused by a sentence that names it.
fn refused_at<T>(
    name: &str,
    bytes: &[u8],
    lengths: impl Iterator<Item = usize>,
    mut read: impl FnMut(&Path) -> Result<T, Error>,
) {
    let (_folder, path) = file(name, bytes);
    if let Err(error) = read(&path) {
        panic!("the whole file of {} bytes: {error}", bytes.len());
    }
    for length in lengths {
        fs::write(&path, &bytes[..length]).unwrap();
        let Err(error) = read(&path) else { panic!("{name} of {length} bytes was read") };
        assert_eq!(error.kind(), ErrorKind::File, "{length}: {error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{length}: {error}");
    }
}

/// A network of a few weights, so that its file is cut everywhere in little time.
fn tiny() -> Model {
    let x = Input::new([2, 2, 1]);
    let y = x
        .apply(Conv2D::new(1, 2))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(2).activation(Softmax)))
        .unwrap();
    Model::new(&x, &y).unwrap()
}

/// What writes to a path, as bytes.
fn written(write: impl FnOnce(&Path) -> convnet::Result<()>) -> Vec<u8> {
    let (_folder, path) = file("whole", &[]);
    write(&path).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn models() {
    let bytes = written(|path| tiny().save(path));
    refused_at("model", &bytes, 0..bytes.len(), |path| Model::load(path));
    refused_at("model", &bytes, 0..bytes.len(), |path| {
        // A file in memory has no name.
        let bytes = fs::read(path).unwrap();
        Model::from_bytes(&bytes)
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", path.display())))
    });
}

#[test]
fn weights_leave_the_model_as_it_was() {
    let bytes = written(|path| tiny().seed(3).save_weights(path));
    let theirs = written(|path| tiny().seed(3).save_pytorch(path, &[]));
    let mut model = tiny();
    let before = bits(&model);
    for matching in [false, true] {
        refused_at("weights", &bytes, 0..bytes.len(), |path| {
            // The whole file comes first, and moves them.
            model = tiny();
            let loaded = match matching {
                false => model.load_weights(path),
                true => model.load_weights_matching(path).map(|_| ()),
            };
            assert!(loaded.is_ok() || bits(&model) == before);
            loaded
        });
    }
    refused_at("theirs", &theirs, 0..theirs.len(), |path| {
        model = tiny();
        let loaded = model.load_pytorch(path, &[]);
        assert!(loaded.is_ok() || bits(&model) == before);
        loaded
    });
}

#[test]
fn backups() {
    let (x, y) = (data(4).0.slice_move(ndarray::s![.., ..2, ..2, ..]), array![0, 1, 0, 1]);
    let compile = || tiny().compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy]);
    let made = tempfile::tempdir().unwrap();
    let backup = BackupAndRestore::new(made.path()).save_freq(SaveFreq::Batches(1));
    let fit = silent().batch_size(2).callback(backup.delete_checkpoint(false));
    compile().fit(&x, &y, fit).unwrap();
    let bytes = fs::read(made.path().join("backup.safetensors")).unwrap();
    refused_at("backup.safetensors", &bytes, 0..bytes.len(), |path| {
        let backup = BackupAndRestore::new(made.path().join("none"));
        let fit = silent().batch_size(2).callback(backup).resume_from(path.parent().unwrap());
        let mut model = compile();
        let before = bits(&model);
        let resumed = model.fit(&x, &y, fit.epochs(2));
        assert!(resumed.is_ok() || bits(&model) == before, "the weights are as before");
        resumed
    });
}

#[test]
fn idx_files_plain_and_gzipped() {
    let images = array![[[0_u8, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 255]]];
    for name in ["images", "images.gz"] {
        let (_folder, path) = file(name, &[]);
        idx::write(&path, &images).unwrap();
        let bytes = fs::read(&path).unwrap();
        refused_at(name, &bytes, 0..bytes.len(), |path| idx::read(path));
    }
}

#[test]
fn files_of_keras() {
    // Cutting 50 KB at every byte takes long: at every one of the ends, and at many between.
    let lengths = |bytes: &[u8]| {
        let n = bytes.len();
        (0..n).filter(move |length| length % 61 == 0 || *length < 200 || n - length < 200)
    };
    let bytes = fs::read(fixture("small.keras")).unwrap();
    refused_at("small.keras", &bytes, lengths(&bytes), |path| Model::from_keras(path));
    let weights = fs::read(fixture("small.weights.h5")).unwrap();
    let mut model = Model::from_keras(fixture("small.keras")).unwrap();
    let before = bits(&model);
    refused_at("small.weights.h5", &weights, lengths(&weights), |path| {
        let loaded = model.load_keras(path);
        assert!(bits(&model) == before);
        loaded
    });
}

/// Pixels of which no two rows are alike.
fn pixels(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * i % 251) as u8).collect()
}

#[test]
fn png_files() {
    for colour in [png::ColorType::Rgb, png::ColorType::GrayscaleAlpha] {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 9, 7);
        encoder.set_color(colour);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixels(9 * 7 * colour.samples())).unwrap();
        drop(writer);
        // The last chunk ends the file and says nothing more.
        let end = bytes.len() - 12;
        refused_at("a.png", &bytes, 0..end, |path| load_image(path));
        for length in end..bytes.len() {
            let (_folder, path) = file("a.png", &bytes[..length]);
            let _ = load_image(path);
        }
    }
}

#[test]
fn jpeg_files() {
    for progressive in [false, true] {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 60);
        encoder.set_progressive(progressive);
        encoder.encode(&pixels(9 * 7 * 3), 9, 7, ColorType::Rgb).unwrap();
        refused_at("a.jpg", &bytes, 0..bytes.len(), |path| load_image(path));
    }
}

/// Reads again and again while another thread writes, until it has come to its end.
fn while_writing(write: impl FnMut(usize) + Send, mut read: impl FnMut()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..200).for_each(write);
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            read();
        }
    });
}

#[test]
fn a_model_that_is_saved_anew_while_it_is_read_is_one_or_the_other() {
    let (_folder, path) = file("model", &[]);
    let models = [network_of(1000, 1), network_of(10, 2)];
    let known = [bits(&models[0]), bits(&models[1])];
    models[0].save(&path).unwrap();
    while_writing(
        |i| models[i % 2].save(&path).unwrap(),
        || assert!(known.contains(&bits(&Model::load(&path).unwrap()))),
    );
}

fn network_of(units: usize, seed: u64) -> Model {
    let x = Input::new(30);
    Model::new(&x, x.apply(Dense::new(units)).unwrap()).unwrap().seed(seed)
}

/// Others write into the file that is being read: what comes out is a model or a sentence.
#[test]
fn files_that_are_written_over_while_they_are_read() {
    let models = [network_of(1000, 1), network_of(10, 2)];
    let models = models.map(|model| written(|path| model.save(path)));
    let (_folder, path) = file("model", &models[0]);
    while_writing(
        |i| fs::write(&path, &models[i % 2]).unwrap(),
        || match Model::load(&path) {
            Ok(model) => assert!([310, 31_000].contains(&model.count_params())),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::File);
            }
        },
    );
    let arrays =
        [ndarray::Array1::from_elem(60_000, 1_u8), ndarray::Array1::from_elem(70_000, 2_u8)];
    let (_folder, path) = file("array", &[]);
    idx::write(&path, &arrays[0]).unwrap();
    while_writing(
        |i| idx::write(&path, &arrays[i % 2]).unwrap(),
        || {
            let read = idx::read(&path).unwrap();
            assert!(arrays.iter().any(|array| array.view().into_dyn() == read), "whole");
        },
    );
    let keras = ["small.keras", "plain.keras"].map(|name| fs::read(fixture(name)).unwrap());
    let (_folder, path) = file("model.keras", &keras[0]);
    while_writing(
        |i| fs::write(&path, &keras[i % 2]).unwrap(),
        || {
            if let Err(error) = Model::from_keras(&path) {
                assert_eq!(error.kind(), ErrorKind::File);
            }
        },
    );
}

#[test]
fn a_backup_that_is_damaged_leaves_the_model_usable() {
    let (x, y) = data(12);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("backup.safetensors"), b"no backup").unwrap();
    let mut model = compiled(true);
    let before = bits(&model);
    model.fit(&x, &y, silent().resume_from(folder.path())).unwrap_err();
    assert_eq!(bits(&model), before);
    model.fit(&x, &y, silent()).unwrap();
    let mut other = compiled(true);
    other.fit(&x, &y, silent()).unwrap();
    assert_eq!(bits(&model), bits(&other));
}
