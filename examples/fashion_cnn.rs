//! The article's own network on Fashion-MNIST: `cargo run --release --example fashion_cnn`.

mod common;

use convnet::models;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    common::run(|image| models::fashion_cnn(image, 10), 0.87)
}
