//! Trainings that go on from a backup: the same bits as if they had run through.

#[cfg(unix)]
mod killed;
mod refused;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use convnet::callbacks::{BackupAndRestore, Logs, SaveFreq, State, Training};
use convnet::prelude::*;
use convnet::{ErrorKind, Result, Snapshot};
use ndarray::{Array1, Array4};

/// Images that are not hard to tell apart, and their classes.
pub(crate) fn data(n: usize) -> (Array4<f32>, Array1<u8>) {
    let labels = Array1::from_shape_fn(n, |i| (i * 7 % 3) as u8);
    let images = Array4::from_shape_fn((n, 8, 8, 1), |(i, y, x, _)| {
        let noise = ((i * 131 + y * 17 + x * 29) % 97) as f32 / 97.0;
        noise + if (x + y) % 3 == labels[i] as usize { 0.5 } else { 0.0 }
    });
    (images, labels)
}

/// A network whose training draws, and has a state beside its weights.
pub(crate) fn model() -> CompiledModel {
    let image = Input::new([8, 8, 1]);
    let class = image
        .apply(Conv2D::new(4, 3).activation(Relu))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dropout::new(0.3)))
        .and_then(|x| x.apply(Dense::new(3).activation(Softmax)))
        .unwrap();
    let metrics =
        (Accuracy, AUC::new().multi_label(true), F1Score::new(), Recall::new().class_id(1));
    Model::new(&image, &class).unwrap().seed(5).compile(
        Adam::new(3e-3).clipnorm(1.0),
        SparseCategoricalCrossentropy,
        metrics,
    )
}

/// 12 batches an epoch, 5 together a step.
pub(crate) fn settings<'a>() -> Fit<'a> {
    Fit::new()
        .epochs(4)
        .batch_size(4)
        .validation_split(0.2)
        .gradient_accumulation_steps(5)
        .seed(11)
        .verbose(Verbose::Silent)
}

pub(crate) const SAMPLES: usize = 59;

/// The bits of everything a training leaves.
pub(crate) fn bits(model: &Model, history: &History) -> Vec<u64> {
    let weights = model.weights();
    let weights = weights.iter().flat_map(|(_, weight)| weight.iter().map(|w| w.to_bits().into()));
    let numbers = history.history.values().flatten().map(|number| number.to_bits());
    weights.chain(numbers).chain(history.epoch.iter().map(|&epoch| epoch as u64)).collect()
}

/// Interrupts training after so many batches.
struct After(usize, Arc<AtomicBool>);

impl Callback for After {
    fn on_train_batch_end(&mut self, _: usize, _: &Logs, _: &mut Training<'_>) -> Result<()> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 {
            self.1.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn state(&self) -> State {
        State::new()
    }
}

/// All callbacks that remember something.
fn watched<'a>(fit: Fit<'a>, folder: &Path) -> Fit<'a> {
    fit.callback(EarlyStopping::new(Monitor::ValLoss).patience(1).restore_best_weights(true))
        .callback(ReduceLROnPlateau::new(Monitor::Loss).patience(1).factor(0.7).min_delta(0.2))
        .callback(ModelCheckpoint::new(folder.join("best")).save_best_only(true))
        .callback(CSVLogger::new(folder.join("log.csv")))
        .callback(TensorBoard::new(folder.join("board")))
}

fn written(folder: &Path) -> [Vec<u8>; 3] {
    let events = std::fs::read_dir(folder.join("board/train")).unwrap();
    let events: Vec<_> = events.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(events.len(), 1, "one file goes on");
    // The time of every event differs: 8 bytes of it, and the checksum.
    let events = std::fs::read(&events[0]).unwrap().len().to_le_bytes().to_vec();
    [
        std::fs::read(folder.join("best")).unwrap(),
        std::fs::read(folder.join("log.csv")).unwrap(),
        events,
    ]
}

#[test]
fn interrupted_after_every_batch_it_ends_as_if_it_had_not_been() {
    let (x, y) = data(SAMPLES);
    let through = tempfile::tempdir().unwrap();
    let mut model = self::model();
    let fit = watched(settings().epochs(5), through.path());
    let flag = Arc::new(AtomicBool::new(false));
    let fit = fit.callback(After(usize::MAX, flag.clone()));
    let backup = BackupAndRestore::new(through.path().join("backup"));
    let history = model.fit(&x, &y, fit.callback(backup)).unwrap();
    let expected = bits(&model, &history);
    assert!(history.epoch.len() > 2, "it did not stop at once: {history:?}");
    assert!(!through.path().join("backup").exists(), "deleted at the end");

    let folder = tempfile::tempdir().unwrap();
    let backup = BackupAndRestore::new(folder.path().join("backup"));
    let mut interruptions = 0;
    // A process of its own each time, as far as that can be seen here.
    let (model, history) = loop {
        let mut model = self::model();
        let flag = Arc::new(AtomicBool::new(false));
        let after = 1 + interruptions % 3;
        let fit = watched(settings().epochs(5), folder.path()).callback(After(after, flag.clone()));
        match model.fit(&x, &y, fit.callback(backup.clone().interrupt(flag))) {
            Ok(history) => break (model, history),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
        }
        interruptions += 1;
        assert!(interruptions < 100, "it never ends");
    };
    assert!(interruptions > 10, "{interruptions}");
    assert!(bits(&model, &history) == expected);
    assert!(written(folder.path()) == written(through.path()));
}

