//! Weights in files: what is written is read, and what is damaged or another model's is refused.

use std::fs;
use std::path::{Path, PathBuf};

use convnet::ErrorKind;
use convnet::prelude::*;
use tempfile::TempDir;

/// A network with weights of every kind, frozen ones among them.
fn network(units: usize) -> Model {
    let image = Input::new([6, 6, 1]);
    let class = image
        .apply(Conv2D::new(2, 3))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(units)))
        .unwrap();
    Model::new(&image, &class).unwrap()
}

fn saved(model: &Model) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    model.save_weights(&path).unwrap();
    (folder, path)
}

/// Demands that the file is refused so, and that no weight has changed.
#[track_caller]
fn refused(model: &mut Model, path: &Path, why: &str) {
    let before: Vec<_> = model.weights().into_iter().map(|(_, w)| w.to_owned()).collect();
    let error = model.load_weights(path).expect_err(why);
    assert_eq!(error.to_string(), format!("load_weights: {} {why}", path.display()));
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(model.weights().iter().map(|(_, w)| w).eq(&before));
}

#[test]
fn every_weight_comes_back() {
    let trained = network(3).seed(7);
    let (_folder, path) = saved(&trained);
    let mut model = network(3).seed(8);
    assert_ne!(model.weights(), trained.weights());
    model.load_weights(&path).unwrap();
    assert_eq!(model.weights(), trained.weights());
}

#[test]
fn the_file_is_written_over_and_readable_by_all() {
    let (folder, path) = saved(&network(3));
    network(3).seed(5).save_weights(&path).unwrap();
    let mut model = network(3);
    model.load_weights(&path).unwrap();
    assert_eq!(model.weights(), network(3).seed(5).weights());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain), "as any new file");
    }
}

#[test]
fn the_weights_of_another_model() {
    let (_folder, path) = saved(&network(3));
    refused(
        &mut network(4),
        &path,
        "does not fit this model: different: `dense/kernel` (F32 of shape (32, 3) in the file, F32 \
         of shape (32, 4) here), `dense/bias` (F32 of shape (3) in the file, F32 of shape (4) here)",
    );
    let x = Input::new(4);
    let mut other = Model::new(&x, x.apply(Dense::new(1).name("head")).unwrap()).unwrap();
    refused(
        &mut other,
        &path,
        "does not fit this model: missing: `head/kernel`, `head/bias`; unexpected: \
         `batch_normalization/beta`, `batch_normalization/gamma`, `batch_normalization/moving_mean`, \
         `batch_normalization/moving_variance`, `conv2d/bias`, `conv2d/kernel`, `dense/bias`, \
         `dense/kernel`",
    );
}

#[test]
fn files_that_are_damaged() {
    let (folder, path) = saved(&network(3));
    let whole = fs::read(&path).unwrap();
    let mut model = network(3);
    let prefix = "is no whole safetensors file: ";
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = model.load_weights(&path).unwrap_err().to_string();
        assert!(error.contains(prefix), "{length} bytes: {error}");
        assert!(error.ends_with("; save it anew"), "{error}");
    }
    let longer = [&whole[..], b"more"].concat();
    fs::write(&path, longer).unwrap();
    assert!(model.load_weights(&path).unwrap_err().to_string().contains(prefix));
    // A header that says it is longer than all memory.
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&path, huge).unwrap();
    assert!(model.load_weights(&path).unwrap_err().to_string().contains(prefix));
    // Every byte of the header changed in turn: refused, or read as what it now says; never a panic.
    let header = whole.len() - 4 * model.count_params();
    for place in 0..header {
        let mut changed = whole.clone();
        changed[place] ^= 0x11;
        fs::write(&path, changed).unwrap();
        let _ = model.load_weights(&path);
    }
    drop(folder);
}

#[test]
fn files_that_are_not_there_or_far_too_large() {
    let folder = tempfile::tempdir().unwrap();
    let error = network(3).load_weights(folder.path().join("none")).unwrap_err();
    assert!(error.to_string().contains("none cannot be read: "), "{error}");
    refused(&mut network(3), folder.path(), "is a folder; give a safetensors file");
    // They take no room on the disk.
    let (_folder, path) = saved(&network(3));
    let whole = fs::metadata(&path).unwrap().len();
    let begin = whole - 4 * network(3).count_params() as u64;
    fs::OpenOptions::new().append(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    refused(
        &mut network(3),
        &path,
        &format!(
            "is no whole safetensors file: it has 1099511627776 bytes, {begin} of them before \
             tensors that would take {}; save it anew",
            whole - begin
        ),
    );
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = network(3).load_weights(&path).unwrap_err().to_string();
    assert!(error.contains("is no whole safetensors file: "), "{error}");
}

#[test]
fn what_matches_is_loaded() {
    let (_folder, path) = saved(&network(3).seed(9));
    let (theirs, mut model) = (network(3).seed(9), network(4));
    let matching = model.load_weights_matching(&path).unwrap();
    let weight = |model: &Model, name: &str| {
        let weights = model.weights();
        let (_, weight) = weights.iter().find(|(known, _)| known == name).unwrap();
        weight.to_owned()
    };
    assert_eq!(matching.loaded.len(), 6);
    for name in &matching.loaded {
        assert_eq!(weight(&model, name), weight(&theirs, name));
    }
    assert_eq!(weight(&model, "dense/kernel"), weight(&network(4), "dense/kernel"));
    assert_eq!(matching.missing, [""; 0]);
    assert_eq!(matching.unexpected, [""; 0]);
    assert_eq!(
        matching.different,
        [
            "`dense/kernel` (F32 of shape (32, 3) in the file, F32 of shape (32, 4) here)",
            "`dense/bias` (F32 of shape (3) in the file, F32 of shape (4) here)"
        ]
    );
    assert!(matching.to_string().starts_with("loaded: `conv2d/kernel`, `conv2d/bias`, "));

    let x = Input::new(4);
    let mut other = Model::new(&x, x.apply(Dense::new(1).name("head")).unwrap()).unwrap();
    let error = other.load_weights_matching(&path).unwrap_err().to_string();
    let begin = format!(
        "load_weights_matching: {} has nothing for this model: missing: `head/kernel`, \
         `head/bias`; unexpected: ",
        path.display()
    );
    assert!(error.starts_with(&begin), "{error}");
}

#[test]
fn a_file_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder");
    let error = network(3).save_weights(&path).unwrap_err();
    let sentence = error.to_string();
    let begin = format!("save_weights: cannot write {}: ", path.display());
    assert!(sentence.starts_with(&begin), "{sentence}");
    assert!(sentence.ends_with("; give a path that can be written"), "{sentence}");
    assert_eq!(error.kind(), ErrorKind::File);
}
