//! The README's network on Fashion-MNIST: `cargo run --release --example fashion_cnn`.

mod common;

use clap::Parser;
use convnet::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = common::Options::parse();
    let parts = options.prepare(0.87)?;
    let image = Input::new([28, 28, 1]);
    let class = models::fashion_cnn(&image, 10)?;
    options.run(
        "fashion_cnn on Fashion-MNIST",
        (&image, &class),
        parts.each_ref().map(|part| &part.images),
        &parts,
    )
}
