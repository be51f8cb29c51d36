//! Samples that are made when they are needed: the same training as with arrays, loaded one batch ahead.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use convnet::callbacks::{Logs, Training};
use convnet::prelude::*;
use convnet::{Error, ErrorKind, IntoSamples, Result, Shape};
use ndarray::{Array1, Array2};

/// What a source does besides copying its rows.
type Change = Box<dyn Fn(usize, Option<u64>, &mut [f32]) -> Result<()> + Sync>;

/// The rows of an array, one at a time.
struct Rows {
    rows: Array2<f32>,
    change: Change,
}

impl Rows {
    fn new(rows: &Array2<f32>) -> Self {
        Self::with(rows, |_, _, _| Ok(()))
    }

    fn with(
        rows: &Array2<f32>,
        change: impl Fn(usize, Option<u64>, &mut [f32]) -> Result<()> + Sync + 'static,
    ) -> Self {
        Self { rows: rows.clone(), change: Box::new(change) }
    }
}

impl Samples for Rows {
    fn len(&self) -> usize {
        self.rows.nrows()
    }

    fn shape(&self) -> Shape {
        self.rows.ncols().into()
    }

    fn load(&self, index: usize, seed: Option<u64>, sample: &mut [f32]) -> Result<()> {
        assert!(sample.iter().all(|&x| x == 0.0), "a sample is written over zeros");
        sample.copy_from_slice(self.rows.row(index).as_slice().unwrap());
        (self.change)(index, seed, sample)
    }
}

fn inputs(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 3), |(i, j)| ((i * 5 + j * 3) % 17) as f32 / 17.0)
}

fn one_hot(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 4), |(i, class)| f32::from(i % 4 == class))
}

fn classifier() -> CompiledModel {
    let x = Input::new(3);
    let class = x.apply(Dense::new(8).activation(Tanh)).unwrap();
    let class = class.apply(Dense::new(4).activation(Softmax)).unwrap();
    Model::new(&x, &class).unwrap().compile(Adam::new(0.01), CategoricalCrossentropy, [Accuracy])
}

fn silent<'a>() -> Fit<'a> {
    Fit::new().verbose(Verbose::Silent)
}

/// What comes out of a training, to the bit.
fn outcome<'a>(x: impl IntoSamples<'a>, y: impl IntoSamples<'a>, fit: Fit<'_>) -> String {
    let mut model = classifier();
    let history = model.fit(x, y, fit).unwrap();
    format!("{:?} {:?}", history.history, model.weights())
}

#[test]
fn samples_train_as_arrays_do() {
    let (x, y) = (inputs(70), one_hot(70));
    let (lazy_x, lazy_y) = (Rows::new(&x), Rows::new(&y));
    let fit = || silent().epochs(3).batch_size(16).validation_split(0.2).seed(5);
    let arrays = outcome(&x, &y, fit());
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let both = outcome(&lazy_x, &lazy_y, fit());
            assert!(both == arrays, "{threads} threads");
            let inputs = outcome(&lazy_x, &y, fit());
            assert!(inputs == arrays, "{threads} threads, labels in memory");
            let labels = outcome(&x, &lazy_y, fit());
            assert!(labels == arrays, "{threads} threads, inputs in memory");
        });
    }
    let given = || silent().epochs(2).validation_data(&lazy_x, &lazy_y);
    let lazy = outcome(&x, &y, given());
    let given = || silent().epochs(2).validation_data(&x, &y);
    assert!(lazy == outcome(&x, &y, given()));

    let mut model = classifier();
    assert_eq!(model.evaluate(&lazy_x, &lazy_y).unwrap(), model.evaluate(&x, &y).unwrap());
    assert_eq!(model.predict(&lazy_x).unwrap(), model.predict(&x).unwrap());
    let [mut of_arrays, mut of_samples] = [(); 2].map(|()| classifier());
    assert_eq!(
        of_arrays.train_on_batch(&x, &y, 1).unwrap(),
        of_samples.train_on_batch(&lazy_x, &lazy_y, 1).unwrap()
    );
    assert_eq!(of_arrays.weights(), of_samples.weights());
}

