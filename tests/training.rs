//! What `fit` does, beyond reaching an accuracy: order, counts, names, and the same bits.

use convnet::callbacks::{Logs, Training};
use convnet::prelude::*;
use ndarray::{Array1, Array2, Array4, s};
use std::collections::BTreeMap;

/// Images of 6 × 6 pixels whose class is the quarter that is bright, and their classes.
fn quarters(n: usize) -> (Array4<f32>, Array1<u8>) {
    let class = |i: usize| i * 7 % 4;
    let x = Array4::from_shape_fn((n, 6, 6, 1), |(i, y, x, _)| {
        let bright = class(i) == y / 3 * 2 + x / 3;
        f32::from(u8::from(bright)) + ((i * 31 + y * 17 + x * 5) % 13) as f32 / 26.0
    });
    (x, Array1::from_shape_fn(n, |i| class(i) as u8))
}

/// A small network with everything that draws or remembers: dropout and moving averages.
fn network() -> CompiledModel {
    let image = Input::new([6, 6, 1]);
    let class = image
        .apply(Conv2D::new(4, 3).padding(Same).activation(Relu))
        .and_then(|x| x.apply(BatchNormalization::new()))
        .and_then(|x| x.apply(MaxPool2D::new(2)))
        .and_then(|x| x.apply(Dropout::new(0.25)))
        .and_then(|x| x.apply(Flatten::new()))
        .and_then(|x| x.apply(Dense::new(4).activation(Softmax)))
        .unwrap();
    let model = Model::new(&image, &class).unwrap().seed(1);
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, [Accuracy])
}

fn silent<'a>() -> Fit<'a> {
    Fit::new().verbose(Verbose::Silent)
}

/// The bits of all weights, frozen ones included.
fn bits(model: &Model) -> Vec<u32> {
    model.weights().iter().flat_map(|(_, weight)| weight.iter().map(|w| w.to_bits())).collect()
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let (x, y) = quarters(500);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = network();
            // Large batches, so that there is work for several threads; the last one is short.
            let fit = silent().epochs(2).batch_size(128).validation_split(0.2).seed(3);
            let history = model.fit(&x, &y, fit).unwrap();
            (bits(&model), history, model.predict(&x).unwrap())
        })
    };
    let alone = run(1);
    assert_ne!(alone.0, bits(&network()), "it has learnt something");
    for threads in [2, 5] {
        assert!(run(threads) == alone, "{threads} threads give other bits than one");
    }
}

/// Small enough to be trained in parts of the batch, with samples in lanes.
#[test]
fn the_same_bits_in_parts_of_a_batch() {
    let (x, y) = quarters(330);
    let network = || {
        let image = Input::new([6, 6, 1]);
        let left = image.apply(Conv2D::new(3, 3).padding(Same).activation(Relu)).unwrap();
        let right = image.apply(Conv2D::new(3, 2).padding(Same).activation(Tanh)).unwrap();
        let class = [left, right]
            .apply(Concatenate::new())
            .and_then(|x| x.apply(MaxPool2D::new(3).strides(2)))
            .and_then(|x| x.apply(Flatten::new()))
            .and_then(|x| x.apply(Dropout::new(0.25)))
            .and_then(|x| x.apply(Dense::new(9).activation(Relu)))
            .and_then(|x| x.apply(Dense::new(4).activation(Softmax)))
            .unwrap();
        let model = Model::new(&image, &class).unwrap();
        model.compile(Adam::new(0.01), SparseCategoricalCrossentropy, [Accuracy])
    };
    let run = |threads, batch_size| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = network();
            let fit = silent().epochs(3).batch_size(batch_size).validation_split(0.2).seed(3);
            let history = model.fit(&x, &y, fit).unwrap();
            assert!(history.history["accuracy"].last() > history.history["accuracy"].first());
            (bits(&model), history, model.predict(&x).unwrap())
        })
    };
    for batch_size in [1, 7, 32, 100, 200] {
        let alone = run(1, batch_size);
        for threads in [2, 5] {
            assert!(
                run(threads, batch_size) == alone,
                "batches of {batch_size}, {threads} threads"
            );
        }
    }
}

