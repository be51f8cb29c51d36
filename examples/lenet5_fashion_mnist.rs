//! LeNet-5 on Fashion-MNIST: `cargo run --release --example lenet5_fashion_mnist`.

mod common;

use convnet::models;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    common::run(|image| models::lenet5(image, 10), 0.86)
}
