//! What the Fashion-MNIST examples share: options, data, the recipe and the report.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use convnet::IntoSamples;
use convnet::datasets::Dataset;
use convnet::datasets::fashion_mnist::{self, CLASS_NAMES};
use convnet::prelude::*;

mod training;

/// Trains on Fashion-MNIST.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Where the four IDX files are; without it they are looked for, then downloaded
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Train on the sample of 10,000 + 2,000 images in the repository
    #[arg(long, conflicts_with = "data")]
    sample: bool,
    #[command(flatten)]
    training: training::Training,
}

impl Options {
    /// Sets the threads to train on, and finds the training and the test part where the options say;
    /// what is nowhere to be found gives way to the sample. `expected` is the test accuracy to expect
    /// on it.
    pub(crate) fn prepare(&self, expected: f64) -> Result<[Dataset; 2], Box<dyn Error>> {
        self.training.set_threads()?;
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
        Ok([train, test])
    }

    /// Trains and reports under a title: `class` are the probabilities of ten classes for an `image`, and `images` the
    /// training and the test part's as the network takes them.
    pub(crate) fn run<'a, X: IntoSamples<'a> + Copy>(
        &self,
        title: &str,
        (image, class): (&Input, &Node),
        images: [X; 2],
        [train, test]: &'a [Dataset; 2],
    ) -> Result<(), Box<dyn Error>> {
        let n = train.images.dim().0;
        let page = self.training.page(title);
        let page = page.map(|page| page.classes(CLASS_NAMES).samples(images[1], &test.labels));
        let (model, result) =
            self.training.run((image, class), n, images[0], &train.labels, page)?;
        self.training.report(model, result, images[1], &test.labels, CLASS_NAMES)
    }
}
