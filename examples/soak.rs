//! Does it hold for long? LeNet-5 is trained on the sample of Fashion-MNIST for many epochs, then asked from
//! eight threads at once: `cargo run --release --example soak`. The exit status says whether all of this
//! held:
//!
//! - the memory of the process stays within 1 % of what it was after the first epochs;
//! - every loss and accuracy is a finite number, and the training accuracy never falls far below its best, and
//!   ends near it;
//! - the test accuracy is what it should be;
//! - every call of `predict`, from whichever thread, gives the same bits.

use std::error::Error;
use std::process::ExitCode;
use std::thread;

use clap::Parser;
use convnet::callbacks::{Logs, Training};
use convnet::datasets::fashion_mnist;
use convnet::prelude::*;
use ndarray::{Axis, Slice};

/// Trains for long and predicts often.
#[derive(Debug, Parser)]
struct Options {
    /// Epochs to train for; at least 10
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..))]
    epochs: u32,
    /// Calls of `predict`, over all threads
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    calls: usize,
}

/// After so many epochs everything that is kept has been allocated.
const WARM: usize = 5;

/// The memory may become so much more, as a share.
const GROWTH: f64 = 0.01;

/// The training accuracy may fall so far below its best between two epochs: with losses of 1e-5 Adam's steps
/// are as large as before, and now and then one leads astray, 0.05 in a hundred epochs.
const FALL: f64 = 0.1;

/// So far below its best it may end.
const END: f64 = 0.03;

/// The test accuracy to reach. Ten epochs reach 0.87.
const ACCURACY: f64 = 0.85;

const THREADS: usize = 8;

/// The resident pages of this process; `None` where the system does not tell.
fn pages() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split_whitespace().nth(1)?.parse().ok()
}

/// What each epoch left behind.
#[derive(Debug, Default)]
struct Watch {
    pages: Vec<u64>,
    accuracy: Vec<f64>,
    finite: bool,
}

impl Callback for Watch {
    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        _training: &mut Training<'_>,
    ) -> convnet::Result<()> {
        self.finite =
            (epoch == 0 || self.finite) && logs.iter().all(|(_, value)| value.is_finite());
        self.pages.extend(pages());
        self.accuracy.push(logs["accuracy"]);
        Ok(())
    }
}

/// Says what was found, and whether it is as it should be.
fn held(holds: bool, found: String) -> bool {
    println!("{} {found}", if holds { "held:  " } else { "BROKEN:" });
    holds
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = Options::parse();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-sample");
    let (train, test) = fashion_mnist::open(sample)?.load()?;
    let image = Input::new([28, 28, 1]);
    let model = Model::new(&image, models::lenet5(&image, 10)?)?.seed(1);
    let mut model = model.compile(Adam::default(), CategoricalCrossentropy, [Accuracy]);

    let mut watch = Watch::default();
    let fit = Fit::new().epochs(options.epochs as usize).seed(1).callback(&mut watch);
    model.fit(&train.images, &train.labels, fit)?;
    let mut all = held(watch.finite, "every loss and accuracy is a number".to_string());
    all &= fell(&watch.accuracy);
    all &= grew(&watch.pages);
    let reached = model.evaluate(&test.images, &test.labels)?["accuracy"];
    all &= held(reached >= ACCURACY, format!("the test accuracy is {reached:.4}"));

    let model = model.into_model();
    let bits = |start: usize| -> convnet::Result<Vec<u32>> {
        let images = test.images.slice_axis(Axis(0), Slice::from(start..start + 20));
        Ok(model.predict(&images)?.iter().map(|p| p.to_bits()).collect())
    };
    let starts: Vec<usize> = (0..test.images.dim().0 - 20).step_by(20).collect();
    let wanted = starts.iter().map(|&start| bits(start)).collect::<convnet::Result<Vec<_>>>()?;
    let work = |first: usize| {
        let calls = (first..options.calls).step_by(THREADS).map(|call| call % starts.len());
        calls.filter(|&i| !bits(starts[i]).is_ok_and(|bits| bits == wanted[i])).count()
    };
    let work = &work;
    let others: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || work(first))).collect();
        threads.into_iter().map(|thread| thread.join().expect("predict does not panic")).sum()
    });
    let calls = options.calls;
    all &=
        held(others == 0, format!("{others} of {calls} predictions on {THREADS} threads differ"));
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How far the accuracy fell below its best.
fn fell(accuracy: &[f64]) -> bool {
    let mut best = 0.0;
    let mut deepest: f64 = 0.0;
    for &accuracy in accuracy {
        best = f64::max(best, accuracy);
        deepest = deepest.max(best - accuracy);
    }
    let end = best - accuracy.last().unwrap_or(&0.0);
    held(
        deepest <= FALL && end <= END,
        format!(
            "the training accuracy of {best:.4} fell by {deepest:.4}, and ended {end:.4} below"
        ),
    )
}

/// By which share the memory grew once the first epochs were over.
fn grew(pages: &[u64]) -> bool {
    let [first, ..] = pages.get(WARM..).unwrap_or_default() else {
        println!("SKIPPED: this system does not tell how much memory a process has");
        return true;
    };
    let most = pages[WARM..].iter().max().unwrap_or(first);
    let growth = *most as f64 / *first as f64 - 1.0;
    held(
        growth <= GROWTH,
        format!(
            "{first} pages of memory after {} epochs grew by {:.2} %",
            WARM + 1,
            100.0 * growth
        ),
    )
}
