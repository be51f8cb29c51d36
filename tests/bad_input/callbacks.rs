//! Callbacks that ask for what is not there or makes no sense, refused at the start of `fit`.

use crate::silent;
use crate::training::fit_refused;
use convnet::prelude::*;

#[test]
fn monitoring_what_is_not_there() {
    fit_refused(
        silent().callback(EarlyStopping::new(Monitor::ValLoss)),
        "early stopping: there is no `val_loss` to monitor; this training has accuracy, loss; give \
         validation_split or validation_data, or monitor another",
    );
    fit_refused(
        silent().validation_split(0.5).callback(EarlyStopping::new(Monitor::Named("f1".into()))),
        "early stopping: there is no `f1` to monitor; this training has accuracy, loss, \
         val_accuracy, val_loss; monitor one of these",
    );
}

#[test]
fn callbacks_that_compare_with_nan() {
    let nan = f64::NAN;
    let loss = || Monitor::Loss;
    fit_refused(
        silent().callback(EarlyStopping::new(loss()).min_delta(nan)),
        "early stopping: min_delta is NaN; give a number",
    );
    fit_refused(
        silent().callback(EarlyStopping::new(loss()).baseline(nan)),
        "early stopping: baseline is NaN; give a number",
    );
    fit_refused(
        silent().callback(ReduceLROnPlateau::new(loss()).min_delta(nan)),
        "reduce lr on plateau: min_delta is NaN; give a number",
    );
    fit_refused(
        silent().callback(ModelCheckpoint::new("weights").initial_value_threshold(nan)),
        "model checkpoint: initial_value_threshold is NaN; give a number",
    );
}

#[test]
fn a_backup_that_is_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let backup = BackupAndRestore::new(folder.path());
    fit_refused(
        silent().callback(backup.save_freq(convnet::callbacks::SaveFreq::Batches(0))),
        "backup and restore: save_freq is 0 batches; it is at least 1",
    );
}
