//! What the callbacks do in a training, and what becomes of their files when they cannot be written.

use std::fs;
use std::path::Path;

use convnet::callbacks::{Logs, Training};
use convnet::optimizers::{Common, Step};
use convnet::prelude::*;
use convnet::{Error, ErrorKind};
use ndarray::{Array1, Array2, s};

fn inputs() -> Array2<f32> {
    Array2::from_shape_fn((8, 3), |(i, j)| (i * 3 + j) as f32 / 24.0)
}

fn labels() -> Array1<u8> {
    Array1::from_shape_fn(8, |i| i as u8 % 4)
}

fn model(optimizer: impl Optimizer + 'static) -> CompiledModel {
    let x = Input::new(3);
    let class = x.apply(Dense::new(4).activation(Softmax)).unwrap();
    let model = Model::new(&x, &class).unwrap();
    model.compile(optimizer, SparseCategoricalCrossentropy, [Accuracy])
}

fn epochs<'a>(epochs: usize) -> Fit<'a> {
    Fit::new().epochs(epochs).verbose(Verbose::Silent)
}

fn fit(model: &mut CompiledModel, fit: Fit<'_>) -> convnet::Result<History> {
    model.fit(&inputs(), &labels(), fit)
}

/// Demands an error of this kind that begins and ends so; what the system says stands in between.
#[track_caller]
fn refused(result: convnet::Result<History>, kind: ErrorKind, begin: &str, end: &str) {
    let error = result.expect_err(begin);
    let sentence = error.to_string();
    assert!(sentence.starts_with(begin) && sentence.ends_with(end), "{sentence}");
    assert_eq!(error.kind(), kind);
}

/// Puts a number into the logs of each epoch.
struct Say(&'static str, Vec<f64>);

impl Callback for Say {
    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        _: &mut Training<'_>,
    ) -> convnet::Result<()> {
        if let Some(&value) = self.1.get(epoch) {
            logs.set(self.0, value);
        }
        Ok(())
    }
}

#[test]
fn a_plateau_lowers_the_learning_rate() {
    let plateau = ReduceLROnPlateau::new(Monitor::Loss).factor(0.5).patience(1);
    let loss = Say("loss", vec![0.9, 0.8, 0.8, 0.7, 0.7]);
    let mut model = model(SGD::new(1.0));
    let history = fit(&mut model, epochs(5).callback(loss).callback(plateau)).unwrap();
    assert_eq!(history.history["learning_rate"], [1.0, 1.0, 1.0, 0.5, 0.5]);
    assert_eq!(model.optimizer().learning_rate(), 0.25);
}

#[test]
fn early_stopping_tells_whose_weights_it_put_back() {
    for restores in [true, false] {
        let loss = Say("loss", vec![0.9, 0.8, 0.7, 0.8, 0.8]);
        let mut stopping = EarlyStopping::new(Monitor::Loss).patience(2);
        stopping = stopping.restore_best_weights(restores);
        fit(&mut model(SGD::new(0.1)), epochs(9).callback(loss).callback(&mut stopping)).unwrap();
        assert_eq!(stopping.stopped_epoch(), Some(4));
        assert_eq!(stopping.restored_epoch(), restores.then_some(2));
    }
}

#[test]
fn settings_that_make_no_sense() {
    let refused = |callback: ReduceLROnPlateau, sentence: &str| {
        refused(
            fit(&mut model(SGD::default()), epochs(2).callback(callback)),
            ErrorKind::Training,
            sentence,
            "",
        );
    };
    refused(
        ReduceLROnPlateau::new(Monitor::Loss).factor(1.0),
        "reduce lr on plateau: factor is 1; it must be at least 0 and below 1",
    );
    refused(
        ReduceLROnPlateau::new(Monitor::Loss).min_lr(-1.0),
        "reduce lr on plateau: min_lr is -1; it must be at least 0 and finite",
    );
    refused(
        ReduceLROnPlateau::new(Monitor::ValLoss),
        "reduce lr on plateau: there is no `val_loss` to monitor; this training has accuracy, loss; \
         give validation_split or validation_data, or monitor another",
    );
}

#[test]
fn a_callback_and_a_schedule_do_not_both_set_the_learning_rate() {
    let schedule = || SGD::new(ExponentialDecay::new(0.1, 10, 0.5));
    refused(
        fit(&mut model(schedule()), epochs(2).callback(ReduceLROnPlateau::new(Monitor::Loss))),
        ErrorKind::Training,
        "reduce lr on plateau: the learning rate follows ExponentialDecay",
        "; give the optimizer a number, or leave this callback out",
    );
    refused(
        fit(&mut model(schedule()), epochs(2).callback(LearningRateScheduler::new(|_, rate| rate))),
        ErrorKind::Training,
        "learning rate scheduler: the learning rate follows ExponentialDecay",
        "; give the optimizer a number, or leave this callback out",
    );
}

