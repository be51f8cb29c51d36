//! AlexNet on Fashion-MNIST: `cargo run --release --example alexnet_fashion_mnist`. Each image is
//! resized when its batch is near, so that the memory holds them at 28 × 28 pixels only.

mod common;

use clap::{CommandFactory, FromArgMatches, Parser};
use convnet::prelude::*;
use convnet::preprocessing::Resized;

#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    common: common::Options,
    /// Height and width that the images are resized to
    #[arg(long, value_name = "PIXELS", default_value_t = 67, value_parser = clap::value_parser!(u16).range(67..=227))]
    size: u16,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let command = Options::command()
        .about("Trains AlexNet on Fashion-MNIST")
        .mut_arg("epochs", |epochs| epochs.default_value("5"))
        .mut_arg("batch_size", |batch_size| batch_size.default_value("64"))
        .mut_arg("learning_rate", |rate| rate.default_value("0.0003"));
    let Options { common: options, size } = Options::from_arg_matches(&command.get_matches())?;
    let parts = options.prepare(0.82)?;

    let size = usize::from(size);
    let image = Input::new([size, size, 1]);
    let class = models::alexnet(&image, 10)?;
    let train = Resized::new(&parts[0].images, size)?;
    let test = Resized::new(&parts[1].images, size)?;
    options.run("AlexNet on Fashion-MNIST", (&image, &class), [&train, &test], &parts)
}