#[test]
fn an_interruption_says_where() {
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let run = |after| {
        let flag = Arc::new(AtomicBool::new(false));
        let backup = BackupAndRestore::new(folder.path()).interrupt(flag.clone());
        model().fit(&x, &y, settings().callback(After(after, flag)).callback(backup))
    };
    assert_eq!(
        run(14).unwrap_err().to_string(),
        "fit: interrupted after batch 2 of epoch 2 (counted from 1); with a backup it can be resumed"
    );
    assert!(folder.path().join("backup.safetensors").exists());
    BackupAndRestore::new(folder.path()).discard().unwrap();
    assert!(!folder.path().exists());
    BackupAndRestore::new(folder.path()).discard().unwrap();
}

#[test]
fn a_training_that_was_stopped_is_not_begun_again() {
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut model = model();
        let stopping = EarlyStopping::new(Monitor::Loss).min_delta(1e3).patience(1);
        let backup = BackupAndRestore::new(folder.path()).delete_checkpoint(false);
        let fit = settings().epochs(20).callback(stopping.restore_best_weights(true));
        let history = model.fit(&x, &y, fit.callback(backup)).unwrap();
        (history.epoch.len(), bits(&model, &history))
    };
    let first = run();
    assert_eq!(first.0, 2);
    assert_eq!(run(), first);
}

#[test]
fn more_epochs_follow_with_resume_from() {
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let run = |fit: Fit<'_>| {
        let mut model = model();
        let backup = BackupAndRestore::new(folder.path()).delete_checkpoint(false);
        let history =
            model.fit(&x, &y, fit.callback(backup.save_freq(SaveFreq::Batches(7)))).unwrap();
        bits(&model, &history)
    };
    let through = run(settings().epochs(3));
    std::fs::remove_file(folder.path().join("backup.safetensors")).unwrap();
    run(settings().epochs(2));
    assert!(run(settings().epochs(3).resume_from(folder.path())) == through);
}

/// What a callback of one's own remembers, and when it is told of it.
#[test]
fn callbacks_of_ones_own_are_resumed() {
    struct Counting<'a> {
        folder: &'a Path,
        batches: usize,
        resumed: bool,
    }
    impl Callback for Counting<'_> {
        fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.resumed = training.is_resumed();
            Ok(())
        }
        fn on_train_batch_end(
            &mut self,
            _: usize,
            _: &Logs,
            training: &mut Training<'_>,
        ) -> Result<()> {
            self.batches += 1;
            if self.batches == 5 && !self.resumed {
                training.back_up(self.folder);
                training.interrupt();
            }
            Ok(())
        }
        fn on_train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            assert_eq!(training.is_complete(), self.resumed);
            Ok(())
        }
        fn state(&self) -> State {
            State::new().count("batches", self.batches)
        }
        fn set_state(&mut self, state: &State, _: &Training<'_>) -> Result<(), String> {
            self.batches = state.get_count("batches").ok_or("no batches")?;
            Ok(())
        }
    }
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut counting = Counting { folder, batches: 0, resumed: false };
    let error = model().fit(&x, &y, settings().callback(&mut counting)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    let mut counting = Counting { folder, batches: 0, resumed: false };
    let fit = settings().callback(&mut counting).resume_from(folder);
    model().fit(&x, &y, fit).unwrap();
    assert_eq!(counting.batches, 4 * 12);
}

/// Weights that a callback took from the model before some of its layers were frozen lie elsewhere in memory.
#[test]
fn weights_from_before_a_layer_was_frozen_are_in_a_backup() {
    struct Keeping<'a> {
        folder: &'a Path,
        weights: Snapshot,
        resumed: bool,
    }
    impl Callback for Keeping<'_> {
        fn on_train_batch_end(
            &mut self,
            _: usize,
            _: &Logs,
            training: &mut Training<'_>,
        ) -> Result<()> {
            training.back_up(self.folder);
            training.interrupt();
            Ok(())
        }
        fn state(&self) -> State {
            State::new().weights("first", &self.weights)
        }
        fn set_state(&mut self, state: &State, _: &Training<'_>) -> Result<(), String> {
            self.resumed = true;
            self.weights = state.get_weights("first").ok_or("no weights")?.clone();
            Ok(())
        }
    }
    let (x, y) = data(SAMPLES);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let frozen = || {
        let model = model().into_model().seed(1).trainable(["conv2d"], false).unwrap();
        model.compile(Adam::default(), SparseCategoricalCrossentropy, [Accuracy])
    };
    let mut keeping = Keeping { folder, weights: model().snapshot(), resumed: false };
    frozen().fit(&x, &y, settings().callback(&mut keeping)).unwrap_err();
    let mut keeping = Keeping { folder, weights: frozen().snapshot(), resumed: false };
    let fit = settings().callback(&mut keeping).resume_from(folder);
    frozen().fit(&x, &y, fit).unwrap_err();
    assert!(keeping.resumed);
    let mut found = frozen();
    found.restore(&keeping.weights);
    assert_eq!(found.weights(), model().weights());
}