#[test]
fn a_schedule_counts_the_steps_of_all_epochs() {
    let mut model = model(SGD::new(PiecewiseConstantDecay::new([3], [1.0, 0.25])));
    let mut rates = Vec::new();
    for _ in 0..6 {
        rates.push(model.optimizer().learning_rate());
        // 8 samples in batches of 4: two steps.
        fit(&mut model, epochs(1).batch_size(4)).unwrap();
    }
    assert_eq!(rates, [1.0, 1.0, 0.25, 0.25, 0.25, 0.25]);
}

#[test]
fn a_scheduler_sets_the_rate_before_each_epoch() {
    let mut model = model(SGD::new(0.5));
    let rates = LearningRateScheduler::new(|epoch, rate| if epoch == 0 { rate } else { 0.1 });
    let history = fit(&mut model, epochs(3).callback(rates)).unwrap();
    assert_eq!(history.history["learning_rate"], [0.5, 0.1, 0.1]);
    let wrong = LearningRateScheduler::new(|epoch, _| if epoch == 1 { f64::NAN } else { 0.1 });
    refused(
        fit(&mut model, epochs(3).callback(wrong)),
        ErrorKind::Training,
        "learning rate scheduler: the rate of epoch 1 (counted from 0) is NaN; it must be at least \
         0 and finite",
        "",
    );
}

#[test]
fn a_loss_that_is_not_finite_ends_training_with_the_history() {
    let x = inputs() * 1e3;
    let settings = || epochs(9).batch_size(4).shuffle(false);
    let mut model = model(Adam::new(1e38));
    let history = model.fit(&x, &labels(), settings().callback(TerminateOnNaN::new())).unwrap();
    assert_eq!(history.epoch, [0]);
    assert!(!history.history["loss"][0].is_finite());
    // As one batch leaves them.
    let mut other = self::model(Adam::new(1e38));
    other.fit(&x.slice(s![..4, ..]), &labels().slice(s![..4]), settings().epochs(1)).unwrap();
    assert_eq!(model.weights(), other.weights());
    let error = model.fit(&x, &labels(), settings()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Diverged);
}

#[test]
fn a_loss_that_is_not_finite_ends_training_with_the_history_of_validation_too() {
    let x = inputs() * 1e3;
    let (y, mut lent) = (labels(), TerminateOnNaN::new());
    let settings = epochs(9).batch_size(4).shuffle(false).callback(&mut lent);
    let settings = settings.validation_data(&x, &y);
    let history = model(Adam::new(1e38)).fit(&x, &y, settings).unwrap();
    assert_eq!(history.epoch, [0]);
    assert!(!history.history["val_loss"][0].is_finite());
}

/// Fails at one moment, and counts those it was told about.
#[derive(Default)]
struct Fails {
    at_begin: bool,
    at_end: bool,
    ends: usize,
}

impl Callback for Fails {
    fn on_train_begin(&mut self, _: &mut Training<'_>) -> convnet::Result<()> {
        if self.at_begin { Err(convnet::Error::new(ErrorKind::Training, "begin")) } else { Ok(()) }
    }

    fn on_train_end(&mut self, _: &mut Training<'_>) -> convnet::Result<()> {
        self.ends += 1;
        if self.at_end { Err(convnet::Error::new(ErrorKind::Training, "end")) } else { Ok(()) }
    }
}

#[test]
fn one_callback_that_fails_at_the_end_does_not_keep_the_others_from_theirs() {
    let mut fails = Fails { at_end: true, ..Fails::default() };
    let mut last = Fails::default();
    let settings = epochs(1).callback(&mut fails).callback(&mut last);
    refused(fit(&mut model(SGD::default()), settings), ErrorKind::Training, "end", "");
    assert_eq!((fails.ends, last.ends), (1, 1));
}

#[test]
fn a_callback_that_has_not_begun_does_not_end() {
    let mut fails = Fails { at_begin: true, ..Fails::default() };
    let mut last = Fails::default();
    let settings = epochs(1).callback(&mut fails).callback(&mut last);
    refused(fit(&mut model(SGD::default()), settings), ErrorKind::Training, "begin", "");
    assert_eq!((fails.ends, last.ends), (1, 0));
}