#[test]
fn another_seed_gives_other_bits() {
    let (x, y) = quarters(64);
    let run = |seed| {
        let mut model = network();
        model.fit(&x, &y, silent().seed(seed)).unwrap();
        bits(&model)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn learns() {
    let (x, y) = quarters(400);
    let mut model = network();
    let history = model.fit(&x, &y, silent().epochs(8).validation_split(0.25)).unwrap();
    assert!(history.history["loss"].last() < history.history["loss"].first());
    let (x, y) = quarters(99);
    assert!(model.evaluate(&x, &y).unwrap()["accuracy"] > 0.95);
}

/// Writes down every call, and stops at the end of an epoch or of a batch.
#[derive(Default)]
struct Diary {
    lines: Vec<String>,
    stop_after_epoch: Option<usize>,
    stop_after_batch: Option<usize>,
}

impl Diary {
    fn note(&mut self, line: impl Into<String>) -> convnet::Result<()> {
        self.lines.push(line.into());
        Ok(())
    }
}

impl Callback for Diary {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> convnet::Result<()> {
        let metrics: Vec<&str> = training.metrics().collect();
        self.note(format!(
            "train begin: {} epochs of {} steps: {}",
            training.epochs(),
            training.steps(),
            metrics.join(" ")
        ))
    }

    fn on_train_end(&mut self, _: &mut Training<'_>) -> convnet::Result<()> {
        self.note("train end")
    }

    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Training<'_>) -> convnet::Result<()> {
        self.note(format!("epoch {epoch} begin"))
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        training: &mut Training<'_>,
    ) -> convnet::Result<()> {
        if self.stop_after_epoch == Some(epoch) {
            training.stop();
        }
        let keys: Vec<&str> = logs.iter().map(|(name, _)| name).collect();
        self.note(format!("epoch {epoch} end: {}", keys.join(" ")))?;
        logs.set("diary", self.lines.len() as f64);
        Ok(())
    }

    fn on_train_batch_begin(&mut self, batch: usize, _: &mut Training<'_>) -> convnet::Result<()> {
        self.note(format!("batch {batch} begin"))
    }

    fn on_train_batch_end(
        &mut self,
        batch: usize,
        logs: &Logs,
        training: &mut Training<'_>,
    ) -> convnet::Result<()> {
        if self.stop_after_batch == Some(batch) {
            training.stop();
        }
        let keys: Vec<&str> = logs.iter().map(|(name, _)| name).collect();
        self.note(format!("batch {batch} end: {}", keys.join(" ")))
    }

    fn on_test_begin(&mut self, _: &mut Training<'_>) -> convnet::Result<()> {
        self.note("test begin")
    }

    fn on_test_end(&mut self, logs: &Logs, _: &mut Training<'_>) -> convnet::Result<()> {
        let keys: Vec<&str> = logs.iter().map(|(name, _)| name).collect();
        self.note(format!("test end: {}", keys.join(" ")))
    }
}

#[test]
fn callbacks_are_called_in_order_and_the_last_short_batch_is_kept() {
    let (x, y) = quarters(8);
    let mut diary = Diary::default();
    let mut second = Diary::default();
    // 8 samples, 2 held out: 6 in batches of 4.
    let fit = silent().initial_epoch(3).epochs(4).batch_size(4).validation_split(0.25);
    network().fit(&x, &y, fit.callback(&mut diary).callback(&mut second)).unwrap();
    let mut expected = vec![
        "train begin: 4 epochs of 2 steps: accuracy loss val_accuracy val_loss",
        "epoch 3 begin",
        "batch 0 begin",
        "batch 0 end: accuracy loss",
        "batch 1 begin",
        "batch 1 end: accuracy loss",
        "test begin",
        "test end: accuracy loss",
        "epoch 3 end: accuracy loss val_accuracy val_loss",
        "train end",
    ];
    assert_eq!(diary.lines, expected);
    // What the first adds to the logs the second sees, last.
    expected[8] = "epoch 3 end: accuracy loss val_accuracy val_loss diary";
    assert_eq!(second.lines, expected);
}

#[test]
fn every_sample_of_the_short_batch_counts_once() {
    let (x, y) = quarters(13);
    // With learning rate 0 and without layers that draw, the mean over batches is that over samples.
    let image = Input::new([6, 6, 1]);
    let class = image.apply(Flatten::new()).unwrap().apply(Dense::new(4).activation(Softmax));
    let model = Model::new(&image, class.unwrap()).unwrap();
    let mut model = model.compile(Adam::new(0.0), SparseCategoricalCrossentropy, [Accuracy]);
    let history = model.fit(&x, &y, silent().batch_size(5)).unwrap();
    let logs = model.evaluate(&x, &y).unwrap();
    assert!((history.history["loss"][0] - logs["loss"]).abs() < 1e-6);
    assert_eq!(history.history["accuracy"][0], logs["accuracy"]);
}

#[test]
fn history_has_keras_keys_and_what_callbacks_added() {
    let (x, y) = quarters(20);
    let fit = silent().epochs(3).validation_split(0.2).callback(Diary::default());
    let history = network().fit(&x, &y, fit).unwrap();
    assert_eq!(history.epoch, [0, 1, 2]);
    let keys: Vec<&str> = history.history.keys().map(String::as_str).collect();
    assert_eq!(keys, ["accuracy", "diary", "loss", "val_accuracy", "val_loss"]);
    assert!(history.history.values().all(|values| values.len() == 3));

    let json = serde_json::to_string(&history).unwrap();
    let read: History = serde_json::from_str(&json).unwrap();
    assert_eq!(read, history);
}

#[test]
fn a_history_with_nan_comes_back_from_json() {
    let values = vec![0.5, f64::NAN, f64::INFINITY];
    let history = History { epoch: vec![0, 1, 2], history: [("loss".to_string(), values)].into() };
    let json = serde_json::to_string(&history).unwrap();
    assert_eq!(json, r#"{"epoch":[0,1,2],"history":{"loss":[0.5,null,null]}}"#);
    let read: History = serde_json::from_str(&json).unwrap();
    assert_eq!(read.history["loss"][0], 0.5);
    assert!(read.history["loss"][1..].iter().all(|value| value.is_nan()));
}

#[test]
fn a_callback_stops_after_an_epoch_or_after_a_batch() {
    let (x, y) = quarters(16);
    let mut diary = Diary { stop_after_epoch: Some(1), ..Diary::default() };
    let history = network().fit(&x, &y, silent().epochs(9).callback(&mut diary)).unwrap();
    assert_eq!(history.epoch, [0, 1]);
    assert_eq!(diary.lines.last().unwrap(), "train end");

    // The epoch that is cut short is still validated and ended, as in Keras.
    let mut diary = Diary { stop_after_batch: Some(1), ..Diary::default() };
    let fit = silent().epochs(9).batch_size(2).validation_split(0.25).callback(&mut diary);
    assert_eq!(network().fit(&x, &y, fit).unwrap().epoch, [0]);
    assert_eq!(
        diary.lines[5..],
        [
            "batch 1 end: accuracy loss",
            "test begin",
            "test end: accuracy loss",
            "epoch 0 end: accuracy loss val_accuracy val_loss",
            "train end",
        ]
    );
}

/// Fails at the end of the first batch.
struct Fails;

impl Callback for Fails {
    fn on_train_batch_end(
        &mut self,
        _: usize,
        _: &Logs,
        _: &mut Training<'_>,
    ) -> convnet::Result<()> {
        Err(convnet::Error::new(convnet::ErrorKind::Training, "disk full"))
    }
}

#[test]
fn an_error_of_a_callback_comes_out_of_fit_and_all_hear_the_end() {
    let (x, y) = quarters(16);
    let mut diary = Diary::default();
    let fit = silent().callback(Fails).callback(&mut diary);
    let error = network().fit(&x, &y, fit).unwrap_err();
    assert_eq!(error.to_string(), "disk full");
    assert_eq!(diary.lines[1..], ["epoch 0 begin", "batch 0 begin", "train end"]);
}

#[test]
fn a_second_fit_continues_the_first() {
    let (x, y) = quarters(40);
    let mut at_once = network();
    let whole = at_once.fit(&x, &y, silent().epochs(3)).unwrap();
    let mut in_parts = network();
    let first = in_parts.fit(&x, &y, silent().epochs(1)).unwrap();
    let rest = in_parts.fit(&x, &y, silent().initial_epoch(1).epochs(3)).unwrap();
    assert_eq!(rest.epoch, [1, 2]);
    assert_eq!(bits(&in_parts), bits(&at_once), "weights and the optimizer's state go on");
    let joined: Vec<f64> =
        [&first, &rest].iter().flat_map(|history| history.history["loss"].clone()).collect();
    assert_eq!(joined, whole.history["loss"]);
}

#[test]
fn validation_data_takes_the_place_of_the_split() {
    let (x, y) = quarters(40);
    let (test_x, test_y) = quarters(13);
    let mut model = network();
    let mut diary = Diary::default();
    let fit = silent().batch_size(8).validation_split(0.5).validation_data(&test_x, &test_y);
    let history = model.fit(&x, &y, fit.callback(&mut diary)).unwrap();
    assert!(diary.lines[0].starts_with("train begin: 1 epochs of 5 steps"), "{}", diary.lines[0]);
    let logs = model.evaluate(&test_x, &test_y).unwrap();
    assert!((history.history["val_loss"][0] - logs["loss"]).abs() < 1e-6);
    assert_eq!(history.history["val_accuracy"][0], logs["accuracy"]);
}

#[test]
fn the_split_holds_out_the_last_samples_before_shuffling() {
    let (x, y) = quarters(40);
    let mut split = network();
    let history = split.fit(&x, &y, silent().epochs(2).validation_split(0.25)).unwrap();
    let mut by_hand = network();
    let (train, held_out) = (x.slice(s![..30, .., .., ..]), x.slice(s![30.., .., .., ..]));
    let (train_y, held_out_y) = (y.slice(s![..30]), y.slice(s![30..]));
    let fit = silent().epochs(2).validation_data(&held_out, &held_out_y);
    assert_eq!(by_hand.fit(&train, &train_y, fit).unwrap(), history);
    assert_eq!(bits(&by_hand), bits(&split));
}

#[test]
fn without_shuffling_the_order_is_that_of_the_samples() {
    let (x, y) = quarters(32);
    let mut fitted = network();
    fitted.fit(&x, &y, silent().batch_size(16).shuffle(false)).unwrap();
    let mut shuffled = network();
    shuffled.fit(&x, &y, silent().batch_size(16)).unwrap();
    assert_ne!(bits(&fitted), bits(&shuffled));
    let reversed = (x.slice(s![..;-1, .., .., ..]), y.slice(s![..;-1]));
    let mut backwards = network();
    backwards.fit(&reversed.0, &reversed.1, silent().batch_size(16).shuffle(false)).unwrap();
    assert_ne!(bits(&fitted), bits(&backwards));
}

/// Keeps the bits of the weights after every epoch.
#[derive(Default)]
struct Keeper(Vec<Vec<u32>>);

impl Callback for Keeper {
    fn on_epoch_end(
        &mut self,
        _: usize,
        _: &mut Logs,
        training: &mut Training<'_>,
    ) -> convnet::Result<()> {
        self.0.push(bits(training.model()));
        Ok(())
    }
}

/// Makes every epoch after the second useless.
struct Worsen;

impl Callback for Worsen {
    fn on_epoch_begin(&mut self, epoch: usize, training: &mut Training<'_>) -> convnet::Result<()> {
        training.set_learning_rate(if epoch < 2 { 0.01 } else { 1e3 });
        Ok(())
    }
}

#[test]
fn early_stopping_restores_the_best_weights_however_training_ends() {
    let (x, y) = quarters(80);
    for patience in [1, 99] {
        let mut stopping =
            EarlyStopping::new(Monitor::Loss).patience(patience).restore_best_weights(true);
        let mut keeper = Keeper::default();
        let mut model = network();
        let fit = silent().epochs(5).callback(Worsen);
        let fit = fit.callback(&mut stopping).callback(&mut keeper);
        let history = model.fit(&x, &y, fit).unwrap();
        assert_eq!(stopping.best_epoch(), Some(1), "{history:?}");
        assert_eq!(stopping.stopped_epoch(), (patience == 1).then_some(2));
        assert_eq!(history.epoch.len(), if patience == 1 { 3 } else { 5 });
        assert_eq!(bits(&model), keeper.0[1]);
    }
}

#[test]
fn a_branching_model_with_two_inputs_and_two_outputs_trains() {
    let (x, y) = quarters(200);
    let parity = y.mapv(|class| class % 2);
    let one_hot = |y: &Array1<u8>, classes| {
        Array2::from_shape_fn((y.len(), classes), |(i, class)| {
            f32::from(usize::from(y[i]) == class)
        })
    };
    let (image, hint) = (Input::new([6, 6, 1]), Input::new(36).name("hint"));
    let left = image.apply(Conv2D::new(4, 3).padding(Same).activation(Relu)).unwrap();
    let right = image.apply(Conv2D::new(4, 1)).unwrap();
    // `left` is read twice, so that gradients meet.
    let sum = [&left, &right].apply(Add::new()).unwrap();
    let both = [&sum, &left].apply(Concatenate::new()).unwrap();
    let flat = both.apply(Flatten::new()).unwrap();
    let all = (&flat, &hint).apply(Concatenate::new()).unwrap();
    let class = all.apply(Dense::new(4).activation(Softmax).name("class")).unwrap();
    let even = all.apply(Dense::new(2).activation(Softmax).name("even")).unwrap();
    let model = Model::new([&image, &hint], [&class, &even]).unwrap();
    let mut model = model.compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy]);

    let hints = x.to_shape((200, 36)).unwrap();
    let (x, hints) = (x.view().into_dyn(), hints.view().into_dyn());
    let (class_y, even_y) = (one_hot(&y, 4), one_hot(&parity, 2));
    let targets = [class_y.view(), even_y.view()];
    let fit = silent().epochs(6).validation_split(0.25);
    let history = model.fit([x.clone(), hints.clone()], targets, fit).unwrap();
    let last: BTreeMap<&str, f64> =
        history.history.iter().map(|(key, values)| (key.as_str(), values[5])).collect();
    assert_eq!(
        last.keys().copied().collect::<Vec<&str>>(),
        [
            "class_accuracy",
            "class_loss",
            "even_accuracy",
            "even_loss",
            "loss",
            "val_class_accuracy",
            "val_class_loss",
            "val_even_accuracy",
            "val_even_loss",
            "val_loss",
        ]
    );
    assert!((last["loss"] - last["class_loss"] - last["even_loss"]).abs() < 1e-9);
    assert!(last["val_class_accuracy"] > 0.9 && last["val_even_accuracy"] > 0.9, "{last:?}");
    let outputs = model.predict_all([x, hints]).unwrap();
    assert_eq!([outputs[0].shape(), outputs[1].shape()], [[200, 4], [200, 2]]);
}
