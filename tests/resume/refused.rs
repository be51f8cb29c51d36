//! Backups that are damaged, or of another training.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use convnet::callbacks::{BackupAndRestore, SaveFreq};
use convnet::prelude::*;
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{SAMPLES, data, model, settings};

/// A backup of the middle of an epoch, with everything in it.
fn backup() -> (TempDir, PathBuf, Vec<u8>) {
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let backup = BackupAndRestore::new(folder.path()).save_freq(SaveFreq::Batches(19));
    let fit = watched(settings().epochs(2)).callback(backup.delete_checkpoint(false));
    model().fit(&x, &y, fit).unwrap();
    let path = folder.path().join("backup.safetensors");
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

fn watched(fit: Fit<'_>) -> Fit<'_> {
    fit.callback(EarlyStopping::new(Monitor::ValLoss).patience(5).restore_best_weights(true))
}

/// Goes on from the backup in a folder.
fn resume(
    folder: &TempDir,
    mut model: CompiledModel,
    fit: Fit<'_>,
    n: usize,
) -> convnet::Result<History> {
    let (x, y) = data(n);
    let backup = BackupAndRestore::new(folder.path()).delete_checkpoint(false);
    model.fit(&x, &y, fit.callback(backup))
}

fn manifest(bytes: &[u8]) -> Value {
    let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
    serde_json::from_str(&header.metadata().as_ref().unwrap()["convnet_backup"]).unwrap()
}

fn with_manifest(bytes: &[u8], manifest: &str) -> Vec<u8> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    let texts = HashMap::from([("convnet_backup".to_string(), manifest.to_string())]);
    safetensors::serialize(file.tensors(), Some(texts.into_iter().collect())).unwrap()
}

#[test]
fn backups_of_other_trainings() {
    let (folder, path, bytes) = backup();
    let ours = || watched(settings().epochs(3));
    let refused = |model: CompiledModel, fit: Fit<'_>, n: usize, why: &str| {
        let error = resume(&folder, model, fit, n).expect_err(why);
        assert_eq!(error.to_string(), format!("fit: the backup {} {why}", path.display()));
        assert_eq!(error.kind(), convnet::ErrorKind::File);
    };
    let other = |key: &str, theirs: &str, here: &str| {
        format!(
            "is of another training: its {key} is {theirs}, here it is {here}; resume with what it \
             was made with"
        )
    };
    refused(model(), ours().seed(12), SAMPLES, &other("seed", "11", "12"));
    refused(model(), ours().batch_size(5), SAMPLES, &other("batch_size", "4", "5"));
    refused(model(), ours(), 64, &other("samples", "47", "51"));
    refused(model(), ours().shuffle(false), SAMPLES, &other("shuffle", "true", "false"));
    refused(
        model(),
        ours().callback(TerminateOnNaN::new()),
        SAMPLES,
        &other(
            "callbacks",
            r#"["EarlyStopping","BackupAndRestore"]"#,
            r#"["EarlyStopping","TerminateOnNaN","BackupAndRestore"]"#,
        ),
    );
    let image = Input::new([8, 8, 1]);
    let class =
        image.apply(Flatten::new()).unwrap().apply(Dense::new(3).activation(Softmax)).unwrap();
    let plain = Model::new(&image, &class).unwrap();
    let metrics =
        (Accuracy, AUC::new().multi_label(true), F1Score::new(), Recall::new().class_id(1));
    refused(
        plain.compile(Adam::default(), SparseCategoricalCrossentropy, metrics),
        ours(),
        SAMPLES,
        "does not fit this model: unexpected: `batch_normalization/beta`, \
         `batch_normalization/gamma`, `batch_normalization/moving_mean`, \
         `batch_normalization/moving_variance`, `conv2d/bias`, `conv2d/kernel`; different: \
         `dense/kernel` (F32 of shape (36, 3) in the file, F32 of shape (64, 3) here)",
    );
    let sgd = model().into_model().compile(SGD::default(), SparseCategoricalCrossentropy, metrics);
    refused(sgd, ours(), SAMPLES, &other("optimizer", "\"adam\"", "\"sgd\""));
    let schedule = ExponentialDecay::new(0.1, 10, 0.9);
    let scheduled =
        model().into_model().compile(Adam::new(schedule), SparseCategoricalCrossentropy, metrics);
    assert!(resume(&folder, scheduled, ours(), SAMPLES).is_ok(), "its rate had been set by hand");
    fs::write(&path, &bytes).unwrap();
    refused(
        model(),
        watched(settings().epochs(1)),
        SAMPLES,
        "was made after batch 7 of epoch 2 (counted from 1), and training is to end before epoch 1 \
         (counted from 0); give more epochs",
    );
}

