//! LeNet-5 on Fashion-MNIST: `cargo run --release --example lenet5_fashion_mnist`.

mod common;

use clap::Parser;
use convnet::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = common::Options::parse();
    let parts = options.prepare(0.86)?;
    let image = Input::new([28, 28, 1]);
    let class = models::lenet5(&image, 10)?;
    options.run(
        "LeNet-5 on Fashion-MNIST",
        (&image, &class),
        parts.each_ref().map(|part| &part.images),
        &parts,
    )
}
