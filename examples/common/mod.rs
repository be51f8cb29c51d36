//! What the Fashion-MNIST examples share: options, data, the article's recipe and the report.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use convnet::IntoSamples;
use convnet::datasets::Dataset;
use convnet::datasets::fashion_mnist::{self, CLASS_NAMES};
use convnet::prelude::*;
use serde_json::json;

/// Trains on Fashion-MNIST by the article's recipe.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Where the four IDX files are; without it they are looked for, then downloaded
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Train on the sample of 10,000 + 2,000 images in the repository
    #[arg(long, conflicts_with = "data")]
    sample: bool,
    /// Train for at most this many epochs
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    epochs: usize,
    /// Images in a training step
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Step size of Adam
    #[arg(long, value_name = "F", default_value_t = 0.001)]
    learning_rate: f64,
    /// Fraction of the training images to hold out
    #[arg(long, value_name = "F", default_value_t = 0.2)]
    validation_split: f64,
    /// Epochs without a better validation loss before training stops
    #[arg(long, value_name = "N", default_value_t = 3)]
    patience: usize,
    /// What weights, order and dropout are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads to train on; all cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    /// Trains and reports on images as they are in the model's input, `[train, test]`, and their
    /// labels: `class` are the probabilities of ten classes.
    pub(crate) fn run<'a, X: IntoSamples<'a> + Copy>(
        &self,
        (image, class): (Input, Node),
        [train_images, test_images]: [X; 2],
        [train, test]: [&'a Dataset; 2],
    ) -> Result<(), Box<dyn Error>> {
        let mut model = Model::new(&image, &class)?.seed(self.seed).compile(
            Adam::new(self.learning_rate),
            CategoricalCrossentropy,
            [Accuracy],
        );
        println!("{}", model.summary());

        let mut stopping = EarlyStopping::new(Monitor::ValLoss)
            .patience(self.patience)
            .restore_best_weights(true)
            .verbose(true);
        let fit = Fit::new()
            .epochs(self.epochs)
            .batch_size(self.batch_size)
            .validation_split(self.validation_split)
            .seed(self.seed)
            .callback(&mut stopping);
        let start = Instant::now();
        let history = model.fit(train_images, &train.labels, fit)?;
        let seconds = start.elapsed().as_secs_f64();

        let score = model.evaluate(test_images, &test.labels)?;
        let predicted = model.predict(test_images)?;
        println!("\nTest loss: {:.4} - test accuracy: {:.4}\n", score["loss"], score["accuracy"]);
        println!("{}", classification_report(&test.labels, &predicted)?.class_names(CLASS_NAMES)?);

        if let Some(path) = &self.json {
            let epochs = history.epoch.len();
            let trained = train.images.dim().0 as f64 * (1.0 - self.validation_split);
            let result = json!({
                "test_accuracy": score["accuracy"],
                "test_loss": score["loss"],
                "epochs": epochs,
                "seconds": seconds,
                "images_per_second": trained * epochs as f64 / seconds,
                "seed": self.seed,
                "threads": rayon::current_num_threads(),
                "history": history.history,
            });
            std::fs::write(path, serde_json::to_string_pretty(&result)? + "\n").map_err(
                |error| {
                    let sentence = format!("cannot write {}: {error}", path.display());
                    convnet::Error::new(convnet::ErrorKind::File, sentence)
                },
            )?;
        }
        Ok(())
    }

    /// Sets the threads to train on, and finds the training and the test part where the options say;
    /// what is nowhere to be found gives way to the sample. `expected` is the test accuracy to expect
    /// on it.
    pub(crate) fn prepare(&self, expected: f64) -> Result<(Dataset, Dataset), Box<dyn Error>> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global()?;
        }
        let sample = || {
            fashion_mnist::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-sample"))
        };
        let (found, sampled) = match &self.data {
            Some(directory) => (fashion_mnist::open(directory)?, false),
            None if self.sample => (sample()?, true),
            None => match fashion_mnist::find() {
                Ok(found) => (found, false),
                Err(error) if std::env::var_os("FASHION_MNIST_DIR").is_some() => {
                    return Err(error.into());
                }
                Err(error) => {
                    println!("{error}\n");
                    (sample()?, true)
                }
            },
        };
        let (train, test) = found.load()?;
        println!(
            "Fashion-MNIST from {}: {} training and {} test images",
            found.source,
            train.images.dim().0,
            test.images.dim().0
        );
        if sampled {
            println!(
                "This is a sample; expect a test accuracy of about {expected}, less than on all images"
            );
        }
        println!();
        Ok((train, test))
    }
}