#[test]
fn several_inputs_may_be_of_both_kinds() {
    let (a, b) = (Input::new(3), Input::new(3));
    let model = Model::new([&a, &b], [&a, &b].apply(Add::new()).unwrap()).unwrap();
    let x = inputs(40);
    let lazy = Rows::new(&x);
    let twice = x.mapv(|x| 2.0 * x).into_dyn();
    let samples: &dyn Samples = &lazy;
    assert_eq!(model.predict([samples, samples]).unwrap(), twice);
    let mut mixed = (&x).into_samples();
    mixed.extend((&lazy).into_samples());
    assert_eq!(format!("{mixed:?}"), "[Array((40, 3)), Samples((40, 3))]");
    assert_eq!(model.predict(mixed).unwrap(), twice);
}

/// What a source was asked for: index and seed of samples.
type Draws = Vec<(usize, Option<u64>)>;

#[derive(Clone, Default)]
struct Seeds(Arc<Mutex<Draws>>);

impl Seeds {
    fn rows(&self, rows: &Array2<f32>) -> Rows {
        let seeds = self.clone();
        Rows::with(rows, move |index, seed, _| {
            seeds.0.lock().unwrap().push((index, seed));
            Ok(())
        })
    }

    fn take(&self) -> Draws {
        let mut seeds = std::mem::take(&mut *self.0.lock().unwrap());
        seeds.sort_unstable();
        seeds
    }
}

#[test]
fn seeds_differ_by_sample_and_epoch_and_are_for_training_only() {
    let (x_seeds, y_seeds) = (Seeds::default(), Seeds::default());
    let (x, y) = (x_seeds.rows(&inputs(40)), y_seeds.rows(&one_hot(40)));
    let mut model = classifier();
    let fit = || silent().epochs(2).batch_size(16).validation_split(0.25);
    model.fit(&x, &y, fit()).unwrap();
    let drawn = x_seeds.take();
    assert_eq!(drawn, y_seeds.take(), "inputs and labels of a sample draw the same");
    let (training, validation): (Vec<_>, Vec<_>) = drawn.iter().partition(|(i, _)| *i < 30);
    assert_eq!(training.len(), 60);
    assert!(validation.iter().all(|(_, seed)| seed.is_none()));
    let mut seeds: Vec<u64> = training.iter().map(|(_, seed)| seed.unwrap()).collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 60, "every sample has another seed in every epoch");

    // The second epoch alone draws what it drew after the first.
    model.fit(&x, &y, fit().initial_epoch(1)).unwrap();
    let again: Vec<_> = x_seeds.take().into_iter().filter(|(i, _)| *i < 30).collect();
    assert!(again.iter().all(|seed| drawn.contains(seed)));

    model.fit(&x, &y, fit().seed(1)).unwrap();
    assert!(x_seeds.take().iter().all(|seed| seed.1.is_none() || !drawn.contains(seed)));
    model.evaluate(&x, &one_hot(40)).unwrap();
    model.predict(&x).unwrap();
    assert!(x_seeds.take().iter().all(|(_, seed)| seed.is_none()));
}

/// Counts batches, and looks how far loading is ahead of them.
struct Ahead<'a> {
    loaded: &'a AtomicUsize,
    before: usize,
    most: usize,
    ended: bool,
}

impl Callback for Ahead<'_> {
    fn on_train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.before = 0;
        Ok(())
    }

    fn on_train_batch_end(&mut self, _: usize, _: &Logs, _: &mut Training<'_>) -> Result<()> {
        self.before += 10;
        self.most = self.most.max(self.loaded.load(Ordering::SeqCst).saturating_sub(self.before));
        Ok(())
    }

    fn on_train_end(&mut self, _training: &mut Training<'_>) -> Result<()> {
        self.ended = true;
        Ok(())
    }
}

#[test]
fn loading_is_at_most_one_batch_ahead() {
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let loaded = Arc::new(AtomicUsize::new(0));
        let count = loaded.clone();
        let x = Rows::with(&inputs(200), move |_, _, _| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        let mut ahead = Ahead { loaded: &loaded, before: 0, most: 0, ended: false };
        let fit = silent().batch_size(10).callback(&mut ahead);
        pool.install(|| classifier().fit(&x, &one_hot(200), fit).unwrap());
        assert_eq!(loaded.load(Ordering::SeqCst), 200);
        assert!(ahead.most <= 10, "{threads} threads: {} samples ahead", ahead.most);
    }
}

