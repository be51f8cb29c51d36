//! Times training steps, predictions, convolutions alone and whole trainings. One tab-separated row a
//! figure: `what system model batch threads figure unit`.
//!
//! `cargo run --release --example throughput -- step lenet5 --batch 32 --threads 2`

#[path = "../benches/common/convolutions.rs"]
mod convolutions;
#[path = "../benches/common/networks.rs"]
mod networks;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use convnet::datasets::fashion_mnist;
use convnet::prelude::*;

#[derive(Debug, Parser)]
#[command(about = "Times training steps, predictions, convolutions alone and whole trainings")]
struct Options {
    what: What,
    /// The network; `conv` times the convolutions of all
    #[arg(default_value = "lenet5", value_parser = network)]
    model: networks::Case,
    /// Images in a step, a prediction or a convolution
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Threads to work on; all cores if not given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// For `fit`: where Fashion-MNIST's four files are; without it they are looked for
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// For `fit`: what weights, order and dropout are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// A training step: forward, loss, backward, Adam
    Step,
    /// A prediction
    Infer,
    /// Each convolution alone, in each direction
    Conv,
    /// A whole training on Fashion-MNIST
    Fit,
}

fn network(name: &str) -> Result<networks::Case, String> {
    let found = networks::NETWORKS.iter().find(|case| case.0 == name);
    let names = networks::NETWORKS.map(|case| case.0).join(", ");
    found.copied().ok_or(format!("the networks are {names}"))
}

/// The median seconds of one call, over `groups` groups that take about `budget` seconds each.
fn median_seconds(groups: usize, budget: f64, mut call: impl FnMut()) -> f64 {
    call();
    call();
    let start = Instant::now();
    call();
    let repeats = (budget / start.elapsed().as_secs_f64()).clamp(1.0, 1e6) as usize;
    let mut times: Vec<f64> = (0..groups)
        .map(|_| {
            let start = Instant::now();
            (0..repeats).for_each(|_| call());
            start.elapsed().as_secs_f64() / repeats as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

impl Options {
    fn row(&self, what: &str, model: &str, figure: f64, unit: &str) {
        let (batch, threads) = (self.batch, rayon::current_num_threads());
        println!("{what}\tconvnet\t{model}\t{batch}\t{threads}\t{figure:.4}\t{unit}");
    }

    fn step(&self) -> convnet::Result<()> {
        let mut model = networks::compiled(&self.model)?;
        let (images, labels) = networks::samples(self.batch, &self.model);
        model.train_on_batch(&images, &labels, 0)?;
        let mut seed = 0;
        // On a thread of the pool, as in `fit`.
        let seconds = rayon::scope(|_| {
            median_seconds(5, 2.0, || {
                seed += 1;
                model.train_on_batch(&images, &labels, seed).expect("the first step went well");
            })
        });
        self.row("step", self.model.0, self.batch as f64 / seconds, "images/s");
        Ok(())
    }

    fn infer(&self) -> convnet::Result<()> {
        let model = networks::compiled(&self.model)?.into_model();
        let (images, _) = networks::samples(self.batch, &self.model);
        model.predict(&images)?;
        let seconds = median_seconds(5, 0.5, || {
            model.predict(&images).expect("the first prediction went well");
        });
        self.row("infer", self.model.0, seconds * 1e6, "us");
        Ok(())
    }

    fn conv(&self) {
        for case in &convolutions::NETWORKS {
            let (mut convolution, _) = convolutions::convolution(self.batch, case);
            for (direction, run) in convolutions::DIRECTIONS {
                let seconds = rayon::scope(|_| median_seconds(3, 0.5, || run(&mut convolution)));
                let figure = convolution.flops() as f64 / seconds / 1e9;
                self.row(&format!("conv.{direction}"), case.0, figure, "GFLOP/s");
            }
        }
    }

    /// The last 20 % held out for validation, stop after 3 epochs without a better `val_loss`, best
    /// weights restored.
    fn fit(&self) -> convnet::Result<()> {
        let found = match &self.data {
            Some(directory) => fashion_mnist::open(directory)?,
            None => fashion_mnist::find()?,
        };
        let (train, test) = found.load()?;
        let (name, shape, classes, network) = self.model;
        let image = Input::new(shape);
        let class = network(&image, classes)?;
        let mut model = Model::new(&image, &class)?.seed(self.seed).compile(
            Adam::default(),
            CategoricalCrossentropy,
            [Accuracy],
        );
        let stopping = EarlyStopping::new(Monitor::ValLoss).patience(3).restore_best_weights(true);
        let fit = Fit::new()
            .epochs(10_000)
            .batch_size(self.batch)
            .validation_split(0.2)
            .seed(self.seed)
            .verbose(Verbose::Silent)
            .callback(stopping);
        let start = Instant::now();
        let history = model.fit(&train.images, &train.labels, fit)?;
        let seconds = start.elapsed().as_secs_f64();
        let accuracy = model.evaluate(&test.images, &test.labels)?["accuracy"];
        self.row("fit.seconds", name, seconds, "s");
        self.row("fit.epochs", name, history.epoch.len() as f64, "epochs");
        self.row("fit.test_accuracy", name, accuracy, "");
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if let Some(threads) = options.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    match options.what {
        What::Step => options.step()?,
        What::Infer => options.infer()?,
        What::Conv => options.conv(),
        What::Fit => options.fit()?,
    }
    Ok(())
}