/// Sets all weights to 7, whatever the gradients.
#[derive(Debug)]
struct Seven(Common);

impl Optimizer for Seven {
    fn name(&self) -> &'static str {
        "seven"
    }

    fn common(&self) -> &Common {
        &self.0
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.0
    }

    fn slots(&self) -> usize {
        0
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn step(&self, _: Step, _: &mut [f32], _: &[f32], _: &mut [&mut [f32]]) {}

    fn apply(
        &mut self,
        _: &[std::ops::Range<usize>],
        w: &mut [f32],
        _: &mut [f32],
        _: &mut [&mut [f32]],
    ) {
        w.fill(7.0);
    }
}

#[test]
fn an_optimizer_with_an_apply_of_its_own_is_heard() {
    let mut model = model(Seven(Common::new(0.1)));
    fit(&mut model, epochs(1)).unwrap();
    assert!(model.weights().iter().all(|(_, weight)| weight.iter().all(|&w| w == 7.0)));
}

#[test]
fn a_log_has_a_line_for_each_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    let run = |append, callback: Say| {
        let logger = CSVLogger::new(&path).separator(';').append(append);
        let loss = Say("loss", vec![0.5, f64::NAN]);
        let accuracy = Say("accuracy", vec![1.0, 0.25]);
        let fit_settings = epochs(2).callback(loss).callback(accuracy).callback(callback);
        let result = fit(&mut model(SGD::default()), fit_settings.callback(logger));
        result.map(|_| fs::read_to_string(&path).unwrap())
    };
    let first = "epoch;\"a;b\";accuracy;loss\n0;7;1;0.5\n1;NA;0.25;NaN\n";
    assert_eq!(run(false, Say("a;b", vec![7.0])).unwrap(), first);
    assert_eq!(run(false, Say("a;b", vec![7.0])).unwrap(), first, "written over");
    let lines = first.split_once('\n').unwrap().1;
    assert_eq!(run(true, Say("a;b", vec![7.0])).unwrap(), format!("{first}{lines}"));

    let error = run(true, Say("c", vec![7.0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "csv logger: {} does not begin with the columns epoch;accuracy;c;loss; append to a file \
             with the same columns, or write to another",
            path.display()
        )
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{first}{lines}"), "left alone");
}

/// A path below a file, where nothing can be written even by root.
fn below_a_file(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("file");
    fs::write(&file, "").unwrap();
    file.join("below")
}

#[test]
fn a_log_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = below_a_file(folder.path());
    refused(
        fit(&mut model(SGD::default()), epochs(2).callback(CSVLogger::new(&path))),
        ErrorKind::File,
        &format!("csv logger: cannot write {}: ", path.display()),
        "; give a path that can be written",
    );
    // A device that is always full.
    if cfg!(target_os = "linux") {
        refused(
            fit(&mut model(SGD::default()), epochs(2).callback(CSVLogger::new("/dev/full"))),
            ErrorKind::File,
            "csv logger: cannot write /dev/full: ",
            "; give a path that can be written",
        );
    }
}

#[test]
fn a_log_whose_separator_columns_are_quoted_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.csv");
    for (separator, said) in [('\n', "'\\n'"), ('"', "'\"'")] {
        let logger = CSVLogger::new(&path).separator(separator);
        refused(
            fit(&mut model(SGD::default()), epochs(2).callback(logger)),
            ErrorKind::Training,
            &format!("csv logger: the separator is {said}, which"),
            "; give another",
        );
        assert!(!path.exists());
    }
}