#[test]
fn loading_and_the_step_run_at_the_same_time() {
    // The step on the first batch waits for the load of the second one: for ever, if nobody loads it.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let seen = begun.clone();
    let x = Rows::with(&inputs(4), move |index, _, _| {
        if index >= 2 {
            seen.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    struct Waits(Arc<AtomicUsize>);
    impl Callback for Waits {
        fn on_train_batch_end(&mut self, _: usize, _: &Logs, _: &mut Training<'_>) -> Result<()> {
            while self.0.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            Ok(())
        }
    }
    let fit = silent().batch_size(2).shuffle(false).callback(Waits(begun));
    pool.install(|| classifier().fit(&x, &one_hot(4), fit).unwrap());
}

#[track_caller]
fn refused<T>(result: Result<T>, kind: ErrorKind, sentence: &str) {
    let Err(error) = result else { panic!("should be refused: {sentence}") };
    assert_eq!(error.to_string(), sentence);
    assert_eq!(error.kind(), kind);
}

#[test]
fn errors_name_the_sample() {
    let broken = Rows::with(&inputs(40), |index, _, _| match index {
        7 | 9 | 30.. => Err(Error::new(ErrorKind::File, format!("photos/{index}.png: is empty"))),
        _ => Ok(()),
    });
    let sentence = |who| format!("{who}: sample 7 of the inputs: photos/7.png: is empty");
    let in_order = || silent().batch_size(4).shuffle(false);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let mut model = classifier();
            let loaded = AtomicUsize::new(0);
            let mut told = Ahead { loaded: &loaded, before: 0, most: 0, ended: false };
            let fit = in_order().callback(&mut told);
            refused(model.fit(&broken, &one_hot(40), fit), ErrorKind::File, &sentence("fit"));
            assert!(told.ended, "callbacks are told that training has ended");
            assert_eq!(told.before, 10, "the batch before was trained on");
            refused(model.predict(&broken), ErrorKind::File, &sentence("predict"));
            let evaluated = model.evaluate(&broken, &one_hot(40));
            refused(evaluated, ErrorKind::File, &sentence("evaluate"));
        });
    }
    let y = one_hot(40);
    let validated = silent().validation_data(&broken, &y);
    refused(
        classifier().fit(&inputs(40), &y, validated),
        ErrorKind::File,
        &sentence("fit: validation_data"),
    );
}

#[test]
fn samples_that_do_not_fit() {
    let mut model = classifier();
    let x = Rows::new(&Array2::zeros((8, 5)));
    refused(
        model.fit(&x, &one_hot(8), silent()),
        ErrorKind::Data,
        "fit: the inputs have the shape (8, 5), the model wants (n, 3); change the data or the \
         model's Input",
    );
    let none = Rows::new(&Array2::zeros((0, 3)));
    refused(
        model.predict(&none),
        ErrorKind::Data,
        "predict: the inputs are empty; give at least one sample",
    );
    let x = Rows::with(&inputs(8), |index, _, sample| {
        sample[1] = if index == 6 { f32::NAN } else { 0.0 };
        Ok(())
    });
    refused(
        model.fit(&x, &one_hot(8), silent()),
        ErrorKind::Data,
        "fit: the inputs hold NaN in sample 6; mend or remove that sample",
    );
    let y = Rows::with(&one_hot(8), |index, _, label| {
        label[0] += if index == 6 { 1.0 } else { 0.0 };
        Ok(())
    });
    refused(
        model.fit(&inputs(8), &y, silent()),
        ErrorKind::Data,
        "fit: the label of sample 6 is not one-hot: its 4 numbers sum to 2; make labels with \
         to_categorical, or use SparseCategoricalCrossentropy for integer labels",
    );
    let x = inputs(8);
    refused(
        model.fit(&x, &one_hot(8), silent().validation_data(&x, &y)),
        ErrorKind::Data,
        "fit: validation_data: the label of sample 6 is not one-hot: its 4 numbers sum to 2; make \
         labels with to_categorical, or use SparseCategoricalCrossentropy for integer labels",
    );
}

#[test]
fn a_source_may_be_parallel_inside() {
    use rayon::prelude::*;
    let x = Rows::with(&inputs(60), |_, _, sample| {
        sample.par_iter_mut().for_each(|x| *x *= 2.0);
        Ok(())
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let y = Array1::from_shape_fn(60, |i| i % 4);
    let x_in_memory = inputs(60).mapv(|x| 2.0 * x);
    let model = || {
        let model = classifier().into_model();
        model.compile(Adam::default(), SparseCategoricalCrossentropy, ())
    };
    let (mut lazy, mut plain) = (model(), model());
    pool.install(|| lazy.fit(&x, &y, silent().epochs(2)).unwrap());
    plain.fit(&x_in_memory, &y, silent().epochs(2)).unwrap();
    assert_eq!(lazy.weights(), plain.weights());
}