#[test]
fn backups_that_are_none() {
    let (folder, path, bytes) = backup();
    let refused = |bytes: &[u8], why: &str| {
        fs::write(&path, bytes).unwrap();
        let error = resume(&folder, model(), watched(settings()), SAMPLES).expect_err(why);
        assert_eq!(error.to_string(), format!("fit: the backup {} {why}", path.display()));
    };
    let mut whole = manifest(&bytes);
    let mut changed = |place: &str, value: Value| {
        let old = std::mem::replace(whole.pointer_mut(place).unwrap(), value);
        let changed = with_manifest(&bytes, &whole.to_string());
        *whole.pointer_mut(place).unwrap() = old;
        changed
    };
    let version = changed("/version", json!(7));
    refused(
        &version,
        "is of version 7 of the format; this version of the crate reads version 1: use one that knows \
         it",
    );
    for (place, value) in [
        ("/place/batch", json!(13)),
        ("/place/batch", json!(0)),
        ("/place/epoch", json!(0)),
        ("/tallies", Value::Null),
    ] {
        refused(&changed(place, value), "contradicts itself; start anew");
    }
    refused(&changed("/tallies", json!([1, 2])), "has tallies of other metrics");
    refused(
        &changed("/iterations", json!(u64::MAX)),
        "it has taken 18446744073709551615 steps, more than make sense",
    );
    refused(
        &changed("/learning_rate", json!((-1.0f64).to_bits())),
        "learning_rate is -1; it must be at least 0 and finite",
    );
    refused(
        &changed("/callbacks/0/numbers/wait", json!(f64::INFINITY.to_bits())),
        "does not suit EarlyStopping: its state has no `wait`",
    );
    let plain = tempfile::tempdir().unwrap();
    model().save(plain.path().join("model")).unwrap();
    refused(
        &fs::read(plain.path().join("model")).unwrap(),
        "holds no training; give the folder of a backup",
    );
    fs::remove_file(&path).unwrap();
    let (x, y) = data(SAMPLES);
    let fit = settings().resume_from(folder.path());
    let error = model().fit(&x, &y, fit).unwrap_err().to_string();
    let why = "is not there; give the folder of a backup, or start anew";
    assert_eq!(error, format!("fit: the backup {} {why}", path.display()));
}

#[test]
fn a_log_that_has_lost_lines() {
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let run = |epochs| {
        let log = CSVLogger::new(folder.path().join("log.csv"));
        let backup = BackupAndRestore::new(folder.path()).delete_checkpoint(false);
        model().fit(&x, &y, settings().epochs(epochs).callback(log).callback(backup))
    };
    run(2).unwrap();
    let log = folder.path().join("log.csv");
    let length = fs::metadata(&log).unwrap().len();
    fs::write(&log, "").unwrap();
    let error = run(3).unwrap_err().to_string();
    let why = format!(
        "does not suit CSVLogger: {} has 0 bytes and had {length} when the backup was made; put it \
         back",
        log.display()
    );
    assert!(error.ends_with(&why), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_backups(part in 0.0..1.0f64, bit in 0u8..8, cut in any::<bool>()) {
        let (folder, path, mut bytes) = backup();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) + 8;
        if cut {
            bytes.truncate((bytes.len() as f64 * part) as usize);
        } else {
            bytes[(header as f64 * part) as usize] ^= 1 << bit;
        }
        fs::write(&path, &bytes).unwrap();
        let resumed = resume(&folder, model(), watched(settings().epochs(2)), SAMPLES);
        prop_assert!(!cut || resumed.is_err());
    }

    #[test]
    fn edited_backups(part in 0.0..1.0f64, with in any::<u64>(), whole in any::<bool>()) {
        let (folder, path, bytes) = backup();
        let mut text = manifest(&bytes).to_string();
        // A digit, or a whole number.
        let digits: Vec<usize> = text.match_indices(|c: char| c.is_ascii_digit()).map(|(i, _)| i).collect();
        let place = digits[(digits.len() as f64 * part) as usize];
        let end = if whole {
            place + text[place..].find(|c: char| !c.is_ascii_digit()).unwrap()
        } else {
            place + 1
        };
        text.replace_range(place..end, &with.to_string());
        fs::write(&path, with_manifest(&bytes, &text)).unwrap();
        let _ = resume(&folder, model(), watched(settings().epochs(2)), SAMPLES);
    }
}