#[test]
fn a_checkpoint_of_the_best_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/{epoch:02}-{loss:.1}.safetensors");
    let loss = Say("loss", vec![0.9, 0.7, 0.8, 0.6]);
    let checkpoint = ModelCheckpoint::new(&path).monitor(Monitor::Loss).save_best_only(true);
    let mut trained = model(SGD::new(0.5));
    fit(&mut trained, epochs(4).callback(loss).callback(checkpoint)).unwrap();
    let entries = fs::read_dir(folder.path().join("new")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["01-0.9.safetensors", "02-0.7.safetensors", "04-0.6.safetensors"]);

    let mut loaded = model(SGD::new(0.5));
    loaded.load_weights(folder.path().join("new/04-0.6.safetensors")).unwrap();
    assert_eq!(loaded.weights(), trained.weights());
    loaded.load_weights(folder.path().join("new/02-0.7.safetensors")).unwrap();
    assert_ne!(loaded.weights(), trained.weights());

    let largest = ModelCheckpoint::new(folder.path().join("{epoch}")).monitor(Monitor::Loss);
    let largest = largest.save_best_only(true).mode(Mode::Max);
    let loss = Say("loss", vec![0.7, 0.6, 0.8]);
    fit(&mut trained, epochs(3).callback(loss).callback(largest)).unwrap();
    assert_eq!([1, 2, 3].map(|n| folder.path().join(n.to_string()).exists()), [true, false, true]);

    let threshold = ModelCheckpoint::new(folder.path().join("none"))
        .monitor(Monitor::Accuracy)
        .save_best_only(true)
        .initial_value_threshold(1.5);
    fit(&mut trained, epochs(2).callback(threshold)).unwrap();
    assert!(!folder.path().join("none").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_named_or_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("{val_loss}");
    refused(
        fit(&mut model(SGD::default()), epochs(2).callback(ModelCheckpoint::new(&path))),
        ErrorKind::Training,
        &format!(
            "model checkpoint: the path {}: there is no number `val_loss`; use epoch or a number of \
             the history",
            path.display()
        ),
        "",
    );
    let path = below_a_file(folder.path());
    refused(
        fit(&mut model(SGD::default()), epochs(2).callback(ModelCheckpoint::new(path.join("a")))),
        ErrorKind::File,
        &format!("model checkpoint: cannot make the folder {}: ", path.display()),
        "; give a path that can be written",
    );
    let best = ModelCheckpoint::new(folder.path().join("a")).save_best_only(true);
    refused(
        fit(&mut model(SGD::default()), epochs(2).callback(best)),
        ErrorKind::Training,
        "model checkpoint: there is no `val_loss` to monitor; ",
        "give validation_split or validation_data, or monitor another",
    );
}

/// Other systems have no such names.
#[cfg(target_os = "linux")]
#[test]
fn a_checkpoint_below_a_folder_that_is_not_unicode_is_named_after_its_epoch() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let folder = tempfile::tempdir().unwrap();
    let latin = folder.path().join(OsStr::from_bytes(b"caf\xe9"));
    let all = ModelCheckpoint::new(latin.join("{epoch:02}"));
    let last = ModelCheckpoint::new(latin.join(OsStr::from_bytes(b"\xff")));
    let mut trained = model(SGD::default());
    fit(&mut trained, epochs(2).callback(all).callback(last)).unwrap();
    for name in [&b"01"[..], b"02", b"\xff"] {
        trained.load_weights(latin.join(OsStr::from_bytes(name))).unwrap();
    }
    assert_eq!(fs::read_dir(&latin).unwrap().count(), 3);

    let path = latin.join(OsStr::from_bytes(b"\xff{epoch}"));
    refused(
        fit(&mut trained, epochs(1).callback(ModelCheckpoint::new(&path))),
        ErrorKind::Training,
        &format!(
            "model checkpoint: the path {}: the placeholder in \u{fffd}{{epoch}} cannot be filled, as \
             that is not Unicode; give it a name that is",
            path.display()
        ),
        "",
    );
}

/// Before the second epoch puts a folder where the next checkpoint is to go.
struct InTheWay<'a>(&'a Path);

impl Callback for InTheWay<'_> {
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Training<'_>) -> convnet::Result<()> {
        if epoch == 1 {
            let made = fs::create_dir_all(self.0.join("2/full"));
            made.map_err(|error| Error::new(ErrorKind::File, error.to_string()))?;
        }
        Ok(())
    }
}

#[test]
fn a_checkpoint_that_fails_leaves_the_one_before_whole() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = ModelCheckpoint::new(folder.path().join("{epoch}"));
    let mut trained = model(SGD::default());
    refused(
        fit(&mut trained, epochs(3).callback(InTheWay(folder.path())).callback(checkpoint)),
        ErrorKind::File,
        &format!(
            "model checkpoint: save_weights: cannot write {}: ",
            folder.path().join("2").display()
        ),
        "; give a path that can be written",
    );
    model(SGD::default()).load_weights(folder.path().join("1")).unwrap();
    assert!(folder.path().join("2/full").exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written is left");
}

#[test]
fn a_lent_board_writes_a_file_for_each_training() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::new(folder.path());
    for files in 1..=2 {
        fit(&mut model(SGD::default()), epochs(1).callback(&mut board)).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("train")).unwrap().count(), files);
    }
}

#[test]
fn a_board_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = below_a_file(folder.path());
    refused(
        fit(&mut model(SGD::default()), epochs(2).callback(TensorBoard::new(&path))),
        ErrorKind::File,
        &format!("tensor board: cannot write to {}: ", path.join("train").display()),
        "; give a folder that can be written",
    );
}
